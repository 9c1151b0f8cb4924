"""Kernel distance between two sets of features: the unbiased MMD^2 of a cubic kernel; KID, if they are Inception's.

Source: Bińkowski et al., "Demystifying MMD GANs", arXiv 1801.01401. The kernel is (x . y / F + 1)^3.

*Differences from the authors' code*: float64. The subsets are drawn as torch-fidelity draws them, so that a seed gives
one result there and here.
"""

import numpy as np


def kernel_distance(one, other, subsets=100, subset_size=1000, seed=2020):
    """Mean and standard deviation of the unbiased MMD^2 of random subsets.

    Args:
        one, other: features [N, F] and [M, F], arrays or `np.memmap`; torch-fidelity's first and second input. The
            distance is symmetric, the draw is not.
        subsets: number of pairs of subsets, each drawn without repeats.
        subset_size: images in a subset, at most the smaller of N and M.
        seed: of the draw.

    Returns:
        (mean, standard deviation over the subsets), floats. The mean is unbiased, so it may be a little below 0.

    Raises:
        ValueError: other shapes, fewer images than a subset wants, features that are not finite.
    """
    if np.ndim(one) != 2 or np.ndim(other) != 2 or np.shape(one)[1] != np.shape(other)[1]:
        shapes = f"{list(np.shape(one))} and {list(np.shape(other))}"
        raise ValueError(f"features must be [N, F] and [M, F]; received {shapes}")
    if subsets < 1:
        raise ValueError(f"subsets must be at least 1; received {subsets}")
    if not 2 <= subset_size <= min(len(one), len(other)):
        counts = f"{subset_size} of {len(one)} and {len(other)} images"
        raise ValueError(f"subset_size must be from 2 to the number of images on either side; received {counts}")
    random = np.random.RandomState(seed)
    values = np.empty(subsets)
    for i in range(subsets):
        x, y = (
            np.asarray(features[random.choice(len(features), subset_size, replace=False)], "float64")
            for features in (one, other)
        )  # [m, F] each
        values[i] = _mean_off_diagonal(_kernel(x, x)) + _mean_off_diagonal(_kernel(y, y)) - 2 * _kernel(x, y).mean()
    if not np.isfinite(values).all():
        raise ValueError("features must be finite; received some that are not")
    return float(values.mean()), float(values.std())


def _kernel(x, y):
    k = x @ y.T  # of a matrix with itself it takes half the time
    k /= x.shape[1]
    k += 1
    return k * k * k  # `** 3` is ten times slower


def _mean_off_diagonal(k):
    return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
