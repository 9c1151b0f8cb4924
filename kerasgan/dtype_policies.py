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
