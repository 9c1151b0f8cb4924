"""How far two sets of style vectors w are apart, such as a mapping network's and an encoder's.

The training notes on StylEx (Lang et al., arXiv 2104.13369) ask whether a generator that is fed by both suffers from
their different distributions. The distance is Fréchet's (Heusel et al., arXiv 1706.08500); the linear probe is Fisher's
discriminant, trained on one half of each set and tested on the other.
"""

import numpy as np

from kerasgan.metrics.frechet import frechet_distance, statistics


def style_gap(one, other, seed=0):
    """Compare w of latents [N, D] with w of images [M, D], at least four of each.

    Args:
        one, other: float arrays.
        seed: of the halves.

    Returns:
        A dictionary of floats. w_frechet: the Fréchet distance; w_norm_ratio: mean length of `other` over that of
        `one`; w_probe_auc: the linear probe's area under the curve, 0.5 where it cannot tell them apart, 1 where it
        always can.

    Raises:
        ValueError: other shapes, or fewer than four.
    """
    one, other = np.asarray(one, "float64"), np.asarray(other, "float64")
    if (
        one.ndim != 2
        or other.ndim != 2
        or one.shape[1] != other.shape[1]
        or min(len(one), len(other)) < 4
    ):
        raise ValueError(
            f"styles must be [N, D] and [M, D], at least 4 of each; received {list(one.shape)} and {list(other.shape)}"
        )
    lengths = [np.linalg.norm(w, axis=1).mean() for w in (one, other)]
    return {
        "w_frechet": float(frechet_distance(statistics(one), statistics(other))),
        "w_norm_ratio": float(lengths[1] / max(lengths[0], 1e-12)),
        "w_probe_auc": probe_auc(one, other, seed),
    }


def probe_auc(one, other, seed=0):
    """Area under the curve of a linear probe that tells `other` [M, D] from `one` [N, D], on halves it has not seen."""
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
    return float((below + not_above).mean() / (2 * len(low)))  # a tie counts half
