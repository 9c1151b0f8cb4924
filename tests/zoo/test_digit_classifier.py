import dataclasses
import json

import numpy as np
import pytest

from kerasgan.io import checkpoints
from kerasgan.metrics.features.extract import features_and_logits
from kerasgan.metrics.protocols.digits import CLASSIFIER_FOLDER, load_digit_classifier
from kerasgan.models.classifier import build_classifier
from zoo.digit_classifier import Settings, run
from zoo.training_data import WarpedBatches, warp

STILL = Settings(degrees=0, zoom=0, shear=0, shift=0)


def blobs(count):
    labels = np.arange(count) % 10
    images = np.full((count, 12, 12, 1), -1, "float32")
    for image, label in zip(images, labels, strict=True):
        image[
            2 + 4 * (label // 5) : 5 + 4 * (label // 5), 2 * (label % 5) : 2 * (label % 5) + 3
        ] = 1
    return images, labels


def test_warp_moves_images_within_its_limits():
    images = blobs(4)[0]
    np.testing.assert_allclose(warp(images, STILL, np.random.default_rng(0)), images, atol=1e-5)
    turned = warp(images, Settings(), np.random.default_rng(0))
    assert turned.min() >= -1 and turned.max() <= 1.0001 and np.abs(turned - images).mean() > 0.05
    shifted = warp(images, dataclasses.replace(STILL, shift=3), np.random.default_rng(0))
    ink = (images + 1).sum((1, 2, 3))
    np.testing.assert_allclose(
        (shifted[1:2] + 1).sum((1, 2, 3)), ink[1:2], rtol=1e-4
    )  # The image is moved, not changed.


def test_augmentation_is_a_function_of_seed_epoch_and_index():
    one, other = (WarpedBatches(Settings(), *blobs(40), 10, seed=3) for _ in range(2))
    other[0]
    np.testing.assert_array_equal(one[2][0], other[2][0])
    other.epoch = 1
    assert np.abs(one[2][0] - other[2][0]).max() > 0.1


def test_the_recipe_writes_the_classifier_and_its_log(tmp_path):
    settings = Settings(output_dir=str(tmp_path), epochs=2, batch_size=10, width=4, features=8)
    log = run(settings, train=blobs(100), test=blobs(20))
    assert json.loads((tmp_path / "log.json").read_text()) == log
    classifier, info = checkpoints.load_network(
        tmp_path / "digit_classifier_digits_12_C_epoch_2.h5"
    )
    accuracy = np.mean(features_and_logits(classifier, blobs(20)[0])[1].argmax(1) == blobs(20)[1])
    assert info["test_accuracy"] == log["test_accuracy"]
    assert log["test_accuracy"] == pytest.approx(
        accuracy, abs=0.051
    )  # The file is in half precision.


def test_the_shipped_classifier_has_the_settings_of_the_recipe():
    shipped, info = load_digit_classifier()
    built = build_classifier(width=Settings().width, features=Settings().features)
    assert [type(layer) for layer in shipped.layers] == [type(layer) for layer in built.layers]
    assert [weight.shape for weight in shipped.weights] == [
        weight.shape for weight in built.weights
    ]
    log = json.loads((CLASSIFIER_FOLDER / "log.json").read_text())
    differing = {
        name for name, value in vars(Settings()).items() if log["settings"].get(name) != value
    }
    assert differing <= {"output_dir", "augment"}
    assert (info["epoch"], info["test_accuracy"]) == (Settings().epochs, log["test_accuracy"])
