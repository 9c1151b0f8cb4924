"""Intra-class diversity: how far apart images of one class are; small beside the data's, it betrays mode collapse."""

import numpy as np


def intra_class_diversity(images, labels):
    """Mean over the classes of the mean Euclidean distance between two different images of the class.

    Args:
        images: array [N, ...]; the distance is over all its values, in their unit.
        labels: int array [N]; every label that occurs needs at least 2 images.

    Returns:
        A float. To judge a model, divide it by the same of the data.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) != len(labels):
        raise ValueError(
            f"images and labels must be as many; received {len(images)} and {len(labels)}"
        )
    return float(
        np.mean([_mean_distance(images[labels == label], label) for label in np.unique(labels)])
    )


def _mean_distance(images, label):
    count = len(images)
    if count < 2:
        raise ValueError(
            f"each class needs at least 2 images for a distance; label {label} has {count}"
        )
    flat = images.reshape(count, -1).astype(
        "float64"
    )  # the Gram form cancels: float32 would not do
    flat -= flat.mean(axis=0)
    norms = np.einsum("nd,nd->n", flat, flat)
    squares = norms[:, None] + norms - 2 * flat @ flat.T  # [count, count]
    np.fill_diagonal(squares, 0)
    return np.sqrt(squares.clip(0)).sum() / (count * (count - 1))
