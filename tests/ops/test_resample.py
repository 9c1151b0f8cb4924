"""Upsampling and smoothing, compared with Keras and with a plain loop."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.ops.resample import blur, upsample, upsample_blur

X = np.random.default_rng(0).normal(size=(2, 5, 2, 3)).astype("float32")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def smoothed(x):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    rows = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    return rows[:, :, :-2] / 4 + rows[:, :, 1:-1] / 2 + rows[:, :, 2:] / 4


@pytest.mark.backend
def test_equals_a_plain_loop():
    doubled = array(keras.layers.UpSampling2D(interpolation="bilinear")(X))
    np.testing.assert_allclose(array(upsample(X)), doubled, atol=1e-6)
    np.testing.assert_allclose(array(blur(X)), smoothed(X), atol=1e-6)
    np.testing.assert_allclose(array(upsample_blur(X)), smoothed(doubled), atol=1e-6)


def test_margin_is_zeros():
    x = array(blur(X, margin=1))
    np.testing.assert_allclose(x[:, 1:-1, 1:-1], smoothed(X), atol=1e-6)
    assert x.shape == (2, 7, 4, 3) and not x[:, [0, -1]].any() and not x[:, :, [0, -1]].any()


def test_one_pixel_has_no_reflection():
    assert array(upsample(X[:, :1, :1])).shape == (2, 2, 2, 3)
    with pytest.raises(
        ValueError, match="blur needs maps of at least 2 x 2 pixels; received side 1"
    ):
        blur(X[:, :1])


@pytest.mark.backend
def test_gradient_of_the_gradient():
    """Gradient of the squared gradient norm of sum (A x)^4, compared with finite differences."""

    def length(x):
        gradient = backend.value_and_input_gradient(lambda x: ops.sum(upsample_blur(x) ** 4), x)[1]
        return ops.sum(ops.square(gradient))

    gradient = array(backend.value_and_input_gradient(length, X)[1])
    step = 1e-2 * np.sign(gradient)
    ends = [array(length(ops.convert_to_tensor(X + way * step))) for way in (1, -1)]
    assert (gradient * step).sum() * 2 == pytest.approx(ends[0] - ends[1], rel=1e-2)
