"""Trains a network for one step of SGD with gradients that are exchanged in a given dtype.

    python tests/distribution/gradient_exchange.py FOLDER DEVICES DTYPE

Every process writes `FOLDER/<devices>_<dtype>_<process>.npz`: weights before and after the step.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from kerasgan import AdversarialModel, distribution
from kerasgan.backend import processes


class Regression(AdversarialModel):
    """A network that is trained by least squares."""

    players = ("network",)

    def __init__(self):
        super().__init__()
        self.network = keras.Sequential(
            [keras.Input((3,)), layers.Dense(40, "tanh"), layers.Dense(1)]
        )

    def train_step(self, data):
        x, y = data
        return self.report(
            network_loss=self.minimize("network", lambda: ops.mean((self.network(x) - y) ** 2))
        )


class Batch(keras.utils.PyDataset):
    """One batch of eight rows."""

    num_batches = 1

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        return tuple(random.normal(size=(8, n)).astype("float32") for n in (3, 1))


if __name__ == "__main__":
    folder, devices, dtype = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    distribution.start(gradient_exchange=dtype)
    keras.utils.set_random_seed(1)
    model = Regression()
    model.compile(network=keras.optimizers.SGD(0.1))
    before = np.concatenate([w.ravel() for w in model.network.get_weights()])
    model.fit(Batch(), shuffle=False, verbose=0)
    after = np.concatenate([w.ravel() for w in model.network.get_weights()])
    np.savez(folder / f"{devices}_{dtype}_{processes()[0]}.npz", before=before, after=after)
