"""Configurations that files hold, checked before Keras builds what they name.

A configuration may name what this process has registered
(`keras.saving.register_keras_serializable`: this package's classes and the user's own) and Keras'
own layers, optimizers, losses and the like; nothing that runs code or reads files of the
configuration's choice. While it is built, weights are counted before they are allocated.
"""

import contextlib
import re
import sys
import threading
import time

import keras

from kerasgan.io.limits import SECONDS, LimitExceededError
from kerasgan.io.reading import json_parts, one_line

WEIGHTS = 2**26  # that any configuration may have
TIMES = 16  # a model has more networks than the one in a file: so many times the file's weights
VARIABLES = 2000  # and layers
# Layers that run code, or read files that the configuration names.
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
    """A configuration names what no file may."""


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


def check_config(config):
    """Raises `UnsafeConfigError` if a configuration, as JSON gives it, names anything but
    registered and Keras' own classes.
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
            raise UnsafeConfigError(f"a configuration must name no {part}")


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
                f"a configuration must name classes by text; received {one_line(text, 40)}"
            )
    told = one_line(f"{module}.{name}" if module else name, 80)
    if name in VALUES:
        if name in ("__tensor__", "__numpy__"):
            _check_dtype(part["config"]["dtype"])
        return
    if name in FORBIDDEN or (module or "").startswith("__"):
        raise UnsafeConfigError(f"a configuration must name no {told}")
    if name == "function":
        function = part.get("config")
        if not isinstance(function, str):
            raise UnsafeConfigError(
                f"a configuration must name functions by text; received {one_line(function, 40)}"
            )
        if module not in (None, *FUNCTIONS) and not _registered(function):
            raise UnsafeConfigError(
                f"a configuration must name registered and Keras' functions; received {told} "
                f"{function[:60]}"
            )
        return
    if registered and _registered(registered) or _registered(name):
        return
    found = _keras_class(module, name)
    if not (isinstance(found, type) and issubclass(found, _kinds())) or found.__name__ in FORBIDDEN:
        raise UnsafeConfigError(
            f"a configuration must name registered and Keras' own classes; received {told}"
        )


def _registered(name):
    return keras.saving.get_registered_object(name) is not None


def _keras_class(module, name):
    """Keras' class of that name; no module is imported for it."""
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
            f"a configuration must have plain numbers; received {one_line(dtype, 40)}"
        )


@contextlib.contextmanager
def limit_weights(numbers, variables=0, seconds=SECONDS):
    """While a configuration is built, raises `LimitExceededError` before more weights are made than
    its file can be of.

    Args:
        numbers: how many the file holds. Its model has networks that are in other files, hence
            `TIMES` as many may be.
        variables: how many arrays they are in.
        seconds: what building may take; looked at for every variable.
    """
    most = [max(WEIGHTS, TIMES * numbers)] + 2 * [max(VARIABLES, TIMES * variables)]
    original, start, owner = (
        keras.layers.Layer.add_weight,
        keras.layers.Layer.__init__,
        threading.get_ident(),
    )
    end, told = time.monotonic() + seconds, []

    def refuse(text):
        told.append(LimitExceededError(text))
        raise told[0]

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
                    f"its configuration has {count:,} weights in {layer.name}; its file holds "
                    f"{numbers:,} in all"
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
            refuse(
                f"its configuration has more {what} than the {variables:,} variables of its file "
                "allow"
            )
        if time.monotonic() > end:
            refuse("its configuration takes too long to build")

    keras.layers.Layer.add_weight, keras.layers.Layer.__init__ = add_weight, __init__
    try:
        yield
    except Exception:
        if told:  # Keras puts words of its own around it
            raise told[0] from None
        raise
    finally:
        keras.layers.Layer.add_weight, keras.layers.Layer.__init__ = original, start
