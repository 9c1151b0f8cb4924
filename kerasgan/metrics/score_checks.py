"""Checks of the inputs of `scores`, so that a bad request fails before features are computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasgan.metrics import small_sets
from kerasgan.metrics.features.extract import Features
from kerasgan.metrics.frechet import Statistics

METRICS = (
    "is",
    "fid",
    "kid",
    "prdc",
    "ms_ssim",
    "fd_infinity",
    "sfid",
    "cmmd",
    "vendi",
    "authpct",
    "memorization",
    "clip_score",
    "r_precision",
    "gan_train",
    "gan_test",
)
WITH_REFERENCE = ("fid", "kid", "prdc", "fd_infinity", "sfid", "cmmd", "authpct", "memorization")
# Metrics that use no features of the samples' extractor.
WITHOUT_FEATURES = ("ms_ssim", "clip_score", "r_precision", "gan_train", "gan_test")
FROM_STATISTICS = ("fid", "fd_infinity", "sfid")
LIMITS = ("splits", "batch", "subset_size", "k", "density_k", "candidates")  # Of `check_counts`.
# Metric -> argument of `scores`, and what it is.
NEEDED = {
    "ms_ssim": ("images", "the samples themselves, not their features"),
    "sfid": ("spatial", "features of SpatialFeatures"),
    "clip_score": ("captioned", "the captions of the samples and a pair of encoders"),
    "r_precision": ("captioned", "the captions of the samples and a pair of encoders"),
    "gan_train": ("classification", "labels, real images and a classifier"),
    "gan_test": ("classification", "labels, real images and a classifier"),
}
FEWEST = {"fd_infinity": 20}  # Smallest number of samples, if not 2.


def check_counts(
    metrics: Sequence[str],
    samples: int | None,
    reference: int | None,
    *,
    splits: int | None = None,
    batch: int | None = None,
    subset_size: int | None = None,
    k: int | None = None,
    density_k: int | None = None,
    candidates: int | None = None,
) -> None:
    """Checks that the numbers of images suffice for the metrics.

    Options that are `None` adapt to the numbers of images, see `small_sets`.

    Args:
        metrics: Names from `METRICS`.
        samples: Number of samples; `None` if unknown.
        reference: Number of reference images; `None` if unknown, 0 without a reference.
        splits: See `scores`.
        batch: See `scores`.
        subset_size: See `scores`.
        k: See `scores`.
        density_k: See `scores`.
        candidates: See `scores`.

    Raises:
        ValueError: If a metric is unknown, needs a reference, or needs more images.
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
    for name in metrics:
        if samples is not None and samples < FEWEST.get(name, 2):
            least = FEWEST.get(name, 2)
            raise ValueError(f"{name} needs at least {least} samples; received {samples}")
    if "is" in metrics and samples is not None:
        used = samples - (samples % batch if batch else 0)
        if not 1 <= (splits or 1) <= used:
            left = f" ({used} in complete batches of {batch})" if batch else ""
            raise ValueError(
                f"splits must be between 1 and the number of samples, {samples}{left}; "
                f"received {splits or small_sets.PUBLISHED['splits']}"
            )
    if "kid" in metrics and fewest is not None and not 2 <= (subset_size or 2) <= fewest:
        raise ValueError(
            f"subset_size of kid must be between 2 and the smaller number of images, {fewest}; "
            f"received {subset_size}"
        )
    neighbor = max(k or 1, density_k or 1)
    if "prdc" in metrics and fewest is not None and neighbor >= fewest:
        raise ValueError(
            f"prdc needs more than k = {neighbor} samples and reference images; received {fewest}"
        )
    if "r_precision" in metrics and samples is not None and not 2 <= (candidates or 2) <= samples:
        raise ValueError(
            f"candidates of r_precision must be between 2 and the number of samples, {samples}; "
            f"received {candidates}"
        )


def check_inputs(metrics: Sequence[str], given: Mapping[str, Any]) -> None:
    """Checks that the arguments of `scores` that metrics need are there.

    Args:
        metrics: Names from `METRICS`.
        given: Values of the arguments that `NEEDED` names.

    Raises:
        ValueError: If one is `None`.
    """
    for name in metrics:
        argument, what = NEEDED.get(name, ("", ""))
        if argument and given[argument] is None:
            raise ValueError(f"{name} needs {what}; {argument} is None")
        if name in WITHOUT_FEATURES and given["images"] is None:
            raise ValueError(f"{name} needs {NEEDED['ms_ssim'][1]}; images is None")


def check_features(
    metrics: Sequence[str],
    protocol: dict[str, Any],
    logits: bool,
    reference: Features | Statistics | None,
) -> None:
    """Checks that the features allow the metrics.

    Args:
        metrics: Names from `METRICS`.
        protocol: Protocol of the samples' feature extractor.
        logits: `True` if the extractor returns logits.
        reference: Reference; `None` if there is none or if it is not known yet.

    Raises:
        ValueError: If logits or reference images are missing, or if the protocols differ.
    """
    if "is" in metrics and not logits:
        raise ValueError(f"is needs logits; {protocol.get('network')} returns features only")
    alone = [name for name in metrics if name in WITH_REFERENCE and name not in FROM_STATISTICS]
    if isinstance(reference, Statistics) and alone:
        raise ValueError(
            f"{alone[0]} needs the features of the reference images; received statistics, which "
            "are enough for fid and fd_infinity only"
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
                f"Samples and reference must have features of one protocol; received {received}."
            )


def check_inference_mode(one: np.ndarray, other: np.ndarray) -> None:
    """Checks that images do not depend on the batch in which they were generated.

    Batch norm in training mode uses statistics of the batch (in the training notes this cost half a
    point of Inception Score), and dropout in training mode is random. Differences of up to 3 of 255
    levels count as rounding.

    Args:
        one: Images, uint8 `[N, H, W, C]`.
        other: The same images, generated in other batches.

    Raises:
        ValueError: If the images differ.
    """
    difference = int(np.abs(np.asarray(one, "int16") - np.asarray(other, "int16")).max())
    if difference > 3:
        raise ValueError(
            "Samples must be generated in inference mode (training=False), so that they do not "
            f"depend on their batch; received images that differ by up to {difference} of 255 "
            "levels."
        )


def count_images(reference: Features | Statistics | None) -> int | None:
    """Returns the number of images of a reference: `None` if unknown, 0 without a reference."""
    if reference is None:
        return 0
    return reference.count if isinstance(reference, Statistics) else len(reference)
