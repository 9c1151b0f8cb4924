"""Fits a preset to data of another size: a batch that the images fill, epochs with as many steps as the preset's."""

import dataclasses
import sys

from kerasgan.datasets.folder import count_folder
from kerasgan.datasets.prepared import count_prepared

COUNTS = {"digits": 4_000, "mnist": 60_000, "cifar10": 50_000}


def count_images(settings):
    """Number of images that a recipe trains on, without reading them; None if it is not known.

    Args:
        settings: Settings with `data`: the name of a data set or a folder of images.
    """
    data = settings.data
    if data in COUNTS:
        classes = getattr(settings, "classes", "").split(
            ","
        )  # such as 8,9: a tenth of the images for each
        return COUNTS[data] * len(classes) // 10 if classes != [""] else COUNTS[data]
    if data == "synthetic_birds":
        return settings.drawn
    if hasattr(settings, "data_dir"):
        return count_prepared(data, "train", settings.data_dir or None)
    return count_folder(data)


def fit_to_data(settings, preset, given):
    """Chooses the batch size and the passes in an epoch that were not given, and says so on standard error.

    - The batch becomes a power of two that is at most half of the images.
    - Where the data are not the preset's, an epoch passes over the images as often as it takes to make the preset's
      number of steps, so that everything that is counted in epochs keeps its meaning. Where the number of epochs was
      given, an epoch stays one pass.

    Args:
        settings: The settings, with the changes in them.
        preset: The settings of the preset without changes.
        given: Names of the settings that were given.

    Returns:
        The settings, with `batch_size` and, if they have it, `repeats` chosen.
    """
    count, chosen = count_images(settings), {}
    if count is None or count < 4:
        return settings
    parts = getattr(settings, "discriminator_steps", 1)  # batches that one step takes
    batch = settings.batch_size
    while "batch_size" not in given and batch > 2 and 2 * batch * parts > count:
        batch = 1 << (batch - 1).bit_length() - 1  # the next smaller power of two
    if batch != settings.batch_size:
        chosen["batch_size"] = batch
    steps = max(count // (batch * parts), 1)
    if settings.data != preset.data and hasattr(settings, "repeats") and not settings.repeats:
        usual = count_images(preset)
        usual = usual and usual // (preset.batch_size * getattr(preset, "discriminator_steps", 1))
        if usual and steps < usual:
            if "epochs" not in given:
                chosen["repeats"] = -(-usual // steps)
            else:
                print(
                    f"{settings.epochs} epochs of {count:,} images are {settings.epochs * steps:,} steps; the preset "
                    f"makes {preset.epochs * usual:,}. Leave epochs out to train as long",
                    file=sys.stderr,
                )
    if chosen:
        told = ", ".join(f"{name} {value}" for name, value in chosen.items())
        passes = chosen.get("repeats", 1)
        print(
            f"chosen for {count:,} images: {told} ({passes * steps:,} steps in an epoch)",
            file=sys.stderr,
        )
    return dataclasses.replace(settings, **chosen)
