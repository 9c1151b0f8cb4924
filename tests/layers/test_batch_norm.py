"""The fused batch norm gives the results of Keras' layer."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan import backend
from kerasgan.layers.batch_norm import BatchNormalization

pytestmark = pytest.mark.backend
SHAPES = [(6, 3), (4, 5, 3), (4, 5, 6, 3)]


def pair(shape, **options):
    """Keras' layer and ours with the same weights, which differ from the initial ones."""
    both = layers.BatchNormalization(**options), BatchNormalization(**options)
    rng = np.random.default_rng(1)
    for layer in both:
        layer.build(shape)
    weights = [rng.uniform(0.5, 2.0, v.shape).astype("float32") for v in both[0].variables]
    for layer in both:
        layer.set_weights(weights)
    return both


def number(x):
    return np.array(ops.convert_to_numpy(ops.copy(ops.convert_to_tensor(x))))


def inputs(shape, offset=2.0):
    return np.random.default_rng(0).normal(offset, 3.0, shape).astype("float32")


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(number(one), number(other), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_averages(shape, training):
    theirs, ours = pair(shape, momentum=0.9, epsilon=1e-4)
    start = number(ours.moving_variance)
    for step in range(2):
        x = inputs(shape, offset=step)
        close(ours(x, training=training), theirs(x, training=training))
    close(ours.moving_mean, theirs.moving_mean)
    close(ours.moving_variance, theirs.moving_variance)
    assert training != np.array_equal(start, number(ours.moving_variance))


@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_without_centre_or_scale(center, scale):
    theirs, ours = pair((4, 5, 6, 3), center=center, scale=scale)
    x = inputs((4, 5, 6, 3))
    close(ours(x, training=True), theirs(x, training=True))
    assert [v.path.split("/")[-1] for v in ours.variables] == [
        v.path.split("/")[-1] for v in theirs.variables
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    weight = np.random.default_rng(2).normal(size=shape).astype("float32")
    found = []
    for layer in pair(shape):

        def objective(x, layer=layer):
            return ops.sum(ops.multiply(ops.sin(layer(x, training=True)), weight))

        variables = layer.trainable_variables
        value, gradients = backend.value_and_gradients(
            lambda f=objective: (f(inputs(shape)), ()), variables
        )
        assert value == () and len(gradients) == 2
        found.append([*gradients, backend.value_and_input_gradient(objective, inputs(shape))[1]])
    for theirs, ours in zip(*found, strict=True):
        close(ours, theirs, 1e-4)


def test_second_order_gradient():
    """Gradient of a gradient penalty: d / d x of the squared norm of d f / d x."""
    x, found = inputs((4, 3, 3, 2)), []
    for layer in pair(x.shape):

        def penalty(x, layer=layer):
            gradient = backend.value_and_input_gradient(
                lambda y: ops.sum(ops.sin(layer(y, training=True))), x
            )[1]
            return ops.sum(gradient**2)

        outer = backend.value_and_gradients(
            lambda f=penalty: (f(x), ()), layer.trainable_variables
        )[1]
        found.append([*outer, backend.value_and_input_gradient(penalty, x)[1]])
    for theirs, ours in zip(*found, strict=True):
        scale = np.abs(number(theirs)).max()
        assert scale > 0
        close(number(ours) / scale, number(theirs) / scale, 1e-4)


def test_frozen_layers_masks_and_other_axes_give_the_results_of_keras():
    x = inputs((4, 5, 3))
    theirs, ours = pair(x.shape)
    mask = np.arange(20).reshape(4, 5) % 3 > 0
    close(ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask))
    close(ours.moving_variance, theirs.moving_variance)
    before = number(ours.moving_mean)
    ours.trainable = theirs.trainable = False
    close(ours(x, training=True), theirs(x, training=True))
    np.testing.assert_array_equal(before, number(ours.moving_mean))
    theirs, ours = pair(x.shape, axis=1)
    close(ours(x, training=True), theirs(x, training=True))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_other_precisions(policy):
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has float64 only where it is switched on for the whole process")
    x = inputs((16, 3)) * 100  # Squares overflow half precision.
    theirs, ours = pair(x.shape, dtype=policy)
    one, other = ours(x, training=True), theirs(x, training=True)
    assert keras.backend.standardize_dtype(one.dtype) == keras.backend.standardize_dtype(
        other.dtype
    )
    np.testing.assert_allclose(
        number(ops.cast(one, "float32")),
        number(ops.cast(other, "float32")),
        atol=1e-5 if policy == "float64" else 0.03,
    )
    np.testing.assert_allclose(
        number(ours.moving_variance), number(theirs.moving_variance), rtol=1e-2
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_relu_that_follows(shape, training):
    """A fused ReLU gives the values and both gradients of a separate ReLU layer."""
    plain, ours = pair(shape)[1], BatchNormalization(relu=True)
    ours.build(shape)
    ours.set_weights(plain.get_weights())
    x, found = inputs(shape, 0.0), []
    for f in (
        lambda x: ops.relu(plain(x, training=training)),
        lambda x: ours(x, training=training),
    ):

        def penalty(x, f=f):
            return ops.sum(
                backend.value_and_input_gradient(lambda y: ops.sum(ops.sin(f(y))), x)[1] ** 2
            )

        layer = plain if not found else ours
        of_weights = backend.value_and_gradients(
            lambda f=f: (ops.sum(ops.sin(f(x))), ()), layer.trainable_variables
        )[1]
        found.append([f(x), *of_weights, *backend.value_and_input_gradient(penalty, x)])
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-4)
    assert number(ours(x)).min() == 0.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert again.relu and again.get_config() == ours.get_config()


def test_a_batch_of_one_is_finite():
    layer = BatchNormalization()
    assert np.isfinite(number(layer(inputs((1, 3)), training=True))).all()
    assert np.isfinite(number(layer.moving_variance)).all()


def test_serialization():
    layer = BatchNormalization(momentum=0.7, epsilon=1e-2, center=False, name="norm")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is BatchNormalization and copy.get_config() == layer.get_config()
    assert BatchNormalization(1).axis == 1  # Keras' order of arguments.
