"""Claims about the measures themselves: real images with something wrong, and what the scores say; no training."""

import functools
import statistics as averages
import time
import warnings

import numpy as np

from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.verdicts import Alike, All, Better, Within
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.metrics.features.extract import (
    ClassifierFeatures,
    extract,
    features_and_logits,
    warn_if_swapped,
)
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.protocols import bird_attributes, digits

BIRDS, SIDE = 500, 64


def birds(settings, seed, folder):
    """Other drawn birds against the test birds, right and with red and blue swapped."""
    judge = ClassifierFeatures(bird_attributes.shipped()[0], resize=True, logits=False)
    reference, samples = (synthetic_birds("test", BIRDS, s, SIDE).images for s in (0, 1 + seed))
    if settings["order"] == "BGR":
        samples = samples[..., ::-1]
    ours, theirs = (extract(images, judge, progress=False) for images in (samples, reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether it warned is the measure
        warned = warn_if_swapped(ours.images, theirs.images)
        distance = frechet_distance(*(statistics(found.features) for found in (ours, theirs)))
    return {"measures": {"bird_frechet_distance": distance, "warned": int(warned)}}


def missing_digits(settings, seed, folder):
    """Training digits drawn by chance (the seed), of which some are then left out."""
    labels, pixels, features, logits = _digits()
    rows = np.random.default_rng(seed).permutation(len(labels))
    if settings["kept"] in ("one of two clusters", "one of two clusters' sizes"):
        clusters = [_cluster(pixels, np.flatnonzero(labels == digit), seed) for digit in range(10)]
        if settings["kept"] == "one of two clusters' sizes":  # as many of each digit, from both
            clusters = [
                rows[labels[rows] == digit][: len(kept)] for digit, kept in enumerate(clusters)
            ]
        rows = np.concatenate(clusters)
    elif settings["kept"] == "without 8":
        rows = rows[labels[rows] != 8][:1800]
    else:
        rows = rows[: settings.get("count", 2000)]
    score, _ = inception_score(logits[rows], splits=1)
    distance = frechet_distance(statistics(features[rows]), statistics(features))
    return {
        "measures": {
            "digit_classifier_score": score,
            "digit_frechet_distance": distance,
            "digits": len(rows),
        }
    }


@functools.cache
def _digits():
    images, labels = load_digits("train")
    return (
        labels,
        images.reshape(len(images), -1),
        *features_and_logits(digits.load_digit_classifier()[0], images),
    )


def _cluster(pixels, rows, seed, steps=10):
    """The rows nearer to one of two centres: k-means from two images of the class drawn by chance."""
    values = pixels[rows]
    centres = values[np.random.default_rng((seed, len(rows))).choice(len(rows), 2, replace=False)]
    for _ in range(steps):
        near = np.square(values - centres[0]).sum(axis=1) < np.square(values - centres[1]).sum(
            axis=1
        )
        if near.all() or not near.any():
            break
        centres = values[near].mean(axis=0), values[~near].mean(axis=0)
    return rows[near]


def similarities(settings, seed, folder):
    """Forward and back of minibatch discrimination (B 100, C 4, 338 features), compiled or not."""
    import keras
    from keras import layers, ops

    from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination

    batch, way = settings["batch"], settings["way"]
    keras.utils.set_random_seed(seed)

    @keras.saving.register_keras_serializable("benchmarks")
    class Loop(MinibatchDiscrimination):
        """Sample by sample."""

        def call(self, inputs):
            m = ops.reshape(ops.matmul(inputs, self.kernel), (batch, self.kernels, self.dims))
            sums = [
                ops.sum(ops.exp(-ops.sum(ops.abs(m[i] - m), axis=-1)), axis=0) for i in range(batch)
            ]
            return ops.stack(sums) - 1.0

    made = {"loop": Loop, "chunks": functools.partial(MinibatchDiscrimination, rows=16)}
    inputs = layers.Input((338,), batch_size=batch)
    network = keras.Model(inputs, made.get(way, MinibatchDiscrimination)(100, 4)(inputs))
    network.compile(
        keras.optimizers.SGD(1e-6), "mse", jit_compile=False, run_eagerly=not settings["compiled"]
    )
    x, y = (
        np.random.default_rng(seed).normal(size=(batch, 338)).astype("float32"),
        np.zeros((batch, 100), "float32"),
    )
    taken = []
    for _ in range(12):
        start = time.perf_counter()
        network.train_on_batch(x, y)
        taken.append(time.perf_counter() - start)
    return {"measures": {"milliseconds": 1000 * averages.median(taken[3:])}}


def _no_digits():
    try:
        load_digits("test")
    except (ImportError, OSError) as error:
        return str(error).splitlines()[0]
    return None


BIRD_COLOURS = Experiment("birds", birds, lambda settings: 1.0)
MISSING_DIGITS = Experiment("missing_digits", missing_digits, lambda settings: 0.1, _no_digits)
SIMILARITIES = Experiment("similarities", similarities, lambda settings: 0.3)

CLAIMS = [
    Claim(
        "rgb-order",
        {order: Arm(BIRD_COLOURS, {"order": order}) for order in ("RGB", "BGR")},
        All(
            Better("bird_frechet_distance", "RGB", ("BGR",), log=True, times=5, paired=True),
            Within("warned", "RGB", high=0),
            Within("warned", "BGR", low=1),
        ),
        f"{BIRDS} drawn birds against {BIRDS} others of the same species, at {SIDE} pixels: the Fréchet distance by "
        "the bird judge's features, and whether the guard warns. The notes' 60 of FID and 3 of IS are of Inception on "
        "CIFAR-10; not measured here.",
    ),
    Claim(
        "is-interclass",
        {
            kept: Arm(MISSING_DIGITS, {"kept": kept, "count": 1800})
            for kept in ("all digits", "without 8")
        },
        Better("digit_classifier_score", "all digits", ("without 8",), higher=True),
        "1,800 real digits, drawn anew for each seed: the score of the Inception Score's formula by the digit judge.",
    ),
    Claim(
        "fid-intraclass",
        {
            "by chance": Arm(MISSING_DIGITS, {"kept": "one of two clusters' sizes"}),
            "one of two clusters": Arm(MISSING_DIGITS, {"kept": "one of two clusters"}),
        },
        All(
            Better(
                "digit_frechet_distance", "by chance", ("one of two clusters",), log=True, times=3
            ),
            Alike("digit_classifier_score", ("by chance", "one of two clusters"), share=0.02),
        ),
        "About half of the real digits, one of two k-means clusters of each class or as many of each class by chance: "
        "the Fréchet distance of the digit judge's features to all of them, and the Inception Score's formula by the "
        "same judge.",
    ),
    Claim(
        "mnist-vectorised",
        {
            way + ", compiled" * compiled: Arm(
                SIMILARITIES, {"way": way, "batch": 128, "compiled": compiled}
            )
            for compiled in (False, True)
            for way in ("whole batch", "chunks", "loop")
        },
        Better("milliseconds", "whole batch", ("loop",), log=True, times=5),
        "A training step of minibatch discrimination alone (B 100, C 4, 338 features, batch 128), in chunks of 16 or "
        "sample by sample, each against the whole batch; uncompiled, as in the notes (there, on a GPU). 5 times or "
        "more count as about 10. Compiled ones are shown.",
    ),
]
