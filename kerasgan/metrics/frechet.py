"""Fréchet distance between two sets of features, each taken for a normal distribution; FID, if they are Inception's.

Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", arXiv
1706.08500.

*Differences from the authors' code*: the trace of the root of S1 S2 is the sum of the singular values of A1^T A2, where
S = A A^T (Cholesky, or eigenvectors where S is singular): real for any covariance, the same whichever comes first, no
1e-6 on the diagonal, and several times faster than a matrix root. Features stream through in blocks, so that memory
does not grow with the number of images.
"""

import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasgan.io import files
from kerasgan.io.arrays import load_npz
from kerasgan.io.reading import parse_json, reading

RULE = "statistics must be an .npz file with mu and sigma"
BLOCK = 4096  # rows in float64 at a time


class Statistics(NamedTuple):
    """What the Fréchet distance needs to know of N images, in float64."""

    mean: np.ndarray  # [F]
    covariance: np.ndarray  # [F, F], of the sample, over N - 1
    count: int | None = None  # N; None where a file does not say
    protocol: dict | None = (
        None  # of the features: network, checksum, resize ...; None where nobody says
    )
    images: dict | None = (
        None  # about them, as in `Features`: source, sizes, means and deviations of the channels
    )


def statistics(features, protocol=None, images=None):
    """Mean and covariance of features.

    Args:
        features: an array or `np.memmap` [N, F], N at least 2; or an iterable of blocks [n, F], of any n, which are
            never held together.
        protocol: a dictionary that JSON can hold, of what makes features comparable (network, checksum of its weights,
            resize, layer) and of nothing else, such as the images: `frechet_distance` wants it equal on both sides.
        images: a dictionary that JSON can hold, about the images: the `images` of `Features`.

    Returns:
        `Statistics`. Raises `ValueError`: other shapes, fewer rows, values that are not finite.
    """
    count, mean, scatter = 0, 0.0, 0.0
    for block in [features] if hasattr(features, "shape") else features:
        block = np.asarray(block)  # a memmap stays on the disk
        if block.ndim != 2 or count and block.shape[1] != len(mean):
            raise ValueError(
                f"features must be [N, F], blocks of them all of one F; received {list(block.shape)}"
            )
        for start in range(0, len(block), BLOCK):
            count, mean, scatter = _added(count, mean, scatter, block[start : start + BLOCK])
    if count < 2:
        raise ValueError(
            f"features must be of at least 2 images (one has no covariance); received {count}"
        )
    return Statistics(mean, scatter / (count - 1), count, protocol, images)


def _added(count, mean, scatter, block):
    """Count, mean and scatter (the covariance times N - 1) with a block more; stable, after Chan et al., 1979."""
    total = count + len(block)
    rows = np.empty([len(block) + 1, block.shape[1]])
    rows[:-1] = block
    of_block = rows[:-1].mean(axis=0)
    if not np.isfinite(of_block).all():
        raise ValueError(
            f"features must be finite; received some that are not among the first {total}"
        )
    gap = of_block - mean
    rows[:-1] -= of_block
    rows[-1] = (
        np.sqrt(count * len(block) / total) * gap
    )  # the distance of the two means counts as one row more
    return total, mean + gap * (len(block) / total), scatter + rows.T @ rows


def merge(one, other):
    """`Statistics` of the images of both, as if taken at once; they must know their counts, and be of one protocol."""
    _check_comparable(one, other)
    if one.count is None or other.count is None:
        raise ValueError(
            f"both statistics must know their count to be merged; received {one.count}, {other.count}"
        )
    total, gap = one.count + other.count, other.mean - one.mean
    scatter = one.covariance * (one.count - 1) + other.covariance * (other.count - 1)
    scatter += np.outer(gap, gap) * (one.count * other.count / total)
    return Statistics(
        one.mean + gap * (other.count / total), scatter / (total - 1), total, one.protocol
    )


def save_statistics(path, statistics):
    """Write an .npz file, whole or not at all: `mu` and `sigma` as pytorch-fid reads them, and all else that is known."""
    mean, covariance, count, protocol, images = statistics
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"statistics go to a file *.npz; received {path}")
    known = {} if count is None else {"count": count}
    known |= {
        name: json.dumps(d)
        for name, d in (("protocol", protocol), ("images", images))
        if d is not None
    }
    files.write_npz(path, {"mu": mean, "sigma": covariance} | known)


