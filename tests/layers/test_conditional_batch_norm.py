"""Class-conditional batch norm: each sample gets the scale and shift of its class."""

import keras
import numpy as np
from keras import ops

from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization

MAPS = np.random.default_rng(0).normal(1.0, 2.0, (6, 4, 4, 3)).astype("float32")
CLASSES = np.array([0, 1, 1, 0, 2, 0])


def built():
    layer = ConditionalBatchNormalization(momentum=0.8, epsilon=1e-3)
    one_hot = np.eye(3, dtype="float32")[CLASSES]
    layer([MAPS, one_hot])
    rng = np.random.default_rng(1)
    gamma, beta = (rng.normal(size=(3, 3)).astype("float32") for _ in range(2))
    layer.gamma.assign(gamma), layer.beta.assign(beta)
    return layer, one_hot, gamma[CLASSES][:, None, None], beta[CLASSES][:, None, None]


def test_training_then_inference():
    layer, one_hot, gamma, beta = built()
    mean, variance = MAPS.mean((0, 1, 2)), MAPS.var((0, 1, 2))
    trained = ops.convert_to_numpy(layer([MAPS, one_hot], training=True))
    np.testing.assert_allclose(
        trained, (MAPS - mean) / np.sqrt(variance + 1e-3) * gamma + beta, rtol=1e-4, atol=1e-5
    )
    mean, variance = 0.2 * mean, 0.8 + 0.2 * variance
    inferred = ops.convert_to_numpy(layer([MAPS, one_hot], training=False))
    np.testing.assert_allclose(
        inferred, (MAPS - mean) / np.sqrt(variance + 1e-3) * gamma + beta, rtol=1e-4, atol=1e-5
    )


def test_starts_as_plain_batch_norm_and_serializes():
    layer = ConditionalBatchNormalization(momentum=0.8, epsilon=1e-3)
    out = ops.convert_to_numpy(layer([MAPS, np.eye(3, dtype="float32")[CLASSES]], training=True))
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.var((0, 1, 2)), 1, atol=1e-2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer) and copy.get_config() == layer.get_config()
    assert (copy.normalise.momentum, copy.normalise.epsilon) == (0.8, 1e-3)
