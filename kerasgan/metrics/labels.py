"""Agreement of a classifier's predictions with the labels of class-conditional samples."""

import numpy as np


def label_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Computes the share of samples whose predicted class is their label.

    Args:
        predicted: Integers `[N]`, predicted classes.
        labels: Integers `[N]`, labels that the samples were generated from.

    Returns:
        A float in [0, 1].
    """
    predicted, labels = _checked(predicted, labels)
    return float(np.mean(predicted == labels))


def classes_covered(predicted: np.ndarray, labels: np.ndarray, share: float = 0.5) -> int:
    """Counts the classes with at least `share` times as many predictions as labels.

    A class that is never generated is not counted. Two classes with exchanged labels are counted;
    `label_accuracy` detects them.

    Args:
        predicted: Integers `[N]`, predicted classes.
        labels: Integers `[N]`, labels that the samples were generated from.
        share: Required ratio of predictions to labels.
    """
    predicted, labels = _checked(predicted, labels)
    classes, counts = np.unique(labels, return_counts=True)
    found = (predicted[:, None] == classes).sum(axis=0)  # [classes]
    return int(np.sum(found >= share * counts))


def _checked(predicted, labels):
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            "Expected predictions and labels [N] of equal length; received "
            f"{list(predicted.shape)} and {list(labels.shape)}."
        )
    return predicted, labels
