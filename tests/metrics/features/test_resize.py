"""Resizes against those of clean-fid, TensorFlow 1, PyTorch and Pillow."""

import numpy as np
import pytest
import tiny_hub
from PIL import Image

from kerasgan.metrics.features.resize import MODES, TEXTS, resize

SHAPES = [(1, 1), (5, 7), (40, 40), (64, 48), (31, 200)]


def random_images(height, width):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), "uint8")


def test_pixels_are_those_of_clean_fid():
    expected = tiny_hub.expected()
    images = expected["images"]
    np.testing.assert_array_equal(resize(images, 40, "clean"), expected["resized_clean"])
    # PyTorch fuses products and sums, which changes the last bits of float32.
    np.testing.assert_allclose(
        resize(images, 40, "legacy_pytorch"), expected["resized_pytorch"], rtol=0, atol=1e-4
    )


@pytest.mark.backend
@pytest.mark.parametrize("shape", SHAPES)
def test_tensorflow_and_pytorch(shape):
    tf, torch = pytest.importorskip("tensorflow"), pytest.importorskip("torch")
    images = random_images(*shape)
    right = tf.compat.v1.image.resize_bilinear(images, (40, 40)).numpy()
    np.testing.assert_allclose(resize(images, 40, "legacy_tensorflow"), right, rtol=0, atol=1e-4)
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).astype("float32"))
    right = torch.nn.functional.interpolate(tensor, (40, 40), mode="bilinear", align_corners=False)
    found = resize(images, 40, "legacy_pytorch")
    np.testing.assert_allclose(found, right.numpy().transpose(0, 2, 3, 1), rtol=0, atol=1e-4)


def test_clean_keeps_fractions_and_is_clipped():
    images = random_images(64, 48)
    found = {mode: resize(images, 40, mode) for mode in TEXTS}
    assert all(each.shape == (2, 40, 40, 3) and each.dtype == "float32" for each in found.values())
    assert all(each.min() >= 0 and each.max() <= 255 for each in found.values())
    clean, rounded = found["clean"], found["pillow_bicubic"]
    np.testing.assert_array_equal(rounded, np.round(rounded))
    assert np.abs(clean - np.round(clean)).max() > 0.4
    assert 0.2 < np.abs(clean - rounded).mean() < 1  # Pillow also rounds and clips in between.
    # Black and white stripes overshoot.
    stripes = np.repeat(np.arange(48) % 12 < 6, 3).reshape(1, 1, 48, 3) * np.uint8(255)
    stripes = np.broadcast_to(stripes, (1, 48, 48, 3)).copy()
    enlarged = resize(stripes, 100, "clean")
    plane = Image.fromarray(stripes[0, ..., 0].astype("float32"))
    free = np.asarray(plane.resize((100, 100), Image.Resampling.BICUBIC))
    assert free.min() < -1 and free.max() > 256 and (enlarged.min(), enlarged.max()) == (0, 255)


def test_modes_differ_where_clean_fid_says_so():
    """Reduction without antialiasing keeps most of the noise; clean does not."""
    noise = random_images(200, 200)
    deviations = {mode: resize(noise, 40, mode).std() for mode in MODES}
    assert (
        deviations["clean"]
        < 30
        < 40
        < min(deviations["legacy_tensorflow"], deviations["legacy_pytorch"])
    )
    found = {mode: resize(noise, 40, mode) for mode in MODES}
    assert np.abs(found["legacy_tensorflow"] - found["legacy_pytorch"]).mean() > 20


def test_the_central_square():
    image = random_images(20, 34)
    image[:, :, :7] = image[:, :, 27:] = 255
    found = resize(image, 20, "pillow_bicubic_crop")
    np.testing.assert_array_equal(found, image[:, :, 7:27])
    tall = resize(image.transpose(0, 2, 1, 3).copy(), 20, "pillow_bicubic_crop")
    np.testing.assert_array_equal(tall, image[:, :, 7:27].transpose(0, 2, 1, 3))


@pytest.mark.parametrize(
    "images, size, mode, message",
    [
        (random_images(4, 4), 8, "nearest", "resize must be one of clean, .*; received nearest"),
        (np.zeros((1, 4, 4, 3)), 8, "clean", r"uint8 images \[B, H, W, 3\]; received float64"),
        (np.zeros((4, 4, 3), "uint8"), 8, "clean", r"received uint8 \[4, 4, 3\]"),
        (np.zeros((0, 4, 4, 3), "uint8"), 8, "clean", r"received uint8 \[0, 4, 4, 3\]"),
    ],
)
def test_bad_input(images, size, mode, message):
    with pytest.raises(ValueError, match=message):
        resize(images, size, mode)
