"""Shared part of the text-conditioned recipes `birds_*`, `flowers_256` and `coco_*`.

Each of these recipes consists of this module's functions and its own presets.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields
from zoo.settings import current_names, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
captioned = lazy.module("kerasgan.datasets.captioned")
prepared = lazy.module("kerasgan.datasets.prepared")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")
clip = lazy.module("kerasgan.encoders.clip")
checkpoints = lazy.module("kerasgan.io.checkpoints")
presets = lazy.module("kerasgan.io.presets")
bird_attributes = lazy.module("kerasgan.metrics.protocols.bird_attributes")
birds_protocol = lazy.module("kerasgan.metrics.protocols.birds")
hdgan = lazy.module("kerasgan.models.hdgan")
schedules = lazy.module("kerasgan.schedules")
robust_image_encoder = lazy.module("zoo.robust_image_encoder")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the text-conditioned recipes. Defaults: HDGAN's released code for birds."""

    epochs: int = fields.epochs(600)
    batch_size: int = fields.batch_size(
        10,
        "Images per training step. The training notes use 16 and report that small batches fail.",
        least=2,
    )
    data: str = fields.data(
        "synthetic_birds",
        "Data set: synthetic_birds, or the name of one that zoo.prepare made, such as birds.",
    )
    data_dir: str = fields.data_dir()
    num_images: int = fields.num_images(2000, "Number of synthetic birds to train on.")
    captions: int = setting(
        4,
        "Number of captions per image. They are chosen at random in each step, and their "
        "embeddings are averaged.",
        group="data",
        least=1,
    )
    text_encoder: str = setting(
        "synthetic_birds_text",
        "Text encoder: a preset or checkpoint. --text_encoder= (empty) uses the embeddings that "
        "come with the data set.",
        group="networks",
    )
    sizes: str = setting(
        "64,128,256",
        "Sides of the generated images in pixels: 64 or 64,128 or 64,128,256.",
        group="networks",
    )
    width: int = fields.width(
        128,
        "Base number of channels of all networks. The paper uses 128; 16 and 32 suit small "
        "machines.",
    )
    discriminator_width: int = fields.width(
        0, "Base number of channels of the discriminators. 0: the same as --width.", least=0
    )
    skip: bool = setting(
        False, "Add the upsampling skip connection of the training notes.", group="networks"
    )
    extra_conv: bool = setting(
        True,
        "Apply one more 1 x 1 convolution after image features and text are joined in the "
        "discriminators.",
        group="networks",
    )
    norm: str = setting(
        "batch",
        "Normalization of the discriminators. With `batch`, its statistics reveal which batch is "
        "mismatched, so small models should use `layer` or `none`.",
        group="networks",
        choices=("batch", "layer", "none"),
    )
    conditioning_noise: float = setting(
        1.0,
        "Scale of the noise of the conditioning augmentation. The paper uses 1. Short trainings "
        "need less.",
        group="networks",
        least=0,
    )
    loss: str = setting(
        "least_squares",
        "Adversarial loss of both players.",
        group="losses",
        choices=("least_squares", "logistic"),
    )
    image_loss: str = setting(
        "released",
        "Discriminator heads that score the image without its caption: as in the released code, "
        "on the whole image (global), on patches (local), both, or none.",
        group="losses",
        choices=("released", "global", "local", "both", "none"),
    )
    divergence_weight: float = setting(
        4.0,
        "Weight of the KL divergence of the conditioning augmentation.",
        group="losses",
        least=0,
    )
    r1_weight: float = setting(
        0.0,
        "Weight of the R1 gradient penalty at real images. 0 disables it.",
        group="losses",
        least=0,
    )
    damsm_weight: float = setting(
        0.0,
        "Weight of the DAMSM loss (image-text matching) at each resolution. 0 disables it.",
        group="losses",
        least=0,
    )
    damsm_encoder: str = setting(
        "",
        "Image encoder of the DAMSM loss: a preset or checkpoint of zoo.robust_image_encoder. "
        "Default: the image encoder that was trained with --text_encoder.",
        group="losses",
    )
    damsm_crop: float = setting(
        1.0,
        "Minimum side of the random crops given to the DAMSM encoder, as a fraction of the image. "
        "1 disables cropping.",
        group="losses",
        above=0,
        most=1,
    )
    damsm_queue: int = setting(
        0,
        "Number of captions of past steps that serve as further negatives in the DAMSM loss.",
        group="losses",
        least=0,
    )
    regenerate_fakes: bool = setting(
        False,
        "Generate new fakes for the generator's update, as in the code of the training notes. By "
        "default both players share the fakes of a step.",
        group="losses",
    )
    critic_epochs: int = setting(
        0,
        "Number of epochs that use the training notes' extra discriminator updates. -1: all.",
        group="optimizers",
        least=-1,
    )
    critic_epoch_steps: int = setting(
        0,
        "Number of generator updates that --critic_epochs counts as an epoch. 0: those of an "
        "actual epoch.",
        group="optimizers",
        least=0,
    )
    learning_rate: float = fields.learning_rate(2e-4, "Learning rate of Adam for both players.")
    beta_1: float = fields.beta_1(0.5)
    halve_every: int = setting(
        100,
        "The learning rates are halved each time after this number of epochs.",
        group="optimizers",
        least=1,
    )
    ema_decay: float = fields.ema_decay(0.0)
    start: str = setting(
        "",
        "Folder of an earlier run. Training starts from its last networks, which may generate "
        "smaller sizes.",
    )
    score_every: int = setting(
        0,
        "Number of epochs from one evaluation (on few samples) to the next. 0: only at the end.",
        group="logging",
        least=0,
    )


