"""Dtype policies of new layers and of configurations."""

import contextlib
import json
from collections.abc import Iterable, Iterator
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


def is_mixed(networks: Iterable[keras.Layer]) -> bool:
    """Returns whether any layer of the networks is in mixed precision."""
    layers = (layer for network in networks for layer in network._flatten_layers())
    return any(layer.dtype_policy.name.startswith("mixed_") for layer in layers)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in float32.

    Args:
        model: `AdversarialModel` with a `get_config` method. The networks that a checkpoint
            contains (`checkpoint_networks`) keep their weights. The others have new initial weights
            or are missing, such as a frozen encoder that only training needs.
    """
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    copy = keras.saving.deserialize_keras_object(with_dtype_policy(config, "float32"))
    networks = model.checkpoint_networks()
    for name, network in copy.checkpoint_networks().items():
        network.set_weights(networks[name].get_weights())
    return copy


def with_dtype_policy(config: dict, policy: str) -> dict:
    """Returns a copy of a configuration with another dtype policy in its layers.

    Args:
        config: Configuration of a layer or model, without objects that JSON cannot hold.
        policy: Name of the new dtype policy. It replaces every mixed policy. In Functional
            networks it also replaces float32, even in layers that were given float32 explicitly.
            Other policies, such as float64, are kept.
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
