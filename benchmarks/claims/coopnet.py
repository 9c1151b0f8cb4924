"""Claims about CoopNet, on 4,000 digits: the recipe's quick preset, narrower and shorter, scored by the digit judge."""

import dataclasses

import numpy as np

from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.pictures import fine_power
from benchmarks.claims.training import numbers, trained, training
from benchmarks.claims.verdicts import Alike, All, Better, Within
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.protocols.digits import score_unlabelled_digits
from zoo import coopnet

SAMPLES = 2000
SAYS = (
    "4,000 digits, width 16, 64 chains, {epochs} epochs of 62 steps; the Fréchet distance is of the digit judge's "
    "features, of 1,000 samples{of}."
)
LONG = {"width": 16, "epochs": 30, "noise_until": 10, "score_every": 1}


def score(settings):
    """`zoo.coopnet.scores` of fewer samples, and how much fine pattern the generator's have, over the data's."""
    if settings.data != "digits":
        return None

    def scored(model, samples):
        found = coopnet.scores(model, SAMPLES)
        fine = fine_power(model.sample(500, seed=1)) / fine_power(load_digits("train")[0][:500])
        return found | {"fine_power": fine}

    return scored


RECIPE = dataclasses.replace(coopnet.RECIPE, score=score)


def _minutes(settings):
    """An epoch: about 0.1 s a step at width 16, 64 chains and 10 steps of Langevin."""
    side = 3 if settings.get("data") == "synthetic_birds" else 1
    return (
        62
        * 0.1
        * side
        * settings.get("chains", 64)
        / 64
        * (1 + settings.get("steps", 10))
        / 11
        / 60
    )


TRAINING = training(RECIPE, "quick", _minutes, name="coopnet")


