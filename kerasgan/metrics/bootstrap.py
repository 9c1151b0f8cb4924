"""Confidence intervals of scores by the bootstrap: the samples are resampled and scored again.

Only the samples are resampled; the reference is fixed. Scores of n samples with repetitions have
another bias than scores of n different samples (the Fréchet distance is larger), so the interval is
the spread of the resampled scores around their mean, moved to the score of all samples.

Repetitions are wrong in scores of nearest neighbors, whose balls they shrink. For these, each
resample is a random half of the samples without repetition, whose scores vary about as much as the
score of all samples does.

Reference:
    Efron, 1979, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7. For
    halves: Politis, Romano and Wolf, 1999, "Subsampling".
"""

from collections.abc import Callable

import numpy as np

RESAMPLES, SEED, LEVEL = 100, 0, 0.95


def intervals(
    score: Callable[[np.ndarray], dict[str, float]],
    count: int,
    scores: dict[str, float],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    *,
    halves: bool = False,
) -> dict[str, tuple[float, float]]:
    """Computes 95 % confidence intervals.

    Args:
        score: Function from indices of samples, integers `[n]`, to their scores.
        count: Number of samples.
        scores: Scores of all samples. Only these names are used.
        resamples: Number of resamples, at least 10.
        seed: Seed of the resamples.
        halves: If `True`, a resample is a random half of the samples; see the module.

    Returns:
        Dict from each name to the lower and the upper end.

    Raises:
        ValueError: If there are fewer than 4 samples or 10 resamples.
    """
    if count < 4 or resamples < 10:
        raise ValueError(
            "A bootstrap needs at least 4 samples and 10 resamples; received "
            f"{count} samples and {resamples} resamples."
        )
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(resamples):
        if halves:
            rows = np.sort(random.permutation(count)[: count // 2])
        else:
            rows = np.sort(random.integers(0, count, count))
        values = score(rows)
        for name in found:
            found[name].append(values[name])
    ends = {}
    for name, value in scores.items():
        moved = value + np.array(found[name]) - np.mean(found[name])
        low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        ends[name] = (float(low), float(high))
    return ends
