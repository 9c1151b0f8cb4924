"""The state of callbacks in a resume file: `callbacks:<n>` is JSON, `callbacks:<n>:<i>` an array that it refers to.

A callback with state has `get_state()`, which returns a dictionary of what JSON can hold and of arrays, and
`set_state(state)`, called when `fit` goes on, after `on_train_begin`. Keras' own that count are served here.
"""

import json

import keras
import numpy as np

_PREFIX = "callbacks:"
RENAMED_CALLBACKS = {"DropMark": "DropDetector", "ProgressLine": "ProgressBar"}  # old -> new
# Keras' callbacks that count: what of them a resumed fit needs.
_KERAS = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


def is_state(name):
    """Whether an array of a resume file is a callback's."""
    return name.startswith(_PREFIX)


def of(callbacks):
    """[(class name, state)] of the callbacks that have one."""
    found = ((type(callback).__name__, _get(callback)) for callback in callbacks)
    return [(kind, state) for kind, state in found if state is not None]


def _get(callback):
    if hasattr(callback, "get_state"):
        return callback.get_state()
    names = _names(callback)
    return (
        {name: getattr(callback, name) for name in names if hasattr(callback, name)}
        if names
        else None
    )


def _names(callback):
    return next((names for kind, names in _KERAS.items() if isinstance(callback, kind)), ())


def restore(callbacks, states):
    """Gives callbacks the states of the same class, in order. Returns a line for each that could not take its own."""
    told = []
    waiting = [(RENAMED_CALLBACKS.get(kind, kind), state) for kind, state in states]
    for callback in callbacks:
        kind = type(callback).__name__
        match = next((index for index, (name, _) in enumerate(waiting) if name == kind), None)
        if match is None or not (hasattr(callback, "set_state") or _names(callback)):
            continue
        _, state = waiting.pop(match)
        try:
            if hasattr(callback, "set_state"):
                callback.set_state(state)
            else:
                for name in _names(callback):
                    if name in state:
                        setattr(callback, name, state[name])
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:  # of another version, or other settings
            told.append(
                f"{kind} begins anew: its saved state does not fit ({str(error).splitlines()[0]})"
            )
    return told


def packed(states):
    """States as arrays with names, as checkpoints hold them."""
    values = []
    for index, (kind, state) in enumerate(states):
        arrays = []

        def plain(value, arrays=arrays):
            if isinstance(value, dict):
                return {str(key): plain(part) for key, part in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(part) for part in value]
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
                arrays.append(value)
                return {"array": len(arrays) - 1}
            if hasattr(value, "shape"):  # bfloat16, a backend's tensor or numpy's scalar
                return float(value) if not value.shape else plain(np.asarray(value, "float32"))
            return value

        told = json.dumps({"class": kind, "state": plain(state)}, default=float)
        values.append((f"{_PREFIX}{index}", np.frombuffer(told.encode(), "uint8")))
        values += [(f"{_PREFIX}{index}:{number}", array) for number, array in enumerate(arrays)]
    return values


def unpacked(values):
    """Divides a resume file's `[(name, array)]` into those of variables and the states."""
    saved = {name: value for name, value in values if is_state(name)}
    states = []

    def whole(value, index):
        if isinstance(value, dict):
            if set(value) == {"array"}:
                return saved[f"{_PREFIX}{index}:{value['array']}"]
            return {key: whole(part, index) for key, part in value.items()}
        return [whole(part, index) for part in value] if isinstance(value, list) else value

    for name, value in saved.items():
        index = name[len(_PREFIX) :]
        if ":" not in index:
            told = json.loads(value.tobytes())
            states.append((told["class"], whole(told["state"], index)))
    return [(name, value) for name, value in values if not is_state(name)], states
