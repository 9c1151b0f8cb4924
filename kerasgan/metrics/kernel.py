"""Kernel distance between two sets of features: unbiased MMD^2 with the kernel (x . y / F + 1)^3.

With features of Inception, this is the Kernel Inception Distance (KID). The reference
implementation is torch-fidelity: equal seeds give equal results.

Reference:
    Bińkowski et al., 2018, "Demystifying MMD GANs", https://arxiv.org/abs/1801.01401

**Difference from the authors' code**: float64.
"""

from collections.abc import Callable

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
            for k in (polynomial_kernel(x, x), polynomial_kernel(y, y))
        )
        return within - 2 * polynomial_kernel(x, y).mean()

    return np.array([distance(*draw) for draw in draws])


def _with_shared_kernels(one, other, draws):
    """MMD^2 of each pair of subsets, from kernel matrices of all images.

    This is faster if most images occur in many subsets.
    """
    # 1 where an image is in a subset.
    masks = [np.zeros((len(draws), len(features))) for features in (one, other)]
    for mask, chosen in zip(masks, zip(*draws, strict=True), strict=True):
        np.put_along_axis(mask, np.stack(chosen), 1.0, axis=1)
    size = len(draws[0][0])

    def within(features, mask):
        diagonal = 0.0
        for rows, x in _blocks(features):
            diagonal = (
                diagonal + mask[:, rows] @ (np.einsum("nf,nf->n", x, x) / x.shape[1] + 1) ** 3
            )
        return (masked_sums(polynomial_kernel, features, features, mask, mask) - diagonal) / (
            size * (size - 1)
        )

    between = masked_sums(polynomial_kernel, one, other, *masks) / size**2
    return within(one, masks[0]) + within(other, masks[1]) - 2 * between


def masked_sums(
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray],
    one: np.ndarray,
    other: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    distinct: bool = False,
) -> np.ndarray:
    """Sums `rows[r, i] kernel[i, j] columns[r, j]` over all pairs, with blocks of the kernel.

    Args:
        kernel: Symmetric function of two blocks of features, `[n, m]`.
        one: Features `[N, F]`.
        other: Features `[M, F]`. If it is the same object as `one`, `rows` must equal `columns`;
            each pair is then computed once.
        rows: Weights `[R, N]`.
        columns: Weights `[R, M]`.
        distinct: If `True` and both sets are the same, pairs of an image and itself are left out.

    Returns:
        float64 `[R]`.
    """
    sums = np.zeros(len(rows))
    for i, x in _blocks(one):
        for j, y in _blocks(other):
            if one is other and j.start > i.start:
                break
            k = kernel(x, x if one is other and i == j else y)
            if one is other and i == j and distinct:
                np.fill_diagonal(k, 0)
            part = np.einsum("nm,nm->n", rows[:, i] @ k, columns[:, j])
            sums += 2 * part if one is other and i != j else part
    return sums


def _blocks(features):
    for start in range(0, len(features), BLOCK):
        rows = slice(start, min(start + BLOCK, len(features)))
        yield rows, np.asarray(features[rows], "float64")


BLOCK = 1000  # Number of images whose kernels with all others are in memory at a time.


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kernel `(x . y / F + 1)^3` of the rows of `[n, F]` and `[m, F]`, `[n, m]`."""
    k = x @ y.T  # NumPy computes x @ x.T in half the time.
    k /= x.shape[1]
    k += 1
    return k * k * k  # `k**3` is ten times slower.
