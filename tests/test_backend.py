"""Tests of `kerasgan.backend`: the interface, and equality with Keras."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.backend.interface import Backend
from kerasgan.encoders import char_cnn_rnn
from kerasgan.metrics.features import extract

FUNCTIONS = sorted(name for name in vars(Backend) if not name.startswith("_"))


@pytest.mark.backend
@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_those_of_the_interface(name):
    _, *parameters = inspect.signature(getattr(Backend, name)).parameters.values()
    expected = [(p.name, p.kind, p.default) for p in parameters]
    found = inspect.signature(getattr(backend, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in found] == expected


@pytest.mark.backend
def test_the_interface_lists_all_functions():
    module = inspect.getmodule(backend.value_and_gradients)
    assert sorted(module.__all__) == FUNCTIONS


@pytest.mark.backend
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"beta_1": 0.0, "beta_2": 0.9},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)},
        {"clipnorm": 0.1},
        {"amsgrad": True},
        {"weight_decay": 0.1},
    ],
)
def test_apply_equals_the_optimizer(arguments):
    """TensorFlow and PyTorch use a fused kernel for plain Adam, else Keras' optimizer."""
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype("float32") for shape in [(3, 2), (4,)]]
    variables = [[keras.Variable(value) for value in start] for _ in range(2)]
    optimizers = [keras.optimizers.Adam(**({"learning_rate": 0.01} | arguments)) for _ in range(2)]
    for optimizer, owned in zip(optimizers, variables, strict=True):
        optimizer.build(owned)
    for _ in range(4):
        gradients = [
            ops.convert_to_tensor(random.normal(size=v.T.shape).astype("float32")) for v in start
        ]
        gradients[0] = ops.transpose(gradients[0])  # as those of convolutions on PyTorch
        backend.apply(optimizers[0], gradients, variables[0])
        if keras.backend.backend() == "torch":
            import torch  # noqa: PLC0415

            with torch.no_grad():
                optimizers[1].apply(gradients, variables[1])
        else:
            optimizers[1].apply(gradients, variables[1])
    both = [
        owned + optimizer.variables for owned, optimizer in zip(variables, optimizers, strict=True)
    ]
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours.value), ops.convert_to_numpy(theirs.value), atol=1e-5
        )
    assert not np.allclose(ops.convert_to_numpy(variables[0][0].value), start[0])


class _Counting(keras.layers.Layer):
    """Layer with a weight, and a variable that counts calls."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(3,), initializer="ones", name="weight")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("due", [True, False])
def test_cond_or_zero_has_the_value_the_gradient_and_the_updates_of_the_function(due, dtype):
    layer, x = _Counting(), ops.convert_to_tensor(np.array([1.0, 2.0, 3.0], "float32"))

    def penalty(scale):
        layer.calls.assign_add(1.0)
        return ops.sum(ops.square(layer.weight * ops.cast(scale, "float32") * x))

    def objective():
        # `scale` depends on the weight outside of the function, and is used outside of it, too.
        scale = ops.cast(ops.square(layer.weight), dtype)
        loss = 2.0 * backend.cond_or_zero(ops.convert_to_tensor(due), lambda: penalty(scale))
        return loss + ops.cast(ops.sum(scale), "float32"), loss

    loss, (gradient,) = backend.value_and_gradients(objective, [layer.weight])
    assert float(loss) == (28.0 if due else 0.0)
    # d (2 sum(w^6 x^2) + sum(w^2)) / dw
    expected = 12.0 * np.array([1.0, 4.0, 9.0]) * due + 2.0
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), expected, rtol=1e-6)
    assert float(layer.calls.value) == due


@pytest.fixture
def optimized():
    """Programs of JAX are optimized, as those of users are (see `conftest.py`)."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax  # noqa: PLC0415

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.backend
def test_building_gives_the_same_initial_weights(optimized):
    initial = keras.initializers.RandomNormal(seed=0)
    with backend.building():
        unoptimized = ops.convert_to_numpy(initial((3, 3, 5, 7)))
    np.testing.assert_allclose(
        unoptimized, ops.convert_to_numpy(initial((3, 3, 5, 7))), rtol=1e-5, atol=1e-8
    )


@pytest.mark.backend
def test_inference_keeps_no_intermediate_results(monkeypatch):
    """On PyTorch, the outputs of earlier batches must not hold the graphs of their batches."""
    converted, convert = [], ops.convert_to_numpy

    def recorded(x):
        converted.append(x)
        return convert(x)

    images = keras.Input((4, 4, 3))
    features = keras.layers.Flatten()(images)
    classifier = keras.Model(images, keras.layers.Dense(2)(features))
    text = char_cnn_rnn.TextEncoder(keras.Sequential([keras.Input((201,)), keras.layers.Dense(5)]))
    monkeypatch.setattr(char_cnn_rnn.ops, "convert_to_numpy", recorded)
    assert text(["a bird"] * 3, batch_size=2).shape == (3, 5)
    assert extract.features_and_logits(classifier, np.ones((3, 4, 4, 3), "float32"), 2)[1].shape
    with backend.inference():
        converted.append(classifier(np.ones((1, 4, 4, 3), "float32")))
    assert len(converted) == 7
    assert not any(getattr(x, "requires_grad", False) for x in converted)


@pytest.mark.backend
def test_the_first_row_equals_later_rows():
    inputs = keras.Input((3,)), keras.Input((2,))
    joined = keras.layers.Concatenate()(inputs)
    outputs = {
        "x": keras.layers.Dense(4, "tanh")(joined),
        "y": [keras.layers.Dropout(0.5)(joined), keras.ops.sum(joined, -1)],
    }
    network = keras.Model(inputs, outputs)
    rows = [np.ones((1, 3), "float32"), np.full((1, 2), 2.0)]
    first, second, third = (backend.predict_one(network, rows) for _ in range(3))
    flat = keras.tree.flatten
    assert all(isinstance(x, np.ndarray) for x in flat(first))
    keras.tree.assert_same_structure(first, third)
    for x, y, z in zip(flat(first), flat(second), flat(third), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
        np.testing.assert_array_equal(y, z)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs of TensorFlow")
def test_one_row_is_computed_without_a_graph_only_at_first():
    calls = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            calls.append(type(x).__name__)
            return x

    x = keras.Input((3,))
    network = keras.Model(x, Counted()(x))
    calls.clear()
    for _ in range(4):
        backend.predict_one(network, np.ones((1, 3), "float32"))
    assert calls == ["EagerTensor", "SymbolicTensor"]
