"""Counts the exchanges of a training step with the batch statistics of each device.

    python tests/distribution/exchanges.py FOLDER DEVICES

Every process writes `FOLDER/<process>.npz`: the number of exchanges of a step of MnistGAN, and the
moving statistics of a network that runs after `report`.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from benchmarks.speed import devices
from kerasgan import AdversarialModel, distribution
from kerasgan.backend import processes
from kerasgan.layers import BatchNormalization


class Late(AdversarialModel):
    """A model whose step moves statistics before and after `report`."""

    players = ("network",)

    def __init__(self):
        super().__init__()
        self.network = keras.Sequential(
            [keras.Input((3,)), BatchNormalization(), layers.Dense(1, use_bias=False)]
        )

    def train_step(self, data):
        def loss():
            return ops.mean(self.network(data, training=True) ** 2)

        logs = self.report(network_loss=self.minimize("network", loss))
        self.network(2.0 * data, training=True)
        return logs


class One(keras.utils.PyDataset):
    """One batch."""

    num_batches = 1

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __getitem__(self, index):
        return self.batch


if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    distribution.start(batch_statistics="device")
    late = Late()
    late.compile(network=keras.optimizers.SGD(0.1))
    rows = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    late.fit(One(rows), shuffle=False, verbose=0)
    moving = {v.name: v.numpy() for v in late.network.non_trainable_variables}

    model, batch = devices.CASES["mnist_gan"](devices.Options(width=1))
    traffic = devices.Traffic(len(batch[0]) // count)
    # Without the exchange of the initial weights.
    begin = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: traffic.reset())
    model.fit(One(batch), shuffle=False, verbose=0, callbacks=[begin])
    spans = np.array(traffic.spans())
    np.savez(folder / f"{processes()[0]}.npz", exchanges=traffic.exchanges, spans=spans, **moving)
