"""Tests of `kerasgan.backend.jax_convolutions`: same results, and forms that XLA computes fast."""

import re

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("only for JAX", allow_module_level=True)

import jax

from kerasgan.backend.jax_convolutions import fast_convolutions

pytestmark = pytest.mark.backend

# Convolutions in compiled programs that XLA's fast kernel on the CPU does not take: other orders of
# axes, and reversed kernels.
SLOW = re.compile(r" convolution\(.*(?:rhs_reversal|dim_labels=(?!b01f_01io->b01f)\S+)")


def convolution(x, kernel, strides=1, padding="SAME", **arguments):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **arguments,
    )


def arrays(side, channels=6):
    random = np.random.default_rng(0)
    shapes = (4, side, side, channels), *[(3, 3, channels, channels)] * 2
    return tuple((0.2 * random.normal(size=shape)).astype("float32") for shape in shapes)


def penalized(arguments, due):
    """A loss with a gradient penalty, which a condition adds."""
    x, one, other = arguments

    def critic(x):
        y = jax.numpy.tanh(convolution(x, one))
        y = jax.numpy.tanh(convolution(y, other, 2, "VALID"))
        return jax.numpy.tanh(convolution(y, one)).sum()

    penalty = lambda: (jax.grad(critic)(x) ** 2).sum()  # noqa: E731
    return critic(x) + jax.lax.cond(due, penalty, lambda: 0.0)


def descent(arguments, steps):
    """Gradient steps in a loop, as of Langevin dynamics."""
    x, one, other = arguments
    energy = lambda x: convolution(jax.numpy.tanh(convolution(x, one)), other, 2).sum()  # noqa: E731
    return jax.lax.fori_loop(0, steps, lambda i, x: x - 0.01 * jax.grad(energy)(x), x)


def grouped(arguments, due):
    """Convolutions with groups, of dilated maps, with dilated kernels."""
    x, one, _ = arguments
    y = convolution(x, one[:, :, :2], feature_group_count=3)
    y = convolution(y, one, padding=[(1, 2), (2, 1)], lhs_dilation=(2, 2))
    return jax.lax.cond(due, lambda: convolution(y, one, rhs_dilation=(2, 2)), lambda: y)


@pytest.mark.parametrize("side", [5, 8])
@pytest.mark.parametrize("fn", [jax.value_and_grad(penalized), descent, grouped])
def test_results_are_the_same(fn, side):
    expected = jax.jit(fn)(arrays(side), 1)
    found = jax.jit(fast_convolutions(fn))(arrays(side), 1)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="only the CPU has slow forms")
@pytest.mark.parametrize("side", [5, 8])
@pytest.mark.parametrize("fn", [jax.value_and_grad(penalized), descent])
def test_compiled_programs_have_no_slow_convolutions(fn, side):
    programs = [
        jax.jit(each).lower(arrays(side), 1).compile().as_text()
        for each in (fn, fast_convolutions(fn))
    ]
    before, after = (len(SLOW.findall(program)) for program in programs)
    assert before > 0
    assert after == 0


def test_calls_with_values_are_not_traced():
    calls = []
    assert fast_convolutions(lambda x: calls.append(x) or x)(3) == 3
    assert calls == [3]
