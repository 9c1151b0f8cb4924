"""Claims about CoopNet, tested on 4,000 digits.

The base is the recipe's preset `quick` with fewer channels and a shorter training. The digit
classifier scores the samples.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from benchmarks.reproduction.claims import Claim, Experiment, Variant, ring
from benchmarks.reproduction.claims.exact import RECORDED, RECORDED_CURVES
from benchmarks.reproduction.claims.image_measures import fine_power
from benchmarks.reproduction.claims.rules import Alike, All, Better, Within
from benchmarks.reproduction.claims.shipped import CHAINS
from benchmarks.reproduction.claims.training import training
from kerasgan.datasets.digits import load_digits
from zoo import coopnet

SAMPLES = 2000
SETUP = (
    "4,000 digits, width 16, 64 chains, {epochs} epochs of 62 steps. The Fréchet distance uses "
    "features of the digit classifier and 1,000 samples{of}."
)


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
    """Train a model and add whether the explosion guard had to roll it back."""
    found = TRAINING.run(settings, seed, folder)
    rolled_back = any(row.get("rollbacks") for row in found["curve"])
    found["measures"]["exploded"] = int(found["measures"]["diverged"] or rolled_back)
    return found


COOPNET = Experiment("coopnet", train, TRAINING.minutes, usual=TRAINING.usual)
BASE = {"width": 16, "epochs": 15, "noise_until": 5}
GENERATOR, DESCRIPTOR = "generator_digit_frechet_distance", "descriptor_digit_frechet_distance"


def variants(changes: dict[str, dict], base: dict = BASE) -> dict[str, Variant]:
    """Create variants of a base: name -> changed settings."""
    return {name: Variant(COOPNET, base | changed) for name, changed in changes.items()}


def setup(of: str = " of the generator", epochs: int = 15) -> str:
    """Return the description of the base."""
    return SETUP.format(epochs=epochs, of=of)


# Claims whose trainings have recorded curves.
CURVES = ("coop-lr-small", "coop-leaky", "coop-noise-schedule")
ENERGY = "energy_distance"


def on_ring(changes: dict[str, dict]) -> dict[str, Variant]:
    """Create variants on the ring: name -> changed settings."""
    return ring.variants(changes, ring.COOPERATIVE_RING)


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
        {
            name: Variant(RECORDED, {"file": "explosions.json", "where": {"cause": name}})
            for name in (
                "defaults",
                "descriptor rate x 30",
                "step size x 8",
                "sigma / 8",
                "steps x 6, step size x 2",
            )
        },
        All(
            Within("exploded", "defaults", high=0),
            *(
                Within("exploded", name, low=1)
                for name in (
                    "descriptor rate x 30",
                    "step size x 8",
                    "sigma / 8",
                    "steps x 6, step size x 2",
                )
            ),
        ),
        "The recorded trainings of `python -m benchmarks explosions`: 4,000 digits, width 16, 15 "
        "epochs. A run counts as exploded if the explosion guard rolls back at least once.",
        {"defaults": "with default settings"},
        seeds=3,
    ),
    Claim(
        "coop-lr-ratio",
        on_ring({"30": {}, "1": {"generator_rate": 3e-3}, "0.1": {"generator_rate": 3e-2}}),
        Better(ENERGY, "30", ("1", "0.1"), log=True),
        ring.COOPERATIVE_SETUP + "The descriptor's learning rate is always 0.003.",
        {
            ratio: f"with a ratio of descriptor to generator rate of {ratio}"
            for ratio in ("30", "1", "0.1")
        },
    ),
    Claim(
        "coop-noise-schedule",
        on_ring({"first third": {}, "never": {"noise_share": 0.0}, "always": {"noise_share": 1.0}})
        | {
            f"{name}, digits": variant
            for name, variant in variants(
                {"first third": {}, "never": {"noise": 0.0}, "always": {"noise_until": 0}}
            ).items()
        },
        All(
            Better(f"early_{ENERGY}", "first third", ("never",), log=True),
            Alike(ENERGY, ("first third", "never"), share=1.0, log=True),
        ),
        ring.COOPERATIVE_SETUP + "Trainings on digits and noise throughout are shown for "
        "information.",
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
        Within("drift@late", "birds", 0.002, 0.03, log=True),
        "The measure is the norm of the gradient term of a Langevin step relative to the norm of "
        "the image, averaged over the epochs of the second half. The data are synthetic birds of "
        "32 pixels, because CIFAR-10 needs a download. The settings are those of the port for "
        "CIFAR-10, with 64 chains, batch size 64 and width 32.",
        {"birds": "on synthetic birds"},
    ),
    Claim(
        "coop-steps",
        {
            "10": Variant(CHAINS, {"by": "descriptor", "steps": 10}),
            "60": Variant(CHAINS, {"by": "descriptor", "steps": 60}),
            "step size x 4": Variant(CHAINS, {"by": "descriptor", "steps": 10, "step_size": 0.008}),
        },
        All(
            Better("impulse", "10", ("60",), log=True),
            Better("digit_frechet_distance", "10", ("step size x 4",), log=True),
        ),
        "The descriptor of the shipped preset, trained with 10 steps of size 0.002, revises the "
        "generator's digits. Impulse noise is the distance of revised images from their 3 x 3 "
        "median, relative to the data. Seeds are those of the latents.",
        {
            "10": "with 10 Langevin steps of size 0.002",
            "60": "with 60 Langevin steps",
            "step size x 4": "with a step size of 0.008",
        },
    ),
    Claim(
        "coop-recon",
        {"recorded": Variant(RECORDED_CURVES, {"claims": list(CURVES)})},
        All(
            Within("rank_correlation", "recorded", low=0),
            Within("change_at_drops", "recorded", low=0),
        ),
        "Recorded trainings of 15 epochs with different settings, several per seed, scored every "
        "two epochs; from the second third of the epochs on. The measures are means over the "
        "trainings of a seed: the rank correlation of reconstruction loss and Fréchet distance, "
        "and the change of the logarithmic distance where the loss falls by more than twice its "
        "usual change.",
        {"recorded": "within recorded trainings"},
        seeds=3,
    ),
    Claim(
        "coop-checkpoints",
        {
            "full": Variant(RECORDED, {"file": "coopnet.json", "where": {"preset": "digits"}}),
            "short": Variant(RECORDED_CURVES, {"claims": list(CURVES)}),
        },
        All(
            Within("checkpoint_gap", "full", low=0.15, log=True),
            Within("best_is_last", "short", high=0.95),
        ),
        "Three recorded trainings of 150 epochs, scored every 25 epochs: the gap is the mean ratio "
        "of successive Fréchet distances in the second half. The training notes' difference of 5 "
        "at a FID near 34 corresponds to 0.15. And recorded trainings of 15 epochs: the share "
        "whose last checkpoint is the best.",
        {
            "full": "of trainings of 150 epochs",
            "short": "of trainings of 15 epochs",
        },
        seeds=3,
    ),
    Claim(
        "coop-z-size",
        variants({"100": {}, "256": {"latent_dim": 256}, "2": {"latent_dim": 2}}),
        All(
            Better(GENERATOR, "100", ("2",), log=True),
            Alike(GENERATOR, ("100", "256"), share=1.0, log=True),
        ),
        setup(),
        {dim: f"with {dim} latent dimensions" for dim in ("100", "256", "2")},
    ),
    Claim(
        "coop-chains",
        on_ring({"64": {}, "16": {"chains": 16}, "144": {"chains": 144}}),
        All(
            Better(ENERGY, "64", ("16",), log=True),
            Alike(ENERGY, ("64", "144"), share=1.0, log=True),
        ),
        ring.COOPERATIVE_SETUP,
        {chains: f"with {chains} chains" for chains in ("64", "16", "144")},
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
            "as trained": Variant(CHAINS, {}),
            "a sixteenth": Variant(CHAINS, {"chains": 4}),
        },
        Better(
            "digit_frechet_distance",
            "as trained",
            ("a sixteenth",),
            log=True,
            times=1.05,
            paired=True,
        ),
        "The shipped preset, trained with 64 chains, samples in blocks of 64 and of 4. "
        "Seeds are those of the latents. A difference of 5 % "
        "counts.",
        {
            "as trained": "in blocks of the training's size",
            "a sixteenth": "in blocks of a sixteenth of the size",
        },
    ),
]
