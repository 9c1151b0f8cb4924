"""Functions that choose a convolution layer: the layer chosen, weights and outputs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.conv_transpose import SmallConv2DTranspose
from kerasgan.layers.convolution import conv2d, conv2d_transpose
from kerasgan.layers.image_conv import ImageConv2D


def outputs(function, plain, shape, filters, kernel, strides, padding):
    """Outputs of the chosen layer and of the Keras layer with the same weights, and the class."""
    x = keras.Input(shape)
    model = keras.Model(x, function(x, filters, kernel, strides, padding=padding))
    layer = model.layers[-1]
    reference = plain(filters, kernel, strides, padding=padding)
    values = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    reference.build(values.shape)
    reference.set_weights(layer.get_weights())
    both = (ops.convert_to_numpy(network(values)) for network in (model, reference))
    return *both, type(layer)


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "padding", "expected"),
    [
        ((8, 8, 3), 5, 2, "same", ImageConv2D),
        ((8, 8, 3), 3, 1, "same", ImageConv2D),
        ((8, 8, 16), 3, 1, "same", Conv3x3),
        ((8, 8, 16), 3, 1, "valid", layers.Conv2D),
        ((8, 8, 16), 4, 2, "same", layers.Conv2D),
        ((None, None, 3), 3, 2, "same", layers.Conv2D),
    ],
)
def test_conv2d(shape, kernel, strides, padding, expected):
    if None in shape:
        x = keras.Input(shape)
        layer = keras.Model(x, conv2d(x, 4, kernel, strides, padding=padding)).layers[-1]
        assert type(layer) is expected
        return
    ours, theirs, kind = outputs(conv2d, layers.Conv2D, shape, 4, kernel, strides, padding)
    assert kind is expected
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "strides", "padding", "expected"),
    [
        ((1, 1, 5), 1, "valid", SmallConv2DTranspose),
        ((2, 2, 5), 2, "valid", SmallConv2DTranspose),
        ((2, 2, 5), 2, "same", layers.Conv2DTranspose),
        ((6, 6, 5), 2, "valid", layers.Conv2DTranspose),
    ],
)
def test_conv2d_transpose(shape, strides, padding, expected):
    plain = layers.Conv2DTranspose
    ours, theirs, kind = outputs(conv2d_transpose, plain, shape, 4, 4, strides, padding)
    assert kind is expected
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
