"""Modulated convolution, compared with one kernel per sample, and its second gradient."""

import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.layers.modulated_conv import ModulatedConv2D
from kerasgan.ops.modulated_conv import modulated_conv

RNG = np.random.default_rng(0)


def naive(x, kernel, style, demodulate):
    """Convolution in loops over samples, output channels and positions."""
    count, height, width, _ = x.shape
    size, filters = kernel.shape[0], kernel.shape[-1]
    y = np.zeros((count, height, width, filters))
    for n in range(count):
        own = kernel * (1 + style[n])[None, None, :, None]
        if demodulate:
            own = own / np.sqrt((own**2).sum((0, 1, 2), keepdims=True) + 1e-8)
        padded = np.pad(x[n], ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))
        for i, j in np.ndindex(height, width):
            y[n, i, j] = np.tensordot(padded[i : i + size, j : j + size], own, 3)
    return y


@pytest.mark.backend
@pytest.mark.parametrize(("size", "demodulate"), [(3, True), (3, False), (1, True), (1, False)])
def test_equals_a_convolution_with_one_kernel_per_sample(size, demodulate):
    x, kernel, style = (RNG.normal(size=s) for s in ((3, 5, 4, 6), (size, size, 6, 2), (3, 6)))
    layer = ModulatedConv2D(2, size, demodulate)
    layer.build([x.shape, style.shape])
    layer.set_weights([kernel])
    y = ops.convert_to_numpy(layer([x.astype("float32"), style.astype("float32")]))
    np.testing.assert_allclose(y, naive(x, kernel, style, demodulate), atol=2e-5)
    assert layer.compute_output_shape([x.shape, style.shape]) == y.shape


def test_demodulated_outputs_have_unit_variance_for_any_style():
    x = RNG.normal(size=(1, 32, 32, 64)).astype("float32")
    kernel = 5 * RNG.normal(size=(3, 3, 64, 8)).astype("float32")
    for strength in (0.0, 30.0):
        y = modulated_conv(x, kernel, (strength * RNG.normal(size=(1, 64))).astype("float32"))
        assert ops.convert_to_numpy(y)[:, 1:-1, 1:-1].std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.backend
def test_gradient_of_the_gradient():
    """Kernel gradient of a penalty on the gradients of x and style, against finite differences."""
    x, style = (RNG.normal(size=s).astype("float32") for s in ((2, 4, 4, 3), (2, 3)))
    layer = ModulatedConv2D(2)
    layer.build([x.shape, style.shape])
    kernel = RNG.normal(size=layer.kernel.shape).astype("float32")

    def penalty():
        gradients = backend.value_and_input_gradient(
            lambda inputs: ops.sum(ops.tanh(layer(inputs)), axis=(1, 2, 3)),
            [ops.array(x), ops.array(style)],
        )[1]
        value = sum(ops.sum(ops.square(gradient)) for gradient in gradients)
        return value, value

    def at(kernel):
        layer.set_weights([kernel])
        value, gradients = backend.value_and_gradients(penalty, [layer.kernel])
        return ops.convert_to_numpy(value), ops.convert_to_numpy(gradients[0])

    _, gradient = at(kernel)
    assert np.isfinite(gradient).all()
    for place in ((0, 0, 0, 0), (1, 1, 2, 1), (2, 0, 1, 0)):
        ends = []
        for step in (1e-2, -1e-2):
            moved = kernel.copy()
            moved[place] += step
            ends.append(float(at(moved)[0]))
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-2, abs=2e-2)


def test_wrong_shapes_raise():
    with pytest.raises(
        ValueError, match=r"kernel_size must be odd \(the map keeps its size\); received 2"
    ):
        ModulatedConv2D(3, 2)
    with pytest.raises(ValueError, match=r"one value per input channel \(4\); received 5"):
        ModulatedConv2D(3).build([(None, 8, 8, 4), (None, 5)])
    again = ModulatedConv2D.from_config(ModulatedConv2D(3, 5, False).get_config())
    assert (again.filters, again.kernel_size, again.demodulate) == (3, 5, False)
