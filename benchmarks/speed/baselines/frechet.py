"""Fréchet distance as computed by pytorch-fid and torch-fidelity, reimplemented in NumPy and SciPy.

The features are random and have 2,048 dimensions, like those of Inception.
"""

import numpy as np

FEATURES, IMAGES = 2048, 10_000


def random_features(images: int = IMAGES, features: int = FEATURES, seed: int = 0) -> np.ndarray:
    """Return random features `[images, features]`, positive and correlated like a network's."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(64, features)).astype("float32")
    noise = random.normal(size=(images, features)).astype("float32")
    return np.abs(random.normal(size=(images, 64)).astype("float32") @ mix / 8 + noise)


def numpy_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean `[F]` and covariance `[F, F]` in float64, like pytorch-fid."""
    return features.mean(axis=0, dtype="float64"), np.cov(features, rowvar=False)


def matrix_root_distance(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the distance of two pairs (mean, covariance), by SciPy's matrix square root.

    pytorch-fid uses this method.
    """
    from scipy.linalg import sqrtm

    return _distance(one, other, np.trace(sqrtm(one[1] @ other[1])).real)


def product_eigenvalues_distance(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the distance of two pairs (mean, covariance), by eigenvalues of the product.

    torch-fidelity uses this method.
    """
    values = np.linalg.eigvals(one[1] @ other[1])
    return _distance(one, other, np.sqrt(values.astype("complex128")).real.sum())


def _distance(one, other, trace_of_root):
    (mean1, cov1), (mean2, cov2) = one, other
    return float(np.sum((mean1 - mean2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2 * trace_of_root)
