"""Scores by name, of the features of samples and of a reference, with the protocol that each holds under.

The keys are torch-fidelity's where the features are those of the Inception of 2015-12-05. Of any other network they
do not say Inception, since the numbers do not compare: `classifier_score_mean`, `frechet_distance` ...
"""

import numpy as np

from kerasgan.datasets.image_source import image_source
from kerasgan.metrics.features.extract import warn_if_swapped
from kerasgan.metrics.frechet import Statistics, frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.ms_ssim import mean_ms_ssim

METRICS = ("is", "fid", "kid", "prdc", "ms_ssim")
WITH_REFERENCE = ("fid", "kid", "prdc")
INCEPTION = "Inception-2015-12-05"  # the only network whose scores are called Inception's
LIMITS = ("splits", "batch", "subset_size", "k", "density_k")  # the options that `check` looks at
NAMES = {
    True: {
        "is": "inception_score",
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance",
    },
    False: {"is": "classifier_score", "fid": "frechet_distance", "kid": "kernel_distance"},
}


def scores(
    samples,
    reference=None,
    metrics=("is", "fid", "kid", "prdc"),
    *,
    splits=10,
    shuffle_seed=None,
    batch=None,
    subsets=100,
    subset_size=1000,
    seed=2020,
    k=3,
    density_k=5,
    pictures=None,
    pairs=100,
    scales=5,
):
    """Score samples, against a reference where the metrics need one.

    Args:
        samples: `Features`.
        reference: `Features` of the same extractor, or `Statistics` of such, which are enough for "fid"; None for "is"
            and "ms_ssim".
        metrics: names of `METRICS`.
        splits, shuffle_seed, batch: of "is", see `inception_score`.
        subsets, subset_size, seed: of "kid", see `kernel_distance`; the seed is also that of the pairs of "ms_ssim".
        k, density_k: of "prdc", the neighbour of precision and recall, and of density and coverage.
        pictures: of "ms_ssim", the samples themselves, as `image_source` takes them.
        pairs, scales: of "ms_ssim", see `mean_ms_ssim`; here the pairs are of all samples, whatever their class.

    Returns:
        A dictionary of floats and `protocol`, a dictionary that JSON can hold. The floats, of Inception's features:
        inception_score_mean, inception_score_std: "is".
        frechet_inception_distance: "fid".
        kernel_inception_distance_mean, kernel_inception_distance_std: "kid".
        precision, recall, f_score (their harmonic mean), density, coverage: "prdc".
        ms_ssim: "ms_ssim".

    Raises:
        ValueError: a metric that these inputs do not allow, features of two protocols, too few images.
    """
    limits = dict(splits=splits, batch=batch, subset_size=subset_size, k=k, density_k=density_k)
    check(metrics, len(samples), count_of(reference), **limits)
    check_features(metrics, samples.protocol, samples.logits is not None, reference)
    names = NAMES[samples.protocol.get("network") == INCEPTION]
    found, protocol = (
        {},
        {"features": samples.protocol, "images": "uint8, RGB", "samples": samples.images},
    )
    if any(name in WITH_REFERENCE for name in metrics):
        of_statistics = isinstance(reference, Statistics)
        warn_if_swapped(samples.images, reference.images or {})
        protocol["reference"] = (
            {"statistics": True, "count": reference.count} if of_statistics else reference.images
        )
    if "is" in metrics:
        spread = inception_score(samples.logits, splits, shuffle_seed, batch)
        found |= _mean_and_std(names["is"], spread)
        used = len(samples) - (len(samples) % batch if batch else 0)
        protocol["is"] = {
            "count": used,
            "splits": splits,
            "shuffle_seed": shuffle_seed,
            "remainder_dropped_of": batch,
            "classes": samples.logits.shape[1],
        }
    if "fid" in metrics:
        theirs = reference if isinstance(reference, Statistics) else _statistics(reference)
        found[names["fid"]] = frechet_distance(_statistics(samples), theirs)
    if "kid" in metrics:
        spread = kernel_distance(samples.features, reference.features, subsets, subset_size, seed)
        found |= _mean_and_std(names["kid"], spread)
        protocol["kid"] = {"subsets": subsets, "subset_size": subset_size, "seed": seed}
    if "prdc" in metrics:
        near = precision_recall(reference.features, samples.features, k)
        total = near["precision"] + near["recall"]
        found |= near | {
            "f_score": 2 * near["precision"] * near["recall"] / total if total else 0.0
        }
        found |= density_coverage(reference.features, samples.features, density_k)
        protocol["prdc"] = {"precision_recall_k": k, "density_coverage_k": density_k}
    if "ms_ssim" in metrics:
        found["ms_ssim"] = _similarity(pictures, len(samples), pairs, seed, scales)
        protocol["ms_ssim"] = {"pairs": pairs, "of": "any class", "seed": seed, "scales": scales}
    return found | {"protocol": protocol}


