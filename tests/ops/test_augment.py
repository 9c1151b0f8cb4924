"""Translation: whole pixels, and a gradient that is the shift back."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.ops.augment import translate


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
    return [(r, c) for r in steps for c in steps if np.allclose(shifted(image, r, c, fill), result, atol=1e-6)]


@pytest.mark.parametrize(("channels", "fill"), [(1, -1.0), (3, 0.0)])
def test_each_image_is_shifted_by_whole_pixels(channels, fill):
    images = np.random.default_rng(0).uniform(-1, 1, (40, 6, 5, channels)).astype("float32")
    results = np.array(ops.convert_to_numpy(translate(images, keras.random.SeedGenerator(3), pixels=2, fill=fill)))
    shifts = [find(image, result, 2, fill) for image, result in zip(images, results, strict=True)]
    assert all(len(found) == 1 for found in shifts)
    for axis in (0, 1):  # every shift there is, in both directions
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
