"""Claims about HDGAN, on drawn birds at 64 pixels (and 128), width 8 to 16: the bird judge stands where the notes have
the Inception Score of CUB, and says so."""

import dataclasses

from benchmarks import scores
from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.training import numbers, trained, training
from benchmarks.claims.verdicts import Alike, All, Best, Better, Within
from benchmarks.variants import hdgan as variants
from kerasgan.models.hdgan import HDGAN
from zoo import text_gan
from zoo.recipe import setting

VARIANTS = ("plain", "layer_norm", "replay", "memory")


@dataclasses.dataclass(frozen=True)
class Settings(text_gan.Settings):
    variant: str = setting("plain", ", ".join(VARIANTS))


def build(settings):
    """The recipe's model, or a variant that has its other settings and its optimizers."""
    plain = text_gan.build(settings)
    if settings.variant not in VARIANTS:
        raise ValueError(
            f"variant must be one of {', '.join(VARIANTS)}; received {settings.variant!r}"
        )
    if settings.variant == "plain":
        return plain
    arguments = {
        name: getattr(plain, name)
        for name in (
            "regenerate_fakes",
            "divergence_weight",
            "r1_weight",
            "critic_steps",
            "seed",
            "damsm_encoder",
            "damsm_weight",
        )
    }
    generator, judges = plain.generator, plain.discriminators
    if settings.variant == "layer_norm":
        generator, judges = (
            variants.with_layer_norm(generator),
            {size: variants.with_layer_norm(judge) for size, judge in judges.items()},
        )
    if settings.variant == "memory":
        generator = variants.with_memory(generator)
    kind = variants.ReplayHDGAN if settings.variant == "replay" else HDGAN
    model = kind(generator, judges, ema_decay=plain.ema_decay, **arguments)
    model.compile_from_config(plain.get_compile_config())
    return model


def score(settings):
    return lambda model, samples: scores.judged(model, settings.text_encoder)


RECIPE = dataclasses.replace(scores.ladder(), settings=Settings, build=build, score=score)


def _minutes(settings):
    """An epoch of 2,000 birds: about 0.25 s a step at 64 pixels, width 16 and batch 16; four times at 128."""
    batch, sizes = settings.get("batch_size", 16), settings.get("sizes", "64")
    seconds = (
        0.25 * (0.25 + 0.75 * batch / 16) * (1 if sizes == "64" else 3 if "128" in sizes else 10)
    )
    return 2000 / batch * seconds * settings.get("width", 16) / 16 / 60


TRAINING = training(RECIPE, "small", _minutes, name="hdgan")


def scored(settings, seed, folder):
    """One training, whose samples are drawn another way: other latents, more of them, in training mode."""
    settings = dict(settings)
    drawing = {name: settings.pop(name) for name in ("latents", "training", "count")}
    model = trained(Arm(TRAINING, settings), seed, folder)
    found = scores.judged(
        model, "synthetic_birds_text", drawing["latents"], drawing["training"], drawing["count"]
    )
    return {"measures": numbers(found), "protocol": found["protocol"]}


SCORING = Experiment("hdgan_scoring", scored, lambda settings: 0.5, usual=TRAINING.usual)
# The notes are about HDGAN's own losses, and drew with the generator itself.
BASE = {"epochs": 6, "score_every": 3, "damsm_weight": 0.0, "average": 0.0}
TWO_SIZES = BASE | {"epochs": 4, "width": 8, "score_every": 4}
ACCURACY, DISTANCE, SCORE = "attribute_accuracy", "bird_frechet_distance", "bird_judge_score"


def arms(changes, base=BASE):
    return {name: Arm(TRAINING, base | changed) for name, changed in changes.items()}


def drawings(changes, base=BASE):
    usual = {"latents": 1, "training": False, "count": scores.BIRDS}
    return {name: Arm(SCORING, base | usual | changed) for name, changed in changes.items()}


def says(text, base="64 pixels, width 16, 6 epochs of 2,000 drawn birds"):
    return f"{base}; {text} Drawn birds and the bird judge, not CUB and Inception: the verdict is about those."


AT_128 = "128 pixels, width 8, 4 epochs of 2,000 drawn birds"
FRECHET = "The Fréchet distance is of the bird judge's features."
SCORE_SAYS = "The score is the Inception Score's formula by the bird judge, the mean over its seven attributes."

