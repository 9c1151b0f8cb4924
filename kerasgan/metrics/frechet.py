"""Fréchet distance between two sets of features, modeled as normal distributions.

With features of Inception, this is the Fréchet Inception Distance (FID). The reference
implementations are pytorch-fid and torch-fidelity.

Reference:
    Heusel et al., 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium", https://arxiv.org/abs/1706.08500

**Differences from the authors' code**

- The trace of the square root of S1 S2 is the sum of the singular values of A1^T A2, where S = A
  A^T (Cholesky, or eigenvectors if S is singular). It is real for any covariance, symmetric, needs
  no 1e-6 on the diagonal, and is several times faster than a matrix square root.
- Features are processed in blocks, so memory does not grow with the number of images.
"""

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasgan.io import files
from kerasgan.io.arrays import load_npz
from kerasgan.io.reading import parse_json, reading

RULE = "statistics must be an .npz file with mu and sigma"
BLOCK = 4096  # Number of rows in float64 at a time.


class Statistics(NamedTuple):
    """Statistics of the features of N images, in float64.

    Attributes:
        mean: Mean `[F]`.
        covariance: Sample covariance `[F, F]` (divided by N - 1).
        count: N, or `None` if unknown.
        protocol: Protocol of the features (network, checksum, resize, ...), or `None` if unknown.
        images: Description of the images, see `Features`, or `None`.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None = None  # type: ignore[assignment]  # Hides `tuple.count`.
    protocol: dict | None = None
    images: dict | None = None


def statistics(
    features: np.ndarray | Iterable[np.ndarray],
    protocol: dict | None = None,
    images: dict | None = None,
) -> Statistics:
    """Computes mean and covariance of features.

    Args:
        features: Array or `np.memmap` `[N, F]` with N at least 2, or an iterable of blocks `[n,
            F]`, which are processed one at a time.
        protocol: JSON-serializable dict of everything that features need in common to be
            comparable: network, checksum of its weights, resize, layer. `frechet_distance` requires
            equal protocols.
        images: JSON-serializable description of the images, see `Features`.

    Raises:
        ValueError: If a shape is wrong, if there are fewer than 2 rows, or if a value is not
        finite.
    """
    count = 0
    mean: Any = 0.0
    scatter: Any = 0.0
    for block in [features] if hasattr(features, "shape") else features:
        block = np.asarray(block)  # Reads a memmap block by block.
        if block.ndim != 2 or count and block.shape[1] != len(mean):
            raise ValueError(
                "Expected features [N, F], with equal F in all blocks; received "
                f"{list(block.shape)}."
            )
        for start in range(0, len(block), BLOCK):
            count, mean, scatter = _added(count, mean, scatter, block[start : start + BLOCK])
    if count < 2:
        raise ValueError(f"A covariance needs the features of at least 2 images; received {count}.")
    return Statistics(mean, scatter / (count - 1), count, protocol, images)


def _added(count, mean, scatter, block):
    """Updates count, mean and scatter (covariance times N - 1) by a block (Chan et al., 1979)."""
    total = count + len(block)
    rows = np.empty([len(block) + 1, block.shape[1]])
    rows[:-1] = block
    of_block = rows[:-1].mean(axis=0)
    if not np.isfinite(of_block).all():
        raise ValueError(f"Features must be finite; received others in the first {total} rows.")
    gap = of_block - mean
    rows[:-1] -= of_block
    # The difference of the two means contributes like one more row.
    rows[-1] = np.sqrt(count * len(block) / total) * gap
    return total, mean + gap * (len(block) / total), scatter + rows.T @ rows


def merge(one: Statistics, other: Statistics) -> Statistics:
    """Returns the statistics of the union of two sets of images.

    Raises:
        ValueError: If a count is unknown, or if the protocols differ.
    """
    _check_comparable(one, other)
    if one.count is None or other.count is None:
        raise ValueError(
            f"Statistics need their counts to be merged; received {one.count} and {other.count}."
        )
    total, gap = one.count + other.count, other.mean - one.mean
    scatter = one.covariance * (one.count - 1) + other.covariance * (other.count - 1)
    scatter += np.outer(gap, gap) * (one.count * other.count / total)
    return Statistics(
        one.mean + gap * (other.count / total), scatter / (total - 1), total, one.protocol
    )


def save_statistics(path: str | os.PathLike, statistics: Statistics) -> None:
    """Writes statistics to an .npz file that pytorch-fid can read (`mu` and `sigma`).

    Count, protocol and description of the images are added if they are known.

    Raises:
        ValueError: If the file name does not end in .npz.
    """
    mean, covariance, count, protocol, images = statistics
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"The file name of statistics must end in .npz; received {path}")
    known: dict[str, Any] = {} if count is None else {"count": count}
    known |= {
        name: json.dumps(d)
        for name, d in (("protocol", protocol), ("images", images))
        if d is not None
    }
    files.write_npz(path, {"mu": mean, "sigma": covariance} | known)


def load_statistics(path: str | os.PathLike) -> Statistics:
    """Reads statistics from an .npz file of kerasgan or pytorch-fid.

    Files of pytorch-fid have neither count nor protocol; both are then `None`, with a warning.

    Raises:
        ValueError: If the file is missing, damaged, or has other arrays.
    """
    try:
        arrays = load_npz(path, ("mu", "sigma", "count", "protocol", "images"), RULE)
        with reading(path, RULE):
            protocol, images = (
                parse_json(arrays[n].item()) if n in arrays else None
                for n in ("protocol", "images")
            )
            if not all(part is None or isinstance(part, dict) for part in (protocol, images)):
                raise TypeError("protocol and images must be dictionaries")
            count = int(arrays["count"]) if "count" in arrays else None
            mean, covariance = (np.asarray(arrays[name], "float64") for name in ("mu", "sigma"))
    except FileNotFoundError:
        raise ValueError(f"Statistics must be an .npz file; {path} does not exist") from None
    if (
        mean.ndim != 1
        or covariance.shape != 2 * mean.shape
        or not (_finite(mean) and _finite(covariance))
    ):
        shapes = f"{list(mean.shape)} and {list(covariance.shape)}"
        raise ValueError(f"Expected finite mu [F] and sigma [F, F]; received {shapes} in {path}")
    if protocol is None:
        warnings.warn(
            f"{path} has no protocol; make sure that both sides use the same features", stacklevel=2
        )
    return Statistics(mean, covariance, count, protocol, images)


def frechet_distance(one: Statistics, other: Statistics) -> float:
    """Computes `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`.

    The function warns if one side has no more images than features (2,048 for Inception). The
    distance is then strongly biased and compares only with distances of the same number of images.

    Returns:
        A float, at least 0.

    Raises:
        ValueError: If the numbers of features differ, or if both protocols are known and differ.
    """
    _check_comparable(one, other)
    size = len(one.mean)
    fewest = min(
        (count for count in (one.count, other.count) if count is not None), default=size + 1
    )
    if fewest <= size:
        warnings.warn(
            f"the Fréchet distance of {fewest} images and {size} features is biased upwards; use "
            "more images than features, and equal numbers of images in distances that you compare",
            stacklevel=2,
        )
    return distance(one, other)


def distance(one: Statistics, other: Statistics) -> float:
    """`frechet_distance` without checks and warnings."""
    cross = trace_of_root(factor(one.covariance), factor(other.covariance))
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return float(max(np.sum((one.mean - other.mean) ** 2) + traces - 2 * cross, 0.0))


def _check_comparable(one, other):
    if one.mean.shape != other.mean.shape:
        sizes = f"{len(one.mean)} and {len(other.mean)}"
        raise ValueError(
            f"Both statistics must have the same number of features; received {sizes}."
        )
    if one.protocol is None or other.protocol is None:
        return
    for key in sorted(one.protocol.keys() | other.protocol.keys()):
        values = [
            json.dumps(protocol.get(key), sort_keys=True)
            for protocol in (one.protocol, other.protocol)
        ]
        if values[0] != values[1]:
            raise ValueError(
                f"Both statistics must have one protocol; received {key} {values[0]} and "
                f"{values[1]}."
            )


def trace_of_root(one: np.ndarray, other: np.ndarray) -> float:
    """Computes the trace of the square root of S1 S2, from their factors `[F, r1]`, `[F, r2]`."""
    # The eigenvalues of S1 S2 are the squared singular values of this product.
    product = one.T @ other  # [r1, r2]
    if product.shape[0] > product.shape[1]:
        product = product.T
    # This takes a quarter of the time of an SVD.
    return float(np.sqrt(np.linalg.eigvalsh(product @ product.T).clip(0)).sum())


def factor(covariance: np.ndarray) -> np.ndarray:
    """Computes a factor A `[F, r]` of a covariance A A^T of rank r."""
    rounding = len(covariance) * np.finfo("float64").eps
    try:
        lower = np.linalg.cholesky(covariance)
        pivots = np.diagonal(lower) ** 2
        if pivots.min() > rounding * pivots.max():  # Otherwise singular up to rounding.
            return lower
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(covariance)
    kept = values > rounding * values[-1]  # The others are zero up to rounding.
    return vectors[:, kept] * np.sqrt(values[kept])


def _finite(array):
    return bool(np.isfinite(array).all())