# The paper's birds, prepared by `python -m zoo.prepare birds`, with the embeddings that come with
# them.
BIRDS = {"data": "birds", "text_encoder": ""}
# The code of the training notes: batches of 16, new fakes for the generator's update, extra
# discriminator updates in the first 100 epochs.
TRAINING_NOTES = {"batch_size": 16, "regenerate_fakes": True, "critic_epochs": 100}
# The released code used two GPUs with 8 images each, half the divergence weight, and halved the
# rates twice as often.
COCO = {
    "data": "coco",
    "text_encoder": "",
    "batch_size": 16,
    "epochs": 200,
    "divergence_weight": 2.0,
    "halve_every": 50,
}
# Small networks for two CPU cores. Narrow discriminators soon dominate narrow generators. R1 keeps
# their gradients useful, and with layer normalization the score of a pair does not depend on the
# other pairs of the batch. From pairs alone, the networks learn backgrounds, sizes and wings long
# before crowns and bellies; the DAMSM loss teaches crowns and bellies. The conditioning noise is
# small, because in a short training it would otherwise dominate the caption.
SMALL = {
    "width": 16,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "r1_weight": 0.1,
    "ema_decay": 0.99,
    "norm": "layer",
    "damsm_weight": 1.0,
    "conditioning_noise": 0.1,
    "divergence_weight": 1.0,
    "grid_every": 1,
    "checkpoint_every": 1,
}
# For data sets with embeddings of their own, for which there is no image encoder.
OWN_EMBEDDINGS = {"text_encoder": "", "damsm_weight": 0.0}
# Hours on two CPU cores. Two captions per image are used, because four name nearly all attributes,
# but users write one. A generator of twice the width was hardly better after as many steps, and its
# steps took more than twice as long. With layer normalization and least squares, the discriminators
# did not separate fakes from birds, and the DAMSM loss alone led to one shapeless image per
# caption. Without normalization, with twice the generator's width and the logistic loss, they also
# improve shapes. The accuracy measured by an ordinary image encoder soon differs from what people
# see. The robust image encoder remains useful for longer, with many captions to contrast.
STAGES = SMALL | {
    "damsm_encoder": "synthetic_birds_image_encoder",
    "damsm_queue": 1024,
    "damsm_crop": 0.85,
    "num_images": 4500,
    "captions": 2,
    "ema_decay": 0.999,
    "discriminator_width": 32,
    "norm": "none",
    "loss": "logistic",
    "r1_weight": 1.0,
    "learning_rate": 2.5e-4,
    "beta_1": 0.0,
}


# === Data ===


@functools.lru_cache(2)
def load(
    data: str,
    split: str,
    data_dir: str,
    num_images: int,
    size: int,
    text_encoder: str,
    in_memory: bool = True,
) -> Any:
    """Returns the `CaptionedImages` of a split with their embeddings."""
    if data == "synthetic_birds":
        loaded = synthetic.synthetic_birds(split, num_images, size=_source_size(size))
    else:
        loaded = prepared.load_prepared(data, split, data_dir or None, in_memory)
    if text_encoder:
        loaded = loaded.embed(encoder(text_encoder))
    if loaded.embeddings is None:
        raise ValueError(
            f"{data} comes without embeddings, so --text_encoder must name an encoder; received "
            f"none"
        )
    return loaded


