"""Flags of several devices on the command line of a recipe."""

import inspect
import sys

import keras
import pytest

from kerasgan import distribution
from kerasgan.ops import replicas
from zoo import launch, recipe

NAME = keras.backend.backend()
FLAGS = ["--gradient_exchange=bfloat16", "--batch_statistics=device"]


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Leaves out the training. A failing test would otherwise train for minutes."""
    monkeypatch.setattr(recipe, "_train", lambda *arguments: None)


@pytest.fixture
def started(monkeypatch):
    """Arguments of `distribution.start` by name."""
    found, start = {}, distribution.start

    def spy(*arguments, **options):
        bound = inspect.signature(start).bind(*arguments, **options)
        bound.apply_defaults()
        found.update(bound.arguments)
        if NAME != "jax":  # which refuses some of the flags
            start(*arguments, **options)

    monkeypatch.setattr(distribution, "start", spy)
    monkeypatch.setattr(replicas, "_gradient_dtype", "float32")
    monkeypatch.setattr(replicas, "_device_statistics", False)
    return found


@pytest.mark.parametrize("name", ["mnist_gan", "birds_256"])
def test_flags_reach_the_start_of_devices(tool, started, name):
    tool(name, preset="quick", gradient_exchange="bfloat16", batch_statistics="device")
    assert started == {
        "devices": 1,
        "batch_statistics": "device",
        "gradient_exchange": "bfloat16",
    }
    if NAME != "jax":
        assert replicas._gradient_dtype == "bfloat16" and replicas.device_statistics()


def test_the_default_is_exact(tool, started):
    tool("mnist_gan", preset="quick")
    assert started["gradient_exchange"] == "float32" and started["batch_statistics"] == "batch"
    assert replicas._gradient_dtype == "float32" and not replicas.device_statistics()


@pytest.mark.skipif(NAME == "jax", reason="JAX has one process for all devices")
def test_each_process_receives_the_flags(tool, started, monkeypatch):
    commands = []

    class Finished:
        def __init__(self, command, env):
            commands.append(command)

        def poll(self):
            return 0

    arguments = ["-m", "zoo.mnist_gan", "--preset=quick", "--devices=2", *FLAGS]
    monkeypatch.setattr(launch.subprocess, "Popen", Finished)
    monkeypatch.setattr(launch.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, *arguments])
    with pytest.raises(SystemExit) as ended:
        tool("mnist_gan", preset="quick", devices=2, gradient_exchange="bfloat16")
    assert ended.value.code == 0 and not started
    assert commands == [[sys.executable, *arguments]] * 2


@pytest.mark.parametrize(
    ("flag", "value", "choices"),
    [
        ("gradient_exchange", "float16", "float32 or bfloat16"),
        ("batch_statistics", "replica", "batch or device"),
    ],
)
def test_a_wrong_value_ends_with_a_line_and_a_code(tool, started, capsys, flag, value, choices):
    with pytest.raises(SystemExit) as ended:
        tool("mnist_gan", preset="quick", **{flag: value})
    assert ended.value.code not in (0, None) and not started
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: --{flag} must be {choices}; received '{value}'"


def test_jax_refuses_with_a_line_and_a_code(tool, monkeypatch, capsys):
    monkeypatch.setattr(distribution.keras.backend, "backend", lambda: "jax")
    with pytest.raises(SystemExit) as ended:
        tool("mnist_gan", preset="quick", gradient_exchange="bfloat16")
    assert ended.value.code not in (0, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert "gradient_exchange='bfloat16' needs TensorFlow or PyTorch" in line
