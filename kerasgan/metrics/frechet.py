"""Fréchet distance between two sets of features, each taken for a normal distribution.

Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", arXiv
1706.08500. The trace of the root of S1 S2 is taken from the symmetric S1^1/2 S2 S1^1/2, which has the same eigenvalues:
real for any covariance, singular ones too.
"""

import numpy as np


def statistics(features):
    """Mean [F] and covariance [F, F] (of the sample, over N - 1) of features [N, F], in float64."""
    features = np.asarray(features, "float64")
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be [N, F] with N at least 2; received {list(features.shape)}")
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def frechet_distance(one, other):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) of two pairs (mean [F], covariance [F, F]); a float, at least 0."""
    (mean1, cov1), (mean2, cov2) = one, other
    if not np.shape(mean1) == np.shape(mean2) == np.shape(cov1)[1:] == np.shape(cov2)[1:]:
        raise ValueError(f"both statistics must be of as many features; received {len(mean1)} and {len(mean2)}")
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # rounding may leave eigenvalues just below zero
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov2 @ root).clip(0)).sum()
    distance = np.sum((mean1 - mean2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2 * cross
    return float(max(distance, 0.0))