def _source_size(size):
    """Returns the size of the images that are cropped to `size`: 304 for 256, as in the paper."""
    return size * 19 // 16


@functools.cache
def encoder(name: str) -> Any:
    """Returns the text encoder of a preset or checkpoint."""
    return char_cnn_rnn.text_encoder(name)


def loaded(settings: Settings, split: str = "train") -> Any:
    """Returns the `CaptionedImages` of a split. The synthetic test split has 1,000 images."""
    count = settings.num_images if split == "train" else 1000
    return load(
        settings.data,
        split,
        settings.data_dir,
        count,
        sizes_of(settings)[-1],
        settings.text_encoder,
    )


def sizes_of(settings: Settings) -> tuple[int, ...]:
    """Returns the image sizes, smallest first."""
    try:
        return hdgan.check_sizes(int(size) for size in settings.sizes.split(","))
    except ValueError as error:
        raise ValueError(
            f"sizes must be such as 64,128,256; received {settings.sizes!r} ({error})"
        ) from None


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    return captioned.CaptionedBatches(
        loaded(settings),
        settings.batch_size,
        sizes_of(settings)[-1],
        settings.captions,
        settings.seed,
        repeats=settings.repeats or 1,
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them. Embeddings have 1,024 dimensions."""
    size = sizes_of(settings)[-1]
    steps = scale.count_batches(settings)
    return scale.DataShape((size, size, 3), num_batches=steps, embedding_dim=1024)


def _shape(settings):
    size, train = sizes_of(settings)[-1], loaded(settings)
    steps = max((settings.repeats or 1) * (len(train) // settings.batch_size), 1)
    dim = train.embeddings.shape[-1]
    return scale.DataShape((size, size, 3), num_batches=steps, embedding_dim=dim)


# === Model ===


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Returns the compiled `HDGAN`.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default the data are read.
    """
    if settings.damsm_weight and not settings.text_encoder:
        raise ValueError(
            "damsm_weight needs a text_encoder, because its image encoder is needed; received none"
        )
    sizes, shape = sizes_of(settings), shape or _shape(settings)
    image_loss = None if settings.image_loss == "none" else settings.image_loss
    discriminators = {
        size: hdgan.build_discriminator(
            size,
            settings.discriminator_width or settings.width,
            embedding_dim=shape.embedding_dim,
            image_loss=image_loss,
            extra_conv=settings.extra_conv,
            norm=settings.norm,
        )
        for size in sizes
    }
    gan = hdgan.HDGAN(
        hdgan.build_generator(
            sizes,
            settings.width,
            embedding_dim=shape.embedding_dim,
            skip=settings.skip,
            conditioning_noise=settings.conditioning_noise,
        ),
        discriminators,
        loss=settings.loss,
        regenerate_fakes=settings.regenerate_fakes,
        divergence_weight=settings.divergence_weight,
        r1_weight=settings.r1_weight,
        critic_steps=_critic_steps(settings, shape.num_batches),
        ema_decay=settings.ema_decay or None,
        text_encoder=referenced_encoder(settings.text_encoder),
        damsm_encoder=damsm_network(settings) if settings.damsm_weight else None,
        damsm_weight=settings.damsm_weight,
        damsm_crop=settings.damsm_crop,
        damsm_queue=settings.damsm_queue,
        seed=settings.seed,
    )

    def adam():
        rate = schedules.Halved(settings.learning_rate, settings.halve_every, shape.num_batches)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=0.999, epsilon=1e-8)

    if settings.start:
        gan.start_from(last_of(settings.start))
    gan.compile(generator=adam(), discriminator=adam(), jit_compile=settings.jit_compile or "auto")
    return gan


def referenced_encoder(name: str) -> Any:
    """Returns a text encoder as an argument of a model: a preset's name, or the loaded encoder.

    A model saves the name of a shipped preset or of a CLIP. It saves other encoders with their
    network, so that its own preset is complete.
    """
    if not name or name.startswith(clip.PREFIX) or name in (*presets.names("T"), *presets.ALIASES):
        return name or None
    return encoder(name)


def _critic_steps(settings, num_batches):
    if settings.critic_epochs == 0:
        return None
    epochs = None if settings.critic_epochs < 0 else settings.critic_epochs
    return hdgan.ExtraCriticSteps(settings.critic_epoch_steps or num_batches, epochs)


