"""Intra-class diversity: mean distance between images of a class.

A value far below that of the data indicates mode collapse within classes.
"""

import numpy as np


def intra_class_diversity(images: np.ndarray, labels: np.ndarray) -> float:
    """Computes the mean Euclidean distance between two images of a class, averaged over classes.

    Args:
        images: Array `[N, ...]`. Distances are in the unit of its values.
        labels: Integers `[N]`; at least 2 images per label.

    Returns:
        A float. To evaluate a model, divide it by the value of the data.

    Raises:
        ValueError: If the lengths differ, or if a label has a single image.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) != len(labels):
        raise ValueError(f"Expected one label per image ({len(images)}); received {len(labels)}.")
    return float(
        np.mean([_mean_distance(images[labels == label], label) for label in np.unique(labels)])
    )


def _mean_distance(images, label):
    count = len(images)
    if count < 2:
        raise ValueError(f"Each class needs at least 2 images; label {label} has {count}.")
    # The Gram matrix form subtracts large numbers, so it needs float64.
    flat = images.reshape(count, -1).astype("float64")
    flat -= flat.mean(axis=0)
    norms = np.einsum("nd,nd->n", flat, flat)
    squares = norms[:, None] + norms - 2 * flat @ flat.T  # [count, count]
    np.fill_diagonal(squares, 0)
    return np.sqrt(squares.clip(0)).sum() / (count * (count - 1))
