"""Minibatch standard deviation, compared with NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.layers.minibatch_deviation import MinibatchDeviation


def expected(x, group):
    group = group if len(x) % group == 0 else len(x)
    # Sample i belongs to group i mod (N / group).
    deviation = np.sqrt(x.reshape(group, -1, x.shape[-1]).var(0) + 1e-8).mean(-1)
    return np.concatenate([x, np.tile(deviation, group)[:, None]], axis=-1)


@pytest.mark.parametrize("n", [1, 4, 7, 12])
def test_equals_numpy(n):
    x = np.random.default_rng(0).normal(size=(n, 5)).astype("float32")
    layer = MinibatchDeviation(4)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected(x, 4), rtol=1e-5, atol=1e-6)
    inputs = keras.Input((5,))
    network = keras.Model(inputs, layer(inputs))
    assert network.output_shape == (None, 6)
    np.testing.assert_allclose(network.predict(x, verbose=0), expected(x, 4), rtol=1e-5, atol=1e-6)


def test_serialization_and_errors():
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MinibatchDeviation(6))
    )
    assert copy.group == 6
    with pytest.raises(ValueError, match="group must be at least 2 .*; received 1"):
        MinibatchDeviation(1)