def told(settings, seed, folder):
    """A training, and what its curve tells: explosions, and how the distance follows the reconstruction."""
    found = TRAINING.run(settings, seed, folder)
    rows = [row for row in found["curve"] if "descriptor_digit_frechet_distance" in row]
    found["measures"] |= {
        "exploded": int(
            found["measures"]["diverged"] or any(row.get("rollbacks") for row in found["curve"])
        ),
    }
    late = rows[len(rows) // 3 :]
    if len(late) < 2:
        print(f"too few scored epochs ({len(rows)}) to say how distances follow reconstructions")
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


def sampled(settings, seed, folder):
    """One training, sampled in blocks of other sizes than its chains, or with running statistics."""
    settings = dict(settings)
    blocks, statistics = settings.pop("blocks"), settings.pop("statistics")
    model = trained(Arm(COOPNET, settings), seed, folder)
    model.chains //= blocks
    if statistics == "recalibrated":
        model.recalibrate()
    images = model.sample(
        SAMPLES, seed=1, statistics="batch" if statistics == "batch" else "running"
    )
    found = score_unlabelled_digits(images)
    return {"measures": numbers(found), "protocol": found["protocol"]}


COOPNET = Experiment("coopnet", told, TRAINING.minutes, usual=TRAINING.usual)
SAMPLING = Experiment("coopnet_sampling", sampled, lambda settings: 0.3, usual=TRAINING.usual)
BASE = {"width": 16, "epochs": 15, "noise_until": 5}
GENERATOR, DESCRIPTOR = "generator_digit_frechet_distance", "descriptor_digit_frechet_distance"


def arms(changes, base=BASE):
    return {name: Arm(COOPNET, base | changed) for name, changed in changes.items()}


def says(of=" of the generator", epochs=15):
    return SAYS.format(epochs=epochs, of=of)


CLAIMS = [
    Claim(
        "coop-lr-small",
        arms({"0.007": {}, "0.0001": {"descriptor_rate": 1e-4}}),
        All(
            Better(GENERATOR, "0.007", ("0.0001",), log=True),
            Better("fine_power", "0.007", ("0.0001",), log=True),
        ),
        says()
        + " Fine power: of a quarter of a cycle a pixel and above, over the data's. 0.007 is the digits' rate "
        "in place of 0.003.",
    ),
    Claim(
        "coop-explosion",
        arms(
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
                Within("exploded", arm, low=1)
                for arm in ("descriptor rate x 10", "step size x 10", "steps x 6", "sigma / 8")
            ),
        ),
        "4,000 digits, width 16, 64 chains, 15 epochs: whether the guard rolls back at least once.",
    ),
    Claim(
        "coop-lr-ratio",
        arms(
            {
                "30": {"generator_rate": 0.007 / 30},
                "100": {"generator_rate": 0.007 / 100},
                "1": {"generator_rate": 0.007},
                "0.1": {"generator_rate": 0.07},
            }
        ),
        Better(GENERATOR, "30", ("1", "0.1"), log=True),
        says() + " The descriptor's rate is 0.007 in all; 100 is shown.",
    ),
    Claim(
        "coop-noise-schedule",
        arms({"first third": {}, "never": {"noise": 0.0}, "always": {"noise_until": 0}}),
        All(
            Better(f"{DESCRIPTOR}@20%", "first third", ("never",), log=True),
            Alike(DESCRIPTOR, ("first third", "never", "always"), share=1.0, log=True),
        ),
        says(" of the descriptor"),
    ),
    Claim(
        "coop-magnitude",
        {
            "birds": Arm(
                COOPNET,
                {
                    "data": "synthetic_birds",
                    "size": 32,
                    "channels": 3,
                    "drawn": 2000,
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
        "Drift: the gradient term of a Langevin step over the image's length, mean of the last epoch. Drawn birds of "
        "32 pixels with the port's settings for CIFAR-10, but 64 chains, batch 64 and width 32: CIFAR-10 itself is a "
        "download.",
    ),
    Claim(
        "coop-steps",
        arms(
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
        says(" of the descriptor")
        + " Impulse: distance from the 3 x 3 median, of revised images over the data's. 60 "
        "steps are left out; 5 and a step size of 0.001 are shown.",
    ),
    Claim(
        "coop-recon",
        arms({"run": {}}, LONG),
        Within("rank_correlation", "run", low=0),
        says(epochs=30)
        + " Rank correlation of the distance and the reconstruction from the tenth epoch on. "
        "Sudden drops are marked in the curves; they are not judged.",
    ),
    Claim(
        "coop-checkpoints",
        arms({"run": {}}, LONG),
        All(Within("late_spread", "run", low=0.15), Within("best_is_last", "run", high=0.5)),
        says(epochs=30)
        + " Late spread: the largest over the smallest distance of the last ten epochs, less 1; the "
        "noted 5 of a FID near 34 are 0.15.",
    ),
    Claim(
        "coop-z-size",
        arms({"100": {}, "32": {"latent_dim": 32}, "8": {"latent_dim": 8}, "2": {"latent_dim": 2}}),
        All(
            Better(GENERATOR, "100", ("2",), log=True),
            Alike(GENERATOR, ("100", "32"), share=1.0, log=True),
        ),
        says() + " 8 is shown.",
    ),
    Claim(
        "coop-chains",
        arms({"100": {"chains": 100}, "36": {"chains": 36}, "225": {"chains": 225}}),
        All(
            Better(GENERATOR, "100", ("36",), log=True),
            Alike(GENERATOR, ("100", "225"), share=1.0, log=True),
        ),
        says() + " A quarter of the noted numbers of chains.",
    ),
    Claim(
        "coop-leaky",
        arms(
            {
                "leaky 0.2": {},
                "leaky 0.01": {"negative_slope": 0.01},
                "ReLU": {"negative_slope": 0.0},
            }
        ),
        Better(GENERATOR, "leaky 0.2", ("ReLU",), log=True),
        says() + " The slope is that of both networks; 0.01 is shown.",
    ),
    Claim(
        "coop-test-batch",
        {
            name: Arm(SAMPLING, BASE | {"blocks": blocks, "statistics": statistics})
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
        says()
        + " One training a seed, sampled in blocks of 64, 16 and 4, and with running and re-calibrated "
        "statistics.",
    ),
]
