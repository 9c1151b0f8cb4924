"""GAN-train and GAN-test with a classifier whose accuracy is known, and with a small network."""

import keras
import numpy as np
import pytest

from kerasgan.metrics.classification_accuracy import accuracy, gan_test, gan_train, keras_fit

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3
REAL = np.eye(3)[LABELS] + RANDOM.normal(0, 0.01, (60, 3))


def nearest_mean(images, labels):
    """Trains the classifier that predicts the class with the nearest mean."""
    means = np.stack([images[labels == label].mean(axis=0) for label in np.unique(labels)])
    return lambda x: -np.square(x[:, None] - means).sum(axis=2)


def test_collapse_wrong_labels_and_good_samples():
    wrong = (LABELS + (LABELS == 0)) % 3  # Class 0 is labelled as 1.
    assert gan_train(nearest_mean, (REAL, LABELS), (REAL, LABELS)) == 1
    assert gan_test(nearest_mean, (REAL, LABELS), (REAL, LABELS)) == 1
    assert gan_test(nearest_mean, (REAL, LABELS), (REAL, wrong)) == pytest.approx(2 / 3)
    # Samples of class 0 that all look like class 1 lower both.
    bad = np.where(LABELS[:, None] == 0, np.eye(3)[1] + 0.1, REAL)
    assert gan_test(nearest_mean, (REAL, LABELS), (bad, LABELS)) == pytest.approx(2 / 3)
    assert gan_train(nearest_mean, (bad, LABELS), (REAL, LABELS)) <= 2 / 3 + 1e-9


def test_counts_of_streams_add_up():
    classify = nearest_mean(REAL, LABELS)
    parts = zip(np.array_split(REAL, 7), np.array_split((LABELS + 1) % 3, 7), strict=True)
    assert accuracy(classify, parts) == (0, 60)
    assert accuracy(lambda x: np.zeros(len(x), int), [(REAL, LABELS)]) == (20, 60)


@pytest.mark.backend
def test_a_keras_classifier():
    def build():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])

    fit = keras_fit(build, epochs=30, learning_rate=0.1)
    assert gan_train(fit, (REAL, LABELS), (REAL, LABELS)) == 1
    shuffled = RANDOM.permutation(LABELS)
    assert gan_train(fit, (REAL, shuffled), (REAL, LABELS)) < 1


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((REAL, LABELS[:5]), (REAL, LABELS), r"one integer label per train image \(60\)"),
        ((REAL, LABELS), (REAL, LABELS / 1), "integer label per test image .* received float64"),
        ((REAL * np.nan, LABELS), (REAL, LABELS), "train images must be finite"),
        ((REAL.astype(str), LABELS), (REAL, LABELS), "real numbers; received <U"),
        ((REAL[:, :2], LABELS), (REAL, LABELS), r"one shape; received \[2\] and \[3\]"),
        ((REAL, LABELS * 0), (REAL, LABELS), "all classes of the test; class 1 is missing"),
        ((REAL[:0], LABELS[:0]), (REAL, LABELS), "Expected train images"),
    ],
)
def test_bad_input(train, test, message):
    with pytest.raises(ValueError, match=message):
        gan_train(nearest_mean, train, test)
