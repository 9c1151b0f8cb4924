"""Claims about StylEx, tested on eights and nines.

The networks are those of the recipe's preset `quick`, trained for half as long.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reproduction.claims import Claim, Experiment, Variant
from benchmarks.reproduction.claims.rules import All, Best, Better
from benchmarks.reproduction.claims.training import training
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.protocols import digits
from zoo import stylex

SAMPLES = 600


def score(settings: Any) -> Callable:
    """Return a function that scores a model as the recipe does.

    It adds the sharpness of the reconstructions and the Fréchet distance of samples.
    """
    (train, _), (images, _), _ = stylex.loaded(settings)
    classifier = digits.load_digit_classifier()[0]

    def feature_statistics(images):
        # The digit classifier takes images of 28 pixels and one channel.
        edge = (images.shape[1] - 28) // 2
        cropped = images[:, edge : edge + 28, edge : edge + 28].mean(axis=-1, keepdims=True)
        return statistics(features_and_logits(classifier, cropped.astype("float32"))[0])

    recipe_scored, real = stylex.score(settings), feature_statistics(train)

    def scored(model, samples):
        found = recipe_scored(model, samples)
        sharp = sharpness(model.reconstruct(images)) / sharpness(images)
        distance = frechet_distance(feature_statistics(model.sample(SAMPLES, seed=1)), real)
        return found | {"sharpness": sharp, "digit_frechet_distance": distance}

    return scored


def sharpness(images: np.ndarray) -> float:
    """Return the mean square of the discrete Laplacian of images `[N, H, W, C]`."""
    x = np.asarray(images, "float64")
    neighbors = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return float(np.mean(np.square(neighbors - 4 * x[:, 1:-1, 1:-1])))


TRAINING = training(
    dataclasses.replace(stylex.RECIPE, score=score),
    "quick",
    lambda settings: 25 * 0.25 / 60,
    name="stylex",
)


def train(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train a model and count the spikes of its reconstruction loss.

    A spike is an epoch whose loss exceeds 1.5 times the median of the five epochs before it. If the
    run diverges, each remaining epoch counts as a spike.
    """
    found = TRAINING.run(settings, seed, folder)
    losses = [row["reconstruction"] for row in found["curve"] if "reconstruction" in row]
    spikes = [loss > 1.5 * np.median(losses[i : i + 5]) for i, loss in enumerate(losses[5:])]
    left = settings["epochs"] - len(losses) if found["measures"]["diverged"] else 0
    found["measures"]["spikes"] = int(sum(spikes)) + left
    return found


STYLEX = Experiment("stylex", train, TRAINING.minutes, usual=TRAINING.usual)
EPOCHS = 30
SETUP = (
    f"800 eights and nines, {EPOCHS} epochs of 25 steps with the recipe's preset quick. The "
    "reconstruction error is the mean absolute pixel difference of 200 held-out digits and their "
    "reconstructions, with pixels in [0, 1]. "
)
PIXEL = "heldout_pixel"


def variants(changes: dict[str, dict]) -> dict[str, Variant]:
    """Create variants of the base: name -> changed settings."""
    return {
        name: Variant(STYLEX, {"epochs": EPOCHS} | changed) for name, changed in changes.items()
    }


def each(setting: str, *values: float) -> dict[str, Variant]:
    """Create one variant per value of a setting."""
    return variants({f"{value:g}": {setting: value} for value in values})


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
        variants({way: {"alternation": way} for way in ("step", "micro", "none")}),
        Better("sharpness", "step", ("none",), higher=True, log=True),
        SETUP
        + "Sharpness is the mean square of the Laplacian of the reconstructions, relative to the "
        "digits. Alternation within a batch (micro) is shown for information.",
        {
            "step": "with alternating batches",
            "micro": "with alternation within a batch",
            "none": "with encoder batches alone",
        },
    ),
    Claim(
        "stylex-rec-in-disc",
        variants(
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
        SETUP + "The reconstruction error is measured after half of the training, the classifier "
        "agreement at the end. The control, a second generator step, is shown for information. "
        "Where each half of a batch serves one phase, the batch size is 64 and the number of "
        "epochs is doubled.",
        {
            "on": "with the reconstruction and KL update in the discriminator's phase",
            "off": "without it",
            "off, two generator steps": "with two generator steps",
        },
    ),
    Claim(
        "stylex-encoder-lr",
        each("encoder_rate", 0.05, 1.0, 0.2, 0.01),
        All(Better("spikes", "0.05", ("1",)), Better(PIXEL, "0.05", ("1",), log=True)),
        SETUP
        + "A spike is an epoch whose reconstruction loss exceeds 1.5 times the median of the five "
        "epochs before it. All remaining epochs of a diverged run count.",
        {rate: f"with an encoder rate of x {rate}" for rate in ("0.05", "1", "0.2", "0.01")},
    ),
    Claim(
        "stylex-lr",
        variants(RATES),
        Best(PIXEL, tuple(RATES), log=True),
        SETUP,
        {name: f"with a learning rate of {name}" for name in RATES},
    ),
    Claim(
        "stylex-rec-scale",
        each("rec_weight", 1.0, 5.0, 10.0),
        All(Better(PIXEL, "5", ("1",), log=True), Better(PIXEL, "10", ("1",), log=True)),
        SETUP,
        {weight: f"with a reconstruction weight of {weight}" for weight in ("1", "5", "10")},
    ),
    Claim(
        "stylex-kl-scale",
        each("kl_weight", 1.0, 0.0, 0.1, 10.0),
        Better("heldout_agreement", "1", ("0.1", "10"), higher=True, log=True, times=0.99),
        SETUP
        + "The measure is the classifier agreement on reconstructions. A weight of 0 is shown for "
        "information. Attributes are not counted.",
        {weight: f"with a KL weight of {weight}" for weight in ("1", "0", "0.1", "10")},
    ),
    Claim(
        "stylex-ttur",
        each("discriminator_rate", 1.0, 0.5, 1.5, 2.0, 4.0),
        Best("digit_frechet_distance", ("1", "0.5", "1.5", "2", "4"), log=True),
        SETUP
        + f"The Fréchet distance between {SAMPLES} samples and the 800 digits uses features of the "
        "digit classifier.",
        {
            factor: f"with a discriminator rate of x {factor}"
            for factor in ("1", "0.5", "1.5", "2", "4")
        },
    ),
    Claim(
        "stylex-path-length",
        variants(PATHS),
        Best("w_frechet", tuple(PATHS), log=True),
        SETUP + "The measure is the Fréchet distance between the w of random latents and the w of "
        "held-out digits.",
        {
            "0": "without the path length penalty",
            "2, z": "with the penalty on latents",
            "2, encoder": "with the penalty on encoded images",
            "2, both": "with the penalty on both",
        },
    ),
]
