"""Augmentation with keras-cv: values, reproducibility, and a tiny training with it."""

import json
import random

import numpy as np
import pytest

from kerasgan.datasets import augmentation
from kerasgan.datasets.batches import Batches
from zoo import digit_classifier, network_training

pytest.importorskip("keras_cv")
IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype("float32")


@pytest.mark.parametrize("names", [("flip",), ("cutout",), ("randaugment",), augmentation.NAMES])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_change_reproducibly(names, channels):
    augment = augmentation.Augmentations(names)
    images = IMAGES[..., :channels]
    one, again, other = (augment(images, seed) for seed in (1, 1, 2))
    assert one.shape == images.shape and one.dtype == np.float32 and np.abs(one).max() <= 1
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, augmentation.Augmentations(names)(images, 1))


def test_each_image_of_a_batch_has_a_change_of_its_own():
    """A graph that drew the magnitudes once would change all images alike."""
    one = augmentation.Augmentations(("randaugment",))(np.repeat(IMAGES[:1], 16, axis=0), 0)
    assert len(np.unique(one.reshape(16, -1), axis=0)) > 10


def test_batches_depend_on_seed_epoch_and_index():
    def batches():
        inner = Batches(IMAGES, np.arange(8) % 2, 4, seed=3, classes=2)
        return augmentation.AugmentedBatches(inner, "flip", seed=3), inner

    (one, _), (other, inner) = batches(), batches()
    other[0]
    np.testing.assert_array_equal(one[1][0], other[1][0])
    np.testing.assert_array_equal(one[1][1], inner[1][1])
    assert len(one) == one.num_batches == 2


def test_names():
    assert augmentation.check_augmentations("none") == ()
    assert augmentation.check_augmentations("flip, cutout") == ("flip", "cutout")
    with pytest.raises(ValueError, match="augment must be none or of flip, .*; received 'mixup'"):
        augmentation.check_augmentations("flip,mixup")
    assert network_training.augmented("data", "none", 0) == "data"


def test_a_classifier_trains_with_it(tmp_path):
    data = IMAGES[..., :1].repeat(2, axis=0), np.arange(16) % 10
    settings = digit_classifier.Settings(
        output_dir=str(tmp_path), epochs=1, batch_size=8, width=2, features=4, augment="cutout"
    )
    log = digit_classifier.run(settings, data, data)
    assert log["settings"]["augment"] == "cutout"
    assert json.loads((tmp_path / "log.json").read_text()) == log


@pytest.mark.parametrize("names", [("flip",), augmentation.NAMES])
def test_the_users_global_random_states_are_kept(names):
    augment = augmentation.Augmentations(names)
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    augment(IMAGES, 1)
    assert (random.random(), np.random.rand()) == expected
