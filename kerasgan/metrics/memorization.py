"""Memorization: share of samples that lie much nearer to one training image than to any other.

A sample is memorized if its distance to the nearest training image is at most a third of its
distance to the second nearest one. Distances are Euclidean, in pixels in the paper, here in
features.

Reference:
    Yoon et al., 2023, "Diffusion Probabilistic Models Generalize when They Fail to Memorize", ICML
    Workshop on Structured Probabilistic Inference and Generative Modeling.
    Gu et al., 2023, "On Memorization in Diffusion Models", https://arxiv.org/abs/2310.02664

**What the rule does not see**: copies of a training image that occurs twice, because two training
images are then equally near; copies of parts; and copies that the features do not relate.
`metrics.diagnostics` compares with held-out images instead.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import check_features
from kerasgan.metrics.nearest import nearest

RATIO = 1 / 3  # Both papers.


def memorization(real: np.ndarray, fake: np.ndarray, ratio: float = RATIO) -> dict[str, float]:
    """Computes the share of memorized samples.

    Args:
        real: Features `[N, F]` of the training images, array or `np.memmap`.
        fake: Features `[M, F]` of the samples.
        ratio: Largest ratio of the distances to the nearest and to the second nearest training
            image at which a sample counts as memorized, in (0, 1).

    Returns:
        Dict with

        - `memorized`: share of memorized samples in [0, 1]; about 0 for a model that generalizes;
        - `nearest_ratio`: median ratio of the two distances in [0, 1]; 1 if both are 0.

    Raises:
        ValueError: If a shape, type or value of the features is wrong, or if `ratio` is not between
            0 and 1.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must be above 0 and below 1; received {ratio}")
    ratios = nearest_ratios(real, fake)
    return {"memorized": float(np.mean(ratios <= ratio)), "nearest_ratio": float(np.median(ratios))}


def nearest_ratios(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns the distance to the nearest over that to the second nearest training image, `[M]`."""
    check_features(real, fake)
    first, second = nearest(fake, real, k=2)[1].T
    return np.divide(first, second, out=np.ones(len(first)), where=second > 0)
