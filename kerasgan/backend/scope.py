"""A stateless scope that can be nested: it reads through to the scope around it and remembers which
variables moved.

Keras' own `StatelessScope` knows only the values it was given: inside another one, a variable that
it was not given reads as its stale eager value, and nobody can tell afterwards which variables were
updated.
"""

import keras
import numpy as np


class Scope(keras.StatelessScope):
    """Updates made inside stay inside, in `moved` (variable by id) and `get_current_value`."""

    def __init__(self, values=()):
        super().__init__()
        self.moved = {}
        self.state_mapping = {id(variable): value for variable, value in values}

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        return value

    def add_update(self, update):
        super().add_update(update)
        self.moved[id(update[0])] = update[0]


def frozen_moving_statistics(fn):
    """`fn()`, after which moving averages stand where they stood, while seeds and counters
    (integers) have moved on.

    For a network run on its batch statistics in the other player's phase: it is to be judged by the
    statistics it is trained with, but what it sees there is not to be averaged a second time.
    """
    with Scope() as scope:
        result = fn()
    for variable in scope.moved.values():
        if "int" in variable.dtype:
            variable.assign(scope.get_current_value(variable))
    return result


def first(outputs):
    """The value of a function that returns `value` or `(value, extras)`."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def plain_data(data):
    """What `train_step` is handed, the same from `fit`, `train_on_batch` and `evaluate` on every
    backend.

    Keras pads `(x, y, sample_weight)` with None in some of them and not in others, and leaves
    arrays as they are in an eager `train_on_batch`, where a layer refuses them beside a tensor.
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
