"""Frozen features, their anti-aliased pooling, the affine layer and the projection of spectral
norms."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.layers.blur_pool import BlurMaxPooling2D
from kerasgan.layers.conditional_affine import ConditionalAffine
from kerasgan.layers.frozen_features import build_frozen_features
from kerasgan.layers.spectral_norm import project, spectral


@pytest.mark.backend
def test_maps_are_those_of_the_encoder():
    encoder = build_image_encoder(16, 2, 6)
    network = build_frozen_features(encoder, antialias=False)
    assert [x.shape[1:] for x in network.outputs] == [(8, 8, 2), (4, 4, 4), (2, 2, 8), (1, 1, 16)]
    assert not network.trainable_variables
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype("float32")
    last = keras.Model(
        encoder.input, [x.output for x in encoder.layers if isinstance(x, layers.ReLU)][-1]
    )
    expected = ops.convert_to_numpy(last(images, training=False))
    np.testing.assert_allclose(ops.convert_to_numpy(network(images)[-1]), expected, atol=1e-6)


def test_an_encoder_without_relu_raises():
    images = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match="encoder must have ReLU layers"):
        build_frozen_features(keras.Model(images, layers.Flatten()(images)))


@pytest.mark.backend
def test_blurred_pooling_of_a_constant_is_the_constant():
    x = np.full((1, 8, 8, 2), 3.0, "float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(BlurMaxPooling2D()(x)), np.full((1, 4, 4, 2), 3.0)
    )


def test_blurred_pooling_gives_period_two_equal_values_in_both_phases():
    mesh = np.indices((8, 8)).sum(axis=0) % 2
    x = np.where(mesh, 0.5, -0.5)[None, :, :, None].astype("float32")
    small = ops.convert_to_numpy(BlurMaxPooling2D()(x))
    shifted = ops.convert_to_numpy(BlurMaxPooling2D()(np.roll(x, 1, axis=1)))
    np.testing.assert_allclose(small[:, 1:-1, 1:-1], shifted[:, 1:-1, 1:-1])


@pytest.mark.backend
@pytest.mark.parametrize("hidden", [0, 3])
def test_an_affine_layer_starts_as_the_identity(hidden):
    random = np.random.default_rng(0)
    maps, condition = (
        random.normal(size=(2, 4, 4, 5)).astype("float32"),
        random.normal(size=(2, 7)).astype("float32"),
    )
    layer = ConditionalAffine(hidden)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer([maps, condition])), maps)
    layer.predict.kernel.assign(np.ones(layer.predict.kernel.shape))
    layer.predict.bias.assign(np.ones(layer.predict.bias.shape))
    assert not np.allclose(ops.convert_to_numpy(layer([maps, condition])), maps)
    assert ConditionalAffine.from_config(layer.get_config()).hidden == hidden


@pytest.mark.backend
def test_projection_divides_by_the_largest_singular_value():
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, spectral(layers.Conv2D(4, 3, name="conv"))(images))
    for _ in range(60):
        project(network)
    kernel = ops.convert_to_numpy(network.layers[1].kernel).reshape(-1, 4)
    assert np.linalg.norm(kernel, 2) == pytest.approx(1.0, abs=1e-3)
