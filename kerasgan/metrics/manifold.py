"""Precision and recall, density and coverage: how much of one set of features lies among the other's neighbours?

Sources: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", arXiv 1904.06991;
Naeem et al., "Reliable fidelity and diversity metrics for generative models", arXiv 2002.09797. A ball round each image
reaches to its k-th nearest neighbour in its own set, itself not counted.

*Differences from the authors' code*: float64 in place of float32 or float16, in blocks, so that memory does not grow
with the number of images; and distances that differ by no more than rounding are equal, so that repeated images, for
which it matters whether the border belongs to the ball, are told from rounding.
"""

import numpy as np

BLOCK = 2048  # rows of either side at a time
ROUNDING = 1e-11  # of a squared distance, relative to what it is computed from; a hundred times float64's for 2,048


def precision_recall(real, fake, k=3):
    """How many generated images lie among the real ones, and how many real ones among the generated.

    Args:
        real, fake: features [N, F] and [M, F], arrays or `np.memmap`, more than k rows each. The paper takes 50,000 of
            VGG-16's second fully connected layer; those of another network give other numbers.
        k: the neighbour that a ball reaches to; 3 in the paper.

    Returns:
        precision: share of `fake` in the ball of at least one of `real`, its border included (`<=`).
        recall: share of `real` in the ball of at least one of `fake`, its border included.

    Raises:
        ValueError: other shapes, too few rows, features that are not finite.
    """
    real, fake = _checked(real, fake, k)
    real_reach, fake_reach = (_reach(features, k, with_border=True) for features in (real, fake))
    fake_inside, real_inside = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    for rows, columns, squares in _blocks(real, fake):
        fake_inside[columns] |= (squares <= real_reach[rows, None]).any(axis=0)
        real_inside[rows] |= (squares <= fake_reach[columns]).any(axis=1)
    return {"precision": float(fake_inside.mean()), "recall": float(real_inside.mean())}


def density_coverage(real, fake, k=5):
    """How densely generated images lie among the real ones, and how many real ones have one near.

    Args:
        real, fake: as in `precision_recall`. The paper takes Inception's or a random VGG-16's features.
        k: the neighbour that a ball reaches to; 5 in the paper.

    Returns:
        density: mean number of balls of `real` that an image of `fake` lies in, its border not included (`<`), over k.
            It may pass 1.
        coverage: share of `real` with at least one of `fake` in its ball, its border not included.

    Raises:
        ValueError: as in `precision_recall`.
    """
    real, fake = _checked(real, fake, k)
    reach = _reach(real, k, with_border=False)
    balls, covered = 0, np.zeros(len(real), bool)
    for rows, _, squares in _blocks(real, fake):
        inside = squares < reach[rows, None]
        balls += np.count_nonzero(inside)
        covered[rows] |= inside.any(axis=1)
    return {"density": float(balls / (k * len(fake))), "coverage": float(covered.mean())}


class _Centred:
    """Features whose blocks come in float64 with `centre` taken off, and their squared norms."""

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
    if np.ndim(real) != 2 or np.ndim(fake) != 2 or np.shape(real)[1] != np.shape(fake)[1]:
        shapes = f"{list(np.shape(real))} and {list(np.shape(fake))}"
        raise ValueError(f"features must be [N, F] and [M, F]; received {shapes}")
    if not 1 <= k < min(len(real), len(fake)):
        counts = f"{k} for {len(real)} and {len(fake)} images"
        raise ValueError(
            f"k must be at least 1 and below the number of images on either side; received {counts}"
        )
    centre = np.asarray(real[:BLOCK], "float64").mean(
        axis=0
    )  # any will do; near the data, less is lost to rounding
    real, fake = _Centred(real, centre), _Centred(fake, centre)
    if not (np.isfinite(real.norms).all() and np.isfinite(fake.norms).all()):
        raise ValueError("features must be finite; received some that are not")
    return real, fake


def _slices(count):
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def _squares(one, rows, other, columns):
    """Squared distances [n, m], but for rounding."""
    x = one.block(rows)
    y = (
        x if one is other and rows == columns else other.block(columns)
    )  # a matrix times itself is half the work
    squares = x @ y.T
    squares *= -2
    squares += one.norms[rows, None]
    squares += other.norms[columns]
    return squares


def _blocks(one, other):
    for rows in _slices(len(one)):
        for columns in _slices(len(other)):
            yield rows, columns, _squares(one, rows, other, columns)


def _reach(features, k, with_border):
    """What a squared distance must be at most (with the border), or below, to be inside each row's ball; [N]."""
    nearest = np.full((len(features), k + 1), np.inf)  # the row itself is one of them

    def look(rows, squares):
        seen = np.concatenate([nearest[rows], squares], axis=1)
        seen.partition(k, axis=1)
        nearest[rows] = seen[:, : k + 1]

    slices = _slices(len(features))
    for i, rows in enumerate(slices):
        for columns in slices[i:]:  # a distance serves both of its ends
            squares = _squares(features, rows, features, columns)
            look(rows, squares)
            if columns != rows:
                look(columns, squares.T)
    radii = nearest.max(axis=1).clip(0)
    slack = ROUNDING * (features.norms + radii)
    return radii + slack if with_border else radii - slack
