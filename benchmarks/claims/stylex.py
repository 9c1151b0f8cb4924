"""Claims about StylEx, on real eights and nines: the recipe's small networks, trained half as long as its quickest."""

import dataclasses

import numpy as np

from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.training import training
from benchmarks.claims.verdicts import All, Best, Better
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.protocols import digits
from zoo import stylex

SAMPLES = 600


def score(settings):
    """The recipe's, and how sharp the reconstructions are, and how far samples are from the digits."""
    (train, _), (pictures, _), _ = stylex.loaded(settings)
    judge = digits.load_digit_classifier()[0]

    def seen(images):  # the judge's digits have 28 pixels and one channel
        edge = (images.shape[1] - 28) // 2
        cut = images[:, edge : edge + 28, edge : edge + 28].mean(axis=-1, keepdims=True)
        return statistics(features_and_logits(judge, cut.astype("float32"))[0])

    recipe_scored, real = stylex.score(settings), seen(train)

    def scored(model, samples):
        found = recipe_scored(model, samples)
        sharp = sharpness(model.reconstruct(pictures)) / sharpness(pictures)
        distance = frechet_distance(seen(model.sample(SAMPLES, seed=1)), real)
        return found | {"sharpness": sharp, "digit_frechet_distance": distance}

    return scored


def sharpness(images):
    """Mean square of the discrete Laplacian of images [N, H, W, C]."""
    x = np.asarray(images, "float64")
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return float(np.mean(np.square(around - 4 * x[:, 1:-1, 1:-1])))


TRAINING = training(
    dataclasses.replace(stylex.RECIPE, score=score),
    "quick",
    lambda settings: 25 * 0.25 / 60,
    name="stylex",
)


def told(settings, seed, folder):
    """A training, and how often its reconstruction suddenly rose: by half over the median of five epochs before."""
    found = TRAINING.run(settings, seed, folder)
    losses = [row["reconstruction"] for row in found["curve"] if "reconstruction" in row]
    rises = [loss > 1.5 * np.median(losses[i : i + 5]) for i, loss in enumerate(losses[5:])]
    # A run that stops in the numbers' overflow has no more epochs in which to rise: it counts as all that are left.
    left = settings["epochs"] - len(losses) if found["measures"]["diverged"] else 0
    found["measures"]["spikes"] = int(sum(rises)) + left
    return found


STYLEX = Experiment("stylex", told, TRAINING.minutes, usual=TRAINING.usual)
EPOCHS = 30
SAYS = (
    f"800 eights and nines, {EPOCHS} epochs of 25 steps at the recipe's preset quick; held-out pixel: mean distance of "
    "200 held-out digits from their reconstructions, in units of [0, 1]. "
)
PIXEL = "heldout_pixel"


def arms(changes):
    return {name: Arm(STYLEX, {"epochs": EPOCHS} | changed) for name, changed in changes.items()}


def each(setting, *values):
    """An arm a value of one setting."""
    return arms({f"{value:g}": {setting: value} for value in values})


RATES = {
    f"{rate:g}, encoder x {encoder:g}": {"learning_rate": rate, "encoder_rate": encoder}
    for rate in (2e-4, 6e-4, 2e-3)
    for encoder in (1.0, 0.05)
}
HALVES = {"batch_size": 64, "epochs": 2 * EPOCHS}
PATHS = {
    "0": {},
    **{
        f"2, {where}": {
            "path_weight": 2.0,
            "path_every": 4,
            "path_start": 100,
            "path_source": where,
        }
        for where in ("z", "encoder", "both")
    },
}

CLAIMS = [
    Claim(
        "stylex-alternating",
        arms({way: {"alternation": way} for way in ("step", "micro", "none")}),
        Better("sharpness", "step", ("none",), higher=True, log=True),
        SAYS
        + "Sharpness: mean square of the reconstructions' Laplacian, over the digits'. Halves of each batch are "
        "shown.",
    ),
    Claim(
        "stylex-rec-in-disc",
        arms(
            {
                "on": HALVES | {"rec_in_discriminator_phase": "accumulate"},
                "off": {},
                "off, two generator steps": HALVES | {"rec_in_discriminator_phase": "second_step"},
            }
        ),
        All(
            Better(f"{PIXEL}@50%", "on", ("off",), log=True),
            Better("heldout_agreement", "on", ("off",), higher=True),
        ),
        SAYS
        + "After half of the run; agreement of the classifier at the end. The control, a second step of the "
        "generator, is shown. Where a batch serves both phases, a half each, it is of 64, and there are twice as many "
        "epochs.",
    ),
    Claim(
        "stylex-encoder-lr",
        each("encoder_rate", 0.05, 1.0, 0.2, 0.01),
        All(Better("spikes", "0.05", ("1",)), Better(PIXEL, "0.05", ("1",), log=True)),
        SAYS
        + "Spikes: epochs whose reconstruction is half as much again as the median of the five before; of a run "
        "that diverges, all that are left too.",
    ),
    Claim("stylex-lr", arms(RATES), Best(PIXEL, tuple(RATES), log=True), SAYS),
    Claim(
        "stylex-rec-scale",
        each("rec_weight", 1.0, 5.0, 10.0),
        All(Better(PIXEL, "5", ("1",), log=True), Better(PIXEL, "10", ("1",), log=True)),
        SAYS,
    ),
    Claim(
        "stylex-kl-scale",
        each("kl_weight", 1.0, 0.0, 0.1, 10.0),
        Better("heldout_agreement", "1", ("0.1", "10"), higher=True, log=True, times=0.99),
        SAYS + "Agreement of the classifier; 0 is shown, and attributes are not counted.",
    ),
    Claim(
        "stylex-ttur",
        each("discriminator_rate", 1.0, 0.5, 1.5, 2.0, 4.0),
        Best("digit_frechet_distance", ("1", "0.5", "1.5", "2", "4"), log=True),
        SAYS + f"The Fréchet distance of {SAMPLES} samples to the 800 digits, by the digit judge.",
    ),
    Claim(
        "stylex-path-length",
        arms(PATHS),
        Best("w_frechet", tuple(PATHS), log=True),
        SAYS + "The Fréchet distance between the w of latents and those of held-out digits.",
    ),
]
