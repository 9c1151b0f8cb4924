"""Claims about the conditional MNIST GAN, on 4,000 digits: the notes' network as mended, narrower, trained shorter."""

import dataclasses

import numpy as np

from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.pictures import fine_power, stroke_width
from benchmarks.claims.training import numbers, trained, training
from benchmarks.claims.verdicts import Alike, All, Better, Within
from benchmarks.variants import mnist_gan as variants
from kerasgan import images
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.protocols.digits import load_digit_classifier, score_digits

SAMPLES = 2000


def score(settings):
    """`score_digits` of fewer samples; strokes and fine pattern over the data's; how steep the generator's loss is."""
    data = load_digits("train")[0]
    usual = {"stroke_width": stroke_width(data), "fine_power": fine_power(data)}

    def scored(model, samples):
        labels = np.arange(SAMPLES, dtype="int32") % 10
        drawn = model.sample(labels=labels, seed=1)
        seen = {"stroke_width": stroke_width(drawn), "fine_power": fine_power(drawn)}
        seen = {name: value / usual[name] for name, value in seen.items()}
        return score_digits(drawn, labels) | seen | variants.generator_slope(model, labels[:100])

    return scored


def draw(settings):
    """Four rows of all classes: a strip for the report."""
    return lambda model: images.grid(model.sample(n=40, seed=0), 10)


RECIPE = dataclasses.replace(variants.RECIPE, score=score, draw=draw)


def _minutes(settings):
    """An epoch of 4,000 digits: about 4.5 s at width 16, 30 s at 64."""
    width, steps = settings.get("width") or 64, settings.get("discriminator_steps", 1)
    return (4.0 + 0.4 * (width / 16) ** 3) * (1 if steps == 1 else 0.8) / 60


TRAINING = training(RECIPE, "corrected", _minutes, name="mnist_gan")


