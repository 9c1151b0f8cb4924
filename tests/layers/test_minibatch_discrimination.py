"""Minibatch discrimination, compared with the double loop of the paper in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination

FEATURES = 5


def layer_and_kernel(**options):
    layer = MinibatchDiscrimination(3, 2, **options)
    layer.build((None, FEATURES))
    kernel = np.random.default_rng(1).normal(0, 0.3, (FEATURES, 6)).astype("float32")
    layer.kernel.assign(kernel)
    return layer, kernel


def samples(n):
    return np.random.default_rng(0).normal(size=(n, FEATURES)).astype("float32")


def paper(x, kernel, group=None, include_self=False):
    m = (x @ kernel).reshape(len(x), 3, 2)
    out = np.zeros((len(x), 3))
    for i in range(len(x)):
        for j in range(len(x)):
            same_group = group is None or i // group == j // group
            if same_group and (include_self or i != j):
                out[i] += np.exp(-np.abs(m[i] - m[j]).sum(-1))
    return out


def number(x):
    return np.array(ops.convert_to_numpy(x))


@pytest.mark.parametrize("n", [1, 2, 7, 12])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"include_self": True},
        {"rows": 1},
        {"rows": 4},
        {"rows": 9},
        {"batch": 4},
        {"batch": 5, "include_self": True},
    ],
    ids=str,
)
def test_equals_the_paper(n, options):
    layer, kernel = layer_and_kernel(**options)
    expected = paper(samples(n), kernel, options.get("batch"), options.get("include_self", False))
    np.testing.assert_allclose(number(layer(samples(n))), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize("options", [{}, {"rows": 3}, {"batch": 3}], ids=str)
def test_in_a_network_of_any_batch_size(options):
    layer, kernel = layer_and_kernel(**options)
    x = keras.Input((FEATURES,))
    network = keras.Model(x, layer(x))
    assert network.output_shape == (None, 3)
    predicted = network.predict(samples(11), batch_size=7, verbose=0)
    group = options.get("batch")
    expected = np.concatenate(
        [paper(samples(11)[:7], kernel, group), paper(samples(11)[7:], kernel, group)]
    )
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"rows": 3}, {"batch": 8}], ids=str)
def test_gradient_in_chunks_equals_the_gradient_at_once(options):
    gradients = []
    for layer, _ in (layer_and_kernel(), layer_and_kernel(**options)):

        def value(x, layer=layer):
            return ops.sum(ops.square(layer(x)))

        gradients.append(number(backend.value_and_input_gradient(value, samples(8))[1]))
    assert np.abs(gradients[0]).max() > 0.01
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_gradient_where_a_group_is_filled_up_is_finite():
    layer, _ = layer_and_kernel(batch=4)
    gradient = number(backend.value_and_input_gradient(lambda x: ops.sum(layer(x)), samples(6))[1])
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_the_unused_bias_is_counted_as_a_parameter():
    layer, kernel = layer_and_kernel(use_bias=True)
    layer.bias.assign(np.full(6, 3.0, "float32"))
    assert layer.count_params() == FEATURES * 6 + 6
    np.testing.assert_allclose(
        number(layer(samples(5))), paper(samples(5), kernel), rtol=1e-4, atol=1e-5
    )


def test_serialization_and_errors():
    layer = MinibatchDiscrimination(7, 3, batch=5, rows=None, include_self=True, use_bias=True)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is MinibatchDiscrimination and copy.get_config() == layer.get_config()
    for name in ("kernels", "dims", "batch", "rows"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1; received 0"):
            MinibatchDiscrimination(**{name: 0})
