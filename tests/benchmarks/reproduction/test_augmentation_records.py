"""The measurement of `--augment`: shifted images, records, and runs that are not repeated."""

import numpy as np
import pytest

from benchmarks.reproduction import augmentation
from kerasgan.datasets.augmentation import NAMES


def test_shifts_change_the_images_and_keep_the_labels():
    sets = augmentation.held_out(16, 8)
    clean, labels = sets.pop("clean")
    assert clean.shape == (8, 16, 16, 3) and sets.keys() == augmentation.SHIFTS.keys()
    for name, (images, same) in sets.items():
        assert images.shape == clean.shape and np.abs(images).max() <= 1, name
        assert np.abs(images - clean).mean() > 0.01, name
        np.testing.assert_array_equal(same, labels)


@pytest.mark.nightly
def test_finished_runs_are_not_repeated(tmp_path, capsys):
    changes = {"size": 16, "num_images": 32, "batch_size": 16, "epochs": 1}
    for _ in range(2):
        augmentation.run(["none", "flip"], [0], tmp_path / "a.json", changes, count=8)
    found = augmentation.read(tmp_path / "a.json")
    assert [(r["augment"], r["seed"]) for r in found] == [("none", 0), ("flip", 0)]
    assert found[0]["accuracy"].keys() == {"clean", *augmentation.SHIFTS}
    assert capsys.readouterr().out.count("done") == 2


def test_unknown_augmentations_raise():
    with pytest.raises(ValueError, match="Unknown augmentation mixup. Expected one of none, flip"):
        augmentation.command(augmentation.Options(), ["mixup"])
    assert augmentation.ARMS == ("none", *NAMES)
