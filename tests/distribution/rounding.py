"""Shows how a model amplifies rounding, on one device.

    python -m tests.distribution.rounding [SEEDS]

trains a tiny HDGAN for three steps of SGD on batches, and again on the same batches with their rows
in another order, which changes the order of sums only. It prints the largest differences of the
weights after each step: for the leaky ReLU of the paper, whose slope jumps at 0, and for a smooth
activation. A comparison of one device with two needs the smooth activation.
"""

import sys
from unittest import mock

import keras
import numpy as np
from keras import ops

from kerasgan.models import hdgan_networks
from kerasgan.ops import replicas
from tests import test_whole_models
from tests.distribution.data import Random

STEPS = 3


def smooth_birds() -> keras.Model:
    """Returns `test_whole_models.birds()` with SiLU instead of the leaky ReLU."""
    silu = lambda x: keras.layers.Activation("silu")(x)  # noqa: E731
    with mock.patch.object(hdgan_networks, "leaky_relu", silu):
        return test_whole_models.birds()


def _ordered_normal(order):
    def normal(shape, seed, axis=0):
        x = keras.random.normal(tuple(shape), seed=seed)
        return x if order is None else ops.take(x, order, axis=axis)

    return normal


def weights_of_steps(build, seed, reordered=False):
    """Returns the variables after each step, with batches as they are or divided and joined."""
    keras.utils.set_random_seed(seed)
    model, states = build(), []
    optimizers = {player: keras.optimizers.SGD(0.01) for player in model.players}
    model.compile(**optimizers, run_eagerly=keras.backend.backend() != "jax")
    data = Random(model)
    # As two replicas divide a batch.
    order = np.r_[0 : data.size : 2, 1 : data.size : 2] if reordered else None
    with mock.patch.object(replicas, "normal", _ordered_normal(order)):
        for index in range(STEPS):
            batch = data[index]
            model.train_on_batch(*(x if order is None else x[order] for x in batch))
            states.append([np.array(ops.convert_to_numpy(v.value)) for v in model.variables])
    return states


def amplification(build, seed: int) -> list[float]:
    """Returns the largest difference of the weights after each step."""
    pairs = zip(weights_of_steps(build, seed), weights_of_steps(build, seed, True), strict=True)
    return [
        max(float(np.abs(a.astype("f8") - b).max(initial=0)) for a, b in zip(*pair, strict=True))
        for pair in pairs
    ]


if __name__ == "__main__":
    for name, make in (("leaky ReLU", test_whole_models.birds), ("SiLU", smooth_birds)):
        for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 4):
            found = "  ".join(f"{x:.1e}" for x in amplification(make, number))
            print(f"{name}, seed {number}: {found}", flush=True)
