"""Trains a network with batch normalization by the statistics of each device.

    python tests/distribution/device_statistics.py FOLDER DEVICES

One process computes the same with two calls of the network, on even and on odd rows.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from kerasgan import AdversarialModel, distribution
from kerasgan.backend import processes
from kerasgan.layers import BatchNormalization


class Regression(AdversarialModel):
    """A network that is trained by least squares, in two parts on one device."""

    players = ("network",)

    def __init__(self, parts):
        super().__init__()
        self.parts = parts
        self.network = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4), BatchNormalization(), layers.Dense(1)]
        )

    def train_step(self, data):
        x, y = data

        def loss():
            errors = [
                ops.mean(
                    (self.network(x[i :: self.parts], training=True) - y[i :: self.parts]) ** 2
                )
                for i in range(self.parts)
            ]
            return sum(errors) / self.parts

        return self.report(network_loss=self.minimize("network", loss))


class Batches(keras.utils.PyDataset):
    """Three batches of eight rows."""

    num_batches = 3

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        return tuple(random.normal(size=(8, n)).astype("float32") for n in (3, 1))


if __name__ == "__main__":
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    distribution.start(batch_statistics="device")
    keras.utils.set_random_seed(1)
    model = Regression(parts=3 - devices)
    model.compile(network=keras.optimizers.SGD(0.1))
    history = model.fit(Batches(), shuffle=False, verbose=0)
    values = {f"{i}": v.numpy() for i, v in enumerate(model.network.trainable_variables)}
    moving = {v.name: v.numpy() for v in model.network.non_trainable_variables}
    loss = history.history["network_loss"][0]
    np.savez(folder / f"{devices}_{processes()[0]}.npz", **values, **moving, loss=loss)
