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
        raise ValueError(
            f"subset_size must be from 2 to the number of images on either side; received {counts}"
        )
    random = np.random.RandomState(seed)
    draws = [
        [random.choice(len(x), subset_size, replace=False) for x in (one, other)]
        for _ in range(subsets)
    ]
    n, m = len(one), len(other)
    way = _of_all if n * n + m * m + n * m < 2 * subsets * subset_size**2 else _of_each
    values = way(one, other, draws)
    if not np.isfinite(values).all():
        raise ValueError("features must be finite; received some that are not")
    return float(values.mean()), float(values.std())


def _of_each(one, other, draws):
    """MMD^2 of each draw, from its own kernels."""

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


def _of_all(one, other, draws):
    """The same of a few images, most of which come in many draws: from kernels of all images, each made once."""
    x, y = (np.asarray(features, "float64") for features in (one, other))
    drawn = [
        np.zeros((len(draws), len(features))) for features in (x, y)
    ]  # 1 where an image is in a draw
    for which, chosen in zip(drawn, zip(*draws, strict=True), strict=True):
        np.put_along_axis(which, np.stack(chosen), 1.0, axis=1)
    size = len(draws[0][0])

    def total(x, y, rows, columns):  # of each draw's kernel
        blocks = (slice(start, start + BLOCK) for start in range(0, len(x), BLOCK))
        return sum(np.einsum("nm,nm->n", rows[:, i] @ _kernel(x[i], y), columns) for i in blocks)

    def within(x, which):
        diagonal = which @ (np.einsum("nf,nf->n", x, x) / x.shape[1] + 1) ** 3
        return (total(x, x, which, which) - diagonal) / (size * (size - 1))

    return within(x, drawn[0]) + within(y, drawn[1]) - 2 * total(x, y, *drawn) / size**2


BLOCK = 1000  # images, whose kernel with all others is in memory at a time


def _kernel(x, y):
    k = x @ y.T  # of a matrix with itself it takes half the time
    k /= x.shape[1]
    k += 1
    return k * k * k  # `** 3` is ten times slower
