import json

import numpy as np
import pytest

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, parse_caption, synthetic_birds
from kerasgan.images import from_uint8
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.protocols.bird_attributes import (
    VALUES,
    accuracies,
    attribute_accuracy,
    predict_attributes,
    resized,
)
from kerasgan.models.classifier import build_deep_classifier


@pytest.fixture(scope="module")
def birds():
    """100 test birds, central crop of 128 pixels as in training."""
    birds = synthetic_birds("test", 100, size=152)
    return birds.images[:, 12:140, 12:140], birds.attributes, birds.captions


def test_birds_show_their_captions_and_not_others(birds):
    images, attributes, captions = birds
    requested = np.stack([parse_caption(each[0]) for each in captions])
    scores = attribute_accuracy(images, requested)
    assert scores["attribute_accuracy"] > 0.97
    assert set(scores) == {
        "attribute_accuracy",
        "attribute_chance",
        *(f"{name}_accuracy" for name in ATTRIBUTES),
        "protocol",
    }
    wrong = attribute_accuracy(images, (attributes + 1) % VALUES)
    assert wrong["attribute_accuracy"] < 0.03
    others = attribute_accuracy(images, np.roll(requested, 1, axis=0))  # Other species and scenes.
    assert others["attribute_accuracy"] == pytest.approx(others["attribute_chance"], abs=0.1)


def test_images_of_any_size_and_type(birds):
    images, attributes, _ = birds
    small = resized(images, 64)
    assert small.shape == (100, 64, 64, 3) and small.dtype == np.uint8
    assert attribute_accuracy(small, attributes)["attribute_accuracy"] > 0.9
    assert attribute_accuracy(from_uint8(images), attributes) == attribute_accuracy(
        images, attributes
    )
    large = np.repeat(np.repeat(images[:20], 2, axis=1), 2, axis=2)
    assert np.abs(resized(large, 128).astype(int) - images[:20]).mean() < 6


def test_only_requested_attributes_count():
    found = np.zeros((4, 7), int)
    attributes = np.full((4, 7), -1)
    attributes[:, 0], attributes[:2, 4], attributes[2, 4] = 0, 1, 0
    scores = accuracies(found, attributes)
    assert scores == {
        "attribute_accuracy": 5 / 7,
        "attribute_chance": pytest.approx((4 / 8 + 3 / 2) / 7),
        "crown_accuracy": 1.0,
        "size_accuracy": pytest.approx(1 / 3),
    }


def test_protocol_names_the_classifier(birds):
    protocol = json.loads(json.dumps(attribute_accuracy(birds[0], birds[1])))["protocol"]
    assert (
        protocol["classifier_sha256"]
        == bird_attributes.load_bird_attribute_classifier()[1]["sha256"]
        and protocol["samples"] == 100
    )
    assert set(protocol["classifier_test_accuracy"]) == {"64", "128", "256"}
    other = build_deep_classifier(16, width=2, features=4)
    assert (
        attribute_accuracy(birds[0], birds[1], other)["protocol"]["classifier"]
        == "a network of the caller"
    )
    assert [part.shape for part in predict_attributes(other, birds[0][:3])] == [(3, 4), (3, 7)]


BLACK = np.zeros((2, 8, 8, 3), "uint8")


@pytest.mark.parametrize(
    ("images", "attributes", "message"),
    [
        (
            BLACK,
            np.zeros((3, 7), int),
            r"Expected integer attributes \[2, 7\].*received int64 \[3, 7\]",
        ),
        (BLACK, np.zeros((2, 7)), r"Expected integer attributes \[2, 7\].*received float64"),
        (BLACK, np.full((2, 7), 8), "Attributes must be -1 or less than"),
        (BLACK, np.full((2, 7), -1), "At least one attribute must be requested"),
        (
            BLACK[:, :, :7],
            np.zeros((2, 7), int),
            r"Expected images \[N, S, S, 3\]; received \[2, 8, 7",
        ),
        (BLACK + 2.0, np.zeros((2, 7), int), "images must be finite and in"),
    ],
)
def test_bad_input(images, attributes, message):
    with pytest.raises(ValueError, match=message):
        attribute_accuracy(images, attributes, build_deep_classifier(16, width=2, features=4))
    with pytest.raises(
        ValueError, match="The classifier must have 36 logits, one per attribute value; received 10"
    ):
        predict_attributes(build_deep_classifier(16, classes=10, width=2, features=4), BLACK)


def test_a_missing_classifier(tmp_path, monkeypatch):
    monkeypatch.setattr(bird_attributes, "CLASSIFIER_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="Train it: python -m zoo.bird_attribute_classifier"):
        bird_attributes.load_bird_attribute_classifier.__wrapped__()
