"""The Fréchet distance as the usual programs compute it, in numpy and SciPy: our reading of their formulas.

Features are made up; of 2,048, as Inception's.
"""

import numpy as np

FEATURES, IMAGES = 2048, 10_000


def made_up_features(images=IMAGES, features=FEATURES, seed=0):
    """float32 [images, features], positive and correlated, as those of a network are."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(64, features)).astype("float32")
    noise = random.normal(size=(images, features)).astype("float32")
    return np.abs(random.normal(size=(images, 64)).astype("float32") @ mix / 8 + noise)


def numpy_statistics(features):
    """Mean [F] and covariance [F, F] as pytorch-fid and torch-fidelity take them, in float64."""
    return features.mean(axis=0, dtype="float64"), np.cov(features, rowvar=False)


def matrix_root_distance(one, other):
    """pytorch-fid's way: SciPy's root of the product of the covariances. Of two pairs (mean, covariance)."""
    from scipy.linalg import sqrtm

    return _distance(one, other, np.trace(sqrtm(one[1] @ other[1])).real)


def product_eigenvalues_distance(one, other):
    """torch-fidelity's way: the roots of the eigenvalues of that product, by a routine for any matrix."""
    values = np.linalg.eigvals(one[1] @ other[1])
    return _distance(one, other, np.sqrt(values.astype("complex128")).real.sum())


def _distance(one, other, trace_of_root):
    (mean1, cov1), (mean2, cov2) = one, other
    return float(np.sum((mean1 - mean2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2 * trace_of_root)