def check(
    metrics, samples, reference, *, splits=10, batch=None, subset_size=1000, k=3, density_k=5
):
    """Raises ValueError where the metrics want what these numbers of images do not give: before an hour of features.

    Args:
        metrics: names.
        samples, reference: numbers of images; None where unknown; `reference` 0 where there is none.
        splits, batch, subset_size, k, density_k: as in `scores`.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise ValueError(
            f"metrics must be of {', '.join(METRICS)}; received {unknown[0] if unknown else 'none'}"
        )
    wanting = [name for name in metrics if name in WITH_REFERENCE]
    if wanting and reference == 0:
        raise ValueError(f"{wanting[0]} compares the samples with a reference; received none")
    fewest = min(
        (count for count in (samples, reference or None) if count is not None), default=None
    )
    if "is" in metrics and samples is not None:
        used = samples - (samples % batch if batch else 0)
        if not 1 <= splits <= used:
            left = f" ({used} in whole batches of {batch})" if batch else ""
            raise ValueError(
                f"splits must be between 1 and the number of samples, {samples}{left}; received {splits}"
            )
    if "kid" in metrics and fewest is not None and not 2 <= subset_size <= fewest:
        raise ValueError(
            f"subset_size of kid must be from 2 to {fewest}, the images on the smaller side; received {subset_size}"
        )
    if "prdc" in metrics and fewest is not None and max(k, density_k) >= fewest:
        raise ValueError(
            f"prdc needs more than k = {max(k, density_k)} images on either side; received {fewest}"
        )


def check_features(metrics, protocol, logits, reference):
    """Raises ValueError where features of such a protocol, with logits or not, do not allow the metrics.

    Args:
        metrics: names.
        protocol: the samples' extractor's.
        logits: whether it gives any.
        reference: `Features`, `Statistics`, or None where there is none or nothing is known of it yet.
    """
    if "is" in metrics and not logits:
        raise ValueError(f"is needs logits; {protocol.get('network')} gives features only")
    alone = [name for name in metrics if name in WITH_REFERENCE and name != "fid"]
    if isinstance(reference, Statistics) and alone:
        raise ValueError(
            f"{alone[0]} needs the reference's images; received statistics, enough for fid alone"
        )
    if (
        reference is None
        or reference.protocol is None
        or not any(name in WITH_REFERENCE for name in metrics)
    ):
        return
    for key in sorted(protocol.keys() | reference.protocol.keys()):
        if protocol.get(key) != reference.protocol.get(key):
            received = f"{key} {protocol.get(key)!r} and {reference.protocol.get(key)!r}"
            raise ValueError(
                f"samples and reference must be features of one protocol; received {received}"
            )


def check_inference_mode(one, other):
    """Raises ValueError if the same pictures, uint8 [N, H, W, C], drawn in batches of others, are not the same.

    Batch norm in training mode looks at the whole batch (the notes lost half a point of Inception Score to it), dropout
    in training mode at chance. Three of 255 levels are rounding.
    """
    apart = int(np.abs(np.asarray(one, "int16") - np.asarray(other, "int16")).max())
    if apart > 3:
        raise ValueError(
            "pictures to be scored must be drawn in inference mode (training=False), where the batch does not change "
            f"them; received some that differ by up to {apart} of 255 levels"
        )


def count_of(reference):
    """Number of images of `Features` or `Statistics`, None where these do not say; 0 of None."""
    if reference is None:
        return 0
    return reference.count if isinstance(reference, Statistics) else len(reference)


def _statistics(features):
    return statistics(features.features, features.protocol, features.images)


def _mean_and_std(name, spread):
    return {f"{name}_mean": spread[0], f"{name}_std": spread[1]}


def _similarity(pictures, count, pairs, seed, scales):
    """MS-SSIM of pairs among twice as many images, so that no more are in memory."""
    if pictures is None:
        raise ValueError(
            "ms_ssim compares the samples themselves, not their features; received no pictures"
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: 2 * pairs])
    kept, done = [], 0
    for batch in image_source(pictures, count=count).batches():
        kept += [
            batch[row - done]
            for row in chosen[np.searchsorted(chosen, done) :]
            if row < done + len(batch)
        ]
        done += len(batch)
    if len({image.shape for image in kept}) > 1:
        raise ValueError("ms_ssim compares images of one size; received several")
    return mean_ms_ssim(np.stack(kept), pairs, seed, scales)
