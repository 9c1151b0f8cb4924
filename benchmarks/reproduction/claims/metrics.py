"""Claims about the metrics themselves, tested on altered real images without training."""

import functools
import pathlib
import statistics as averages
import time
import warnings

import numpy as np

from benchmarks.reproduction.claims import Claim, Experiment, Variant
from benchmarks.reproduction.claims.rules import Alike, All, Best, Better, Within
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


def birds(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Score synthetic birds against the test birds, in RGB order and with red and blue swapped."""
    extractor = ClassifierFeatures(
        bird_attributes.load_bird_attribute_classifier()[0], resize=True, logits=False
    )
    reference, samples = (
        np.asarray(synthetic_birds("test", BIRDS, s, SIDE).images) for s in (0, 1 + seed)
    )
    if settings["order"] == "BGR":
        samples = samples[..., ::-1]
    ours, theirs = (extract(images, extractor, progress=False) for images in (samples, reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The warning is a measure.
        warned = warn_if_swapped(ours.images, theirs.images)
        distance = frechet_distance(*(statistics(found.features) for found in (ours, theirs)))
    return {"measures": {"bird_frechet_distance": distance, "warned": int(warned)}}


def missing_digits(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Score random subsets of the training digits, some of which lack a class or a cluster."""
    labels, pixels, features, logits = _digits()
    rows = np.random.default_rng(seed).permutation(len(labels))
    if settings["kept"] in ("one of two clusters", "one of two clusters' sizes"):
        clusters = [_cluster(pixels, np.flatnonzero(labels == digit), seed) for digit in range(10)]
        if (
            settings["kept"] == "one of two clusters' sizes"
        ):  # Equal numbers of each digit, at random.
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
    """Rows of the first of two k-means clusters, initialized with random images of the class."""
    values = pixels[rows]
    centres = values[np.random.default_rng((seed, len(rows))).choice(len(rows), 2, replace=False)]
    for _ in range(steps):
        distances = [np.square(values - centre).sum(axis=1) for centre in centres]
        near = distances[0] < distances[1]
        if near.all() or not near.any():
            break
        centres = values[near].mean(axis=0), values[~near].mean(axis=0)
    return rows[near]


def similarities(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Time minibatch discrimination in PyTorch: groups of 16 at once, as in the training notes."""
    import torch

    batch, group, kernels, dims = 128, 16, 100, 4
    torch.manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Time on a busy machine is only comparable with one thread.
    x, weight = torch.randn(batch, 338), torch.randn(338, kernels * dims) * 0.05

    def closeness(a, b):
        return torch.exp(-torch.abs(a - b).sum(dim=-1))

    def groups(m):
        return [m[start : start + group] for start in range(0, batch, group)]

    ways = {
        "whole batch": lambda m: closeness(m[:, None], m[None]).sum(dim=1),
        "chunks": lambda m: torch.cat(
            [closeness(g[:, None], g[None]).sum(dim=1) for g in groups(m)]
        ),
        "loop over samples": lambda m: torch.stack(
            [closeness(a[None], g).sum(dim=0) for g in groups(m) for a in g]
        ),
        "loop over pairs": lambda m: torch.stack(
            [sum(closeness(a, b) for b in g) for g in groups(m) for a in g]
        ),
    }

    def step():
        kernel = weight.clone().requires_grad_()
        m = (x @ kernel).reshape(batch, kernels, dims)
        ways[settings["way"]](m).sum().backward()

    seconds = []
    for _ in range(12):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    torch.set_num_threads(threads)
    return {"measures": {"milliseconds": 1000 * averages.median(seconds[3:])}}


def _no_digits():
    try:
        load_digits("test")
    except (ImportError, OSError) as error:
        return str(error).splitlines()[0]
    return None


BIRD_COLOURS = Experiment("birds", birds, lambda settings: 1.0)
MISSING_DIGITS = Experiment("missing_digits", missing_digits, lambda settings: 0.1, _no_digits)
TORCH_SIMILARITIES = Experiment("torch_similarities", similarities, lambda settings: 0.1)

CLAIMS = [
    Claim(
        "rgb-order",
        {order: Variant(BIRD_COLOURS, {"order": order}) for order in ("RGB", "BGR")},
        All(
            Better("bird_frechet_distance", "RGB", ("BGR",), log=True, times=5, paired=True),
            Within("warned", "RGB", high=0),
            Within("warned", "BGR", low=1),
        ),
        f"{BIRDS} synthetic birds against {BIRDS} others of the same species, at {SIDE} pixels. "
        "Measures: the Fréchet distance of features of the bird attribute classifier, and whether "
        "the channel-order check warns. The training notes' differences of 60 in FID and 3 in IS "
        "refer to Inception on CIFAR-10 and are not measured here.",
        {"RGB": "for images in RGB order", "BGR": "for images in BGR order"},
    ),
    Claim(
        "is-interclass",
        {
            kept: Variant(MISSING_DIGITS, {"kept": kept, "count": 1800})
            for kept in ("all digits", "without 8")
        },
        Better("digit_classifier_score", "all digits", ("without 8",), higher=True),
        "1,800 random real digits per seed. The score is the Inception Score formula applied to "
        "the digit classifier.",
        {"all digits": "with all digits", "without 8": "without the digit 8"},
    ),
    Claim(
        "fid-intraclass",
        {
            "by chance": Variant(MISSING_DIGITS, {"kept": "one of two clusters' sizes"}),
            "one of two clusters": Variant(MISSING_DIGITS, {"kept": "one of two clusters"}),
        },
        All(
            Better(
                "digit_frechet_distance", "by chance", ("one of two clusters",), log=True, times=3
            ),
            Alike("digit_classifier_score", ("by chance", "one of two clusters"), share=0.02),
        ),
        "About half of the real digits: one of two k-means clusters of each class, or a random "
        "subset of the same size per class. Measures: the Fréchet distance to all digits on "
        "features of the digit classifier, and the Inception Score formula applied to the same "
        "classifier.",
        {
            "by chance": "for random subsets of each class",
            "one of two clusters": "for one cluster per class",
        },
    ),
    Claim(
        "mnist-vectorised",
        {
            way: Variant(TORCH_SIMILARITIES, {"way": way})
            for way in ("chunks", "whole batch", "loop over samples", "loop over pairs")
        },
        Best("milliseconds", ("chunks", "loop over samples", "loop over pairs"), log=True),
        "Forward and backward pass of minibatch discrimination in PyTorch on a CPU, with the code "
        "of the training notes: B 100, C 4, 338 features, batch 128, groups of 16. It is compared "
        "with a loop over the samples and with a loop over the pairs of each group, because the "
        "training notes do not say which loop is about 10 times slower. One thread; the training "
        "notes used a GPU.",
        {
            "chunks": "with the code of the training notes",
            "whole batch": "for the whole batch at once",
            "loop over samples": "with a loop over samples",
            "loop over pairs": "with a loop over pairs",
        },
    ),
]
