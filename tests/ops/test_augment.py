"""Translation by integer shifts, with the gradient shifted back. Crops: a part of each image,
mirrored or not.
"""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.ops.augment import crop, translate


def shifted(image, rows, columns, fill):
    out = np.full_like(image, fill)
    height, width = image.shape[:2]
    for i in range(height):
        for j in range(width):
            if 0 <= i + rows < height and 0 <= j + columns < width:
                out[i + rows, j + columns] = image[i, j]
    return out


def find(image, result, pixels, fill):
    steps = range(-pixels, pixels + 1)
    return [
        (r, c)
        for r in steps
        for c in steps
        if np.allclose(shifted(image, r, c, fill), result, atol=1e-6)
    ]


@pytest.mark.parametrize(("channels", "fill"), [(1, -1.0), (3, 0.0)])
def test_each_image_is_shifted_by_an_integer_number_of_pixels(channels, fill):
    images = np.random.default_rng(0).uniform(-1, 1, (40, 6, 5, channels)).astype("float32")
    results = np.array(
        ops.convert_to_numpy(translate(images, keras.random.SeedGenerator(3), pixels=2, fill=fill))
    )
    shifts = [find(image, result, 2, fill) for image, result in zip(images, results, strict=True)]
    assert all(len(found) == 1 for found in shifts)
    for axis in (0, 1):  # All shifts occur, in both directions.
        assert {found[0][axis] for found in shifts} == {-2, -1, 0, 1, 2}


@pytest.mark.backend
@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_is_the_shift_back(channels):
    images = np.random.default_rng(0).uniform(-1, 1, (6, 6, 5, channels)).astype("float32")
    weights = np.random.default_rng(1).uniform(-1, 1, images.shape).astype("float32")

    def total(x):
        return ops.sum(ops.multiply(translate(x, keras.random.SeedGenerator(3)), weights))

    results = np.array(ops.convert_to_numpy(translate(images, keras.random.SeedGenerator(3))))
    gradients = np.array(ops.convert_to_numpy(backend.value_and_input_gradient(total, images)[1]))
    for image, result, weight, gradient in zip(images, results, weights, gradients, strict=True):
        ((rows, columns),) = find(image, result, 2, -1.0)
        np.testing.assert_allclose(gradient, shifted(weight, -rows, -columns, 0.0), atol=1e-6)


@pytest.mark.backend
def test_a_crop_of_full_size_is_the_image_or_its_mirror_image():
    images = np.random.default_rng(0).uniform(-1, 1, (40, 6, 5, 3)).astype("float32")
    results = np.array(
        ops.convert_to_numpy(crop(images, keras.random.SeedGenerator(3), smallest=1.0))
    )
    same = [
        np.allclose(result, image, atol=1e-6) for image, result in zip(images, results, strict=True)
    ]
    mirrored = [
        np.allclose(result, image[:, ::-1], atol=1e-6)
        for image, result in zip(images, results, strict=True)
    ]
    assert 5 < sum(same) < 35 and sum(same) + sum(mirrored) == 40


@pytest.mark.backend
def test_crops_are_parts_of_the_image():
    """A crop of ramps along both axes gives lines of smaller gradient within the image."""
    rows, columns = np.meshgrid(np.arange(16.0), np.arange(12.0), indexing="ij")
    images = np.repeat(np.stack([rows, columns], axis=-1)[None], 60, axis=0).astype("float32")
    results = np.array(
        ops.convert_to_numpy(crop(images, keras.random.SeedGenerator(3), smallest=0.5))
    )
    assert results.shape == images.shape
    down, across = (
        results[:, :, 0, 0],
        results[:, 0, :, 1],
    )  # Each ramp is constant along the other axis.
    np.testing.assert_allclose(results[..., 0], np.repeat(down[:, :, None], 12, axis=2), atol=1e-4)
    np.testing.assert_allclose(results[..., 1], np.repeat(across[:, None], 16, axis=1), atol=1e-4)
    for lines, size, signs in ((down, 16, {1.0}), (across, 12, {-1.0, 1.0})):
        steps = np.median(np.diff(lines, axis=1), axis=1)
        assert set(np.sign(steps)) == signs
        assert 0.5 <= np.abs(steps).min() < 0.6 and 0.9 < np.abs(steps).max() <= 1.0
        first, last = np.sort(
            lines[:, [0, -1]], axis=1
        ).T  # Pixel centers are half a step inside the crop.
        assert first.min() >= 0 and last.max() <= size - 1 and np.ptp(first) > size / 4


def test_the_side_of_a_crop_is_checked():
    for smallest in (0.0, 1.5):
        with pytest.raises(ValueError, match="smallest must be above 0 and at most 1; received"):
            crop(np.zeros((1, 4, 4, 1), "float32"), keras.random.SeedGenerator(0), smallest)