def load_statistics(path):
    """Read `Statistics` from an .npz file, ours or pytorch-fid's.

    A file that has `mu` and `sigma` only, as pytorch-fid's, is read with a warning: its count and protocol are None.

    Raises:
        ValueError: no such file, not an .npz, cut, or of other arrays.
    """
    try:
        arrays = load_npz(path, ("mu", "sigma", "count", "protocol", "images"), RULE)
        with reading(path, RULE):
            protocol, images = (
                parse_json(arrays[n].item()) if n in arrays else None
                for n in ("protocol", "images")
            )
            if not all(told is None or isinstance(told, dict) for told in (protocol, images)):
                raise TypeError("protocol and images must be dictionaries")
            count = int(arrays["count"]) if "count" in arrays else None
            mean, covariance = (np.asarray(arrays[name], "float64") for name in ("mu", "sigma"))
    except FileNotFoundError:
        raise ValueError(
            f"the statistics must be a file *.npz; received {path}, which does not exist"
        ) from None
    if (
        mean.ndim != 1
        or covariance.shape != 2 * mean.shape
        or not (_finite(mean) and _finite(covariance))
    ):
        shapes = f"{list(mean.shape)} and {list(covariance.shape)}"
        raise ValueError(
            f"mu and sigma must be finite, [F] and [F, F]; received {shapes} in {path}"
        )
    if protocol is None:
        warnings.warn(
            f"{path} does not say how its features were got: compare like with like", stacklevel=2
        )
    return Statistics(mean, covariance, count, protocol, images)


def frechet_distance(one, other):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) of two `Statistics`; a float, at least 0.

    Raises:
        ValueError: of other numbers of features, or of protocols that are both known and differ.

    Warns where one is of no more images than features (2,048 of Inception): the distance is then far too large, and
    compares with others of the same count only.
    """
    _check_comparable(one, other)
    size = len(one.mean)
    fewest = min(
        (count for count in (one.count, other.count) if count is not None), default=size + 1
    )
    if fewest <= size:
        warnings.warn(
            f"the Fréchet distance of {fewest} images by {size} features is biased upwards; use more images than that, "
            "and as many in what you compare it with",
            stacklevel=2,
        )
    cross = _trace_of_root(one.covariance, other.covariance)
    distance = (
        np.sum((one.mean - other.mean) ** 2)
        + np.trace(one.covariance)
        + np.trace(other.covariance)
        - 2 * cross
    )
    return float(max(distance, 0.0))


def _check_comparable(one, other):
    if one.mean.shape != other.mean.shape:
        sizes = f"{len(one.mean)} and {len(other.mean)}"
        raise ValueError(f"both statistics must be of as many features; received {sizes}")
    if one.protocol is None or other.protocol is None:
        return
    for key in sorted(one.protocol.keys() | other.protocol.keys()):
        values = [
            json.dumps(protocol.get(key), sort_keys=True)
            for protocol in (one.protocol, other.protocol)
        ]
        if values[0] != values[1]:
            raise ValueError(
                f"both statistics must be of one protocol; received {key} {values[0]} and {values[1]}"
            )


def _trace_of_root(one, other):
    """tr (S1 S2)^1/2 of two covariances [F, F]."""
    product = _factor(one).T @ _factor(
        other
    )  # [r1, r2]; the eigenvalues of S1 S2 are its singular values' squares
    if product.shape[0] > product.shape[1]:
        product = product.T
    return np.sqrt(
        np.linalg.eigvalsh(product @ product.T).clip(0)
    ).sum()  # a quarter of the time of an SVD


def _factor(covariance):
    """A, [F, r], with A A^T the covariance, of rank r."""
    rounding = len(covariance) * np.finfo("float64").eps
    try:
        factor = np.linalg.cholesky(covariance)
        pivots = np.diagonal(factor) ** 2
        if pivots.min() > rounding * pivots.max():  # else singular, and let through by rounding
            return factor
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(covariance)
    kept = values > rounding * values[-1]  # the others are only rounding, below zero or above
    return vectors[:, kept] * np.sqrt(values[kept])


def _finite(array):
    return bool(np.isfinite(array).all())
