"""Vendi score: effective number of different images in a set, by the entropy of similarities.

The score is exp of the Shannon entropy of the eigenvalues of K / N, where K are the cosine
similarities of the features. It is 1 if all images are equal and N if no two are similar. It uses
no reference: noise that fills the feature space scores high. The reference implementations are
`vendi_score` and dgm-eval.

Reference:
    Friedman and Dieng, 2023, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning",
    https://arxiv.org/abs/2210.02410

**Difference from the authors' code**: the positive eigenvalues of the N x N similarities are those
of an F x F matrix, which is a sum over images. The smaller of the two is used, so a stream of
features needs constant memory and parts of it can be added.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kerasgan.metrics.feature_arrays import blocks, check_features, unit_rows


class Similarities(NamedTuple):
    """Sum of the outer products of normalized features, which suffices for the score.

    Attributes:
        products: Sum `[F, F]`, float64.
        count: Number of images.
    """

    products: np.ndarray
    count: int  # type: ignore[assignment]  # Hides `tuple.count`.


def similarities(features: np.ndarray | Iterable[np.ndarray]) -> Similarities:
    """Computes the sum of outer products of features, one block at a time.

    Args:
        features: Array or `np.memmap` `[N, F]`, or an iterable of blocks `[n, F]`.

    Raises:
        ValueError: If a shape, type or value is wrong.
    """
    products, count = np.zeros((0, 0)), 0
    for part in [features] if hasattr(features, "shape") else features:
        check_features(*([part] if not count else [part, products[:1]]), least=1)
        for block in blocks(part):
            block = unit_rows(block)
            products = block.T @ block + (products if count else 0)
            count += len(block)
    if not count:
        raise ValueError("Expected features [N, F]; received no block.")
    return Similarities(products, count)


def merge(one: Similarities, other: Similarities) -> Similarities:
    """Returns the similarities of the union of two sets, for example of two devices.

    Raises:
        ValueError: If the numbers of features differ.
    """
    if one.products.shape != other.products.shape:
        received = f"{len(one.products)} and {len(other.products)}"
        raise ValueError(f"Both sets must have the same number of features; received {received}.")
    return Similarities(one.products + other.products, one.count + other.count)


def vendi_score(features: np.ndarray | Iterable[np.ndarray] | Similarities) -> float:
    """Computes the Vendi score of order 1 with cosine similarities.

    Args:
        features: Array or `np.memmap` `[N, F]`, an iterable of blocks `[n, F]`, or `Similarities`.

    Returns:
        A float in [1, min(N, F)].

    Raises:
        ValueError: If a shape, type or value is wrong.
    """
    few = isinstance(features, np.ndarray) and features.ndim == 2 and len(features)
    if isinstance(features, np.ndarray) and few and few < features.shape[1]:
        check_features(features, least=1)
        rows = unit_rows(np.asarray(features, "float64"))
        matrix, count = rows @ rows.T, len(rows)
    else:
        matrix, count = features if isinstance(features, Similarities) else similarities(features)
    shares = np.linalg.eigvalsh(matrix) / count
    # Eigenvalues that are zero up to rounding may be negative.
    shares = shares[shares > len(shares) * np.finfo("float64").eps * shares[-1]]
    return float(np.exp(-(shares * np.log(shares)).sum()))
