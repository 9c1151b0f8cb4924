"""State of callbacks in a resume file.

The array `callbacks:<n>` holds JSON text. Arrays that the JSON refers to are `callbacks:<n>:<i>`.

A callback with state defines two methods: `get_state()` returns a dictionary of JSON values and
arrays, and `set_state(state)` restores it. `fit` calls `set_state` after `on_train_begin`. Keras'
own callbacks that count epochs are supported too (`EarlyStopping`, `ReduceLROnPlateau`,
`ModelCheckpoint`).
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan.io.reading import parse_json

_PREFIX = "callbacks:"
# Class names in files of earlier versions -> current names. For renamed keys of a state, a class
# defines `renamed_state = {"old": "new"}`.
RENAMED_CALLBACKS = {"DropMark": "DropDetector", "ProgressLine": "ProgressBar"}
# Attributes of Keras' callbacks that a resumed fit needs.
_KERAS = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


def is_state(name: str) -> bool:
    """Returns whether the array of that name in a resume file belongs to a callback."""
    return name.startswith(_PREFIX)


def get_states(callbacks: Iterable[keras.callbacks.Callback]) -> list[tuple[str, dict]]:
    """Collects `(class name, state)` of all callbacks that have a state."""
    found = ((type(callback).__name__, _get(callback)) for callback in callbacks)
    return [(kind, state) for kind, state in found if state is not None]


def _get(callback):
    if hasattr(callback, "get_state"):
        return callback.get_state()
    names = _names(callback)
    if not names:
        return None
    return {name: getattr(callback, name) for name in names if hasattr(callback, name)}


def _names(callback):
    return next((names for kind, names in _KERAS.items() if isinstance(callback, kind)), ())


def restore(
    callbacks: Iterable[keras.callbacks.Callback], states: Iterable[tuple[str, dict]]
) -> list[str]:
    """Restores the states of callbacks, matched by class name and order.

    Returns:
        One line for each callback whose saved state does not fit. Such a callback keeps its initial
        state.
    """
    failures = []
    waiting = [(RENAMED_CALLBACKS.get(kind, kind), state) for kind, state in states]
    for callback in callbacks:
        kind = type(callback).__name__
        match = next((index for index, (name, _) in enumerate(waiting) if name == kind), None)
        if match is None or not (hasattr(callback, "set_state") or _names(callback)):
            continue
        _, state = waiting.pop(match)
        try:
            renamed = getattr(callback, "renamed_state", {})
            state = {renamed.get(name, name): value for name, value in state.items()}
            if hasattr(callback, "set_state"):
                callback.set_state(state)
            else:
                for name in _names(callback):
                    if name in state:
                        setattr(callback, name, state[name])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            failures.append(
                f"{kind} starts without its saved state, which does not fit "
                f"({str(error).splitlines()[0]})"
            )
    return failures


def pack(states: Iterable[tuple[str, dict]]) -> list[tuple[str, np.ndarray]]:
    """Converts states to named arrays, as checkpoints store them."""
    values = []
    for index, (kind, state) in enumerate(states):
        arrays: list[np.ndarray] = []

        def plain(value, arrays=arrays):
            if isinstance(value, dict):
                return {str(key): plain(part) for key, part in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(part) for part in value]
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
                arrays.append(value)
                return {"array": len(arrays) - 1}
            if hasattr(value, "shape"):  # bfloat16, a backend tensor or a NumPy scalar.
                return float(value) if not value.shape else plain(np.asarray(value, "float32"))
            return value

        text = json.dumps({"class": kind, "state": plain(state)}, default=float)
        values.append((f"{_PREFIX}{index}", np.frombuffer(text.encode(), "uint8")))
        values += [(f"{_PREFIX}{index}:{number}", array) for number, array in enumerate(arrays)]
    return values


def unpack(
    values: Sequence[tuple[str, np.ndarray]],
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[str, Any]]]:
    """Splits the `(name, array)` pairs of a resume file into those of variables and the states."""
    saved = {name: value for name, value in values if is_state(name)}
    states = []

    def rebuild(value, index):
        if isinstance(value, dict):
            if set(value) == {"array"}:
                return saved[f"{_PREFIX}{index}:{value['array']}"]
            return {key: rebuild(part, index) for key, part in value.items()}
        return [rebuild(part, index) for part in value] if isinstance(value, list) else value

    for name, value in saved.items():
        index = name[len(_PREFIX) :]
        if ":" not in index:
            content = parse_json(value.tobytes(), "a callback's state")
            states.append((content["class"], rebuild(content["state"], index)))
    return [(name, value) for name, value in values if not is_state(name)], states
