"""Does a conditional model draw what was asked for? From a judge's predictions."""

import numpy as np


def label_accuracy(predicted, labels):
    """Share, in [0, 1], of the images for which the judge's class int [N] is the label int [N] that was asked for."""
    predicted, labels = _checked(predicted, labels)
    return float(np.mean(predicted == labels))


def classes_covered(predicted, labels, share=0.5):
    """Number of the classes asked for that the judge finds at least `share` times as often as they were asked for.

    It tells a class that the model has dropped, not one drawn under another's label: see `label_accuracy`.
    """
    predicted, labels = _checked(predicted, labels)
    asked, counts = np.unique(labels, return_counts=True)
    found = (predicted[:, None] == asked).sum(axis=0)  # [classes asked for]
    return int(np.sum(found >= share * counts))


def _checked(predicted, labels):
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"predictions and labels must be int [N], as many; received {list(predicted.shape)}, {list(labels.shape)}"
        )
    return predicted, labels
