"""The convolution of images, compared with Keras' layer: values, gradients, second gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.image_conv import ImageConv2D

pytestmark = pytest.mark.backend


def gradients_of(layer, images):
    """Returns the outputs, the gradient of sum(sin(outputs)) with respect to the images, and the
    gradients of its squared norm with respect to weights and images.
    """

    def gradient(x):
        return backend.value_and_input_gradient(lambda x: ops.sum(ops.sin(layer(x))), x)[1]

    x = keras.Variable(images)
    outputs, gradients = backend.value_and_gradients(
        lambda: (ops.sum(ops.square(gradient(ops.convert_to_tensor(x)))), layer(images)),
        [*layer.trainable_variables, x],
    )
    return [
        ops.convert_to_numpy(value)
        for value in (outputs, gradient(ops.convert_to_tensor(images)), *gradients)
    ]


@pytest.mark.parametrize(
    ("sides", "kernel", "strides", "padding"),
    [
        ((8, 8), 5, 2, "same"),
        ((8, 8), 4, 2, "same"),
        ((9, 7), 3, 2, "same"),
        ((6, 8), (4, 3), (2, 3), "same"),
        ((7, 7), 3, 1, "same"),
        ((9, 9), 4, 2, "valid"),
        ((8, 9), 3, 3, "valid"),
        pytest.param(
            *((8, 8), 1, 2, "same"),
            marks=pytest.mark.skipif(
                keras.backend.backend() == "torch",
                reason="PyTorch 2.13 has wrong gradients here on CPUs without AVX-512",
            ),
        ),
        ((8, 8), 2, 3, "valid"),
    ],
)
def test_same_numbers_and_gradients_as_keras(sides, kernel, strides, padding):
    images = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype("float32")
    ours, theirs = (
        kind(4, kernel, strides, padding) for kind in (ImageConv2D, keras.layers.Conv2D)
    )
    for layer in (ours, theirs):
        layer.build(images.shape)
    theirs.set_weights(ours.get_weights())
    for one, other in zip(gradients_of(ours, images), gradients_of(theirs, images), strict=True):
        assert np.abs(other).max() > 0.01
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_strides_of_a_1_x_1_kernel_select_pixels():
    images = np.random.default_rng(0).normal(size=(2, 8, 7, 3)).astype("float32")
    strided, plain = ImageConv2D(4, 1, (2, 3), "same"), ImageConv2D(4, 1, 1, "same")
    for layer, x in ((strided, images), (plain, images[:, ::2, ::3])):
        layer.build(x.shape)
    plain.set_weights(strided.get_weights())
    one, other = gradients_of(strided, images), gradients_of(plain, images[:, ::2, ::3])
    np.testing.assert_allclose(one[0], other[0], atol=1e-5)
    for a, b in zip(one[2:-1], other[2:-1], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize(
    "arguments", [{"dilation_rate": 2}, {"groups": 3}, {"data_format": "channels_first"}]
)
def test_unsupported_arguments_raise(arguments):
    with pytest.raises(
        ValueError,
        match="needs dilation_rate=1, groups=1 and data_format='channels_last'; received",
    ):
        ImageConv2D(6, 3, **arguments).build((None, 9, 9, 3))


def test_unknown_sides_raise():
    with pytest.raises(ValueError, match="needs a static image height and width; received"):
        ImageConv2D(6, 3)(keras.Input((None, 9, 3)))


def test_round_trip():
    layer = ImageConv2D(4, 3, 2, activation="relu")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is ImageConv2D and again.get_config() == layer.get_config()
