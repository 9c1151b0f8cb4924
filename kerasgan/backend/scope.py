"""A nestable stateless scope, and small functions that all backends share."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from kerasgan.types import Tensor


class Scope(keras.StatelessScope):
    """Stateless scope that can be nested and that records which variables were updated.

    A variable without a value in this scope is read from the enclosing scope. Keras' own
    `StatelessScope` reads its outdated eager value instead, and does not list the updates.

    Args:
        values: Pairs of a variable and its value in this scope.

    Attributes:
        updated: Dict from `id(variable)` to each variable that was assigned in this scope.
    """

    def __init__(self, values: Iterable[tuple[keras.Variable, Tensor]] = ()):
        super().__init__()
        self.updated: dict[int, keras.Variable] = {}
        self.state_mapping = {id(variable): value for variable, value in values}

    def get_current_value(self, variable: keras.Variable) -> Tensor:
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        return value

    def add_update(self, update: tuple[keras.Variable, Tensor]) -> None:
        super().add_update(update)
        self.updated[id(update[0])] = update[0]


def frozen_moving_statistics(fn: Callable[[], Any]) -> Any:
    """Returns `fn()` and discards its updates of floating-point variables.

    Use it to run a network with batch statistics while another player trains: the moving
    statistics then count each batch once. Integer variables (seeds, counters) keep their updates.
    """
    with Scope() as scope:
        result = fn()
    for variable in scope.updated.values():
        if "int" in variable.dtype:
            variable.assign(scope.get_current_value(variable))
    return result


def is_plain_adam(optimizer: keras.optimizers.Optimizer) -> bool:
    """Returns whether the fused Adam of a framework computes the same step as an optimizer."""
    kind = type(optimizer)
    return (
        # On PyTorch, Keras makes a subclass of the same name.
        issubclass(kind, keras.optimizers.Adam)
        and kind.__name__ == "Adam"
        and kind.__module__.startswith("keras.")
        and not (optimizer.amsgrad or optimizer.use_ema or optimizer.weight_decay)
        and not (optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm)
        and not (optimizer.gradient_accumulation_steps or optimizer.loss_scale_factor)
        and all(
            v.dtype == "float32" and v.constraint is None for v in optimizer._trainable_variables
        )
    )


_local = threading.local()


@contextlib.contextmanager
def marked_step() -> Iterator[None]:
    """Context in which `in_step()` is `True` for this thread."""
    before = in_step()
    _local.in_step = True
    try:
        yield
    finally:
        _local.in_step = before


def in_step() -> bool:
    """Returns whether this thread executes a `train_step` or `test_step`.

    Only there do all processes compute the same, so that they can exchange tensors.
    """
    return getattr(_local, "in_step", False)


def first(outputs: Any) -> Tensor:
    """Returns the value of a function that returns `value` or `(value, extras)`."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def plain_data(data: Any) -> Any:
    """Returns the data of a step in one form for `fit`, `train_on_batch` and `evaluate`.

    Some of these calls pad `(x, y, sample_weight)` with `None`. An eager `train_on_batch` passes
    NumPy arrays, and layers fail if they get arrays and tensors together.
    """
    data = keras.tree.map_structure(
        lambda x: keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x, data
    )
    if not isinstance(data, (tuple, list)):
        return data
    data = tuple(data)
    while len(data) > 1 and data[-1] is None:
        data = data[:-1]
    return data[0] if len(data) == 1 else data
