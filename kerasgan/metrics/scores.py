"""Inception Score, FID, KID, precision, recall, density, coverage and MS-SSIM in one call.

With features of the published Inception of 2015-12-05, the keys are those of torch-fidelity; with
those of the published DINOv2 ViT-L/14, they are `fd_dinov2` and `kd_dinov2_mean`. With features of
another network or of unknown weights, the numbers do not compare, so the keys name no network:
`classifier_score_mean`, `frechet_distance`, `kernel_distance_mean`. See
`kerasgan.metrics.features.fingerprints`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgan.datasets.image_source import image_source
from kerasgan.metrics.features.extract import Features, warn_if_compressed, warn_if_swapped
from kerasgan.metrics.features.fingerprints import score_names
from kerasgan.metrics.frechet import Statistics, frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.ms_ssim import mean_ms_ssim
from kerasgan.metrics.score_checks import (
    WITH_REFERENCE,
    check_counts,
    check_features,
    count_images,
)


def scores(
    samples: Features,
    reference: Features | Statistics | None = None,
    metrics: Sequence[str] = ("is", "fid", "kid", "prdc"),
    *,
    splits: int = 10,
    shuffle_seed: int | None = None,
    batch: int | None = None,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    k: int = 3,
    density_k: int = 5,
    images: Any = None,
    pairs: int = 100,
    scales: int = 5,
) -> dict[str, Any]:
    """Scores samples.

    Args:
        samples: Features of the samples.
        reference: Features of real images from the same extractor. `Statistics` are enough for
            "fid". `None` is enough for "is" and "ms_ssim".
        metrics: Names: "is", "fid", "kid", "prdc" (precision, recall, density and coverage) or
            "ms_ssim".
        splits: Number of splits of "is", see `inception_score`.
        shuffle_seed: Seed of the shuffle of "is", see `inception_score`.
        batch: Batch size of "is", see `inception_score`.
        subsets: Number of subsets of "kid", see `kernel_distance`.
        subset_size: Size of the subsets of "kid", see `kernel_distance`.
        seed: Seed of the subsets of "kid" and of the pairs of "ms_ssim".
        k: Number of the neighbor of precision and recall.
        density_k: Number of the neighbor of density and coverage.
        images: The samples themselves, for "ms_ssim", in any form that `image_source` accepts.
        pairs: Number of pairs of "ms_ssim", see `mean_ms_ssim`. Pairs are formed among all samples,
            regardless of class.
        scales: Number of scales of "ms_ssim", see `mean_ms_ssim`.

    Returns:
        Dict of floats, and `protocol`, a JSON-serializable dict that describes the measurement.
        With features of the published Inception, the keys are

        - "is": `inception_score_mean`, `inception_score_std`;
        - "fid": `frechet_inception_distance`;
        - "kid": `kernel_inception_distance_mean`, `kernel_inception_distance_std`;
        - "prdc": `precision`, `recall`, `f_score` (harmonic mean of both), `density`, `coverage`;
        - "ms_ssim": `ms_ssim`.

    Raises:
        ValueError: If a metric is unknown or not possible with these inputs, if the protocols of
            samples and reference differ, or if there are too few images.
    """
    check_counts(
        metrics,
        len(samples),
        count_images(reference),
        splits=splits,
        batch=batch,
        subset_size=subset_size,
        k=k,
        density_k=density_k,
    )
    check_features(metrics, samples.protocol, samples.logits is not None, reference)
    names = score_names(samples.protocol)
    found: dict[str, float] = {}
    protocol: dict[str, Any] = {
        "features": samples.protocol,
        "images": "uint8, RGB",
        "samples": samples.images,
    }
    if reference is not None and any(name in WITH_REFERENCE for name in metrics):
        warn_if_swapped(samples.images, reference.images or {})
        warn_if_compressed(samples.images, reference.images or {})
        protocol["reference"] = (
            {"statistics": True, "count": reference.count}
            if isinstance(reference, Statistics)
            else reference.images
        )
    if "is" in metrics and samples.logits is not None:
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
    if "fid" in metrics and reference is not None:
        theirs = reference if isinstance(reference, Statistics) else _statistics(reference)
        found[names["fid"]] = frechet_distance(_statistics(samples), theirs)
    if "kid" in metrics and isinstance(reference, Features):
        spread = kernel_distance(samples.features, reference.features, subsets, subset_size, seed)
        found |= _mean_and_std(names["kid"], spread)
        protocol["kid"] = {"subsets": subsets, "subset_size": subset_size, "seed": seed}
    if "prdc" in metrics and isinstance(reference, Features):
        near = precision_recall(reference.features, samples.features, k)
        total = near["precision"] + near["recall"]
        found |= near | {
            "f_score": 2 * near["precision"] * near["recall"] / total if total else 0.0
        }
        found |= density_coverage(reference.features, samples.features, density_k)
        protocol["prdc"] = {"precision_recall_k": k, "density_coverage_k": density_k}
    if "ms_ssim" in metrics:
        found["ms_ssim"] = _mean_ms_ssim(images, len(samples), pairs, seed, scales)
        protocol["ms_ssim"] = {"pairs": pairs, "of": "any class", "seed": seed, "scales": scales}
    return found | {"protocol": protocol}


def _statistics(features):
    return statistics(features.features, features.protocol, features.images)


def _mean_and_std(name, spread):
    return {f"{name}_mean": spread[0], f"{name}_std": spread[1]}


def _mean_ms_ssim(images, count, pairs, seed, scales):
    """MS-SSIM of pairs from `2 * pairs` random images; only these are held in memory."""
    if images is None:
        raise ValueError("ms_ssim needs the samples themselves, not their features; images is None")
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: 2 * pairs])
    kept, done = [], 0
    for batch in image_source(images, count=count).batches():
        kept += [
            batch[row - done]
            for row in chosen[np.searchsorted(chosen, done) :]
            if row < done + len(batch)
        ]
        done += len(batch)
    if len({image.shape for image in kept}) > 1:
        raise ValueError("ms_ssim needs images of equal size; received several sizes")
    return mean_ms_ssim(np.stack(kept), pairs, seed, scales)