CLAIMS = [
    Claim(
        "hdgan-supervision",
        arms({sizes: {"sizes": sizes} for sizes in ("64,128", "128")}, TWO_SIZES),
        Better(f"{DISTANCE}_128", "64,128", ("128",), log=True),
        says("supervised at 64 and 128 or at 128 alone, scored at 128. " + FRECHET, AT_128),
    ),
    Claim(
        "hdgan-scales",
        arms({"64,128": {"sizes": "64,128"}}, TWO_SIZES),
        Within("gain_with_size", "64,128", low=0),
        says("the score at 128 less that at 64 of the same generator. " + SCORE_SAYS, AT_128),
    ),
    Claim(
        "hdgan-train-mode",
        drawings({"inference": {}, "training": {"training": True}}),
        Better(DISTANCE, "inference", ("training",), log=True, paired=True),
        says("the same generators, drawn with batch norm in either mode. " + FRECHET),
    ),
    Claim(
        "hdgan-small-batch",
        arms({"16": {}, "4": {"batch_size": 4, "epochs": 2}, "2": {"batch_size": 2, "epochs": 1}}),
        Better("ms_ssim", "16", ("4", "2"), log=True),
        says(
            "MS-SSIM of pairs of samples: higher is less diverse. About as many updates an arm: 6, 2 and 1 epochs."
        ),
    ),
    Claim(
        "hdgan-image-loss",
        arms({"none": {"image_loss": "none"}, "global": {"image_loss": "global"}}),
        Better(DISTANCE, "none", ("global",), log=True, times=0.8),
        says("at 64 pixels all image losses are the global one. " + FRECHET),
    ),
    Claim(
        "hdgan-local",
        arms(
            {kind: {"image_loss": kind, "sizes": "64,128"} for kind in ("global", "local", "both")},
            TWO_SIZES,
        ),
        Best(f"{DISTANCE}_128", ("global", "local", "both"), log=True),
        says("scored at 128. " + FRECHET, AT_128),
    ),
    Claim(
        "hdgan-ncritic",
        arms(
            {
                "never": {},
                "first": {"critic_epochs": 100, "critic_epoch": 1},
                "always": {"critic_epochs": -1, "critic_epoch": 1},
            }
        ),
        Alike(DISTANCE, ("never", "first", "always"), share=1.0, log=True),
        says(
            "extra steps of the discriminator never, for the generator's first 100 updates of about 750 (noted: 100 "
            "epochs of 600), always: an epoch of their schedule is one update, as long as the run is short. "
            + FRECHET
        ),
    ),
    Claim(
        "hdgan-samples",
        drawings({"512": {}, "1300": {"count": 1300}}),
        Alike(SCORE, ("512", "1300"), share=0.025, paired=True),
        says(
            "512 and 1,300 samples, in the noted proportion; within 2.5 %, as noted. " + SCORE_SAYS
        ),
    ),
    Claim(
        "hdgan-rescore",
        drawings({"seed 1": {"count": 1300}, "seed 2": {"count": 1300, "latents": 2}}),
        Alike(SCORE, ("seed 1", "seed 2"), share=0.025, paired=True),
        says(
            "the same generators, two seeds of the latents of 1,300 samples; within 2.5 %, the noted 0.1 of 4.01. "
            + SCORE_SAYS
        ),
    ),
    Claim(
        "hdgan-skip",
        arms({"without": {}, "with": {"skip": True}}),
        All(
            Better(DISTANCE, "without", ("with",), log=True, times=0.8),
            Better(ACCURACY, "without", ("with",), higher=True, log=True, times=0.9),
        ),
        says(FRECHET),
    ),
    Claim(
        "hdgan-text-match",
        arms(
            {
                "neither": {"skip": True, "extra_conv": False},
                "no skip": {"extra_conv": False},
                "1x1": {"skip": True},
                "both": {},
            }
        ),
        All(
            Better(ACCURACY, "no skip", ("neither",), higher=True),
            Better(ACCURACY, "1x1", ("neither",), higher=True),
        ),
        says(
            "attribute accuracy without the upsampling skip, with the extra 1 x 1 convolution, and with both."
        ),
    ),
    Claim(
        "hdgan-layernorm",
        arms(
            {
                "batch norm": {"norm": "batch"},
                "layer norm": {"norm": "batch", "variant": "layer_norm"},
            }
        ),
        Better(DISTANCE, "batch norm", ("layer norm",), log=True),
        says(
            "both networks; batch norm's arm is of the recipe's settings but for `norm`. " + FRECHET
        ),
    ),
    Claim(
        "hdgan-num-emb",
        arms({"4": {}, "1": {"captions": 1}}),
        Best(ACCURACY, ("4", "1"), higher=True),
        says("trained on the mean of 4 captions' embeddings or on 1, tested with 1."),
    ),
    Claim(
        "hdgan-replay",
        arms({"off": {}, "on": {"variant": "replay"}}),
        All(Best(DISTANCE, ("off", "on"), log=True), Best("ms_ssim", ("off", "on"), log=True)),
        says(FRECHET + " MS-SSIM of pairs of samples: higher is less diverse."),
    ),
    Claim(
        "hdgan-memory",
        arms({"off": {}, "on": {"variant": "memory"}}),
        Best(DISTANCE, ("off", "on"), log=True),
        says("a memory of 16 x 16 x 8 channels of the map. " + FRECHET),
    ),
]
