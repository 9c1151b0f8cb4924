"""Difference between two distributions of style vectors w, for example of latents and images.

The training notes on StylEx (Lang et al., arXiv 2104.13369) ask whether different distributions
harm a generator that receives both. The measures are the Fréchet distance (Heusel et al., arXiv
1706.08500) and a linear probe: Fisher's discriminant, trained on one half of each set and tested on
the other half.
"""

import numpy as np

from kerasgan.metrics.frechet import frechet_distance, statistics


def style_gap(one: np.ndarray, other: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Compares two sets of style vectors.

    Args:
        one: Vectors `[N, D]`, at least 4; for example w of random latents.
        other: Vectors `[M, D]`, at least 4; for example w of encoded images.
        seed: Seed of the halves.

    Returns:
        Dict with `w_frechet` (Fréchet distance), `w_norm_ratio` (mean norm of `other` divided by
        that of `one`) and `w_probe_auc` (area under the ROC curve of the linear probe: 0.5 for
        equal distributions, 1 for separable ones).

    Raises:
        ValueError: If a shape is wrong, or if there are fewer than 4 vectors.
    """
    one, other = np.asarray(one, "float64"), np.asarray(other, "float64")
    if (
        one.ndim != 2
        or other.ndim != 2
        or one.shape[1] != other.shape[1]
        or min(len(one), len(other)) < 4
    ):
        raise ValueError(
            f"Expected styles [N, D] and [M, D], at least 4 each; received {list(one.shape)} and "
            f"{list(other.shape)}."
        )
    lengths = [np.linalg.norm(w, axis=1).mean() for w in (one, other)]
    return {
        "w_frechet": float(frechet_distance(statistics(one), statistics(other))),
        "w_norm_ratio": float(lengths[1] / max(lengths[0], 1e-12)),
        "w_probe_auc": probe_auc(one, other, seed),
    }


def probe_auc(one: np.ndarray, other: np.ndarray, seed: int = 0) -> float:
    """Computes the area under the ROC curve of a linear probe that separates two sets of vectors.

    Args:
        one: Vectors `[N, D]`.
        other: Vectors `[M, D]`.
        seed: Seed of the halves for training and testing.
    """
    random = np.random.default_rng(seed)
    (one, one_test), (other, other_test) = (
        np.array_split(random.permutation(w), 2) for w in (one, other)
    )
    centred = np.concatenate([one - one.mean(axis=0), other - other.mean(axis=0)])
    covariance = centred.T @ centred / len(centred)
    covariance += (1e-3 * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance))
    direction = np.linalg.solve(covariance, other.mean(axis=0) - one.mean(axis=0))
    low, high = np.sort(one_test @ direction), other_test @ direction
    below, not_above = (np.searchsorted(low, high, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(low)))  # Ties count half.
