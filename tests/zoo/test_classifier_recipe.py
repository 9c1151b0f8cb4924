"""Classifiers that StylEx explains: their classes, and the file that the recipe writes."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import zoo.classifier
from kerasgan.datasets.digits import load_digits
from kerasgan.io import checkpoints
from kerasgan.models.stylex import check_classifier
from zoo.classifier import Settings, balanced, balanced_batches, load, run, task_name


def test_digits():
    (images, labels), heldout, names = load("digits", "8,9", 32, 3, 0)
    assert names == ["8", "9"] and images.shape == (800, 32, 32, 1) and len(heldout[0]) == 200
    digits, classes = load_digits()
    np.testing.assert_array_equal(images[:, 2:-2, 2:-2], digits[classes >= 8])
    assert (images[:, :2] == -1).all() and labels.tolist() == (classes[classes >= 8] - 8).tolist()
    (images, labels), _, names = load("digits", "8,rest", 32, 3, 0)
    assert (
        names == ["8", "rest"]
        and len(images) == 4000
        and labels.tolist() == (classes != 8).astype(int).tolist()
    )


def test_classes_are_balanced_and_digits_warped():
    train = load("digits", "8,rest", 32, 3, 0)[0]
    images, labels = balanced(*train)
    assert np.bincount(labels).tolist() == [3600, 3600]
    np.testing.assert_array_equal(images[400], images[0])
    fed = balanced_batches("digits", train, 50, 0, 2)
    assert fed.num_batches == 144 and 10 < fed[0][1].sum() < 40
    place = fed.order()[0]
    assert 0 < np.abs(fed[0][0][0] - images[place]).mean() < 0.3


def test_synthetic_birds():
    train, heldout, names = load("synthetic_birds", "size", 16, 3, 8)
    assert (
        names == ["small", "large"] and train[0].shape == (8, 16, 16, 3) and set(train[1]) == {0, 1}
    )
    assert len(heldout[0]) == 2
    train, _, names = load("synthetic_birds", "pose:flying,perched", 16, 3, 30)
    assert names == ["flying", "perched"] and 10 < len(train[0]) < 30 and set(train[1]) == {0, 1}


def test_a_folder(tmp_path):
    for name, count in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        for index in range(count):
            Image.new("L", (9, 8), 30 * index).save(tmp_path / name / f"{index}.png")
    train, heldout, names = load(str(tmp_path), "", 8, 1, 0)
    assert names == ["one", "two"] and len(train[0]) == 5 and len(heldout[0]) == 2
    assert task_name(str(tmp_path), "8,9") == "folder"
    (tmp_path / "two").rename(tmp_path / "one" / "two")
    with pytest.raises(ValueError, match="a folder must hold at least 2 class folders; .* has 1"):
        load(str(tmp_path), "", 8, 1, 1)


def test_names():
    assert (
        task_name("digits", "8,rest") == "digits_8_rest" and task_name("plants", "8,9") == "plants"
    )
    assert task_name("synthetic_birds", "belly:yellow,blue") == "synthetic_birds_belly_yellow_blue"


def test_the_recipe_writes_a_classifier_and_its_log(tmp_path, monkeypatch):
    train, heldout, names = load("digits", "8,9", 32, 3, 0)
    few = *((images[:40], labels[:40]) for images, labels in (train, heldout)), names
    monkeypatch.setattr(zoo.classifier, "load", lambda *task: few)
    path, log = run(
        Settings(output_dir=str(tmp_path), epochs=4, batch_size=20, width=4, features=8)
    )
    assert path.name == "classifier_digits_8_9_32_C_epoch_4.h5"
    assert json.loads(path.with_suffix(".json").read_text()) == log
    network, info = checkpoints.load_network(path)
    assert check_classifier(network) == ((32, 32, 1), 2)
    assert info["heldout_accuracy"] == log["heldout_accuracy"] and info["classes"] == ["8", "9"]
    found = keras.ops.convert_to_numpy(network(heldout[0][:40], training=False)).argmax(axis=1)
    assert log["heldout_images"] == 40
    assert log["heldout_accuracy"] == pytest.approx(
        np.mean(found == heldout[1][:40]), abs=0.051
    )  # Half precision.


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (("digits", "8", 32), "classes must be digits, such as 8,9 or 8,rest; received '8'"),
        (
            ("digits", "rest,8", 32),
            "classes must be digits, such as 8,9 or 8,rest; received 'rest,8'",
        ),
        (("digits", "8,8", 32), "classes must be digits, such as 8,9 or 8,rest; received '8,8'"),
        (("digits", "8,9", 64), r"size must be 32 for digits \(28 and a margin\); received 64"),
        (
            ("synthetic_birds", "tail", 16),
            "classes must be an attribute of birds, crown, .*; received 'tail'",
        ),
        (("synthetic_birds", "belly:yellow,pink", 16), "classes must be an attribute of birds"),
        (("no_folder", "", 16), "path must be a folder of class sub-folders; received no_folder"),
    ],
)
def test_invalid_classes(task, message):
    with pytest.raises(ValueError, match=message):
        load(*task, 3, 4)
