import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.images import from_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.protocols.bird_attributes import (
    CLASSIFIER_FOLDER,
    VALUES,
    load_bird_attribute_classifier,
    predict_attributes,
)
from kerasgan.models.classifier import build_deep_classifier
from zoo.bird_attribute_classifier import (
    SIZE,
    TEST_SIZES,
    Settings,
    accuracy,
    attribute_loss,
    run,
)
from zoo.training_data import DegradedBirds, degrade

NEW = Settings(smallest=128, noise=0, light=0)
TINY = Settings(epochs=1, batch_size=6, width=2, features=8)


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds("train", 24, size=152), synthetic_birds("test", 12)


def test_degrade_changes_images_within_its_limits(birds):
    images = birds[0].images[:12, :128, :128]
    np.testing.assert_array_equal(
        degrade(images, NEW, np.random.default_rng(0)), from_uint8(images)
    )
    worn = degrade(images, Settings(), np.random.default_rng(0))
    assert worn.dtype == np.float32 and worn.min() >= -1 and worn.max() <= 1
    assert 0.01 < np.abs(worn - from_uint8(images)).mean() < 0.1
    blurred = degrade(images, dataclasses.replace(NEW, smallest=40), np.random.default_rng(0))
    edges, sharp = (
        np.abs(np.diff(x, axis=2)).mean((1, 2, 3)) for x in (blurred, from_uint8(images))
    )
    assert (
        2 < np.sum(edges == sharp) < 10 and np.all(edges <= sharp) and np.any(edges < 0.9 * sharp)
    )


def test_degradation_is_a_function_of_seed_epoch_and_index(birds):
    one, other = (DegradedBirds(Settings(batch_size=8), birds[0], SIZE) for _ in range(2))
    other[0]
    for first, second in zip(one[2], other[2], strict=True):
        np.testing.assert_array_equal(first, second)
    assert one[2][0].shape == (8, SIZE, SIZE, 3) and one[2][1].shape == (8, 7)
    shown = np.concatenate([one[i][1] for i in range(3)])
    assert sorted(map(tuple, shown)) == sorted(map(tuple, birds[0].attributes))
    other.epoch = 1
    assert np.abs(one[2][0] - other[2][0]).max() > 0.1


def test_loss_and_accuracy_are_means_over_the_attributes(birds):
    shown = birds[0].attributes.astype("float32")  # Keras passes floats.
    right = np.concatenate(
        [np.eye(n)[birds[0].attributes[:, i]] for i, n in enumerate(VALUES)], axis=1
    )
    even = ops.convert_to_numpy(attribute_loss(shown, np.zeros_like(right, "float32")))
    np.testing.assert_allclose(even, np.mean(np.log(VALUES)), rtol=1e-5)
    sure = ops.convert_to_numpy(attribute_loss(shown, (50 * right).astype("float32")))
    np.testing.assert_allclose(sure, 0, atol=1e-5)
    right[:, :8] = np.roll(right[:, :8], 1, axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(accuracy(shown, right)), 6 / 7, rtol=1e-6)


def test_the_recipe_writes_the_classifier_and_its_log(tmp_path, birds):
    log = run(dataclasses.replace(TINY, output_dir=str(tmp_path)), *birds)
    assert json.loads((tmp_path / "log.json").read_text()) == log
    assert set(log["test_accuracy"]) == {"64", "128", "256"} and {"keras", "Pillow"} <= set(
        log["versions"]
    )
    assert all(set(shares) == {*ATTRIBUTES, "all"} for shares in log["test_accuracy"].values())
    classifier, info = checkpoints.load_network(
        tmp_path / "bird_attribute_classifier_synthetic_birds_128_C_epoch_1.h5"
    )
    middle = birds[1].images[:, 24:280, 24:280]
    found = np.mean(predict_attributes(classifier, middle)[1] == birds[1].attributes)
    assert found == pytest.approx(
        log["test_accuracy"]["256"]["all"], abs=0.03
    )  # The file is in half precision.
    assert info["test_accuracy"]["256"] == log["test_accuracy"]["256"]["all"]


def test_the_shipped_classifier_has_the_settings_of_the_recipe():
    shipped_one, info = load_bird_attribute_classifier()
    built = build_deep_classifier(SIZE, 3, sum(VALUES), Settings().width, Settings().features)
    assert [type(layer) for layer in shipped_one.layers] == [type(layer) for layer in built.layers]
    assert [weight.shape for weight in shipped_one.weights] == [
        weight.shape for weight in built.weights
    ]
    log = json.loads((CLASSIFIER_FOLDER / "log.json").read_text())
    settings = {"augment": "none"} | log["settings"]  # This option is newer than the file.
    assert settings | {"output_dir": None} == dataclasses.asdict(Settings()) | {"output_dir": None}
    assert info["epoch"] == Settings().epochs
    assert info["test_accuracy"] == {
        str(size): log["test_accuracy"][str(size)]["all"] for size in TEST_SIZES
    }
    assert log["test_accuracy"]["256"]["all"] >= 0.97 and log["test_birds"] == 1000
    assert sum(path.stat().st_size for path in CLASSIFIER_FOLDER.iterdir()) <= 2e6


def test_the_network_accepts_one_size():
    network = build_deep_classifier(32, classes=5, width=2, features=4)
    assert network.layers[-1].input.shape == (None, 4) and network.output_shape == (None, 5)
    assert [x.filters for x in network.layers if isinstance(x, keras.layers.Conv2D)] == [2, 4, 4]
    with pytest.raises(ValueError, match="size must be a power of 2, at least 16; received 48"):
        build_deep_classifier(48)
