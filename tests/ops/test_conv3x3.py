"""Winograd convolution, compared with the direct one: values, gradients, second gradients, use."""

import importlib

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.conv3x3 import Conv3x3

module = importlib.import_module("kerasgan.ops.conv3x3")
pytestmark = pytest.mark.backend


def direct(x, kernel, border):
    mode = {"zeros": "constant"}.get(border, border)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode).astype("float64")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("nhwcrs,rscf->nhwf", windows, kernel)


def random_arrays(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("border", ["zeros", "reflect", "symmetric"])
@pytest.mark.parametrize("sides", [(4, 4), (8, 8), (16, 4), (8, 12)])
def test_winograd_equals_the_direct_convolution(sides, border):
    x, kernel = random_arrays(3, *sides, 5), random_arrays(3, 3, 5, 7)
    found = ops.convert_to_numpy(
        module.winograd(ops.convert_to_tensor(x), ops.convert_to_tensor(kernel), border)
    )
    np.testing.assert_allclose(found, direct(x, kernel, border), atol=2e-4)


@pytest.mark.parametrize("sides", [(4, 4), (8, 12)])
def test_winograd_of_a_doubled_map(sides):
    x, kernel = random_arrays(3, *sides, 5), random_arrays(3, 3, 5, 7)
    given = ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)
    found = ops.convert_to_numpy(module.winograd(*given, "symmetric", module.UPSAMPLING))
    expected = direct(x.repeat(2, axis=1).repeat(2, axis=2), kernel, "reflect")
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(module.upsample_conv3x3(*given)), expected, atol=2e-4
    )


@pytest.mark.parametrize("prefers", [True, False])
@pytest.mark.parametrize("border", ["zeros", "reflect", "symmetric"])
def test_both_methods_give_the_same_values(monkeypatch, border, prefers):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: prefers)
    x, kernel = random_arrays(2, 8, 8, 96), random_arrays(3, 3, 96, 96)
    found = ops.convert_to_numpy(
        module.conv3x3(ops.convert_to_tensor(x), ops.convert_to_tensor(kernel), border)
    )
    np.testing.assert_allclose(found, direct(x, kernel, border), atol=3e-3)  # Deviation 29.


def test_gradients_of_gradients():
    def gradients_of(convolve, x, kernel):
        x, kernel = keras.Variable(x), keras.Variable(kernel)
        values = [ops.convert_to_tensor(each) for each in (x, kernel)]

        def objective(x, kernel):
            return ops.sum(ops.sin(convolve(x, kernel)))

        def penalty():
            gradient = backend.value_and_input_gradient(
                lambda x: objective(x, ops.convert_to_tensor(kernel)), ops.convert_to_tensor(x)
            )[1]
            return ops.sum(ops.square(gradient)), ops.zeros(())

        first = backend.value_and_input_gradient(lambda x: objective(x, values[1]), values[0])[1]
        second = backend.value_and_gradients(penalty, [x, kernel])[1]
        return [ops.convert_to_numpy(each) for each in (first, *second)]

    plain = lambda x, kernel: ops.conv(x, kernel, padding="same", data_format="channels_last")  # noqa: E731
    given = random_arrays(2, 8, 8, 3), random_arrays(3, 3, 3, 4) / 5
    for found, expected in zip(
        gradients_of(module.winograd, *given), gradients_of(plain, *given), strict=True
    ):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_winograd_is_used_for_sizes_at_which_it_is_faster(monkeypatch):
    taken = []
    monkeypatch.setattr(
        module, "winograd", lambda x, kernel, *how: taken.append(tuple(x.shape)) or x
    )
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)

    def uses_winograd(*shape, filters=96, dtype="float32", convolve=module.conv3x3):
        taken.clear()
        convolve(ops.zeros(shape, dtype), ops.zeros((3, 3, shape[-1], filters), dtype))
        return bool(taken)

    assert uses_winograd(1, 8, 8, 96) and uses_winograd(1, 16, 64, 64, filters=192)
    for shape in ((1, 4, 8, 96), (1, 10, 8, 96), (1, 8, 128, 96), (1, 8, 8, 95)):
        assert not uses_winograd(*shape)
    assert not uses_winograd(1, 8, 8, 96, dtype="float16")
    assert uses_winograd(1, 16, 32, 96, convolve=module.upsample_conv3x3)
    for shape in ((1, 8, 16, 96), (1, 16, 64, 96)):
        assert not uses_winograd(*shape, convolve=module.upsample_conv3x3)
    monkeypatch.setattr(backend, "prefers_matmul", lambda: False)
    assert not uses_winograd(1, 8, 8, 96)


def test_sides_may_be_unknown():
    layer = Conv3x3(96)
    model = keras.Sequential([keras.Input((None, None, 96)), layer])
    assert model(np.ones((2, 8, 5, 96), "float32")).shape == (2, 8, 5, 96)


def test_the_layer_equals_keras():
    x = random_arrays(2, 8, 8, 96)
    ours, theirs = (
        Conv3x3(100, activation="relu"),
        keras.layers.Conv2D(100, 3, padding="same", activation="relu"),
    )
    for layer in (ours, theirs):
        layer.build(x.shape)
    ours.set_weights([ours.get_weights()[0], random_arrays(100)])
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(layer(x)) for layer in (ours, theirs)), atol=1e-4
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert type(again) is Conv3x3 and again.get_config() == ours.get_config()


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 5},
        {"strides": 2},
        {"padding": "valid"},
        {"dilation_rate": 2},
        {"groups": 2},
        {"data_format": "channels_first"},
    ],
)
def test_unsupported_arguments_raise(arguments):
    with pytest.raises(ValueError, match=f"Conv3x3 needs {next(iter(arguments))}="):
        Conv3x3(4, **arguments)
