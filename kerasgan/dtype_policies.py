"""Dtype policies of new layers and of configurations."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import keras

from kerasgan.io.reading import json_parts

REPLACED = ("float32", "mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def dtype_policy(policy: Any) -> Iterator[None]:
    """Returns a context in which new layers have a dtype policy.

    Args:
        policy: Name of a dtype policy or a `keras.DTypePolicy`. `None` keeps the current policy.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(before if policy is None else policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a model, or a copy in float32 if any of its networks is in mixed precision."""
    try:
        config = keras.saving.serialize_keras_object(model)
    except NotImplementedError:  # Its class has no `get_config`.
        return model
    config.pop("compile_config", None)
    if '"mixed_' not in json.dumps(config):
        return model
    copy = keras.saving.deserialize_keras_object(with_dtype_policy(config, "float32"))
    # A configuration may lack networks that only training needs, such as a frozen encoder.
    networks = getattr(model, "checkpoint_networks", lambda: {"": model})()
    copies = getattr(copy, "checkpoint_networks", lambda: {"": copy})()
    for name, network in networks.items():
        copies[name].set_weights(network.get_weights())
    return copy


def with_dtype_policy(config: dict, policy: str) -> dict:
    """Returns a copy of a configuration whose layers have a dtype policy.

    Args:
        config: Configuration of a layer or model, without objects that JSON cannot hold.
        policy: Name of the dtype policy. It replaces float32, also where a layer chose it itself,
            and the mixed policies. Other policies, such as float64, are kept.
    """
    config = json.loads(json.dumps(config))
    for part in json_parts(config):
        if not isinstance(part, dict):
            continue
        if part.get("class_name") == "DTypePolicy" and part["config"]["name"] in REPLACED:
            part["config"]["name"] = policy
        elif str(part.get("dtype")).startswith("mixed_"):  # networks of kerasgan's own classes
            part["dtype"] = policy
    return config
