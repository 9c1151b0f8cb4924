"""FD-infinity: the Fréchet distance of infinitely many samples, by linear extrapolation.

The Fréchet distance of N samples has a bias of about c / N, where c depends on the model. The
distances of random subsets of several sizes are fitted by a line in 1 / N; its value at 0 is the
score. The reference implementation is dgm-eval. Sizes and subsets are the same: equal random
generators give equal results.

Reference:
    Chong and Forsyth, 2020, "Effectively Unbiased FID and Inception Score and Where to Find Them",
    https://arxiv.org/abs/1911.07023

**Differences from the authors' code**

- Subsets are chosen from given samples, as in dgm-eval, and seeded. The authors also sample
  latents from a Sobol sequence.
- The bias due to the number of reference images remains, as in both programs.
"""

import warnings

import numpy as np

from kerasgan.metrics.feature_arrays import BLOCK, check_features
from kerasgan.metrics.frechet import Statistics, factor, statistics, trace_of_root

POINTS = 15  # Number of subset sizes, as in both programs.


def fd_infinity(
    real: np.ndarray | Statistics, fake: np.ndarray, points: int = POINTS, seed: int = 0
) -> float:
    """Extrapolates the Fréchet distance to infinitely many samples.

    Args:
        real: Features `[N, F]` of real images, or their statistics.
        fake: Features `[M, F]` of generated images, array or `np.memmap`, M at least 20.
        points: Number of subset sizes, at least 2. They are equally spaced between a tenth of M (at
            most 5,000) and M.
        seed: Seed of the subsets.

    Returns:
        A float. It can be slightly negative.

    Raises:
        ValueError: If a shape, type or value is wrong, or if there are too few samples.
    """
    if not isinstance(real, Statistics):
        check_features(real, fake)
        real = statistics(real)
    check_features(fake, least=20)
    if fake.shape[1] != len(real.mean):
        raise ValueError(
            f"Both sides must have the same number of features; received {len(real.mean)} and "
            f"{fake.shape[1]}."
        )
    if points < 2:
        raise ValueError(f"points must be at least 2; received {points}")
    count = len(fake)
    sizes = np.linspace(min(5000, max(count // 10, 2)), count, points).astype("int32")
    if sizes[0] <= fake.shape[1]:
        warnings.warn(
            f"the extrapolation of FD-infinity is not linear in subsets of {sizes[0]} images and "
            f"{fake.shape[1]} features; use more than ten times as many samples as features",
            stacklevel=2,
        )
    random, root = np.random.default_rng(seed), factor(real.covariance)
    distances = []
    for size in sizes:
        chosen = np.sort(random.choice(count, size, replace=False))
        mean, variance, own = _factor_of(fake, chosen)
        squares = np.sum((mean - real.mean) ** 2) + variance + np.trace(real.covariance)
        distances.append(squares - 2 * trace_of_root(root, own))
    return float(np.polyfit(1 / sizes, distances, 1)[1])


def _factor_of(features, rows):
    """Mean, trace of the covariance, and a factor of the covariance of some rows."""
    if len(rows) <= features.shape[1]:  # The centered rows themselves are a smaller factor.
        block = np.asarray(features[rows], "float64")
        mean = block.mean(axis=0)
        block = (block - mean) / np.sqrt(len(rows) - 1)
        return mean, np.sum(block**2), block.T
    starts = range(0, len(rows), BLOCK)
    mean, covariance, *_ = statistics(features[rows[i : i + BLOCK]] for i in starts)
    return mean, np.trace(covariance), factor(covariance)
