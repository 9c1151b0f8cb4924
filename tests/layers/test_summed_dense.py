"""The summed dense layer, compared with the sum of Keras' layer: values, gradients, weights."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.summed_dense import SummedDense

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_sum_of_a_dense_layer(use_bias):
    x = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    layers = [kind(5, use_bias=use_bias) for kind in (SummedDense, keras.layers.Dense)]
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    both = []
    for layer in layers:
        outputs, gradients = backend.value_and_gradients(
            lambda layer=layer: (ops.sum(ops.sin(s := ops.sum(layer(x), axis=-1))), s),
            layer.trainable_variables,
        )
        both.append([ops.convert_to_numpy(value) for value in (outputs, *gradients)])
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert tuple(layers[0].compute_output_shape((3, 7))) == tuple(layers[0](x).shape) == (3, 1)


def test_half_precision_is_summed_in_single_precision():
    layer = SummedDense(100, kernel_initializer="ones", dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(np.ones((2, 1000), "float32")))
    assert outputs.dtype == "float32" and outputs.tolist() == [[100_000], [100_000]]


def test_an_activation_raises():
    with pytest.raises(ValueError, match="SummedDense takes no activation; received relu"):
        SummedDense(5, "relu").build((None, 7))


def test_round_trip():
    layer = SummedDense(4, use_bias=False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is SummedDense and again.get_config() == layer.get_config()