def last_of(folder: str | os.PathLike) -> Any:
    """Returns the model of a run's last checkpoint, including its discriminators."""
    path = checkpoints.latest(pathlib.Path(folder).expanduser() / "checkpoints")
    if path is None:
        raise ValueError(f"start must be the folder of a run with checkpoints; received {folder}")
    networks = checkpoints.load_model(path)[0].checkpoint_networks()
    return checkpoints.load_sampling_model(path, networks)[0]


def damsm_network(settings: Settings) -> Any:
    """Returns the image encoder of the DAMSM loss."""
    if not settings.damsm_encoder:
        return image_encoder(settings.text_encoder).network
    return robust_image_encoder.network(settings.damsm_encoder)


@functools.cache
def image_encoder(name: str) -> Any:
    """Returns the image encoder that was trained with the text encoder of that name."""
    return char_cnn_rnn.image_encoder(
        checkpoints.sibling(pathlib.Path(name), "V") if presets.is_file(name) else name
    )


# === Samples and scores ===


def sample_grid(settings: Settings, count: int = 8) -> Callable:
    """Returns a function of the model: captions of unseen classes, each with its images.

    The latents are the same each time.
    """
    test = loaded(settings, "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:count]
    captions, embeddings = [test.captions[i][0] for i in chosen], test.embeddings[chosen, 0]
    return lambda model: images.captioned_sheet(
        captions, model.sample(embeddings=embeddings, seed=0, sizes="all"), columns=2
    )


PAIR = "synthetic_birds_text"  # Encoders that measure the R-precision of every model.


def score(settings: Settings) -> Callable | None:
    """Returns the scoring function of synthetic birds (a tenth of the samples), else `None`."""
    if settings.data != "synthetic_birds":
        return None
    # Missing encoders must be reported before the training, not after it.
    bird_attributes.load_bird_attribute_classifier(), image_encoder(PAIR)
    trained_by = damsm_encoder_of(vars(settings))
    return lambda model, samples: scores(
        model, settings.text_encoder, samples // 10, damsm_encoder=trained_by
    )


def damsm_encoder_of(about: dict) -> str | None:
    """Returns the DAMSM encoder of a run's settings.

    `""` is the image encoder that was trained with the text encoder. `None` means that the run had
    no DAMSM loss.
    """
    about = current_names(about)
    encoder = about.get("damsm_encoder", about.get("image_encoder", ""))  # `zoo.projected_birds`
    return encoder if about.get("damsm_weight", 0) > 0 else None


def scores(
    model: Any,
    text_encoder: str,
    samples: int = 1000,
    seed: int = 1,
    damsm_encoder: str | None = None,
) -> dict:
    """Returns `score_birds` of a model.

    Args:
        model: The model.
        text_encoder: Name of the text encoder that it was trained with.
        samples: Number of images.
        seed: Seed of the latents.
        damsm_encoder: DAMSM encoder of its training, see `damsm_encoder_of`.
    """
    found = birds_protocol.score_birds(
        model, encoder(text_encoder), (encoder(PAIR), image_encoder(PAIR)), samples, seed
    )
    checksum = checkpoints.read_info(presets.find(PAIR) / "V.h5")["sha256"]
    notes = {
        None: "",
        "": "; the generator was trained with these encoders (DAMSM), which alone raises the score",
    }
    other = (
        f"; the DAMSM loss of this run used another encoder, {damsm_encoder}; a run that it "
        f"started "
        "from may have used these"
    )
    pair = f"{PAIR}, sha256 of the image encoder {checksum}{notes.get(damsm_encoder, other)}"
    found["protocol"] |= {"text_encoder": text_encoder, "r_precision_encoders": pair}
    return found


def text_recipe(
    name: str,
    description: str,
    presets: dict,
    doc: str = "",
    former_presets: dict | None = None,
    schedules: tuple[str, ...] = (),
) -> recipe.Recipe:
    """Returns a recipe of this module's settings and functions. The first preset is the default."""
    return recipe.Recipe(
        name=name,
        description=description,
        settings=Settings,
        presets=presets,
        data=data,
        build=recipe.built_quickly(build),
        sample_grid=sample_grid,
        dataset=lambda settings: settings.data,
        size=lambda settings: sizes_of(settings)[-1],
        score=score,
        monitor="attribute_accuracy",
        mode="max",
        shipped="hdgan_synthetic_birds_256",
        shape=expected_shape,
        doc=doc,
        former_presets=former_presets or {},
        schedules=schedules,
    )
