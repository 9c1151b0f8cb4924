"""The Fréchet loss against the metric and its numerical gradient."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.losses.frechet import FrechetLoss
from kerasgan.metrics.frechet import frechet_distance, statistics

RNG = np.random.default_rng(0)
D = 5


def features(count=4000, scale=1.0, shift=0.0):
    mixed = RNG.normal(size=(count, D)) @ RNG.normal(size=(D, D))
    return (scale * mixed + shift).astype("float32")


def metric(fake, real):
    return frechet_distance(statistics(fake), statistics(real)) / np.trace(np.cov(real.T))


def loss_of(layer, fake):
    return float(ops.convert_to_numpy(layer(ops.convert_to_tensor(fake))))


@pytest.mark.backend
@pytest.mark.parametrize("scale, shift", [(0.3, 0.0), (1.0, 2.0), (4.0, -1.0)])
def test_the_value_is_the_frechet_distance(scale, shift):
    real, fake = features(), features(scale=scale, shift=shift)
    layer = FrechetLoss(D)
    assert loss_of(layer, fake) == 0.0  # There are no statistics yet.
    layer.update(real, fake)
    assert loss_of(layer, fake) == pytest.approx(metric(fake, real), rel=1e-2)
    layer = FrechetLoss(D)
    layer.update(real, real)
    assert loss_of(layer, real) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.backend
def test_a_step_along_the_gradient_reduces_the_distance_as_predicted():
    """The gradient is that of the metric, although the targets are constants."""
    real, fake = features(), features(scale=0.5, shift=1.0)
    layer = FrechetLoss(D)
    layer.update(real, fake)
    target = ops.convert_to_numpy(layer.transport())
    target = real.mean(0) + (fake - fake.mean(0)) @ target
    gradient = 2.0 * (fake - target) / len(fake) / np.trace(np.cov(real.T))
    direction = features(shift=0.3)
    before, after = (metric(fake + step * direction, real) for step in (-1e-3, 1e-3))
    assert (after - before) / 2e-3 == pytest.approx(float((gradient * direction).sum()), rel=2e-2)


@pytest.mark.backend
def test_moving_averages():
    layer, data = FrechetLoss(D, window=600), [features(300, shift=i) for i in range(3)]
    for x in data[:2]:  # The first 600 samples have equal weights.
        layer.update(x, x)
    both = np.concatenate(data[:2])
    np.testing.assert_allclose(ops.convert_to_numpy(layer.means)[1], both.mean(0), atol=1e-4)
    spread = np.cov(both.T, bias=True)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.covariances)[0], spread, rtol=1e-3)
    layer.update(data[2], data[2])  # From here on, 300 samples have a share of 300 / 600.
    mean = 0.5 * both.mean(0) + 0.5 * data[2].mean(0)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.means)[0], mean, atol=1e-4)


@pytest.mark.backend
def test_few_samples_give_no_loss_and_no_variance_a_finite_one():
    layer, real = FrechetLoss(D), features(19)
    layer.update(real, np.ones((19, D), "float32"))
    assert loss_of(layer, real) == 0.0
    layer.update(real[:1], np.ones((1, D), "float32"))  # These are 4 D samples.
    assert 0.0 < loss_of(layer, np.ones((2, D), "float32")) < 10.0


def test_configuration():
    layer = FrechetLoss.from_config(FrechetLoss(7, 90).get_config())
    assert (layer.dim, layer.window) == (7, 90) and not layer.trainable_variables
    assert (
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).dim == 7
    )
    with pytest.raises(ValueError, match="at least 4 [*] 7 features = 28; received 27"):
        FrechetLoss(7, 27)