def told(settings, seed, folder):
    """A training, and what its curve tells: who is ahead, and how far a score ever fell back."""
    found = TRAINING.run(settings, seed, folder)
    rows = [row for row in found["curve"] if "generator_accuracy" in row]
    fooled = [row["generator_accuracy"] for row in rows]
    distances = [
        row["digit_frechet_distance"] for row in found["curve"] if "digit_frechet_distance" in row
    ]
    if rows and distances:
        first = rows[: max(1, len(rows) // 4)]
        best = np.minimum.accumulate(distances)
        found["measures"] |= {
            "first_lead": float(
                np.mean([row["fake_accuracy"] - row["generator_accuracy"] for row in first])
            ),
            "recovered": fooled[-1] - min(fooled),
            "setback": float(np.max(distances / best)),
        }
    return found


MNIST_GAN = Experiment("mnist_gan", told, TRAINING.minutes, usual=TRAINING.usual)
BASE = {"width": 16, "learning_rate": 1e-3, "epochs": 20}
SAYS = (
    "4,000 digits, the mended network at width 16 (noted: 64), Adam at 0.001, 20 epochs of 125 steps; 2,000 samples by "
    "the digit judge, whose Fréchet distance is of 1,000. "
)
DISTANCE, DIVERSITY = "digit_frechet_distance", "recognised_diversity"
DIVERSITY_SAYS = (
    "Diversity: mean distance between two images of a class, over the data's, of those that the judge takes for their "
    "class; that of noise is large."
)


def looked_at(settings, seed, folder):
    """A training's samples, and how diverse those are that the judge takes for their class."""
    model = trained(Arm(MNIST_GAN, settings), seed, folder)
    data, classes = load_digits("train")
    labels = np.arange(SAMPLES, dtype="int32") % 10
    drawn = model.sample(labels=labels, seed=1)
    right = features_and_logits(load_digit_classifier()[0], drawn)[1].argmax(axis=1) == labels
    several = right & np.isin(labels, np.flatnonzero(np.bincount(labels[right], minlength=10) > 1))
    diversity = intra_class_diversity(drawn[several], labels[several]) if several.any() else 0.0
    measures = {
        "recognised_diversity": diversity / intra_class_diversity(data, classes),
        "recognised": right.mean(),
    }
    return {
        "measures": numbers(
            score_digits(drawn, labels) | {k: float(v) for k, v in measures.items()}
        )
    }


LOOK = Experiment("mnist_look", looked_at, TRAINING.minutes, usual=TRAINING.usual)


def looks(changes):
    """As `arms`, of trainings that are looked at once more."""
    return {name: dataclasses.replace(arm, experiment=LOOK) for name, arm in arms(changes).items()}


def arms(changes):
    """Name -> `Arm` from the base and a dictionary, or the name of an arm of the variants."""
    changes = {
        name: {"arm": changed} if isinstance(changed, str) else changed
        for name, changed in changes.items()
    }
    return {name: Arm(MNIST_GAN, BASE | changed) for name, changed in changes.items()}


CLAIMS = [
    Claim(
        "mnist-randn",
        arms({"normal": {}, "uniform": "uniform_latents"}),
        Better(DISTANCE, "normal", ("uniform",), log=True),
        SAYS,
    ),
    Claim(
        "mnist-extra-block",
        arms({"without": {}, "with c5": "fifth_block"}),
        All(
            Better(DISTANCE, "without", ("with c5",), log=True),
            Better("first_layer_slope", "without", ("with c5",), higher=True, log=True),
        ),
        SAYS + "The slope is the length of the loss's gradient by the generator's first layer.",
    ),
    Claim(
        "mnist-last-kernel",
        arms({"1": {}, "3": "last_kernel_3", "5": "last_kernel_5"}),
        Better("fine_power", "1", ("3", "5"), log=True),
        SAYS + "Fine power: of a quarter of a cycle a pixel and above, over the data's.",
    ),
    Claim(
        "mnist-kernel-size",
        arms({"5, 4, 4": {}, "7, 8, 8": "large_kernels"}),
        Better("stroke_width", "7, 8, 8", ("5, 4, 4",), higher=True, log=True),
        SAYS + "Stroke width: twice the ink's area over its outline's length, over the data's.",
    ),
    Claim(
        "mnist-width",
        arms({"x 1": {}, "x 1/4": {"width": 4}, "x 4": {"width": 64}}),
        Better(DISTANCE, "x 1", ("x 1/4", "x 4"), log=True),
        SAYS + "Widths 16, 4 and 64; the noted x 1 is 64.",
    ),
    Claim(
        "mnist-disc-depth",
        arms({"base": {}, "c4": "third_convolution", "dense": "second_dense"}),
        Better(DISTANCE, "base", ("c4", "dense"), log=True),
        SAYS,
    ),
    Claim(
        "mnist-minibatch",
        looks({"on": {}, "off": "no_closeness"}),
        Better(DIVERSITY, "on", ("off",), higher=True),
        SAYS + DIVERSITY_SAYS,
    ),
    Claim(
        "mnist-minibatch-bc",
        looks({"100 x 4": {}, "20 x 20": "closeness_20_20", "4 x 100": "closeness_4_100"}),
        All(
            Better(DIVERSITY, "100 x 4", ("20 x 20", "4 x 100"), higher=True),
            Better(DISTANCE, "100 x 4", ("20 x 20", "4 x 100"), log=True),
        ),
        SAYS + DIVERSITY_SAYS,
    ),
    Claim(
        "mnist-minibatch-scale",
        looks({"1": {}, "1/100": "scaled_closeness"}),
        Better(DIVERSITY, "1", ("1/100",), higher=True),
        SAYS + DIVERSITY_SAYS,
    ),
    Claim(
        "mnist-minibatch-labels",
        arms({"shuffled": "groups", "sorted": "sorted_groups"}),
        Better(DISTANCE, "shuffled", ("sorted",), log=True),
        SAYS + "Groups of 16 of batches of 32, in the order of the data or of their labels.",
    ),
    Claim(
        "mnist-early-discriminator",
        arms({"run": {"model": "noted"}}),
        All(Within("first_lead", "run", low=0.5), Within("recovered", "run", low=0.05)),
        SAYS
        + "The network as noted, which draws fakes anew for the generator: the mended one's are those that the "
        "discriminator has just been trained on. First lead: share of fakes that the discriminator knows, less the "
        "share taken for their class, in the first five epochs. Recovered: the latter at the end, less its lowest.",
    ),
    Claim(
        "mnist-leaky-slope",
        arms({"0.2": {}, "0.01": "slope_0.01", "0.3": "slope_0.3"}),
        Alike(DISTANCE, ("0.2", "0.01", "0.3"), share=1.0, log=True),
        SAYS,
    ),
    Claim(
        "mnist-feature-matching",
        arms(
            {
                "off": "no_feature_matching",
                "corrected": {},
                "noted, off": {"model": "noted", "arm": "no_feature_matching"},
                "noted": {"model": "noted"},
            }
        ),
        All(
            Alike(DISTANCE, ("noted, off", "noted"), share=0.001, log=True, paired=True),
            Alike(DISTANCE, ("off", "corrected"), share=1.0, log=True),
        ),
        SAYS,
    ),
    Claim(
        "mnist-label-smoothing",
        arms({"paper": {}, "noted": "noted_smoothing", "off": "no_smoothing"}),
        Better("generator_accuracy@20%", "paper", ("off",), higher=True),
        SAYS
        + "Generator accuracy: share of fakes that the discriminator takes for their class. The notes' smoothing, "
        "a weight of 0.9, is shown.",
    ),
    Claim(
        "mnist-manual-lr",
        arms({"fixed": {}, "by hand": "manual_rate"}),
        Better(DISTANCE, "fixed", ("by hand",), log=True),
        SAYS + "By hand: 0.0001 less after each epoch whose accuracy is above 0.95.",
    ),
]
