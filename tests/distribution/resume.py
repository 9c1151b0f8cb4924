"""Trains a tiny model to an epoch, from the last checkpoint in a folder if there is one.

    python tests/distribution/resume.py FOLDER DEVICES EPOCHS

The first process writes `FOLDER/<epochs>_<devices>.npz`. With one device and a checkpoint, it also
trains without interruption and writes `FOLDER/expected.npz`.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from kerasgan import callbacks, distribution
from kerasgan.datasets.batches import Batches
from kerasgan.io import checkpoints
from tests.distribution.session import check_devices, clear_session
from tests.test_whole_models import conditional

IMAGES = np.tanh(np.random.default_rng(0).normal(size=(24, 8, 8, 1))).astype("float32")


def train(folder, devices, epochs):
    """Trains up to an epoch and returns the arrays of the model."""
    clear_session()  # Names of variables are counted.
    keras.utils.set_random_seed(0)
    model = conditional()
    model.compile(**{player: keras.optimizers.SGD(1e-2) for player in model.players})
    first = checkpoints.resume(folder, model) if folder.exists() else 0
    saves = callbacks.Checkpoint(folder, run="run", dataset="data", size=8)
    data = Batches(IMAGES, np.arange(24) % 3, 8, seed=1)
    history = model.fit(
        data, epochs=epochs, initial_epoch=first, callbacks=[saves], verbose=0
    ).history
    assert len(history["generator_loss"]) == epochs - first
    check_devices(model, devices)
    variables = [*model.variables, *model.optimizer.variables]
    arrays = {f"{i}:{v.path}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(variables)}
    return arrays | {f"log:{name}": np.array(values[-1]) for name, values in history.items()}


if __name__ == "__main__":
    distribution.start(int(sys.argv[2]))
    target, last = Path(sys.argv[1]), int(sys.argv[3])
    resumes = (target / "run").exists()
    found = train(target / "run", int(sys.argv[2]), last)
    if distribution.is_chief():
        np.savez(target / f"{last}_{sys.argv[2]}.npz", **found)
    if resumes and sys.argv[2] == "1":
        np.savez(target / "expected.npz", **train(target / "whole", 1, last))
