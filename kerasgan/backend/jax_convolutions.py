"""Rewrites convolutions to the form for which XLA has a fast kernel on the CPU.

XLA's fast kernel takes feature maps `[N, H, W, C]` and kernels `[H, W, C, F]` that are not
reversed. XLA transposes the arguments of other convolutions, but not in branches and loops
(`jax.lax.cond`, `while_loop`). There, the gradients of convolutions become nested scalar loops,
which take 10 to 50 times as long. If the kernel is larger than the feature map, XLA also exchanges
their roles, which reverses the kernel. A 3 x 3 convolution of 2 x 2 pixels therefore becomes such a
loop everywhere.

`fast_convolutions(fn)` rewrites these convolutions, except grouped ones. It works on the traced
function, after differentiation, so that it finds the convolutions of all gradients.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core
from jax.extend.core import primitives

# Primitives that XLA runs as branches or loops.
_CONTROL_FLOW = (primitives.cond_p, primitives.while_p, primitives.scan_p)


def fast_convolutions(fn: Callable, inside: bool = False) -> Callable:
    """Returns `fn` with convolutions in the fast form.

    Calls that JAX does not trace, and calls on other devices than the CPU, run `fn` unchanged.

    Args:
        fn: Function of arrays, or of nested structures of them.
        inside: Whether `fn` is itself a branch or the body of a loop.

    Returns:
        Function with the same arguments and results.
    """

    @functools.wraps(fn)
    def wrapped(*args):
        leaves = jax.tree.leaves(args)
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if not traced or jax.default_backend() != "cpu":
            return fn(*args)
        closed, shapes = jax.make_jaxpr(fn, return_shape=True)(*args)
        outputs = _evaluate(closed, leaves, inside)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return wrapped


def _evaluate(closed: core.ClosedJaxpr, args: Sequence[Any], inside: bool) -> list[Any]:
    """Evaluates a traced function with its convolutions in the fast form."""
    values = dict(
        zip([*closed.jaxpr.constvars, *closed.jaxpr.invars], [*closed.consts, *args], strict=True)
    )

    def read(variable):
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in closed.jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        with equation.ctx.manager:
            outputs = _bind(equation, inputs, inside)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in closed.jaxpr.outvars]


def _bind(equation: core.JaxprEqn, inputs: list[Any], inside: bool) -> Sequence[Any]:
    """Performs one operation of a traced function."""
    primitive, params = equation.primitive, equation.params
    if primitive is primitives.conv_general_dilated_p:
        return [_convolution(inputs[0], inputs[1], params, inside)]
    if primitive in (*_CONTROL_FLOW, primitives.jit_p) and _convolves(equation):
        inside = inside or primitive in _CONTROL_FLOW
        params = {name: _rewritten(value, inside) for name, value in params.items()}
    bound = primitive.get_bind_params(params)
    # Earlier versions of JAX return the functions separately from the other parameters.
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    outputs = primitive.bind(*functions, *inputs, **params)
    return outputs if primitive.multiple_results else [outputs]


def _rewritten(value: Any, inside: bool) -> Any:
    """Rewrites the traced functions in a parameter of an operation."""
    if isinstance(value, core.ClosedJaxpr):
        return jax.make_jaxpr(lambda *args: _evaluate(value, args, inside))(*value.in_avals)
    if isinstance(value, tuple) and any(isinstance(each, core.ClosedJaxpr) for each in value):
        return tuple(_rewritten(each, inside) for each in value)
    return value


def _convolves(equation: core.JaxprEqn) -> bool:
    """Returns whether an operation is a convolution, or has a function that contains one."""
    return equation.primitive is primitives.conv_general_dilated_p or any(
        _convolves(each) for jaxpr in core.jaxprs_in_params(equation.params) for each in jaxpr.eqns
    )


def _convolution(x: Any, kernel: Any, params: dict[str, Any], inside: bool) -> Any:
    """Performs a convolution, in the fast form if XLA would not choose it."""
    dims, grouped = (
        params["dimension_numbers"],
        1 < max(params["feature_group_count"], params["batch_group_count"]),
    )
    sizes = [x.shape[i] for i in dims.lhs_spec[2:]]
    window = [kernel.shape[i] for i in dims.rhs_spec[2:]]
    swapped = math.prod(window) > math.prod(sizes)
    if grouped or not (inside or swapped):
        return primitives.conv_general_dilated_p.bind(x, kernel, **params)
    batch, features, *places = dims.lhs_spec
    x = jax.lax.transpose(x, (batch, *places, features))
    filters, features, *places = dims.rhs_spec
    kernel = jax.lax.transpose(kernel, (*places, features, filters))
    padding, dilation = params["padding"], params["lhs_dilation"]
    if swapped:
        # The barrier keeps XLA from moving the padding back into the convolution.
        edges = [(low, high, step - 1) for (low, high), step in zip(padding, dilation, strict=True)]
        x = jax.lax.pad(x, jax.numpy.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
        x = jax.lax.optimization_barrier(x)
        padding, dilation = [(0, 0)] * len(edges), [1] * len(edges)
    rank = len(places)
    spec = (0, rank + 1, *range(1, rank + 1))
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        params["window_strides"],
        padding,
        dilation,
        params["rhs_dilation"],
        jax.lax.ConvDimensionNumbers(spec, (rank + 1, rank, *range(rank)), spec),
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )
    # The axis of y that each axis of the result comes from.
    batch, features, *places = dims.out_spec
    sources = {batch: 0, features: rank + 1} | {place: 1 + i for i, place in enumerate(places)}
    return jax.lax.transpose(y, [sources[axis] for axis in range(rank + 2)])
