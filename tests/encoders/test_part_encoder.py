"""The part encoder: its maps, that it learns parts, and its files."""

import keras
import numpy as np
import pytest

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, PARTS, draw_bird, part_maps
from kerasgan.encoders.part_encoder import PartEncoder, build_part_encoder, noisy_images
from tests.marks import slow_on_jax
from zoo.training_data import PartBatches


def tiny(**arguments):
    keras.utils.set_random_seed(0)
    sizes = [len(values) for values in ATTRIBUTES.values()]
    model = PartEncoder([1.0] * len(PARTS), sizes, build_part_encoder(32, 4), **arguments)
    model.compile(encoder=keras.optimizers.Adam(1e-2), run_eagerly=True)
    return model


@pytest.mark.parametrize("size", [32, 64])
def test_maps_have_four_scales(size):
    shapes = [x.shape[1] for x in build_part_encoder(size, 2).outputs]
    assert shapes == [size // 2, size // 4, size // 8, size // 16]


@slow_on_jax
@pytest.mark.backend
def test_it_learns_to_mark_parts():
    images, parts, attributes = part_maps("train", 16, size=32)
    model = tiny(noise=0.0)
    batches = PartBatches(images, parts, attributes, 8, 32)
    losses = [model.train_on_batch(*batches[0], return_dict=True) for _ in range(15)]
    first, last = (float(losses[i]["part_loss"]) for i in (0, -1))
    assert last < 0.8 * first
    logits, clean, _ = model.predict_parts(batches[0][0])
    assert logits.shape == (8, 32, 32, len(PARTS)) and clean.shape == (8, 32, 32, 3)


def test_noise_depends_on_its_largest_deviation():
    images = np.zeros((4, 32, 32, 3), "float32")
    spread = [
        float(np.std(noisy_images(images, noise, keras.random.SeedGenerator(0))))
        for noise in (0.0, 0.1, 1.0)
    ]
    assert spread[0] == 0 < spread[1] < spread[2]
    with pytest.raises(ValueError, match="noise must be at least 0"):
        tiny(noise=-1.0)
    with pytest.raises(ValueError, match="label_weight must be at least 0"):
        tiny(label_weight=-0.1)


def test_part_maps_belong_to_the_images():
    images, parts, attributes = part_maps("train", 8, size=64)
    for index in range(8):
        np.testing.assert_array_equal(
            images[index], draw_bird(attributes[index], (0, 0, index), 64)
        )
    shown = {PARTS[part] for part in np.unique(parts)}
    assert {"head", "bill", "eye", "wing", "tail", "body"} <= shown


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_birds_that_are_not_mirrored_face_right(seed):
    attributes = [0, 1, 2, 1, 1, 0, 0]
    pixels, parts = draw_bird(attributes, seed, 64, mirrored=False, parts=True)
    across = {name: np.nonzero(parts == PARTS.index(name))[1].mean() for name in ("bill", "tail")}
    assert across["bill"] > across["tail"]
    usual = draw_bird(attributes, seed, 64)
    assert any(np.array_equal(pixels, each) for each in (usual, usual[:, ::-1]))


def test_batches_mirror_images_and_parts_together():
    images, parts, attributes = part_maps("train", 8, size=32)
    marked = np.repeat(parts[..., None], 3, axis=-1)
    batches = PartBatches(marked, parts, attributes, 8, 24, seed=1)
    seen, labels, _ = batches[0]
    np.testing.assert_array_equal(np.rint((seen[..., 0] + 1) * 127.5), labels)
