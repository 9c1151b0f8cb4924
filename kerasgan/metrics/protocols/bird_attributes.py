"""Attribute accuracy: share of the attributes in a caption that an image of a bird shows.

The shipped bird attribute classifier (zoo/bird_attribute_classifier.py) predicts the attributes. It
is trained on synthetic birds, so its scores compare with each other only.
"""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from kerasgan.datasets.synthetic_birds import ATTRIBUTES
from kerasgan.images import from_uint8, to_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.features.extract import features_and_logits

CLASSIFIER_FOLDER = Path(__file__).parents[2] / "presets" / "bird_attribute_classifier"
VALUES = [len(values) for values in ATTRIBUTES.values()]


def attribute_accuracy(
    images: np.ndarray, attributes: np.ndarray, classifier: keras.Model | None = None
) -> dict[str, Any]:
    """Computes the share of the requested attributes that images show.

    Args:
        images: Images `[N, S, S, 3]`, uint8 or float in [-1, 1]. They are rounded to 8 bits and
            resized to the classifier's size with antialiasing.
        attributes: Integers `[N, 7]` in the order of `ATTRIBUTES`: index of the value, or -1 where
            the caption does not mention the attribute. At least one value must be given.
        classifier: Classifier of all attribute values (one block of logits per attribute). Defaults
            to the shipped one.

    Returns:
        Dict with

        - `attribute_accuracy`: share in [0, 1] over all requested attributes;
        - `attribute_chance`: expected share of images that are independent of the captions;
        - `crown_accuracy`, `wing_accuracy`, ...: share of each attribute, where it is requested;
        - `protocol`: dict that describes the measurement.

    Raises:
        ValueError: If a shape, type or range is wrong.
        CheckpointError: If the shipped classifier is missing.
    """
    attributes = check_attributes(attributes, len(images))
    info: dict[str, Any] = {}
    if classifier is None:
        classifier, info = load_bird_attribute_classifier()
    _, predicted = predict_attributes(classifier, images)
    return accuracies(predicted, attributes) | {
        "protocol": protocol(info) | {"samples": len(attributes)}
    }


@functools.cache
def load_bird_attribute_classifier() -> tuple[keras.Model, dict]:
    """Loads the shipped classifier.

    Returns:
        The network, and a dict with its test accuracies and the checksum of its file.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    path = checkpoints.latest(CLASSIFIER_FOLDER, letter="C")
    if path is None:
        raise checkpoints.CheckpointError(
            f"No classifier in {CLASSIFIER_FOLDER}. Train it: "
            "python -m zoo.bird_attribute_classifier"
        )
    return checkpoints.load_network(path)


def check_attributes(attributes: np.ndarray, count: int) -> np.ndarray:
    """Checks the attributes requested for images and returns them as integers `[count, 7]`.

    Raises:
        ValueError: If the shape, the type or a value is wrong, or if no attribute is requested.
    """
    attributes = np.asarray(attributes)
    if attributes.shape != (count, len(VALUES)) or not np.issubdtype(attributes.dtype, np.integer):
        raise ValueError(
            f"Expected integer attributes [{count}, {len(VALUES)}], one row per image; received "
            f"{attributes.dtype} {list(attributes.shape)}."
        )
    if not ((attributes >= -1) & (attributes < VALUES)).all():
        raise ValueError(
            f"Attributes must be -1 or less than {VALUES}; received {attributes.min(0)} to "
            f"{attributes.max(0)}."
        )
    if not (attributes >= 0).any():
        raise ValueError("At least one attribute must be requested; received only -1.")
    return attributes


def predict_attributes(
    classifier: keras.Model, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classifier's features `[N, F]` and predicted attributes, integers `[N, 7]`."""
    features, heads = features_and_heads(classifier, images)
    return features, attributes_from_heads(heads)


def attributes_from_heads(heads: list[np.ndarray]) -> np.ndarray:
    """Returns the predicted attributes, integers `[N, 7]`, from the logits of each attribute."""
    return np.stack([head.argmax(axis=1) for head in heads], axis=1)


def features_and_heads(
    classifier: keras.Model, images: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Runs the classifier.

    Args:
        classifier: See `attribute_accuracy`.
        images: See `attribute_accuracy`.

    Returns:
        Features `[N, F]`, and a list of the logits `[N, values]` of each attribute.
    """
    features, logits = features_and_logits(
        classifier, from_uint8(resized(images, classifier.input_shape[1])), batch_size=100
    )
    if logits.shape[1] != sum(VALUES):
        raise ValueError(
            f"The classifier must have {sum(VALUES)} logits, one per attribute value; received "
            f"{logits.shape[1]}."
        )
    return features, np.split(logits, np.cumsum(VALUES)[:-1], axis=1)


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes square images, uint8 or float in [-1, 1], to uint8 `[N, size, size, 3]`.

    The filter is Pillow's antialiased bilinear one.
    """
    images = np.asarray(images)
    images = images if images.dtype == np.uint8 else to_uint8(images)
    if (
        images.ndim != 4
        or not len(images)
        or images.shape[1] != images.shape[2]
        or images.shape[3] != 3
    ):
        raise ValueError(f"Expected images [N, S, S, 3]; received {list(images.shape)}.")
    if images.shape[1] == size:
        return images
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in images]
    )


def accuracies(predicted: np.ndarray, attributes: np.ndarray) -> dict[str, float]:
    """Returns the numbers of `attribute_accuracy` from predicted attributes, integers `[N, 7]`."""
    requested = attributes >= 0
    correct = requested & (predicted == attributes)
    of_each = {
        f"{name}_accuracy": (correct[:, i].sum(), requested[:, i].sum())
        for i, name in enumerate(ATTRIBUTES)
    }
    return {
        "attribute_accuracy": float(correct.sum() / requested.sum()),
        "attribute_chance": float((requested / VALUES).sum() / requested.sum()),
        **{name: float(hits / count) for name, (hits, count) in of_each.items() if count},
    }


def protocol(info: dict) -> dict[str, Any]:
    """Returns the description of the measurement.

    Args:
        info: Dict from `load_bird_attribute_classifier`; empty for another classifier.
    """
    return {
        "classifier": "the bird attribute classifier" if info else "a network of the caller",
        "classifier_sha256": info.get("sha256"),
        "classifier_test_accuracy": info.get("test_accuracy"),
        "attributes": "those that the caption mentions",
        "chance": "uniform over the values of each attribute",
        "images": "rounded to 8 bits, resized to the classifier's size, bilinear and antialiased",
        "mode": "classifier in inference mode; sample with the generator in inference mode",
    }
