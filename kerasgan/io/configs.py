"""Checks configurations from files before Keras builds the objects that they describe.

A configuration may contain objects that this process has registered
(`keras.saving.register_keras_serializable`: the classes of this package and of the user) and
Keras' own layers, optimizers, losses and so on. Objects that run code or read files are refused.
While a configuration is built, its weights are counted before they are allocated.
"""

import contextlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import keras

from kerasgan.io.limits import SECONDS, LimitExceededError
from kerasgan.io.reading import json_parts, one_line

WEIGHTS = 2**26  # Number of weights that every configuration may have.
# A model has more networks than the one in a file: it may have this many times the file's weights.
TIMES = 16
VARIABLES = 2000  # Number of variables, and of layers, that every configuration may have.
# Layers that run code, or that read files named by the configuration.
FORBIDDEN = {
    "Lambda",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "StringLookup",
    "IntegerLookup",
    "IndexLookup",
    "TextVectorization",
    "FeatureSpace",
}
VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
DTYPES = re.compile(
    r"(bfloat16|float(16|32|64)|u?int(8|16|32|64)|bool|complex(64|128)|float8_e\w{3,12})"
)
PLACES = (
    "layers",
    "models",
    "optimizers",
    "losses",
    "metrics",
    "initializers",
    "regularizers",
    "constraints",
    "optimizers.schedules",
    "random",
    "dtype_policies",
    "quantizers",
)
FUNCTIONS = {"builtins", *(f"keras.{place}" for place in ("activations", "ops", *PLACES))}


class UnsafeConfigError(ValueError):
    """A configuration contains an object that files may not contain."""


def _kinds():
    return (
        keras.Operation,
        keras.Layer,
        keras.optimizers.Optimizer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.dtype_policies.DTypePolicy,
        keras.dtype_policies.DTypePolicyMap,
        keras.random.SeedGenerator,
        keras.Quantizer,
    )


def check_config(config: Any) -> None:
    """Checks that a configuration, as parsed from JSON, contains only allowed objects.

    Raises:
        UnsafeConfigError: It contains an object that is neither registered nor one of Keras'.
    """
    for part in json_parts(config):
        if isinstance(part, dict):
            if part.get("inbound_nodes"):
                _check_nodes(part["inbound_nodes"])
            if "class_name" in part:
                _check_name(part)
            if isinstance(part.get("dtype"), str) and "value" in part:
                _check_dtype(part["dtype"])
        elif isinstance(part, str) and part in ("__lambda__", "__typespec__"):
            raise UnsafeConfigError(f"a configuration must not contain {part}")


def _check_nodes(nodes):
    """Raises if an inbound node has constants but no Keras tensor: Keras would compute it at once.

    The result of such a call can be arbitrarily large, for example for `keras.ops.tile`.
    """
    for node in nodes if isinstance(nodes, list) else [nodes]:
        names = {str(part.get("class_name")) for part in json_parts(node) if isinstance(part, dict)}
        if isinstance(node, dict) and "__keras_tensor__" not in names:
            raise UnsafeConfigError(
                "a configuration must call layers on tensors of its model; received constants only"
            )


def _check_name(part):
    name, module, registered = part["class_name"], part.get("module"), part.get("registered_name")
    for text in (name, module, registered):
        if text is not None and not isinstance(text, str):
            raise UnsafeConfigError(
                f"a class name in a configuration must be text; received {one_line(text, 40)}"
            )
    shown = one_line(f"{module}.{name}" if module else name, 80)
    if name in VALUES:
        if name in ("__tensor__", "__numpy__"):
            _check_dtype(part["config"]["dtype"])
        return
    if name in FORBIDDEN or (module or "").startswith("__"):
        raise UnsafeConfigError(f"a configuration must not contain {shown}")
    if name == "function":
        function = part.get("config")
        if not isinstance(function, str):
            raise UnsafeConfigError(
                f"a function's name in a configuration must be text; received "
                f"{one_line(function, 40)}"
            )
        if module not in (None, *FUNCTIONS) and not _registered(function):
            raise UnsafeConfigError(
                f"a configuration may only use registered and Keras' functions; received {shown} "
                f"{function[:60]}"
            )
        return
    if registered and _registered(registered) or _registered(name):
        return
    found = _keras_class(module, name)
    if not (isinstance(found, type) and issubclass(found, _kinds())) or found.__name__ in FORBIDDEN:
        raise UnsafeConfigError(
            f"a configuration may only use registered and Keras' own classes; received {shown}"
        )


def _registered(name):
    return keras.saving.get_registered_object(name) is not None


def _keras_class(module, name):
    """Returns Keras' class of that name. Does not import a module for it."""
    if module is None:
        for place in PLACES:
            there = sys.modules.get(f"keras.{place}")
            if hasattr(there, name):
                return getattr(there, name)
        return {
            "Functional": keras.Model,
            "Model": keras.Model,
            "Sequential": keras.Sequential,
        }.get(name)
    if module.split(".")[0] != "keras":
        return None
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    if found is None and module == "keras":
        found = getattr(keras, name, None)
    return found


def _check_dtype(dtype):
    if not isinstance(dtype, str) or not DTYPES.fullmatch(dtype):
        raise UnsafeConfigError(
            f"a dtype in a configuration must be numeric; received {one_line(dtype, 40)}"
        )


@contextlib.contextmanager
def limit_weights(numbers: int, variables: int = 0, seconds: float = SECONDS) -> Iterator[None]:
    """Context manager that limits the weights, variables and layers of a configuration being built.

    Args:
        numbers: Number of values in the file. Since a model has networks that are stored in other
            files, up to `TIMES` as many weights are allowed.
        variables: Number of arrays in the file.
        seconds: Limit of this thread's CPU time, checked at every variable.

    Raises:
        LimitExceededError: The configuration needs more than its file can contain. The exception is
            raised before the weights are allocated.
    """
    most = [max(WEIGHTS, TIMES * numbers)] + 2 * [max(VARIABLES, TIMES * variables)]
    original, start, owner = (
        keras.layers.Layer.add_weight,
        keras.layers.Layer.__init__,
        threading.get_ident(),
    )
    end, refused = time.thread_time() + seconds, []

    def refuse(text):
        refused.append(LimitExceededError(text))
        raise refused[0]

    def add_weight(layer, *arguments, **options):
        if threading.get_ident() == owner:
            shape = options.get("shape", arguments[0] if arguments else ())
            count = 1
            for length in (
                (shape if isinstance(shape, (list, tuple)) else (shape,))
                if shape is not None
                else ()
            ):
                count *= length or 1
            if count > most[0]:
                refuse(
                    f"its configuration has {count:,} weights in {layer.name}; its file contains "
                    f"{numbers:,} in total"
                )
            most[0] -= count
            spend(1)
        return original(layer, *arguments, **options)

    def __init__(layer, *arguments, **options):
        if threading.get_ident() == owner:
            spend(2)
        start(layer, *arguments, **options)

    def spend(which):
        most[which] -= 1
        if most[which] < 0:
            what = "variables" if which == 1 else "layers"
            refuse(f"its configuration has too many {what} for a file with {variables:,} variables")
        if time.thread_time() > end:
            refuse("its configuration takes too long to build")

    keras.layers.Layer.add_weight, keras.layers.Layer.__init__ = add_weight, __init__
    try:
        yield
    except Exception:
        if refused:  # Keras wraps it in an exception of its own.
            raise refused[0] from None
        raise
    finally:
        keras.layers.Layer.add_weight, keras.layers.Layer.__init__ = original, start
