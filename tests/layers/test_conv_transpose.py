"""The matrix product form of the transposed convolution, compared with Keras' layer."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.layers.conv_transpose import SmallConv2DTranspose


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(2, 5, 1), (1, 4, 1), ((1, 3), (2, 4), (1, 2))]
)
def test_same_numbers_as_keras(size, kernel, stride):
    height, width = (size, size) if isinstance(size, int) else size
    x = np.random.default_rng(0).normal(size=(3, height, width, 5)).astype("float32")
    ours, theirs = (
        kind(7, kernel, stride) for kind in (SmallConv2DTranspose, keras.layers.Conv2DTranspose)
    )
    for layer in (ours, theirs):
        layer.build(x.shape)
    ours.set_weights([w + 0.1 for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    expected = ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), expected, atol=1e-5)
    assert tuple(ours.compute_output_shape(x.shape)) == expected.shape


@pytest.mark.parametrize("arguments", [{"padding": "same"}, {"dilation_rate": 2}])
def test_unsupported_arguments_raise(arguments):
    with pytest.raises(
        ValueError,
        match="SmallConv2DTranspose needs padding='valid', dilation_rate=1 and no output padding",
    ):
        SmallConv2DTranspose(4, 3, **arguments).build((None, 2, 2, 3))


def test_round_trip():
    layer = SmallConv2DTranspose(4, 3, activation="relu")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is SmallConv2DTranspose and again.get_config() == layer.get_config()
