import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets import prepared
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.metrics.features import slim_inception
from kerasgan.metrics.features.inception import TENSORS
from kerasgan.metrics.features.slim_inception import SlimInception, build_slim_inception, norm_of
from zoo import inception
from zoo.inception import (
    Settings,
    class_folders,
    load,
    run,
    set_weights,
    split_indices,
    with_dropout,
)
from zoo.training_data import Crops

TINY = Settings(size=75, width=0.1, epochs=6, batch_size=6, smallest=0.9, dropout=0.0)


@pytest.fixture
def shallow(monkeypatch):
    """Uses three of the eleven blocks, because tracing all of them takes long."""
    blocks = ("mixed_35x35x256a", "mixed_17x17x768a", "mixed_8x8x2048b")
    monkeypatch.setattr(
        slim_inception, "BLOCKS", {name: slim_inception.BLOCKS[name] for name in blocks}
    )


@pytest.fixture(scope="module")
def birds():
    """Birds of three classes with numbers other than 0, 1, 2. Each class has its own brightness, so
    that few training steps suffice.
    """
    data = synthetic_birds("test", 15, size=80)
    kinds = data.classes % 3
    for image, kind in zip(data.images, kinds, strict=True):
        image[..., kind] = 255
    return data.images, kinds * 10 + 5


@pytest.mark.nightly
def test_the_recipe_writes_an_extractor_with_its_protocol(shallow, tmp_path, birds):
    log = run(dataclasses.replace(TINY, output_dir=str(tmp_path)), *birds)
    assert json.loads((tmp_path / "log.json").read_text()) == log
    assert len(log["losses"]) == 6 and log["losses"][-1] < 0.8 * log["losses"][0]
    path = tmp_path / "inception_synthetic_birds_75_C_epoch_6.h5"
    extractor = SlimInception(path)
    features, logits = extractor(birds[0])
    assert features.shape == (15, 203) and logits.shape == (15, 3) and np.ptp(logits) > 0
    protocol = extractor.protocol
    assert (
        protocol["fine_tuned_on"] == "12 images of 3 classes of synthetic_birds, split test"
        and len(protocol["sha256"]) == 64
    )
    assert (
        protocol["started_from"].startswith("random weights")
        and protocol["checkpoint"] == path.name
    )
    assert "75 x 75" in protocol["resize"] and "never" in protocol["compares_with"]
    labels = np.unique(birds[1], return_inverse=True)[1]
    _, held = split_indices(labels, TINY.held_out, TINY.seed)
    right = logits[held].argmax(axis=1) == labels[held]
    assert log["held_out_images"] == 3 and log["held_out_accuracy"] == pytest.approx(
        right.mean(), abs=1e-4
    )
    card = (tmp_path / "card.md").read_text()
    assert all(
        words in card for words in (path.name, "12 images of 3 classes", "random weights", "never")
    )


