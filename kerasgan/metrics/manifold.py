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

- float64 instead of float32 or float16, in blocks, so that memory does not grow with the number of
  images.
- Distances that differ by rounding only are equal. Otherwise, rounding would decide whether
  repeated images lie on the border of a ball.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import check_features

BLOCK = 2048  # Number of rows of each side at a time.
# Relative rounding error of a squared distance; a hundred times that of float64 for 2,048 features.
ROUNDING = 1e-11


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
    real, fake = _checked(real, fake, k)
    real_radii, fake_radii = (
        _squared_radii(features, k, with_border=True) for features in (real, fake)
    )
    fake_inside, real_inside = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    for rows, columns, squares in _blocks(real, fake):
        fake_inside[columns] |= (squares <= real_radii[rows, None]).any(axis=0)
        real_inside[rows] |= (squares <= fake_radii[columns]).any(axis=1)
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
    real, fake = _checked(real, fake, k)
    radii = _squared_radii(real, k, with_border=False)
    balls, covered = 0, np.zeros(len(real), bool)
    for rows, _, squares in _blocks(real, fake):
        inside = squares < radii[rows, None]
        balls += np.count_nonzero(inside)
        covered[rows] |= inside.any(axis=1)
    return {"density": float(balls / (k * len(fake))), "coverage": float(covered.mean())}


class _Centred:
    """Features minus `centre`, in float64 blocks, and their squared norms."""

    def __init__(self, features, centre):
        self.features, self.centre = features, centre
        self.norms = np.concatenate(
            [np.einsum("nf,nf->n", x, x) for x in map(self.block, _slices(len(self)))]
        )

    def __len__(self):
        return len(self.features)

    def block(self, rows):
        return np.asarray(self.features[rows], "float64") - self.centre


def _checked(real, fake, k):
    check_features(real, fake, least=1)
    if not 1 <= k < min(len(real), len(fake)):
        counts = f"{k} for {len(real)} and {len(fake)} images"
        raise ValueError(
            f"k must be at least 1 and less than both numbers of images; received {counts}"
        )
    # Subtracting any center near the data reduces rounding errors.
    centre = np.asarray(real[:BLOCK], "float64").mean(axis=0)
    return _Centred(real, centre), _Centred(fake, centre)


def _slices(count):
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def _squares(one, rows, other, columns):
    """Squared distances `[n, m]`, up to rounding."""
    x = one.block(rows)
    # NumPy computes x @ x.T in half the time.
    y = x if one is other and rows == columns else other.block(columns)
    squares = x @ y.T
    squares *= -2
    squares += one.norms[rows, None]
    squares += other.norms[columns]
    return squares


def _blocks(one, other):
    for rows in _slices(len(one)):
        for columns in _slices(len(other)):
            yield rows, columns, _squares(one, rows, other, columns)


def _squared_radii(features, k, with_border):
    """Squared radii `[N]` of the balls, with a margin for rounding on the border."""
    nearest = np.full((len(features), k + 1), np.inf)  # Includes the image itself.

    def update(rows, squares):
        candidates = np.concatenate([nearest[rows], squares], axis=1)
        candidates.partition(k, axis=1)
        nearest[rows] = candidates[:, : k + 1]

    slices = _slices(len(features))
    for i, rows in enumerate(slices):
        for columns in slices[i:]:  # Each distance is used for both images.
            squares = _squares(features, rows, features, columns)
            update(rows, squares)
            if columns != rows:
                update(columns, squares.T)
    radii = nearest.max(axis=1).clip(0)
    slack = ROUNDING * (features.norms + radii)
    return radii + slack if with_border else radii - slack
