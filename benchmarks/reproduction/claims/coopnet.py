"""Claims about CoopNet, tested on 4,000 digits.

The base is the recipe's preset `quick` with fewer channels and a shorter training. The digit
classifier scores the samples.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reproduction.claims import Claim, Experiment, Variant
from benchmarks.reproduction.claims.image_measures import fine_power
from benchmarks.reproduction.claims.rules import Alike, All, Better, Within
from benchmarks.reproduction.claims.training import numbers, trained, training
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.protocols.digits import score_unlabelled_digits
from zoo import coopnet

SAMPLES = 2000
SETUP = (
    "4,000 digits, width 16, 64 chains, {epochs} epochs of 62 steps. The Fréchet distance uses "
    "features of the digit classifier and 1,000 samples{of}."
)
LONG = {"width": 16, "epochs": 30, "noise_until": 10, "score_every": 1}


def score(settings: Any) -> Callable | None:
    """Return a function that scores a model like `zoo.coopnet`, with fewer samples.

    It adds the fine-pattern power of the generator's samples, relative to the data.
    """
    if settings.data != "digits":
        return None

    def scored(model, samples):
        found = coopnet.scores(model, SAMPLES)
        fine = fine_power(model.sample(500, seed=1)) / fine_power(load_digits("train")[0][:500])
        return found | {"fine_power": fine}

    return scored


RECIPE = dataclasses.replace(coopnet.RECIPE, score=score)


def _minutes(settings):
    """Minutes of an epoch: about 0.1 s per step at width 16, 64 chains and 10 Langevin steps."""
    factor = 3 if settings.get("data") == "synthetic_birds" else 1
    return (
        62
        * 0.1
        * factor
        * settings.get("chains", 64)
        / 64
        * (1 + settings.get("steps", 10))
        / 11
        / 60
    )


TRAINING = training(RECIPE, "quick", _minutes, name="coopnet")


def train(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train a model and add measures of its curve.

    The measures are explosions, the rank correlation of the Fréchet distance with the
    reconstruction loss, and the spread of the last checkpoints.
    """
    found = TRAINING.run(settings, seed, folder)
    rows = [row for row in found["curve"] if "descriptor_digit_frechet_distance" in row]
    found["measures"] |= {
        "exploded": int(
            found["measures"]["diverged"] or any(row.get("rollbacks") for row in found["curve"])
        ),
    }
    late = rows[len(rows) // 3 :]
    if len(late) < 2:
        print(f"{len(rows)} scored epochs are too few for a rank correlation")
    else:
        distances = [row["generator_digit_frechet_distance"] for row in late]
        last = distances[len(distances) // 2 :]
        found["measures"] |= {
            "rank_correlation": _rank_correlation(
                [row["reconstruction"] for row in late], distances
            ),
            "late_spread": max(last) / min(last) - 1,
            "best_is_last": int(min(distances) == distances[-1]),
        }
    return found


def _rank_correlation(x, y):
    ranks = (np.argsort(np.argsort(values)) for values in (x, y))
    return float(np.corrcoef(*ranks)[0, 1])


def sample(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Sample a trained model in blocks of another size, or with other batch norm statistics."""
    settings = dict(settings)
    blocks, statistics = settings.pop("blocks"), settings.pop("statistics")
    model = trained(Variant(COOPNET, settings), seed, folder)
    model.chains //= blocks
    if statistics == "recalibrated":
        model.recalibrate()
    images = model.sample(
        SAMPLES, seed=1, statistics="batch" if statistics == "batch" else "running"
    )
    found = score_unlabelled_digits(images)
    return {"measures": numbers(found), "protocol": found["protocol"]}


COOPNET = Experiment("coopnet", train, TRAINING.minutes, usual=TRAINING.usual)
SAMPLING = Experiment("coopnet_sampling", sample, lambda settings: 0.3, usual=TRAINING.usual)
BASE = {"width": 16, "epochs": 15, "noise_until": 5}
GENERATOR, DESCRIPTOR = "generator_digit_frechet_distance", "descriptor_digit_frechet_distance"


def variants(changes: dict[str, dict], base: dict = BASE) -> dict[str, Variant]:
    """Create variants of a base: name -> changed settings."""
    return {name: Variant(COOPNET, base | changed) for name, changed in changes.items()}


def setup(of: str = " of the generator", epochs: int = 15) -> str:
    """Return the description of the base."""
    return SETUP.format(epochs=epochs, of=of)


CLAIMS = [
    Claim(
        "coop-lr-small",
        variants({"0.007": {}, "0.0001": {"descriptor_rate": 1e-4}}),
        All(
            Better(GENERATOR, "0.007", ("0.0001",), log=True),
            Better("fine_power", "0.007", ("0.0001",), log=True),
        ),
        setup()
        + " Fine-pattern power is the power at 0.25 cycles per pixel and above, relative to the "
        "data. For digits, a learning rate of 0.007 takes the place of 0.003.",
        {rate: f"with a descriptor learning rate of {rate}" for rate in ("0.007", "0.0001")},
    ),
    Claim(
        "coop-explosion",
        variants(
            {
                "default": {},
                "descriptor rate x 10": {"descriptor_rate": 0.07},
                "step size x 10": {"step_size": 0.02},
                "steps x 6": {"steps": 60},
                "sigma / 8": {"sigma": 0.002},
            }
        ),
        All(
            Within("exploded", "default", high=0),
            *(
                Within("exploded", variant, low=1)
                for variant in ("descriptor rate x 10", "step size x 10", "steps x 6", "sigma / 8")
            ),
        ),
        "4,000 digits, width 16, 64 chains, 15 epochs. A run counts as exploded if the explosion "
        "guard rolls back at least once.",
        {"default": "with default settings"},
    ),
    Claim(
        "coop-lr-ratio",
        variants(
            {
                "30": {"generator_rate": 0.007 / 30},
                "100": {"generator_rate": 0.007 / 100},
                "1": {"generator_rate": 0.007},
                "0.1": {"generator_rate": 0.07},
            }
        ),
        Better(GENERATOR, "30", ("1", "0.1"), log=True),
        setup() + " The descriptor's learning rate is always 0.007. A ratio of 100 is shown for "
        "information.",
        {
            ratio: f"with a ratio of descriptor to generator rate of {ratio}"
            for ratio in ("30", "100", "1", "0.1")
        },
    ),
    Claim(
        "coop-noise-schedule",
        variants({"first third": {}, "never": {"noise": 0.0}, "always": {"noise_until": 0}}),
        All(
            Better(f"{DESCRIPTOR}@20%", "first third", ("never",), log=True),
            Alike(DESCRIPTOR, ("first third", "never", "always"), share=1.0, log=True),
        ),
        setup(" of the descriptor"),
        {
            "first third": "with noise in the first third",
            "never": "without noise",
            "always": "with noise throughout",
        },
    ),
    Claim(
        "coop-magnitude",
        {
            "birds": Variant(
                COOPNET,
                {
                    "data": "synthetic_birds",
                    "size": 32,
                    "channels": 3,
                    "num_images": 2000,
                    "width": 32,
                    "epochs": 12,
                    "descriptor_rate": 0.003,
                    "step_size": 0.001,
                    "noise": 0.0,
                    "negative_slope": 0.01,
                    "small_weights": False,
                },
            ),
        },
        Within("drift", "birds", 0.002, 0.03),
        "The measure is the norm of the gradient term of a Langevin step relative to the norm of "
        "the image, averaged over the last epoch. The data are synthetic birds of 32 pixels, "
        "because CIFAR-10 needs a download. The settings are those of the port for CIFAR-10, with "
        "64 chains, batch size 64 and width 32.",
        {"birds": "on synthetic birds"},
    ),
    Claim(
        "coop-steps",
        variants(
            {
                "10": {},
                "5": {"steps": 5},
                "30": {"steps": 30},
                "step size 0.001": {"step_size": 0.001},
                "step size 0.004": {"step_size": 0.004},
            }
        ),
        All(
            Better("impulse", "10", ("30",), log=True),
            Better(DESCRIPTOR, "10", ("step size 0.004",), log=True),
        ),
        setup(" of the descriptor")
        + " Impulse noise is the distance of revised images from their 3 x 3 median, relative to "
        "the data. 60 steps are left out; 5 steps and a step size of 0.001 are shown for "
        "information.",
        {
            "10": "with 10 Langevin steps of size 0.002",
            "5": "with 5 Langevin steps",
            "30": "with 30 Langevin steps",
            "step size 0.001": "with a step size of 0.001",
            "step size 0.004": "with a step size of 0.004",
        },
    ),
    Claim(
        "coop-recon",
        variants({"run": {}}, LONG),
        Within("rank_correlation", "run", low=0),
        setup(epochs=30)
        + " The rank correlation is that of the distance and the reconstruction loss from the "
        "tenth epoch on. Sudden drops are visible in the curves; the rule does not test them.",
        {"run": "of distance and reconstruction loss"},
    ),
    Claim(
        "coop-checkpoints",
        variants({"run": {}}, LONG),
        All(Within("late_spread", "run", low=0.15), Within("best_is_last", "run", high=0.5)),
        setup(epochs=30)
        + " The spread is the ratio of the largest to the smallest distance of the last ten "
        "epochs, minus 1. The training notes' difference of 5 at a FID near 34 corresponds to "
        "0.15.",
        {"run": "in long runs"},
    ),
    Claim(
        "coop-z-size",
        variants(
            {"100": {}, "32": {"latent_dim": 32}, "8": {"latent_dim": 8}, "2": {"latent_dim": 2}}
        ),
        All(
            Better(GENERATOR, "100", ("2",), log=True),
            Alike(GENERATOR, ("100", "32"), share=1.0, log=True),
        ),
        setup() + " A dimension of 8 is shown for information.",
        {dim: f"with {dim} latent dimensions" for dim in ("100", "32", "8", "2")},
    ),
    Claim(
        "coop-chains",
        variants({"100": {"chains": 100}, "36": {"chains": 36}, "225": {"chains": 225}}),
        All(
            Better(GENERATOR, "100", ("36",), log=True),
            Alike(GENERATOR, ("100", "225"), share=1.0, log=True),
        ),
        setup() + " The numbers of chains are a quarter of those in the training notes.",
        {chains: f"with {chains} chains" for chains in ("100", "36", "225")},
    ),
    Claim(
        "coop-leaky",
        variants(
            {
                "leaky 0.2": {},
                "leaky 0.01": {"negative_slope": 0.01},
                "ReLU": {"negative_slope": 0.0},
            }
        ),
        Better(GENERATOR, "leaky 0.2", ("ReLU",), log=True),
        setup()
        + " Both networks have the same negative slope. A slope of 0.01 is shown for information.",
        {
            "leaky 0.2": "with leaky ReLU of slope 0.2",
            "leaky 0.01": "with leaky ReLU of slope 0.01",
            "ReLU": "with ReLU",
        },
    ),
    Claim(
        "coop-test-batch",
        {
            name: Variant(SAMPLING, BASE | {"blocks": blocks, "statistics": statistics})
            for name, blocks, statistics in (
                ("as trained", 1, "batch"),
                ("a quarter", 4, "batch"),
                ("a sixteenth", 16, "batch"),
                ("running", 1, "running"),
                ("re-calibrated", 1, "recalibrated"),
            )
        },
        All(
            Better("digit_frechet_distance", "as trained", ("a sixteenth",), log=True, paired=True),
            Alike("digit_frechet_distance", ("as trained", "re-calibrated"), log=True, paired=True),
        ),
        setup()
        + " Each seed is trained once and sampled in blocks of 64, 16 and 4, and with running and "
        "recalibrated batch norm statistics.",
        {
            "as trained": "in blocks of the training's size",
            "a quarter": "in blocks of a quarter of the size",
            "a sixteenth": "in blocks of a sixteenth of the size",
            "running": "with running statistics",
            "re-calibrated": "with recalibrated statistics",
        },
    ),
]
