"""A training on two devices equals the training on one device, for every model."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kerasgan import distribution
from tests.distribution.compare import (
    FEW,
    NAME,
    REST,
    differences,
    environment,
    on_devices,
)
from tests.marks import slow_but_on_torch
from zoo import launch

LARGEST = {"state": 1e-5, "logs": 1e-4}  # losses add up many terms


def compare(folder, models, **options):
    """Compares weights, moving averages, optimizer states, seeds, queues and logs."""
    for model, found in differences(folder, models, **options).items():
        for kind, difference in found.items():
            assert difference <= LARGEST[kind], (model, kind, difference)


@pytest.mark.backend
def test_two_devices_equal_one(tmp_path):
    compare(tmp_path, FEW[:1] if NAME == "jax" else FEW)


@pytest.mark.backend
@pytest.mark.nightly
def test_two_devices_equal_one_for_every_model(tmp_path):
    compare(tmp_path, FEW + REST)


@pytest.mark.nightly
@pytest.mark.backend
@pytest.mark.skipif(NAME == "jax", reason="JAX always computes statistics of the whole batch")
def test_statistics_of_each_device_equal_two_calls_on_one(tmp_path):
    for devices in (1, 2):
        on_devices("device_statistics.py", devices, tmp_path, devices)
    one, *two = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("1_0", "2_0", "2_1"))
    assert two[0].keys() == one.keys() == two[1].keys()
    for name, value in two[0].items():
        np.testing.assert_array_equal(two[1][name], value, err_msg=name)
        if "moving" not in name:  # Two calls on one device move these averages twice.
            np.testing.assert_allclose(value, one[name], atol=1e-6, err_msg=name)


@pytest.mark.backend
@pytest.mark.skipif(NAME == "jax", reason="on JAX, the compiler exchanges values")
def test_a_step_has_few_exchanges(tmp_path):
    on_devices("exchanges.py", 2, tmp_path, 2)
    one, other = (dict(np.load(tmp_path / f"{process}.npz")) for process in range(2))
    # Three passes through minibatch discrimination, forward and backward, the mean features, two
    # gradients, and the metrics with the moving statistics.
    assert one["exchanges"] == 3 + 3 + 1 + 2 + 1
    begin, end = np.moveaxis(one["spans"], -1, 0)
    assert len(begin) == 10 and (0 < begin).all() and (begin < end).all()
    # Statistics that move after the exchange of `report` have another one.
    moving = [name for name in one if "moving" in name]
    assert len(moving) == 2
    for name in moving:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.nightly
@pytest.mark.backend
@pytest.mark.skipif(NAME == "jax", reason="on JAX, the compiler exchanges the gradients")
def test_gradients_are_exchanged_in_bfloat16(tmp_path):
    for devices, dtype in ((1, "float32"), (2, "float32"), (2, "bfloat16")):
        on_devices("gradient_exchange.py", devices, tmp_path, devices, dtype)
    found = {path.stem: dict(np.load(path)) for path in tmp_path.glob("*.npz")}
    one, exact, half = (
        found[name]["after"] for name in ("1_float32_0", "2_float32_0", "2_bfloat16_0")
    )
    np.testing.assert_allclose(exact, one, atol=1e-7)
    np.testing.assert_array_equal(found["2_bfloat16_1"]["after"], half)
    movement = np.abs(one - found["1_float32_0"]["before"]).max()
    assert 2**-16 * movement < np.abs(half - one).max() < 2**-7 * movement


def test_options_are_checked(monkeypatch):
    with pytest.raises(ValueError, match="must be 'batch' or 'device'; received 'replica'"):
        distribution.start(batch_statistics="replica")
    with pytest.raises(ValueError, match="must be 'float32' or 'bfloat16'; received 'float16'"):
        distribution.start(gradient_exchange="float16")
    monkeypatch.setattr(distribution.keras.backend, "backend", lambda: "jax")
    for options in ({"batch_statistics": "device"}, {"gradient_exchange": "bfloat16"}):
        with pytest.raises(ValueError, match="needs TensorFlow or PyTorch"):
            distribution.start(**options)


@pytest.mark.nightly
@pytest.mark.backend
@pytest.mark.skipif(NAME != "jax", reason="other engines always have one process per device")
def test_two_jax_processes_equal_one(tmp_path):
    compare(tmp_path, FEW, jax_processes=True)


@pytest.mark.nightly
@pytest.mark.backend
@pytest.mark.skipif(NAME != "jax", reason="keras.distribution.ModelParallel is of JAX")
def test_weights_divided_among_devices_train_as_on_one(tmp_path):
    for devices in (1, 2):
        on_devices("model_parallel.py", devices, tmp_path, devices)
    one, two = (np.load(tmp_path / f"{devices}.npy") for devices in (1, 2))
    np.testing.assert_allclose(two, one, atol=1e-5)


@slow_but_on_torch
@pytest.mark.backend
def test_a_run_continues_on_two_devices_and_back(tmp_path):
    for devices, epochs in ((1, 1), (2, 2), (1, 3)):
        on_devices("resume.py", devices, tmp_path, devices, epochs)
    found, expected = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("3_1", "expected"))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
    moved = np.load(tmp_path / "1_1.npz")
    assert any(not np.allclose(moved[key], value, atol=1e-4) for key, value in expected.items())


@slow_but_on_torch
@pytest.mark.backend
def test_two_processes_extract_the_features_of_one(tmp_path):
    found = {}
    for devices in (1, 2):
        folder = tmp_path / f"{devices}"
        folder.mkdir()
        on_devices("features.py", devices, folder, jax_processes=True)
        found |= {(devices, path.stem): dict(np.load(path)) for path in folder.glob("*.npz")}
    assert len(found) == 3
    expected = found.pop((1, "0"))
    assert len(expected["model0"]) == 1050 and len(expected["array1"]) == 21
    for arrays in found.values():
        for key, value in expected.items():
            np.testing.assert_allclose(arrays[key], value, atol=1e-6, err_msg=key)


# === The command line ===

SMALL = ["--preset=quick", "--batch_size=16", "--width=2", "--score_every=0"]


def start(folder, *flags):
    # A file takes the output, since a killed launcher's children keep a pipe open.
    command = [sys.executable, "-m", "zoo.mnist_gan", f"--folder={folder}/run", *SMALL, *flags]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )


def children(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in listed.split()]


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.mark.backend
@pytest.mark.nightly
@pytest.mark.skipif(NAME == "jax", reason="one process")
def test_a_killed_process_ends_all_and_the_run_resumes(tmp_path):
    process = start(tmp_path, "--epochs=500", "--devices=2")
    checkpoints = tmp_path / "run" / "checkpoints"
    wait_for(lambda: list(checkpoints.glob("*_resume_epoch_1.h5")))
    workers = children(process)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert "process 1 of 2 ended with SIGKILL" in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    again = start(tmp_path, "--epochs=500", "--devices=1")  # from two devices to one
    wait_for(lambda: list(checkpoints.glob("*_resume_epoch_3.h5")))
    again.send_signal(signal.SIGTERM)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == launch.PREEMPTED and "resumes" in errors
    assert list(checkpoints.glob("*_partial_epoch_*.h5"))


# === tf.distribute ===

STEPS = """
import keras, numpy as np, tensorflow as tf
from keras import layers, ops
from kerasgan import distribution
from kerasgan.layers import BatchNormalization
from kerasgan.training import AdversarialModel

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")

