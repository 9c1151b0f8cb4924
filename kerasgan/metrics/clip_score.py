"""CLIP score: mean cosine similarity of images and their captions in CLIP's embedding, times 100.

Image and caption embeddings come from one CLIP. Scores of different CLIPs do not compare. The
reference implementations are the authors' `clipscore`, whose factor is 2.5, and torchmetrics, whose
factor is 100.

Reference:
    Hessel et al., 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning",
    https://arxiv.org/abs/2104.08718
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasgan.metrics.feature_arrays import BLOCK, check_features, unit_rows

SCALE = 100.0  # torchmetrics and most papers on text-to-image models; 2.5 in Hessel et al.


class Captioned(NamedTuple):
    """Captions of samples, and a pair of encoders, for `scores`.

    Attributes:
        pair: Object with the methods `images` (uint8 RGB `[B, H, W, 3]` to embeddings `[B, D]`) and
            `texts` (list of B captions to embeddings `[B, D]`), and optionally `protocol`, a
            JSON-serializable description.
        captions: Caption of each sample.
        classes: Integers `[N]`, see `r_precision`; or `None`.
    """

    pair: Any
    captions: Sequence[str]
    classes: np.ndarray | None = None


class Agreement(NamedTuple):
    """Sums over pairs of an image and its caption. The sums of two sets add up.

    Attributes:
        count: Number of pairs.
        total: Sum of max(cosine, 0).
        squares: Sum of max(cosine, 0)^2.
    """

    count: int  # type: ignore[assignment]  # Hides `tuple.count`.
    total: float
    squares: float


def cosines(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Computes max(cosine similarity, 0) of each image and its caption.

    Args:
        images: Embeddings `[N, D]` of images. They need not be normalized.
        texts: Embeddings `[N, D]` of their captions.

    Returns:
        float64 `[N]` in [0, 1].

    Raises:
        ValueError: If a shape, type or value is wrong.
    """
    check_features(images, texts, least=1)
    if len(images) != len(texts):
        raise ValueError(
            f"Expected one caption per image ({len(images)}); received {len(texts)} captions."
        )
    pairs = (unit_rows(np.asarray(side, "float64")) for side in (images, texts))
    return np.einsum("nd,nd->n", *pairs).clip(0, 1)


def agreement(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Agreement:
    """Sums over a stream of blocks `(images [n, D], texts [n, D])`, one block at a time.

    Raises:
        ValueError: If a shape, type or value is wrong.
    """
    found = Agreement(0, 0.0, 0.0)
    for images, texts in pairs:
        values = cosines(images, texts)
        sums = Agreement(len(values), float(values.sum()), float(values @ values))
        found = merge(found, sums)
    return found


def merge(one: Agreement, other: Agreement) -> Agreement:
    """Returns the sums of the union of two sets, for example of two devices."""
    return Agreement(one.count + other.count, one.total + other.total, one.squares + other.squares)


def clip_score(
    images: np.ndarray | Agreement, texts: np.ndarray | None = None, scale: float = SCALE
) -> tuple[float, float]:
    """Computes mean and standard deviation of `scale * max(cosine, 0)` over pairs.

    Args:
        images: Embeddings `[N, D]` of (generated) images, or the `Agreement` of a stream.
        texts: Embeddings `[N, D]`; row i is the caption that image i was generated from.
        scale: Factor; 100 as in torchmetrics, 2.5 in the paper.

    Returns:
        Mean and standard deviation (divided by N), both in [0, scale].

    Raises:
        ValueError: If a shape, type or value is wrong, or if there are no pairs.
    """
    if not isinstance(images, Agreement):
        if texts is None:
            raise ValueError("texts must be the embeddings of the captions; received none")
        if len(images) != len(texts):
            raise ValueError(
                f"Expected one caption per image ({len(images)}); received {len(texts)} captions."
            )
        check_features(images, texts, least=1)
        starts = range(0, len(images), BLOCK)
        images = agreement((images[i : i + BLOCK], texts[i : i + BLOCK]) for i in starts)
    if not images.count:
        raise ValueError("Expected at least 1 pair of image and caption; received none.")
    mean = images.total / images.count
    return scale * mean, scale * max(images.squares / images.count - mean**2, 0.0) ** 0.5
