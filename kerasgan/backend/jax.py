"""JAX: pure functions from steps that read and assign Keras variables.

A nested `Scope` turns each read of a variable inside a differentiated, compiled or looped function
into an argument, and each assignment into a result. The results are then assigned in the enclosing
scope.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import keras
import numpy as np

from kerasgan.backend import jax_convolutions
from kerasgan.backend.interface import Objective, T
from kerasgan.backend.scope import Scope, first, frozen_moving_statistics, plain_data
from kerasgan.types import Tensor

__all__ = [
    "all_sum",
    "apply",
    "batch_norm",
    "process_sum",
    "building",
    "inference",
    "cond",
    "cond_or_zero",
    "fori_loop",
    "frozen_moving_statistics",
    "image_conv",
    "join_processes",
    "lost_connection",
    "predict_one",
    "processes",
    "replica",
    "consecutive_rows",
    "restored_on_failure",
    "prefers_matmul",
    "remat",
    "step",
    "vjp",
    "trains_convolutions",
    "without_autotune",
    "value_and_gradients",
    "value_and_gradients_of_sum",
    "value_and_input_gradient",
]


def step(fn: Callable) -> Callable:
    @functools.wraps(fn)
    def wrapped(self, *args):
        if len(args) == 1:  # called directly, for example by a subclass' train_step
            return fn(self, plain_data(args[0]))
        return jax_convolutions.fast_convolutions(functools.partial(stateless, self))(*args)

    def stateless(self, state, data):
        groups = [self.trainable_variables, self.non_trainable_variables, self.metrics_variables]
        if len(state) == 4:
            groups.insert(2, self.optimizer.variables)
        known = [
            (v, x)
            for group, xs in zip(groups, state, strict=True)
            for v, x in zip(group, xs, strict=True)
        ]
        with Scope(known) as scope:
            logs = fn(self, plain_data(data))
        lost = set(scope.updated) - {id(v) for v, _ in known}
        if lost:
            paths = ", ".join(scope.updated[i].path for i in lost)
            raise ValueError(
                f"{fn.__name__} may update only variables of the model (layers, seeds, metrics, "
                f"optimizers), because JAX loses other updates; received {paths}"
            )
        return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)

    return wrapped


def _pure(
    fn: Callable, variables: Sequence[keras.Variable] = ()
) -> tuple[Callable, Callable[[Sequence[Tensor]], None]]:
    """Returns a pure form of `fn`, and a function that assigns its updates.

    `pure(values, *args)` returns `fn(*args)` with these values of `variables`, and the new values
    of the variables that `fn` updated. `commit(updates)` assigns the new values.
    """
    updated: list[keras.Variable] = []

    def pure(values, *args):
        with Scope(zip(variables, values, strict=True)) as scope:
            result = fn(*args)
        updated[:] = scope.updated.values()
        return result, [scope.get_current_value(v) for v in updated]

    def commit(updates):
        for variable, value in zip(updated, updates, strict=True):
            variable.assign(value)

    return pure, commit


def value_and_gradients(
    fn: Objective, variables: Sequence[keras.Variable]
) -> tuple[Any, list[Tensor]]:
    pure, commit = _pure(fn, variables)

    def objective(values):
        (value, outputs), updates = pure(values)
        return value, (outputs, updates)

    (_, (outputs, updates)), gradients = jax.value_and_grad(objective, has_aux=True)(
        [v.value for v in variables]
    )
    commit(updates)
    return outputs, gradients


def value_and_gradients_of_sum(
    fns: Sequence[Objective], variables: Sequence[keras.Variable]
) -> tuple[list[Any], list[Tensor]]:
    def total():
        objectives, outputs = zip(*(fn() for fn in fns), strict=True)
        return sum(objectives), list(outputs)

    return value_and_gradients(total, variables)  # XLA chooses the order


def vjp(
    fn: Callable[[], Any], variables: Sequence[keras.Variable]
) -> tuple[Any, Callable[[Any], list[Tensor]]]:
    pure, commit = _pure(fn, variables)
    outputs, pullback, updates = jax.vjp(pure, [v.value for v in variables], has_aux=True)
    commit(updates)
    return outputs, lambda cotangents: pullback(cotangents)[0]


def value_and_input_gradient(fn: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    pure, commit = _pure(fn)

    def total(x):
        outputs, updates = pure((), x)
        return first(outputs).sum(), (outputs, updates)

    x = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
    (_, (outputs, updates)), gradient = jax.value_and_grad(total, has_aux=True)(x)
    commit(updates)
    return outputs, gradient


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor],
    variables: Sequence[keras.Variable],
) -> None:
    values, state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], gradients, [v.value for v in variables]
    )
    for variable, value in zip([*variables, *optimizer.variables], [*values, *state], strict=True):
        variable.assign(value)


def _updated(fn: Callable, *args) -> list[keras.Variable]:
    """Returns the variables that `fn(*args)` updates, found by abstract evaluation."""
    with Scope() as scope:
        # JAX caches traces by function, so each call needs a new function.
        jax.eval_shape(lambda *args: fn(*args), *args)
    return list(scope.updated.values())


@contextlib.contextmanager
def building() -> Iterator[None]:
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def inference() -> contextlib.AbstractContextManager:
    return contextlib.nullcontext()


def predict_one(network: keras.Model, inputs: Any) -> Any:
    return network.predict_on_batch(inputs)


def cond(predicate: Tensor, true_fn: Callable[[], T], false_fn: Callable[[], T]) -> T:
    updated = list({id(v): v for v in _updated(true_fn) + _updated(false_fn)}.values())

    def branch(fn):
        def run(values):
            with Scope(zip(updated, values, strict=True)) as scope:
                result = fn()
            return result, [scope.get_current_value(v) for v in updated]

        return run

    result, values = jax.lax.cond(
        predicate, branch(true_fn), branch(false_fn), [v.value for v in updated]
    )
    for variable, value in zip(updated, values, strict=True):
        variable.assign(value)
    return result


def cond_or_zero(predicate: Tensor, fn: Callable[[], Tensor]) -> Tensor:
    # The derivative of `jax.lax.cond` consists of two conditionals, and the first one returns all
    # intermediate results of `fn`, or as many zeros. Here one conditional returns the value and the
    # gradient.
    updated = _updated(fn)

    def run(values):
        with Scope(zip(updated, values, strict=True)) as scope:
            result = fn()
        return result, [scope.get_current_value(v) for v in updated]

    before = [jax.lax.stop_gradient(v.value) for v in updated]
    # The other arrays that `fn` reads and that may have a gradient.
    converted, reads = jax.closure_convert(run, before)

    @jax.custom_vjp
    def either(reads):
        return jax.lax.cond(
            predicate, lambda: converted(before, *reads), lambda: (jax.numpy.zeros(()), before)
        )

    def forward(reads):
        gradients = jax.value_and_grad(lambda reads: converted(before, *reads), has_aux=True)
        return jax.lax.cond(
            predicate,
            lambda: gradients(reads),
            lambda: ((jax.numpy.zeros(()), before), jax.tree.map(jax.numpy.zeros_like, reads)),
        )

    def backward(gradients, cotangents):
        # In float16 and bfloat16, a gradient keeps the type of its array.
        return (jax.tree.map(lambda g: g * cotangents[0].astype(g.dtype), gradients),)

    either.defvjp(forward, backward)
    result, values = either(reads)
    for variable, value in zip(updated, values, strict=True):
        variable.assign(value)
    return result


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, T], T], carry: T) -> T:
    updated = _updated(body, lower, carry)

    def run(i, state):
        carry, values = state
        with Scope(zip(updated, values, strict=True)) as scope:
            carry = body(i, carry)
        return carry, [scope.get_current_value(v) for v in updated]

    run = jax_convolutions.fast_convolutions(run, inside=True)
    carry, values = jax.lax.fori_loop(lower, upper, run, (carry, [v.value for v in updated]))
    for variable, value in zip(updated, values, strict=True):
        variable.assign(value)
    return carry


def remat(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return fn


def batch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    scale = gamma * jax.lax.rsqrt(variance + epsilon)
    y = (x - mean) * scale + beta
    return jax.nn.relu(y) if relu else y, mean, variance


def join_processes() -> None:
    # Keras reads KERAS_DISTRIBUTION_*; JAX reads its own variables, Slurm's and those of clusters.
    if any(
        name in os.environ for name in ("KERAS_DISTRIBUTION_NUM_PROCESSES", "JAX_NUM_PROCESSES")
    ):
        keras.distribution.initialize()


def processes() -> tuple[int, int]:
    return jax.process_index(), jax.process_count()


def lost_connection(error: Exception) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError) and (
        "UNAVAILABLE" in str(error) or "Gloo" in str(error)
    )


def process_sum(x: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils  # noqa: PLC0415

    # Float64 would become float32: two float32 hold its high and low parts.
    high = x.astype("float32")
    low = (x - high).astype("float32")
    parts = multihost_utils.process_allgather(np.stack([high, low]))
    return parts.astype("float64").sum(axis=(0, 1))


def consecutive_rows() -> bool:
    return True  # as JAX joins the arrays of the processes


def replica() -> tuple[Any, int]:
    return 0, 1


def all_sum(x: Tensor, overwrite: bool = False) -> Tensor:
    return x


def without_autotune(strategy: Any) -> Any:
    return strategy


def trains_convolutions(dtype: str) -> bool:
    return True


def prefers_matmul() -> bool:
    return False


def image_conv(x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str) -> Tensor:
    return keras.ops.conv(x, kernel, strides, padding, "channels_last")


@contextlib.contextmanager
def restored_on_failure(model: keras.Model) -> Iterator[None]:
    # Keras moves the values out of the variables for an epoch. If the first batch fails, they are
    # lost.
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    before = [(v, v.value) for v in [*model.variables, *optimizer]]
    try:
        yield
    except BaseException:
        model.jax_state_sync()  # the state after the last complete batch
        for variable, value in before:
            if variable._value is None and not value.is_deleted():
                variable.assign(value)
        raise