class Fits(AdversarialModel):
    players = ("critic",)

    def __init__(self, layer):
        super().__init__()
        critic = [keras.Input((3,)), layers.Dense(2, "tanh"), layer(), layers.Dense(1)]
        self.critic = keras.Sequential(critic)
        self.built = True

    def train_step(self, data):
        loss = self.minimize(
            "critic", lambda: ops.mean(ops.square(self.critic(data, training=True) - 1.0))
        )
        return self.report(critic_loss=loss)

def moved(strategy, optimizer, layer):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = Fits(layer)
        model.compile(critic=optimizer())
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    loss = model.fit(data, epochs=2, verbose=0).history["critic_loss"]
    return np.concatenate([loss, *(w.ravel() for w in model.get_weights())])

def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))

def clipped():
    return keras.optimizers.SGD(0.5, clipnorm=0.1)

for optimizer, layer in ((clipped, BatchNormalization), (scaled, layers.ReLU)):
    one = moved(tf.distribute.get_strategy(), optimizer, layer)
    # Collective operations do not work between the logical CPUs of one process.
    reduce = tf.distribute.ReductionToOneDevice()
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduce)
    two = moved(mirrored, optimizer, layer)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
distribution.start(gradient_exchange="bfloat16")
rounded = moved(mirrored, optimizer, layer)
assert 1e-5 < np.abs(rounded - two).max() < 2**-7
print("equal")
"""


@pytest.mark.skipif(NAME != "tensorflow", reason="of tf.distribute")
def test_a_mirrored_strategy_equals_one_device():
    done = subprocess.run(
        [sys.executable, "-c", STEPS],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr[-2000:]
