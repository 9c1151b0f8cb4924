"""ConditionalGAN on a folder of your own images.

    python -m zoo.image_folder --data=~/flowers
    python -m zoo.image_folder --data=~/flowers --size=64 --folder=runs/flowers

The folder holds one sub-folder of images per class, or images only (one class). Batch size, epochs,
passes per epoch, network width and the strength of the regularization are chosen from the number
and the size of the images unless they are given.

Presets:

- `auto`: all settings are chosen.
- `quick`: 5 epochs, to see whether the images are read correctly.
"""

import dataclasses
import sys
from typing import Any

from zoo import lazy, mnist_gan, recipe, scale, settings as fields
from zoo.settings import setting

batches = lazy.module("kerasgan.datasets.batches")
images = lazy.module("kerasgan.images")
folder = lazy.module("kerasgan.datasets.folder")
conditional_gan = lazy.module("kerasgan.models.conditional_gan")

STEPS = 2_000  # Default number of training steps per 1,000 images, within the limits below.
LEAST_STEPS, MOST_STEPS = 2_000, 20_000
STEPS_PER_EPOCH = 100  # at least


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe."""

    epochs: int = setting(0, "Total number of epochs. 0: chosen by the number of images.", least=0)
    batch_size: int = fields.batch_size(
        0, "Images per training step. 0: chosen by the number of images, at most 64.", least=0
    )
    data: str = fields.data("", "Folder of your images: one sub-folder per class, or images only.")
    size: int = setting(
        32,
        "Side of the training images in pixels. Images are cropped to a square and resized.",
        group="data",
        least=4,
        multiple_of=4,
    )
    channels: int = fields.channels(3)
    width: int = fields.width(
        0, "Channels of the generator's last feature map. 0: chosen by the image size.", least=0
    )
    latent_dim: int = fields.latent_dim(64, least=2)
    r1_weight: float | None = setting(
        None,
        "Weight of the R1 gradient penalty at real images. 0 disables it. By default the number of "
        "images decides: 1, or more for few images.",
        group="losses",
        least=0,
    )
    learning_rate: float = fields.learning_rate(1e-3, "Learning rate of Adam for both players.")
    beta_1: float = fields.beta_1(0.0)
    beta_2: float = fields.beta_2(0.99)
    decay: bool = setting(
        True,
        "Lower the learning rates linearly to 1/20 over the second half of the training.",
        group="optimizers",
    )
    score_every: int = setting(
        0,
        "Not used, because no evaluation classifier exists for your images.",
        group="logging",
        least=0,
    )


PRESETS = {"auto": {}, "quick": {"epochs": 5}}


def chosen(settings: Settings, report: bool = False) -> Settings:
    """Chooses the settings that are not given by the number and size of the folder's images.

    - Batch size: a power of two, at most 64 and at most half of the images.
    - An epoch has at least 100 steps: small folders are passed over several times.
    - Epochs: 2,000 steps per 1,000 images, at least 2,000 and at most 20,000 steps.
    - Width: 32 channels up to 32 pixels, 24 up to 64 pixels, else 16.
    - R1 weight: 1 from 2,000 images, 2 from 500, else 5. Few images need more regularization. A
      weight of 0 is kept: it disables the penalty.

    Args:
        settings: The settings.
        report: If `True`, prints the chosen values to standard error.

    Raises:
        ValueError: If `data` is no folder or has fewer than two images.
    """
    if not settings.data:
        raise ValueError("--data must be a folder of images; received none")
    count = folder.count_folder(settings.data)
    if count is None:
        raise ValueError(f"--data must be a folder of images; {settings.data} does not exist")
    if count < 2:
        raise ValueError(f"training needs at least 2 images; {settings.data} has {count}")
    batch = settings.batch_size
    if not batch:
        batch = 64
        while batch > 2 and 2 * batch > count:
            batch //= 2
    repeats = settings.repeats or max(-(-STEPS_PER_EPOCH * batch // count), 1)
    per_epoch = max(count * repeats // batch, 1)
    steps = min(max(STEPS * count // 1_000, LEAST_STEPS), MOST_STEPS)
    width = 32 if settings.size <= 32 else 24 if settings.size <= 64 else 16
    r1_weight = 1.0 if count >= 2_000 else 2.0 if count >= 500 else 5.0
    values: dict[str, Any] = {
        "epochs": settings.epochs or max(round(steps / per_epoch), 1),
        "batch_size": batch,
        "repeats": repeats,
        "width": settings.width or width,
        "r1_weight": r1_weight if settings.r1_weight is None else settings.r1_weight,
    }
    new = {name: value for name, value in values.items() if value != getattr(settings, name)}
    if new and report:
        listed = ", ".join(f"{name} {value}" for name, value in new.items())
        print(f"chosen for {count:,} images: {listed}", file=sys.stderr)
    return dataclasses.replace(settings, **values)


def load(settings: Settings) -> tuple[Any, Any, int]:
    """Returns images `[N, size, size, C]` in [-1, 1], labels `[N]` and the number of classes."""
    pictures, labels, names = folder.load_folder(
        settings.data, settings.size, settings.channels, need_classes=False
    )
    return pictures, labels, max(len(names), 1)


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    settings = chosen(settings)
    pictures, labels, classes = load(settings)
    return batches.Batches(
        pictures,
        labels,
        settings.batch_size,
        seed=settings.seed,
        classes=classes,
        repeats=settings.repeats,
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    shape = settings.size, settings.size, settings.channels
    classes = scale.folder_classes(settings.data)
    return scale.DataShape(shape, classes, scale.count_batches(chosen(settings)))


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Builds and compiles the `ConditionalGAN`."""
    settings = chosen(settings)
    if shape is None:
        pictures, _, classes = load(settings)
        shape = scale.DataShape(pictures.shape[1:], classes, data(settings).num_batches)
    size, _, channels = shape.image_shape
    classes = max(shape.num_classes, 1)
    networks = {"classes": classes, "size": size, "channels": channels}
    gan = conditional_gan.ConditionalGAN(
        conditional_gan.build_generator(settings.latent_dim, width=settings.width, **networks),
        conditional_gan.build_discriminator(width=settings.width, **networks),
        gradient_penalty_weight=settings.r1_weight,
        classes=classes,
        seed=settings.seed,
    )
    mnist_gan.compile_gan(gan, settings, settings.epochs * shape.num_batches)
    return gan


RECIPE = recipe.Recipe(
    name="image_folder",
    description="ConditionalGAN on a folder of your own images, with or without class folders.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    sample_grid=lambda settings: (
        lambda model: images.grid(
            model.sample(n=10 * max(model.classes, 10), seed=0), max(model.classes, 10)
        )
    ),
    dataset=lambda settings: "folder",
    size=lambda settings: settings.size,
    score=lambda settings: None,
    monitor="generator_loss",
    shape=expected_shape,
    doc=__doc__,
    class_names=lambda settings: folder.class_names(settings.data),
    choose=lambda settings: chosen(settings, report=True),
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
