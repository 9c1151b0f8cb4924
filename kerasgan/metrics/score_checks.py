"""Checks of the inputs of `scores`, so that a bad request fails before features are computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgan.metrics.features.extract import Features
from kerasgan.metrics.frechet import Statistics

METRICS = ("is", "fid", "kid", "prdc", "ms_ssim")
WITH_REFERENCE = ("fid", "kid", "prdc")
LIMITS = ("splits", "batch", "subset_size", "k", "density_k")  # Options of `check_counts`.


def check_counts(
    metrics: Sequence[str],
    samples: int | None,
    reference: int | None,
    *,
    splits: int = 10,
    batch: int | None = None,
    subset_size: int = 1000,
    k: int = 3,
    density_k: int = 5,
) -> None:
    """Checks that the numbers of images suffice for the metrics.

    Args:
        metrics: Names from `METRICS`.
        samples: Number of samples; `None` if unknown.
        reference: Number of reference images; `None` if unknown, 0 without a reference.
        splits: See `scores`.
        batch: See `scores`.
        subset_size: See `scores`.
        k: See `scores`.
        density_k: See `scores`.

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
    if "is" in metrics and samples is not None:
        used = samples - (samples % batch if batch else 0)
        if not 1 <= splits <= used:
            left = f" ({used} in complete batches of {batch})" if batch else ""
            raise ValueError(
                f"splits must be between 1 and the number of samples, {samples}{left}; "
                f"received {splits}"
            )
    if "kid" in metrics and fewest is not None and not 2 <= subset_size <= fewest:
        raise ValueError(
            f"subset_size of kid must be between 2 and the smaller number of images, {fewest}; "
            f"received {subset_size}"
        )
    if "prdc" in metrics and fewest is not None and max(k, density_k) >= fewest:
        raise ValueError(
            f"prdc needs more than k = {max(k, density_k)} samples and reference images; "
            f"received {fewest}"
        )


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
    alone = [name for name in metrics if name in WITH_REFERENCE and name != "fid"]
    if isinstance(reference, Statistics) and alone:
        raise ValueError(
            f"{alone[0]} needs the features of the reference images; received statistics, which "
            "are enough for fid only"
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
