"""Throughput and traffic of several devices."""

import os

import keras
import pytest

from benchmarks.speed import devices
from kerasgan.layers import BatchNormalization

NAME = keras.backend.backend()


def test_traffic_of_networks():
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), BatchNormalization(), keras.layers.Dense(1)]
    )
    gradients, statistics = devices.traffic(
        {"generator": [network], "discriminator": [network, network]},
        {"generator": 1, "discriminator": 4},
    )
    numbers = (3 * 4 + 4) + (4 + 4) + (4 + 1)  # not the moving statistics
    assert gradients == 3 * 4 * numbers
    # Mean and variance of 4 channels, float32, forward and backward, 1 + 2 * 4 passes.
    assert statistics == 4 * 2 * 4 * 2 * (1 + 2 * 4)


def test_a_ring_sends_almost_twice_the_bytes():
    assert devices.ring(100.0, 1, 10.0) == 0
    assert devices.ring(100.0, 2, 10.0) == 10
    assert devices.ring(100.0, 8, 10.0) == pytest.approx(17.5)


def test_waiting_ends_when_the_last_process_enters_an_exchange():
    spans = [
        [[[0.0, 5.0], [6.0, 8.0]]],  # process 0: one step with two exchanges
        [[[3.0, 5.0], [6.0, 8.0]]],
    ]
    waiting, transfer = devices.exchange_seconds(spans)
    assert waiting == pytest.approx((3 + 0) / 2)
    assert transfer == pytest.approx(2 + 2)


@pytest.mark.nightly
@pytest.mark.backend
@pytest.mark.skipif(NAME == "jax", reason="JAX has one process for all devices")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_two_cores_are_measured():
    options = devices.Options(steps=2, rounds=1, width=1, size=64, backend=NAME)
    record = devices.measure("mnist_gan", options)
    assert record["throughput_ratio"]["median"] > 0
    model, _ = devices.CASES["mnist_gan"](options)
    trained = sum(v.size for player in model.players for v in model.player_variables(player))
    # The gradients, and some more.
    assert 4 * trained <= record["bytes_per_step"] <= 40 * trained
    assert record["exchanges_per_step"] >= 3
    assert len(record["seconds"]["1"]) == len(record["seconds"]["2"]) == 1
    assert record["bound"]["median"] > 0 and min(record["cpu_seconds"]["apart"]) > 0
    assert min(record["waiting_seconds"]) >= 0 < min(record["transfer_seconds"])
