"""What the text-conditioned recipes share: birds_64, birds_128, birds_256, flowers_256, coco_64 and coco_128 are this
module and the settings in which they differ.
"""

import dataclasses
import functools
import pathlib

import keras
import numpy as np

from kerasgan import images
from kerasgan.datasets.captioned import CaptionedBatches
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.io import checkpoints, presets
from kerasgan.metrics.protocols.bird_attributes import shipped
from kerasgan.metrics.protocols.birds import score_birds
from kerasgan.models import hdgan
from kerasgan.schedules import Halved
from zoo import recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are those of the paper's released code for birds."""

    epochs: int = setting(600, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(
        10, "images a step, at least 2 (the notes: 16; small batches fail)", least=2
    )
    judge_width: int = setting(0, "of the discriminators; 0 is width", least=0)
    sizes: str = setting("64,128,256", "sizes of the pictures, smallest first, of 64, 128, 256 ...")
    width: int = setting(
        128, "of all networks; 128 is the paper's, 16 and 32 are for small machines", least=1
    )
    data: str = setting(
        "synthetic_birds",
        "synthetic_birds (made on the spot), or what zoo.prepare prepared: birds, coco ...",
    )
    data_dir: str = setting("", "folder of the prepared data; TensorFlow Datasets' own by default")
    drawn: int = setting(2000, "number of drawn birds", least=1)
    text_encoder: str = setting(
        "synthetic_birds_text", "a preset or checkpoint; '' takes the data's own embeddings"
    )
    captions: int = setting(
        4, "embeddings of an image's captions that are averaged, drawn anew each time", least=1
    )
    image_loss: str = setting(
        "released",
        "released, global, local, both, or none: only pairs are judged",
        choices=("released", "global", "local", "both", "none"),
    )
    skip: bool = setting(False, "the notes' upsampling skip connection (large multimodal path)")
    extra_conv: bool = setting(
        True, "one more 1 x 1 convolution of image code and text in the pair's branch"
    )
    norm: str = setting(
        "batch",
        "of the discriminators: batch, layer or none; batch's gives wrong pairs away",
        choices=("batch", "layer", "none"),
    )
    loss: str = setting(
        "least_squares",
        "of both players, least_squares or logistic",
        choices=("least_squares", "logistic"),
    )
    redraw: bool = setting(
        False, "draw the fakes again for the generator's phase, as the notes' code did"
    )
    critic_epochs: int = setting(
        0, "epochs with the notes' extra steps of the discriminator; -1 is all", least=-1
    )
    critic_epoch: int = setting(
        0, "generator's updates that they count as an epoch; 0: those of a whole one", least=0
    )
    divergence_weight: float = setting(4.0, "of the conditioning's KL divergence", least=0)
    augmentation: float = setting(
        1.0, "of the condition's deviation, 1 as in the paper; short runs want less", least=0
    )
    damsm_weight: float = setting(0.0, "of DAMSM, by the guide; 0 is none", least=0)
    guide: str = setting(
        "",
        "of zoo.robust_image_encoder, or a file of one; '' is the image encoder beside text_encoder",
    )
    damsm_crop: float = setting(
        1.0,
        "least side of the random crops of the fakes that DAMSM sees; 1 is none",
        above=0,
        most=1,
    )
    damsm_queue: int = setting(
        0, "captions of past steps that DAMSM tells a fake from, beside the batch's", least=0
    )
    penalty: float = setting(0.0, "gamma of R1 at the real images; 0 is none", least=0)
    average: float = setting(
        0.0,
        "decay of the generator's moving average, which then draws; 0 is none",
        least=0,
        below=1,
    )
    learning_rate: float = setting(2e-4, "of both players' Adam", above=0)
    beta_1: float = setting(0.5, "of both players' Adam", least=0, below=1)
    halve_every: int = setting(100, "epochs from one halving of the rates to the next", least=1)
    start: str = setting(
        "", "folder of a run of smaller sizes, or the same, whose last networks go on here"
    )
    score_every: int = setting(
        0, "epochs from one score to the next, on few samples; 0 is never", least=0
    )


# The paper's birds, once `python -m zoo.prepare birds` has them, with the embeddings that come with them.
BIRDS = {"data": "birds", "text_encoder": ""}
# The notes' code, which made their scores: batch 16, noise drawn again for the generator, extra steps of the
# discriminator in the first 100 epochs.
NOTED = {"batch_size": 16, "redraw": True, "critic_epochs": 100}
# Two GPUs of 8 images each there; half the weight on the divergence, rates halved twice as often.
COCO = {
    "data": "coco",
    "text_encoder": "",
    "batch_size": 16,
    "epochs": 200,
    "divergence_weight": 2.0,
    "halve_every": 50,
}
# Small enough for two CPU cores. Narrow discriminators soon win over narrow generators; R1 keeps their slopes of use,
# and layer norm makes them judge each pair for itself. Of pairs they learn backgrounds, sizes and wings long before
# crowns and bellies: the image encoder beside the text encoder knows those. The condition has little noise, which in a
# short run would stay larger than what the caption says.
SMALL = {
    "width": 16,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "penalty": 0.1,
    "average": 0.99,
    "norm": "layer",
    "damsm_weight": 1.0,
    "augmentation": 0.1,
    "divergence_weight": 1.0,
    "grid_every": 1,
    "checkpoint_every": 1,
}
# Data with vectors of their own, beside which there is no image encoder.
OWN_VECTORS = {"text_encoder": "", "damsm_weight": 0.0}
# Hours on two CPU cores. Two captions: four tell nearly all, but people give one. A generator of twice the width was
# hardly better after as many steps, at more than twice the time a step. With layer norm and least squares the
# discriminators never tell fakes from birds, though a person does at once: the guide alone draws, one shapeless picture
# a caption. Without norm, of twice the generator's width and with the logistic loss they teach shapes. What an ordinary
# image encoder finds right soon has little to do with what people see; the guide leads further, with hundreds of
# captions to tell a fake from.
LONG = SMALL | {
    "guide": "synthetic_birds_image_encoder",
    "damsm_queue": 1024,
    "damsm_crop": 0.85,
    "drawn": 4500,
    "captions": 2,
    "average": 0.999,
    "judge_width": 32,
    "norm": "none",
    "loss": "logistic",
    "penalty": 1.0,
    "learning_rate": 2.5e-4,
    "beta_1": 0.0,
}


@functools.lru_cache(2)
def load(data, split, data_dir, drawn, size, text_encoder, in_memory=True):
    """Captioned images of a split with their embeddings."""
    if data == "synthetic_birds":
        captioned = synthetic_birds(
            split, drawn, size=size * 19 // 16
        )  # 304 for 256, as the paper's are
    else:
        from kerasgan.datasets.prepared import load_prepared

        captioned = load_prepared(data, split, data_dir or None, in_memory)
    if text_encoder:
        captioned = captioned.embed(encoder(text_encoder))
    if captioned.embeddings is None:
        raise ValueError(
            f"{data} has no embeddings of its own: --text_encoder must name one; received none"
        )
    return captioned


@functools.cache
def encoder(name):
    from kerasgan.encoders.char_cnn_rnn import text_encoder

    return text_encoder(name)


def loaded(settings, split="train"):
    drawn = settings.drawn if split == "train" else 1000
    return load(
        settings.data,
        split,
        settings.data_dir,
        drawn,
        sizes_of(settings)[-1],
        settings.text_encoder,
    )


def sizes_of(settings):
    try:
        return hdgan.check_sizes(int(size) for size in settings.sizes.split(","))
    except ValueError as error:
        raise ValueError(
            f"sizes must be such as 64,128,256; received {settings.sizes!r} ({error})"
        ) from None


def data(settings):
    return CaptionedBatches(
        loaded(settings),
        settings.batch_size,
        sizes_of(settings)[-1],
        settings.captions,
        settings.seed,
        repeats=settings.repeats or 1,
    )


def build(settings):
    if settings.damsm_weight and not settings.text_encoder:
        raise ValueError(
            "damsm_weight needs a text_encoder, for the image encoder beside it; received none"
        )
    sizes, dim = sizes_of(settings), loaded(settings).embeddings.shape[-1]
    image_loss = None if settings.image_loss == "none" else settings.image_loss
    judges = {
        size: hdgan.build_discriminator(
            size,
            settings.judge_width or settings.width,
            embedding_dim=dim,
            image_loss=image_loss,
            extra_conv=settings.extra_conv,
            norm=settings.norm,
        )
        for size in sizes
    }
    steps = max((settings.repeats or 1) * (len(loaded(settings)) // settings.batch_size), 1)
    epochs = None if settings.critic_epochs < 0 else settings.critic_epochs
    gan = hdgan.HDGAN(
        hdgan.build_generator(
            sizes,
            settings.width,
            embedding_dim=dim,
            skip=settings.skip,
            augmentation=settings.augmentation,
        ),
        judges,
        loss=settings.loss,
        redraw=settings.redraw,
        divergence_weight=settings.divergence_weight,
        penalty=settings.penalty,
        critic_steps=None
        if epochs == 0
        else hdgan.NotedCriticSteps(settings.critic_epoch or steps, epochs),
        average=settings.average or None,
        image_encoder=guide_of(settings) if settings.damsm_weight else None,
        damsm_weight=settings.damsm_weight,
        damsm_crop=settings.damsm_crop,
        damsm_queue=settings.damsm_queue,
        seed=settings.seed,
    )

    def adam():
        rate = Halved(settings.learning_rate, settings.halve_every, steps)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=0.999, epsilon=1e-8)

    if settings.start:
        gan.start_from(last_of(settings.start))
    gan.compile(generator=adam(), discriminator=adam(), jit_compile=settings.jit_compile or "auto")
    return gan


def last_of(folder):
    """The model of a run's last checkpoint, discriminators included."""
    path = checkpoints.latest(pathlib.Path(folder) / "checkpoints")
    if path is None:
        raise ValueError(f"start must be the folder of a run with checkpoints; received {folder}")
    letters = checkpoints.load_model(path)[0].checkpoint_networks()
    return checkpoints.load_sampling_model(path, letters)[0]


def draw(settings, count=8):
    """Captions of unseen classes, each beside its pictures, from the same latents each time."""
    test = loaded(settings, "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:count]
    captions, embeddings = [test.captions[i][0] for i in chosen], test.embeddings[chosen, 0]
    return lambda model: images.captioned_sheet(
        captions, model.sample(embeddings, seed=0), columns=2
    )


PAIR = "synthetic_birds_text"  # whose text and image encoder measure R-precision, whatever the model was trained with


def score(settings):
    """Of drawn birds only, on a tenth of the samples: pictures of 256 pixels cost more than digits."""
    if settings.data != "synthetic_birds":
        return None
    shipped(), image_encoder(PAIR)  # what is missing is told before training, not after it
    return lambda model, samples: scores(
        model, settings.text_encoder, samples // 10, led_by=led_by(vars(settings))
    )


def led_by(about):
    """Whose judgement DAMSM was, of a run's settings: a guide's, "" of the image encoder beside the text encoder, or
    None where there was no DAMSM."""
    return about.get("guide", "") if about.get("damsm_weight", 0) > 0 else None


def scores(model, text_encoder, samples=1000, seed=1, led_by=None):
    """`score_birds` of a model that was trained with the named text encoder, and led by whom `led_by` says."""
    found = score_birds(
        model, encoder(text_encoder), (encoder(PAIR), image_encoder(PAIR)), samples, seed
    )
    checksum = checkpoints.read_info(presets.find(PAIR) / "V.h5")["sha256"]
    known = {None: "", "": "; the generator learnt from them (DAMSM), which alone raises it"}
    other = f"; DAMSM of this run was by another, {led_by}; that of a run it started from may have been by these"
    known = known.get(led_by, other)
    pair = f"{PAIR}, images' sha256 {checksum}{known}"
    found["protocol"] |= {"text_encoder": text_encoder, "r_precision_encoders": pair}
    return found


@functools.cache
def image_encoder(name):
    """The one that learnt with the text encoder of that name."""
    from kerasgan.encoders import char_cnn_rnn

    path = pathlib.Path(name)
    return char_cnn_rnn.image_encoder(
        checkpoints.sibling(path, "V") if path.suffix == ".h5" else name
    )


def guide_of(settings):
    """The network by which DAMSM judges."""
    if not settings.guide:
        return image_encoder(settings.text_encoder).network
    from zoo import robust_image_encoder

    return robust_image_encoder.network(settings.guide)


def text_recipe(name, description, presets):
    """A recipe of this module's settings; the first of the presets is its default."""
    return recipe.Recipe(
        name=name,
        description=description,
        settings=Settings,
        presets=presets,
        data=data,
        build=build,
        draw=draw,
        dataset=lambda settings: settings.data,
        size=lambda settings: sizes_of(settings)[-1],
        score=score,
        monitor="attribute_accuracy",
        mode="max",
        shipped="hdgan_synthetic_birds_256",
    )