@pytest.mark.nightly
def test_a_killed_run_resumes_with_the_same_result(shallow, tmp_path, birds, monkeypatch):
    settings = [
        dataclasses.replace(TINY, epochs=3, dropout=0.5, output_dir=str(tmp_path / name))
        for name in "ab"
    ]
    whole = run(settings[0], *birds)

    begin = inception.callbacks.CSVLog.on_epoch_begin

    def kill(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(inception.callbacks.CSVLog, "on_epoch_begin", kill)
        run(settings[1], *birds)
    resumed = run(settings[1], *birds)
    assert (
        resumed["losses"] == pytest.approx(whole["losses"], abs=1e-3)
        and len(resumed["losses"]) == 3
    )
    assert not list((tmp_path / "b").glob("backup*/*"))


def test_dropout_is_between_features_and_logits(shallow):
    network = build_slim_inception(3, 75, 0.02, batch_norm=True)
    model = with_dropout(network, 0.5)
    assert [id(weight) for weight in model.trainable_weights] == [
        id(weight) for weight in network.trainable_weights
    ]
    assert model.layers[-1] is network.layers[-1] and model.layers[-2].rate == 0.5


def test_crops_are_a_function_of_seed_epoch_and_index(birds):
    labels, fours = np.arange(15) % 3, dataclasses.replace(TINY, batch_size=4)
    one, other = (Crops(birds[0], labels, np.arange(3, 15), fours) for _ in range(2))
    other[0]
    for first, second in zip(one[2], other[2], strict=True):
        np.testing.assert_array_equal(first, second)
    images, classes = one[0]
    assert (
        len(one) == 3 and images.shape == (4, 75, 75, 3) and -1 <= images.min() < images.max() <= 1
    )
    shown = sum(one[i][1].sum(axis=0) for i in range(3))
    np.testing.assert_array_equal(shown, [4, 4, 4])  # Each image occurs once.
    other.epoch = 1
    assert np.abs(one[2][0] - other[2][0]).max() > 0.1
    whole = dataclasses.replace(TINY, size=80, smallest=1.0)
    for image in Crops(birds[0], labels, np.arange(3), dataclasses.replace(whole, batch_size=3))[0][
        0
    ]:
        found = np.rint((image + 1) * 127.5).astype("uint8")  # The full image, mirrored or not.
        assert any(
            np.array_equal(found, expected)
            for bird in birds[0][:3]
            for expected in (bird, bird[:, ::-1])
        )


def test_a_part_of_each_class_is_held_out():
    labels = np.repeat(np.arange(3), [2, 10, 40])
    train, held = split_indices(labels, 0.1, seed=0)
    assert sorted([*train, *held]) == list(range(52))
    np.testing.assert_array_equal(np.bincount(labels[held]), [1, 1, 4])
    assert (
        list(held)
        == list(split_indices(labels, 0.1, seed=0)[1])
        != list(split_indices(labels, 0.1, seed=1)[1])
    )
    with pytest.raises(ValueError, match="two images, one to hold out; class 1 has one"):
        split_indices(np.array([0, 0, 1]), 0.1, seed=0)


def test_a_folder_of_class_folders(tmp_path):
    for name, side in (("a/1.png", 20), ("a/2.png", 30), ("b/1.png", 20)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (side, 10), side).save(tmp_path / name)
    (tmp_path / "b/notes.txt").write_text("no image")
    images, classes = load(dataclasses.replace(TINY, dataset=str(tmp_path)))
    assert classes.tolist() == [0, 0, 1] and [image.shape for image in images] == [
        (10, s, 3) for s in (20, 30, 20)
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError,
        match="must contain one sub-folder of images per class; .*empty has no sub-folder",
    ):
        class_folders(tmp_path / "empty")


def test_a_prepared_data_set(monkeypatch):
    requested = []
    monkeypatch.setattr(
        prepared,
        "load_prepared",
        lambda *given, **options: requested.append(given) or synthetic_birds("test", 2, size=16),
    )
    images, classes = load(dataclasses.replace(TINY, dataset="flowers", data_dir="there"))
    assert requested == [("flowers", "test", "there")] and len(images) == len(classes) == 2


class Places(dict):
    """Network whose layers record the weights that they receive."""

    def get_layer(self, name):
        return SimpleNamespace(set_weights=lambda arrays: self.update({name: arrays}))


def test_weights_of_2015_are_assigned_to_the_right_layers():
    numbers = {name: np.float32(place) for place, name in enumerate(TENSORS)}
    set_weights(
        network := Places(),
        {name: np.broadcast_to(numbers[name], TENSORS[name][1]) for name in TENSORS},
    )
    assert len(network) == 2 * 94
    for scope, name, shape in (
        ("conv3", "Conv2d_3b_1x1", (1, 1, 64, 80)),
        ("mixed_35x35x256a-branch5x5-Conv_1", "Mixed_5b.branch5x5_2", (5, 5, 48, 64)),
        ("mixed_17x17x768a-branch3x3-Conv", "Mixed_6a.branch3x3", (3, 3, 288, 384)),
        ("mixed_17x17x768e-branch_pool-Conv", "Mixed_6e.branch_pool", (1, 1, 768, 192)),
        ("mixed_17x17x768c-branch7x7dbl-Conv_3", "Mixed_6c.branch7x7dbl_4", (7, 1, 160, 160)),
        ("mixed_17x17x1280a-branch7x7x3-Conv_2", "Mixed_7a.branch7x7x3_3", (7, 1, 192, 192)),
        ("mixed_8x8x2048a-branch3x3-Conv_2", "Mixed_7b.branch3x3_2b", (3, 1, 384, 384)),
        ("mixed_8x8x2048b-branch3x3dbl-Conv_2", "Mixed_7c.branch3x3dbl_3a", (1, 3, 384, 384)),
    ):
        (kernel,), norm = network[scope], network[norm_of(scope)]
        assert kernel.shape == shape and kernel.flat[0] == numbers[f"{name}.conv.weight"]
        parts = ("weight", "bias", "running_mean", "running_var")  # Gamma, beta, mean, variance.
        assert [array[0] for array in norm] == [numbers[f"{name}.bn.{part}"] for part in parts]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "a.pth"}, "--weights need size 299 and width 1; received 75 and 0.1"),
        (
            {"weights": "a.pth", "size": 299, "width": 1.0},
            "no file of Inception's weights at a.pth",
        ),
        (
            {"batch_size": 13},
            "batch_size must be between 2 and the 12 training images; received 13",
        ),
    ],
)
def test_bad_settings(changes, message, birds, tmp_path):
    with pytest.raises((ValueError, OSError), match=message):
        run(dataclasses.replace(TINY, output_dir=str(tmp_path), **changes), *birds)


def test_a_folder_of_any_name_gives_valid_names_of_files(tmp_path):
    settings = dataclasses.replace(TINY, output_dir="", dataset=str(tmp_path / "my birds (2)"))
    assert inception.output_folder(settings).name == "inception_my_birds__2"


def test_a_single_class_raises(birds, tmp_path):
    with pytest.raises(ValueError, match="needs two classes; synthetic_birds has 1"):
        run(dataclasses.replace(TINY, output_dir=str(tmp_path)), birds[0], np.zeros(15, int))
