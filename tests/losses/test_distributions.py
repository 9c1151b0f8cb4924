"""Distances of two batches of vectors, compared with explicit sums."""

import numpy as np
import pytest
from keras import ops

from kerasgan.losses.distributions import kernel_distance, moment_distance

RNG = np.random.default_rng(0)


def moments(x, y):
    return float(ops.convert_to_numpy(moment_distance(*map(ops.convert_to_tensor, (x, y)))))


def kernels(x, y):
    return float(ops.convert_to_numpy(kernel_distance(*map(ops.convert_to_tensor, (x, y)))))


@pytest.mark.backend
def test_moments_equal_numpy():
    x, y = RNG.normal(size=(6, 3)).astype("float32"), RNG.normal(2.0, 3.0, (9, 3)).astype("float32")
    expected = ((x.mean(0) - y.mean(0)) ** 2).mean() + ((x.std(0) - y.std(0)) ** 2).mean()
    assert moments(x, y) == pytest.approx(expected, rel=1e-4)
    assert moments(x, x) == pytest.approx(0, abs=1e-7)


@pytest.mark.backend
def test_kernel_distance_is_the_unbiased_sum_over_pairs():
    x, y = RNG.normal(size=(5, 2)).astype("float32"), RNG.normal(1.0, 1.0, (4, 2)).astype("float32")
    width = np.mean([((a - b) ** 2).sum() for a in x for b in y])
    kernel = lambda a, b: np.exp(-((a - b) ** 2).sum() / width)  # noqa: E731

    def among(x):
        return np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])  # noqa: E731

    expected = among(x) + among(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])
    assert kernels(x, y) == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_detects_differences_beyond_moments():
    """A fair coin and a normal variable have the same mean and deviation."""
    coin = np.sign(RNG.normal(size=(2000, 1))).astype("float32")
    normal, other = RNG.normal(size=(2, 2000, 1)).astype("float32")
    assert moments(coin, normal) < 0.01
    assert kernels(coin, normal) > 10 * abs(kernels(other, normal))
    assert kernels(coin[:1], normal) < 4  # A single vector has no pairs. There is no division by 0.
