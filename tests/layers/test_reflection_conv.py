"""Convolutions with reflected borders, plain and after a doubling, against the plain way to compute them."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.reflection_conv import ReflectionConv2D, UpsampleConv2D


@pytest.mark.backend
def test_doubling_convolution_is_doubling_then_convolution():
    x = np.random.default_rng(0).normal(size=[2, 7, 9, 4]).astype("float32")
    fast, plain = UpsampleConv2D(5), ReflectionConv2D(5)
    doubled = keras.layers.UpSampling2D()(x)
    fast.build(x.shape)
    plain.build(doubled.shape)
    fast.set_weights([np.random.default_rng(2).normal(size=w.shape) for w in fast.get_weights()])
    plain.set_weights(fast.get_weights())
    expected = ops.convert_to_numpy(plain(doubled))
    np.testing.assert_allclose(ops.convert_to_numpy(fast(x)), expected, rtol=1e-4, atol=1e-4)
    assert fast.compute_output_shape(x.shape) == expected.shape

    # And its gradients: of a random projection, to the input.
    direction = ops.convert_to_tensor(np.random.default_rng(1).normal(size=expected.shape), "float32")
    x = ops.convert_to_tensor(x)
    one = backend.value_and_input_gradient(lambda x: ops.sum(fast(x) * direction), x)[1]
    other = backend.value_and_input_gradient(lambda x: ops.sum(plain(keras.layers.UpSampling2D()(x)) * direction), x)[1]
    np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-4, atol=1e-3)


def test_border_is_the_reflection():
    conv = ReflectionConv2D(1, use_bias=False)
    x = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    conv.build(x.shape)
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[0, 0] = 1  # the pixel above and to the left
    conv.set_weights([kernel])
    expected = np.pad(x[0, :, :, 0], 1, mode="reflect")[:3, :4]
    np.testing.assert_array_equal(ops.convert_to_numpy(conv(x))[0, :, :, 0], expected)
    for arguments in ({"kernel_size": 2}, {"strides": 2}, {"padding": "same"}):
        with pytest.raises(ValueError, match="kernel_size must be odd, strides 1 and padding left alone"):
            ReflectionConv2D(1, **arguments)
    with pytest.raises(ValueError, match="kernel_size must be 3; received"):
        UpsampleConv2D(1, kernel_size=5)
