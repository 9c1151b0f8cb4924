"""Kernel distance between two sets of features: unbiased MMD^2 with the kernel (x . y / F + 1)^3.

With features of Inception, this is the Kernel Inception Distance (KID). The reference
implementation is torch-fidelity: equal seeds give equal results.

Reference:
    Bińkowski et al., 2018, "Demystifying MMD GANs", https://arxiv.org/abs/1801.01401

**Difference from the authors' code**: float64.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import check_features


def kernel_distance(
    one: np.ndarray,
    other: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> tuple[float, float]:
    """Computes mean and standard deviation of the unbiased MMD^2 of random subsets.

    Args:
        one: Features `[N, F]`, array or `np.memmap`; the first input of torch-fidelity.
        other: Features `[M, F]`; the second input of torch-fidelity. The distance is symmetric, the
            choice of subsets is not.
        subsets: Number of pairs of subsets, sampled without replacement.
        subset_size: Number of images per subset, at most min(N, M).
        seed: Seed of the subsets.

    Returns:
        Mean and standard deviation over the subsets. The mean is unbiased and can be slightly
        negative.

    Raises:
        ValueError: If a shape is wrong, if there are too few images, or if a feature is not finite.
    """
    check_features(one, other, least=1)
    if subsets < 1:
        raise ValueError(f"subsets must be at least 1; received {subsets}")
    if not 2 <= subset_size <= min(len(one), len(other)):
        counts = f"{subset_size} of {len(one)} and {len(other)} images"
        raise ValueError(
            f"subset_size must be between 2 and the smaller number of images; received {counts}"
        )
    random = np.random.RandomState(seed)
    draws = [
        [random.choice(len(x), subset_size, replace=False) for x in (one, other)]
        for _ in range(subsets)
    ]
    n, m = len(one), len(other)
    shared = n * n + m * m + n * m < 2 * subsets * subset_size**2
    values = (_with_shared_kernels if shared else _with_own_kernels)(one, other, draws)
    return float(values.mean()), float(values.std())


def _with_own_kernels(one, other, draws):
    """MMD^2 of each pair of subsets, from kernel matrices of the pair."""

    def distance(rows, columns):
        x, y = (
            np.asarray(features[chosen], "float64")
            for features, chosen in ((one, rows), (other, columns))
        )
        within = sum(
            (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
            for k in (_kernel(x, x), _kernel(y, y))
        )
        return within - 2 * _kernel(x, y).mean()

    return np.array([distance(*draw) for draw in draws])


def _with_shared_kernels(one, other, draws):
    """MMD^2 of each pair of subsets, from kernel matrices of all images.

    This is faster if most images occur in many subsets.
    """
    x, y = (np.asarray(features, "float64") for features in (one, other))
    # 1 where an image is in a subset.
    masks = [np.zeros((len(draws), len(features))) for features in (x, y)]
    for mask, chosen in zip(masks, zip(*draws, strict=True), strict=True):
        np.put_along_axis(mask, np.stack(chosen), 1.0, axis=1)
    size = len(draws[0][0])

    def total(x, y, rows, columns):
        """Sum of the kernel of each pair of subsets."""
        blocks = (slice(start, start + BLOCK) for start in range(0, len(x), BLOCK))
        return sum(np.einsum("nm,nm->n", rows[:, i] @ _kernel(x[i], y), columns) for i in blocks)

    def within(x, mask):
        diagonal = mask @ (np.einsum("nf,nf->n", x, x) / x.shape[1] + 1) ** 3
        return (total(x, x, mask, mask) - diagonal) / (size * (size - 1))

    return within(x, masks[0]) + within(y, masks[1]) - 2 * total(x, y, *masks) / size**2


BLOCK = 1000  # Number of images whose kernels with all others are in memory at a time.


def _kernel(x, y):
    k = x @ y.T  # NumPy computes x @ x.T in half the time.
    k /= x.shape[1]
    k += 1
    return k * k * k  # `k**3` is ten times slower.
