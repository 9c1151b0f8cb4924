"""A step on several TensorFlow devices equals the step of one device on the same batch."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

STEPS = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers, ops
from kerasgan.training import AdversarialModel

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")

class Fits(AdversarialModel):
    players = ("critic",)

    def __init__(self):
        super().__init__()
        critic = [keras.Input((3,)), layers.Dense(2, "tanh"), layers.Dense(1)]
        self.critic = keras.Sequential(critic)
        self.built = True

    def train_step(self, data):
        loss = self.minimize("critic", lambda: ops.mean(ops.square(self.critic(data) - 1.0)))
        return self.report(critic_loss=loss)

def moved(strategy, optimizer):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = Fits()
        model.compile(critic=optimizer())
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(8), epochs=1, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])

def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))

for optimizer in (lambda: keras.optimizers.SGD(0.5, clipnorm=0.1), scaled):
    one = moved(tf.distribute.get_strategy(), optimizer)
    two = moved(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), optimizer)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
print("equal")
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of tf.distribute")
def test_two_replicas_equal_one_device():
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", STEPS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr[-2000:]
