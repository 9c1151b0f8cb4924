"""Convolutions with reflected borders, also after upsampling, compared with plain code."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.batch_norm import BatchNormalization
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

    # Gradients of a random projection with respect to the input.
    direction = ops.convert_to_tensor(
        np.random.default_rng(1).normal(size=expected.shape), "float32"
    )
    x = ops.convert_to_tensor(x)
    one = backend.value_and_input_gradient(lambda x: ops.sum(fast(x) * direction), x)[1]
    other = backend.value_and_input_gradient(
        lambda x: ops.sum(plain(keras.layers.UpSampling2D()(x)) * direction), x
    )[1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-4, atol=1e-3
    )


@pytest.mark.backend
@pytest.mark.parametrize("kind", [ReflectionConv2D, UpsampleConv2D])
def test_a_fused_relu_of_the_norm_equals_a_relu_layer(kind):
    """On TensorFlow, the map between the two layers is computed again for the gradient."""
    x = np.random.default_rng(0).normal(size=[2, 5, 6, 3]).astype("float32")
    found = []
    for relu in (True, False):
        norm, conv, after = BatchNormalization(relu=relu), kind(4), keras.layers.ReLU()
        norm.build(x.shape)
        conv.build(x.shape)
        for layer in (norm, conv):
            layer.set_weights(
                [np.random.default_rng(1).uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            )

        def run(x, norm=norm, conv=conv, after=after, relu=relu):
            y = norm(x, training=True)
            return ops.sum(ops.sin(conv(y if relu else after(y))))

        weights = norm.trainable_variables + conv.trainable_variables
        value, gradients = backend.value_and_gradients(lambda run=run: (run(x), run(x)), weights)
        found.append([value, *gradients, backend.value_and_input_gradient(run, x)[1]])
    for one, other in zip(*found, strict=True):
        one, other = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="what the graph keeps is TensorFlow's matter"
)
def test_the_map_between_norm_and_convolution_is_recomputed():
    import tensorflow as tf

    def kept(relu):
        """Rectified maps of the forward pass that operations of the gradient use."""
        norm, conv, after = BatchNormalization(relu=relu), ReflectionConv2D(4), keras.layers.ReLU()

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                y = norm(x, training=True)
                loss = tf.reduce_sum(conv(y if relu else after(y)) ** 2)
            forward = {op.name for op in tf.compat.v1.get_default_graph().get_operations()}
            gradients = tape.gradient(loss, [*norm.trainable_variables, *conv.trainable_variables])
            operations = tf.compat.v1.get_default_graph().get_operations()
            taken = {x.op for op in operations if op.name not in forward for x in op.inputs}
            maps.extend(op.name for op in taken if op.name in forward and op.type == "Relu")
            return gradients

        maps = []
        step.get_concrete_function(tf.TensorSpec([2, 8, 8, 3]))
        return maps

    assert kept(False)  # Otherwise the search above would find nothing.
    assert not kept(True)


def test_borders_are_reflected():
    conv = ReflectionConv2D(1, use_bias=False)
    x = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    conv.build(x.shape)
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[0, 0] = 1  # The pixel above and to the left.
    conv.set_weights([kernel])
    expected = np.pad(x[0, :, :, 0], 1, mode="reflect")[:3, :4]
    np.testing.assert_array_equal(ops.convert_to_numpy(conv(x))[0, :, :, 0], expected)
    for arguments in ({"kernel_size": 2}, {"strides": 2}, {"padding": "same"}):
        with pytest.raises(
            ValueError, match="needs an odd kernel_size and default strides and padding"
        ):
            ReflectionConv2D(1, **arguments)
    with pytest.raises(ValueError, match="UpsampleConv2D needs kernel_size=3; received"):
        UpsampleConv2D(1, kernel_size=5)
