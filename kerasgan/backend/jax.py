"""JAX: Keras' `(state, data) -> (logs, state)` contract from a plain `train_step(self, data)`.

Every read and write of a Keras variable inside a differentiated, compiled or looped function is
made an argument or a result of it, by a nested `Scope`; what moved inside is handed back to the
scope around it.
"""

import contextlib
import functools

import jax
import keras

from kerasgan.backend.scope import Scope, first, frozen_moving_statistics, plain_data

__all__ = [
    "apply",
    "batch_norm",
    "cond",
    "fori_loop",
    "frozen_moving_statistics",
    "image_conv",
    "restored_on_failure",
    "prefers_matmul",
    "remat",
    "step",
    "vjp",
    "trains_float16_convolutions",
    "without_autotune",
    "value_and_gradients",
    "value_and_gradients_of_sum",
    "value_and_input_gradient",
]


def step(fn):
    @functools.wraps(fn)
    def wrapped(self, *args):
        if len(args) == 1:  # a subclass' super().train_step(data), or a step by hand
            return fn(self, plain_data(args[0]))
        state, data = args
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
        stray = set(scope.moved) - {id(v) for v, _ in known}
        if stray:
            paths = ", ".join(scope.moved[i].path for i in stray)
            raise ValueError(
                f"a variable that moves in {fn.__name__} must belong to the model (its layers, "
                "seeds, metrics or "
                f"optimizers), or the change is lost; received {paths}"
            )
        return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)

    return wrapped


def _pure(fn, variables=()):
    """`fn` as `pure(values of variables, *args) -> (result, values of what moved)`, and `commit`
    for the latter.
    """
    moved = []

    def pure(values, *args):
        with Scope(zip(variables, values, strict=True)) as scope:
            result = fn(*args)
        moved[:] = scope.moved.values()
        return result, [scope.get_current_value(v) for v in moved]

    def commit(updates):
        for variable, value in zip(moved, updates, strict=True):
            variable.assign(value)

    return pure, commit


def value_and_gradients(fn, variables):
    pure, commit = _pure(fn, variables)

    def objective(values):
        (value, outputs), updates = pure(values)
        return value, (outputs, updates)

    (_, (outputs, updates)), gradients = jax.value_and_grad(objective, has_aux=True)(
        [v.value for v in variables]
    )
    commit(updates)
    return outputs, gradients


def value_and_gradients_of_sum(fns, variables):
    def total():
        objectives, outputs = zip(*(fn() for fn in fns), strict=True)
        return sum(objectives), list(outputs)

    return value_and_gradients(total, variables)  # XLA finds an order by itself


def vjp(fn, variables):
    pure, commit = _pure(fn, variables)
    outputs, pullback, updates = jax.vjp(pure, [v.value for v in variables], has_aux=True)
    commit(updates)
    return outputs, lambda cotangents: pullback(cotangents)[0]


def value_and_input_gradient(fn, x):
    pure, commit = _pure(fn)

    def total(x):
        outputs, updates = pure((), x)
        return first(outputs).sum(), (outputs, updates)

    x = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
    (_, (outputs, updates)), gradient = jax.value_and_grad(total, has_aux=True)(x)
    commit(updates)
    return outputs, gradient


def apply(optimizer, gradients, variables):
    values, state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], gradients, [v.value for v in variables]
    )
    for variable, value in zip([*variables, *optimizer.variables], [*values, *state], strict=True):
        variable.assign(value)


def _moves(fn, *args):
    """The variables that `fn(*args)` moves, found without computing anything."""
    with Scope() as scope:
        jax.eval_shape(
            lambda *args: fn(*args), *args
        )  # a new function: JAX does not trace a known one again
    return list(scope.moved.values())


def cond(predicate, true_fn, false_fn):
    moved = list({id(v): v for v in _moves(true_fn) + _moves(false_fn)}.values())

    def branch(fn):
        def run(values):
            with Scope(zip(moved, values, strict=True)) as scope:
                result = fn()
            return result, [scope.get_current_value(v) for v in moved]

        return run

    result, values = jax.lax.cond(
        predicate, branch(true_fn), branch(false_fn), [v.value for v in moved]
    )
    for variable, value in zip(moved, values, strict=True):
        variable.assign(value)
    return result


def fori_loop(lower, upper, body, carry):
    moved = _moves(body, lower, carry)

    def run(i, state):
        carry, values = state
        with Scope(zip(moved, values, strict=True)) as scope:
            carry = body(i, carry)
        return carry, [scope.get_current_value(v) for v in moved]

    carry, values = jax.lax.fori_loop(lower, upper, run, (carry, [v.value for v in moved]))
    for variable, value in zip(moved, values, strict=True):
        variable.assign(value)
    return carry


def remat(fn):
    return fn


def batch_norm(x, gamma, beta, epsilon, relu=False):
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    scale = gamma * jax.lax.rsqrt(variance + epsilon)
    y = (x - mean) * scale + beta
    return jax.nn.relu(y) if relu else y, mean, variance


def without_autotune(strategy):
    return strategy


def trains_float16_convolutions() -> bool:
    return True


def prefers_matmul():
    return False


def image_conv(x, kernel, strides, padding):
    return keras.ops.conv(x, kernel, strides, padding, "channels_last")


@contextlib.contextmanager
def restored_on_failure(model):
    """Keras takes the values out of the model's variables for an epoch, and loses them where the
    first batch fails.
    """
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    before = [(v, v.value) for v in [*model.variables, *optimizer]]
    try:
        yield
    except BaseException:
        model.jax_state_sync()  # the state after the last whole batch
        for variable, value in before:
            if variable._value is None and not value.is_deleted():
                variable.assign(value)
        raise
