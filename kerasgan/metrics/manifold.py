"""Precision and recall, density and coverage of generated images in a feature space.

The manifold of a set is the union of balls around its features. The radius of a ball is the
distance to the k-th nearest neighbor in the same set, excluding the image itself. The reference
implementations are torch-fidelity and prdc.

Reference:
    Kynkäänniemi et al., 2019, "Improved Precision and Recall Metric for Assessing Generative
    Models", https://arxiv.org/abs/1904.06991
    Naeem et al., 2020, "Reliable Fidelity and Diversity Metrics for Generative Models",
    https://arxiv.org/abs/2002.09797

**Differences from the authors' code**

- The result is that of float64. Float32 products decide all pairs but those that lie on a border up
  to rounding, and these are compared by their float64 distances. Blocks keep memory independent of
  the number of images.
- Distances that differ by rounding only are equal. Otherwise, rounding would decide whether
  repeated images lie on the border of a ball.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import check_features
from kerasgan.metrics.nearest import centered, nearest, rounding

BLOCK = 2048  # Number of rows of each side at a time.
# Relative rounding error of a squared distance; a hundred times that of float64 for 2,048 features.
ROUNDING = 1e-11
# Number of undecided pairs per row above which a float64 product is faster than their differences.
UNDECIDED = 8


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> dict[str, float]:
    """Computes improved precision and recall.

    Args:
        real: Features `[N, F]` of real images, array or `np.memmap`, more than k rows. The paper
            uses 50,000 images and the second fully connected layer of VGG-16; other features give
            other numbers.
        fake: Features `[M, F]` of generated images, more than k rows.
        k: Number of the neighbor that gives the radius; 3 in the paper.

    Returns:
        Dict with

        - `precision`: share of `fake` inside at least one ball of `real`, border included (`<=`);
        - `recall`: share of `real` inside at least one ball of `fake`, border included.

    Raises:
        ValueError: If a shape is wrong, if there are too few rows, or if a feature is not finite.
    """
    _check(real, fake, k)
    real_radii, fake_radii = (
        _squared_radii(features, k, with_border=True) for features in (real, fake)
    )
    fake_inside, real_inside = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    for rows, columns, pairs in _blocks(real, fake):
        fake_inside[columns] |= pairs.within(real_radii[rows, None]).any(axis=0)
        real_inside[rows] |= pairs.within(fake_radii[columns]).any(axis=1)
    return {"precision": float(fake_inside.mean()), "recall": float(real_inside.mean())}


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Computes density and coverage.

    Args:
        real: See `precision_recall`. The paper uses features of Inception or of a random VGG-16.
        fake: See `precision_recall`.
        k: Number of the neighbor that gives the radius; 5 in the paper.

    Returns:
        Dict with

        - `density`: mean number of balls of `real` that contain an image of `fake`, divided by k,
          border excluded (`<`); it can exceed 1;
        - `coverage`: share of `real` whose ball contains at least one image of `fake`, border
          excluded.

    Raises:
        ValueError: See `precision_recall`.
    """
    _check(real, fake, k)
    radii = _squared_radii(real, k, with_border=False)
    balls, covered = 0, np.zeros(len(real), bool)
    for rows, _, pairs in _blocks(real, fake):
        inside = pairs.within(radii[rows, None])
        balls += np.count_nonzero(inside)
        covered[rows] |= inside.any(axis=1)
    return {"density": float(balls / (k * len(fake))), "coverage": float(covered.mean())}


def _check(real, fake, k):
    check_features(real, fake, least=1)
    if not 1 <= k < min(len(real), len(fake)):
        counts = f"{k} for {len(real)} and {len(fake)} images"
        raise ValueError(
            f"k must be at least 1 and less than both numbers of images; received {counts}"
        )


def _slices(count):
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def _blocks(one, other):
    # Subtracting any center near the data reduces rounding errors.
    center = np.asarray(one[:BLOCK], "float64").mean(axis=0)
    for rows in _slices(len(one)):
        for columns in _slices(len(other)):
            yield rows, columns, _Pairs(one[rows], other[columns], center)


class _Pairs:
    """All pairs of rows of two blocks of features."""

    def __init__(self, one, other, center):
        self.one, self.other, self.center = one, other, center
        (x, x_norms), (y, y_norms) = centered(one, center), centered(other, center)
        squares = x @ y.T
        squares *= -2
        squares += x_norms.astype(squares.dtype)[:, None]
        squares += y_norms.astype(squares.dtype)
        largest = np.sqrt(x_norms.max()) + np.sqrt(y_norms.max())
        self.squares, self.error = squares, 2 * rounding(x.shape[1]) * largest**2

    def within(self, limits):
        """Returns which squared distances are at most `limits` `[n, 1]` or `[m]`, bool `[n, m]`."""
        kind = self.squares.dtype
        inside = self.squares <= (limits - self.error).astype(kind)
        rows, columns = np.nonzero((self.squares <= (limits + self.error).astype(kind)) ^ inside)
        if len(rows) > UNDECIDED * len(self.squares):
            x, y = self.one - self.center, self.other - self.center
            norms = (np.einsum("nf,nf->n", side, side) for side in (x, y))
            return np.add.outer(*norms) - 2 * (x @ y.T) <= limits
        limits = np.broadcast_to(limits, inside.shape)
        for i in range(0, len(rows), BLOCK):
            at = rows[i : i + BLOCK], columns[i : i + BLOCK]
            differences = self.one[at[0]].astype("float64") - self.other[at[1]]
            inside[at] = np.einsum("nf,nf->n", differences, differences) <= limits[at]
        return inside


def _squared_radii(features, k, with_border):
    """Squared radii `[N]` of the balls, with a margin for rounding on the border."""
    center = np.asarray(features[:BLOCK], "float64").mean(axis=0)
    radii = np.empty(len(features))
    for rows in _slices(len(features)):
        queries = features if len(features) <= BLOCK else features[rows]
        own = np.arange(rows.start, rows.stop)
        distances = nearest(queries, features, own, k)[1].reshape(len(own), k)
        squares = distances[:, -1] ** 2
        norms = np.square(np.asarray(queries, "float64") - center).sum(axis=1)
        slack = ROUNDING * (norms + squares)
        radii[rows] = squares + slack if with_border else np.nextafter(squares - slack, -np.inf)
    return radii
