"""Bootstrap intervals of the scores of `metrics.scores`: what is resampled for each of them.

| scores | resample |
|---|---|
| Inception Score, FID, Vendi score, AuthPct, memorization | samples, with repetition |
| kernel distances (KID, CMMD) | the same, as weights of one kernel matrix of all images |
| precision, recall, density, coverage | random halves of the samples |

FD-infinity, sFID and the scores of images, captions and classifiers have no interval.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgan.metrics import bootstrap
from kerasgan.metrics.authpct import authentic
from kerasgan.metrics.cmmd import SCALE, SIGMA
from kerasgan.metrics.feature_arrays import unit_rows
from kerasgan.metrics.features.extract import Features
from kerasgan.metrics.frechet import Statistics, distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import masked_sums, polynomial_kernel
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.memorization import RATIO, nearest_ratios
from kerasgan.metrics.vendi import vendi_score

BLOCK = 1000
# Intervals are centered on the score, so their ends may leave the range of a score without a cut.
RANGES = {
    "precision": (0, 1),
    "recall": (0, 1),
    "coverage": (0, 1),
    "density": (0, np.inf),
    "memorized": (0, 1),
    "authpct": (0, 100),
}


def score_intervals(
    samples: Features,
    reference: Features | Statistics | None,
    found: dict[str, Any],
    metrics: Sequence[str],
    names: dict[str, str],
    options: dict[str, Any],
    resamples: int = bootstrap.RESAMPLES,
) -> tuple[dict[str, tuple[float, float]], dict[str, Any]]:
    """Computes 95 % intervals of scores.

    Args:
        samples: See `scores`.
        reference: See `scores`. It is not resampled.
        found: Scores of all samples.
        metrics: See `scores`.
        names: Names of the scores of this extractor.
        options: Options of `scores`.
        resamples: Number of resamples, at least 10.

    Returns:
        Dict from the names of scores to both ends, and the description for the protocol.
    """
    count, seed = len(samples), options["seed"]
    theirs: Any = getattr(reference, "features", None)
    logits: Any = samples.logits
    ends: dict[str, tuple[float, float]] = {}

    def add(score: Callable, wanted: Sequence[str], halves: bool = False) -> None:
        known = {name: found[name] for name in wanted}
        found_ends = bootstrap.intervals(score, count, known, resamples, seed, halves=halves)
        for name, (low, high) in found_ends.items():
            least, most = RANGES.get(name, (-np.inf, np.inf))
            ends[name] = (max(low, least), min(high, most))

    if "is" in metrics:
        name, splits = f"{names['is']}_mean", options["splits"]
        add(lambda rows: {name: inception_score(logits[rows], splits)[0]}, [name])
    if "fid" in metrics:
        real = reference if isinstance(reference, Statistics) else statistics(theirs)
        of_rows = lambda rows: distance(_statistics(samples.features, rows), real)  # noqa: E731
        add(lambda rows: {names["fid"]: of_rows(rows)}, [names["fid"]])
    if "vendi" in metrics:
        add(lambda rows: {"vendi": vendi_score(_parts(samples.features, rows))}, ["vendi"])
    if "authpct" in metrics:
        flags = authentic(theirs, samples.features)
        add(lambda rows: {"authpct": 100 * flags[rows].mean()}, ["authpct"])
    if "memorization" in metrics:
        ratios = nearest_ratios(theirs, samples.features)
        values = lambda rows: {  # noqa: E731
            "memorized": np.mean(ratios[rows] <= RATIO),
            "nearest_ratio": np.median(ratios[rows]),
        }
        add(values, ["memorized", "nearest_ratio"])
    for metric, name, kernel in (
        ("kid", f"{names['kid']}_mean", polynomial_kernel),
        ("cmmd", names["cmmd"], _gaussian),
    ):
        if metric in metrics:
            squares = iter(
                _weighted_mmd(kernel, samples.features, theirs, _draws(count, resamples, seed))
            )
            add(lambda rows, name=name, squares=squares: {name: next(squares)}, [name])
    if "prdc" in metrics:
        k, density_k = options["k"], options["density_k"]

        def near(rows):
            few = samples.features[rows]
            return precision_recall(theirs, few, min(k, len(rows) - 1)) | density_coverage(
                theirs, few, min(density_k, len(rows) - 1)
            )

        add(near, ["precision", "recall", "density", "coverage"], halves=True)
    about = {"level": bootstrap.LEVEL, "resamples": resamples, "seed": seed}
    resampled = (
        "the samples with repetition (for precision, recall, density and coverage: of random "
        "halves of them); the reference is fixed"
    )
    return ends, about | {"resampled": resampled}


def _parts(features, rows):
    return (features[rows[i : i + BLOCK]] for i in range(0, len(rows), BLOCK))


def _statistics(features, rows):
    return statistics(_parts(features, rows))


def _draws(count, resamples, seed):
    """Number of times that each resample contains each sample, `[resamples, count]`."""
    random = np.random.default_rng(seed)
    draws = (random.integers(0, count, count) for _ in range(resamples))
    return np.stack([np.bincount(rows, minlength=count) for rows in draws]).astype("float64")


def _gaussian(x, y):
    x, y = unit_rows(x), unit_rows(y)
    return SCALE * np.expm1((x @ y.T - 1) / SIGMA**2)  # |x - y|^2 is 2 - 2 x . y


def _weighted_mmd(kernel, one, other, weights):
    """Unbiased MMD^2 of each resample of `one` to `other`, without pairs of an image and itself."""
    count, real = len(one), len(other)
    ones = np.ones((1, real))
    pairs = count**2 - np.square(weights).sum(axis=1)
    within = masked_sums(kernel, one, one, weights, weights, distinct=True) / pairs
    among_real = masked_sums(kernel, other, other, ones, ones, distinct=True) / (real * (real - 1))
    repeated = np.broadcast_to(ones, (len(weights), real))
    between = masked_sums(kernel, one, other, weights, repeated) / (count * real)
    return within + among_real - 2 * between
