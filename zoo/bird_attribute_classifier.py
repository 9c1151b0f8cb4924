"""Train the bird judge, the small classifier that says which attributes a picture of a drawn bird shows.

    python -m zoo.bird_attribute_classifier

It sees birds of any attributes but for the colours of the 50 test species. (Of the 150 training species alone it learns
which bill goes with which colours, and calls half the bills of other species wrong.) Their pictures are worn each time
another way: shrunk and enlarged again, for it judges 64 pixels as well as 256; with noise and in other light, for it
judges what generators make. The weights after the last epoch are kept, whatever the test species say of them.
"""

import dataclasses
import importlib.metadata
import json
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.synthetic_birds import ATTRIBUTES, draw_bird, synthetic_birds
from kerasgan.encoders.char_cnn_rnn import CaptionedPairs
from kerasgan.images import from_uint8
from kerasgan.io import checkpoints, files, locks
from kerasgan.metrics.protocols.bird_attributes import JUDGE_FOLDER, VALUES, judged, resized
from kerasgan.models.classifier import build_deep_classifier
from zoo import recipe
from zoo.command import shell_command
from zoo.settings import Checked, setting

SIZE = 128  # of the judge's pictures
TEST_SIZES = (64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    output_dir: str = setting(str(JUDGE_FOLDER), "folder of the judge and its log")
    images: int = setting(8000, "birds to train on", least=1)
    epochs: int = setting(9, "epochs in all; the weights after the last are kept", least=1)
    batch_size: int = setting(50, "images a step", least=1)
    learning_rate: float = setting(2e-3, "of Adam; falls to zero along a cosine", above=0)
    width: int = setting(16, "filters of the first convolution", least=1)
    features: int = setting(128, "of the layer whose statistics are compared", least=1)
    smallest: int = setting(
        60, "pixels to which a picture is shrunk at most before it is enlarged again", least=1
    )
    noise: float = setting(0.1, "largest deviation of the noise, in units of [-1, 1]", least=0)
    light: float = setting(
        0.06, "largest relative change of contrast, and of each colour's level", least=0
    )
    seed: int = setting(0, "of the birds, weights, order and wear", least=0, below=2**32)


def any_birds(count, seed, size):
    """Birds without captions, each attribute by chance, but none with the three colours of a test species."""
    random = np.random.default_rng(seed)
    unseen = {
        tuple(colours)
        for colours in synthetic_birds("test", 50, size=16).attributes[:, :3].tolist()
    }
    attributes = random.integers(0, VALUES, (2 * count, len(VALUES)), "int8")
    attributes = attributes[[tuple(each) not in unseen for each in attributes[:, :3].tolist()]][
        :count
    ]
    images = np.stack(
        [draw_bird(each, (seed, index), size) for index, each in enumerate(attributes)]
    )
    classes = np.arange(count, dtype="int32")
    return CaptionedImages(
        images, classes, [[]] * count, [f"{index:06d}" for index in classes], attributes=attributes
    )


class WornPictures(CaptionedPairs):
    """Random crops of birds, worn by chance of (seed, epoch, index) alone: [B, SIZE, SIZE, 3], attributes [B, 7]."""

    def __init__(self, settings, data):
        super().__init__(data, settings.batch_size, SIZE, seed=settings.seed)
        self.settings = settings

    def __getitem__(self, index):
        chosen, random = self.chosen(index), np.random.default_rng((self.seed, self.epoch, index))
        crops = np.stack([self._crop(self.data.images[int(i)], random) for i in chosen])
        return wear(crops, self.settings, random), self.data.attributes[chosen].astype("int32")


def wear(images, settings, random):
    """uint8 images [B, S, S, 3] -> float32 in [-1, 1]: half of them blurred, half with noise, all in other light."""
    count, size = images.shape[:2]
    each = (count, 1, 1, 1)
    sides = np.where(
        random.random(count) < 0.5, size, random.integers(settings.smallest, size + 1, count)
    )
    blurred = [
        resized(resized(image[None], side), size) for image, side in zip(images, sides, strict=True)
    ]
    contrast = random.uniform(1 - settings.light, 1 + settings.light, each)
    level = random.uniform(-settings.light, settings.light, (count, 1, 1, 3))
    deviation = random.uniform(0, settings.noise, each) * (random.random(each) < 0.5)
    noise = deviation * random.standard_normal(images.shape, "float32")
    return (
        (from_uint8(np.concatenate(blurred)) * contrast + level + noise)
        .clip(-1, 1)
        .astype("float32")
    )


def heads(logits):
    """The logits of each attribute."""
    return ops.split(logits, np.cumsum(VALUES)[:-1].tolist(), axis=-1)


def attribute_loss(attributes, logits):
    """Cross entropy of attributes int [B, 7], averaged over them, from the logits of all values [B, 36]: [B]."""
    entropy, attributes = (
        ops.sparse_categorical_crossentropy,
        ops.cast(attributes, "int32"),
    )  # Keras makes them floats
    losses = [
        entropy(attributes[:, i], head, from_logits=True) for i, head in enumerate(heads(logits))
    ]
    return sum(losses) / len(losses)


def accuracy(attributes, logits):
    """Share of the attributes that the logits give: [B]."""
    found = ops.stack([ops.argmax(head, axis=-1) for head in heads(logits)], axis=1)
    return ops.mean(
        ops.cast(ops.equal(ops.cast(attributes, found.dtype), found), "float32"), axis=1
    )


def run(settings=Settings(), train=None, test=None):
    """Train, write the judge and its log to `output_dir`, and return the log.

    `train` and `test` are `CaptionedImages` with attributes; by default birds drawn at 152 and, 1,000 of the test
    species, at 304 pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    backend, start = keras.backend.backend(), time.time()
    train = train or any_birds(settings.images, settings.seed, SIZE * 19 // 16)
    test = test or synthetic_birds("test", seed=settings.seed)
    batches = WornPictures(settings, train)
    judge = build_deep_classifier(SIZE, 3, sum(VALUES), settings.width, settings.features)
    steps = settings.epochs * batches.num_batches
    judge.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
        ),
        attribute_loss,
        metrics=[accuracy],
        jit_compile=backend == "jax",  # TensorFlow's XLA is the slower one on a CPU
    )
    judge.fit(batches, epochs=settings.epochs, shuffle=False, verbose=2)
    log = {
        "test_accuracy": {str(size): accuracies(judge, test, size) for size in TEST_SIZES},
        "test_birds": len(test),
        "train_birds": len(train),
        "parameters": judge.count_params(),
        "seconds": round(time.time() - start, 1),
        "command": shell_command("zoo.bird_attribute_classifier"),
        "settings": {
            name: value
            for name, value in dataclasses.asdict(settings).items()
            if name != "output_dir"
        },
        "backend": backend,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("keras", backend, "numpy", "Pillow")
        },
    }
    folder = Path(settings.output_dir)
    name = checkpoints.file_name(
        "bird_attribute_classifier", "synthetic_birds", SIZE, "C", settings.epochs
    )
    right = {size: shares["all"] for size, shares in log["test_accuracy"].items()}
    info = {"test_accuracy": right, "command": log["command"], "seed": settings.seed}
    checkpoints.save_network(
        folder / name, judge, epoch=settings.epochs, letter="C", info=info, dtype="float16"
    )
    files.write_json(folder / "log.json", log)
    return log


def accuracies(judge, birds, size):
    """Accuracy of each attribute, and of all, on the middle 256 of 304 pixels (or as many) shrunk to `size`."""
    edge = birds.images.shape[1] * 3 // 38
    middle = birds.images[
        :, edge : birds.images.shape[1] - edge, edge : birds.images.shape[1] - edge
    ]
    right = judged(judge, resized(middle, size))[1] == birds.attributes
    means = dict(zip([*ATTRIBUTES, "all"], [*right.mean(axis=0), right.mean()], strict=True))
    return {name: round(float(mean), 4) for name, mean in means.items()}


def shell(arguments):
    settings = Settings(**recipe.given_flags(Settings))
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
