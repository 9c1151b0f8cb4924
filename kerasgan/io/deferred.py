"""Networks that are built at their first use.

A loaded model has networks that sampling does not need: the discriminators, and the generator if
the model samples with a moving average of it. Building one takes up to a second, so each network of
a loaded configuration is built when something reads it.
"""

from collections.abc import Callable
from typing import Any

import keras

from kerasgan import backend


class DeferredNetwork(keras.Model):
    """Network that is built at its first use.

    The first access to an attribute builds the network. Then this object takes over its class and
    its state, as the modules of `importlib.util.LazyLoader` do, and is an ordinary network.

    Args:
        build: Function from the configuration to the network.
        config: Configuration of the network.
    """

    def __new__(cls, build: Callable[[dict], keras.Model], config: dict) -> Any:
        network = object.__new__(cls)
        parts = {"_build_network": build, "_config": config, "_when_built": []}
        object.__setattr__(network, "__dict__", parts)
        return network

    def __init__(self, build: Callable[[dict], keras.Model], config: dict):
        pass  # The attributes are those of the network, when it is built.

    @classmethod
    def from_config(cls, config: dict) -> "DeferredNetwork":
        return cls(**config)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__", "_maybe_initialize_trackable"):  # Used by tracking.
            return object.__getattribute__(self, name)
        return getattr(_built(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_built(self), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _built(self)(*args, **kwargs)

    def _maybe_initialize_trackable(self) -> None:
        """Does nothing. TensorFlow calls this method of each network that a model is given."""

    def __repr__(self) -> str:
        return repr(_built(self))


def _built(network):
    """Returns the same object after it has become an ordinary network."""
    if type(network) is DeferredNetwork:
        parts = vars(network)
        real = _built_from(parts, parts["_config"])
        object.__setattr__(network, "__dict__", vars(real))
        object.__setattr__(network, "__class__", type(real))
    return network


def _built_from(parts, config):
    """Returns a new network with the values of the files that were loaded into the deferred one."""
    with backend.building():
        network = parts["_build_network"](config)
        for function in parts["_when_built"]:
            function(network)
    return network


def is_deferred(network: keras.Model) -> bool:
    """Returns whether a network is a `DeferredNetwork` that is not built."""
    return type(network) is DeferredNetwork


def when_built(network: keras.Model, function: Callable[[keras.Model], Any]) -> None:
    """Calls a function of a network, for a deferred network after it has been built."""
    if is_deferred(network):
        vars(network)["_when_built"].append(function)
    else:
        function(network)


def built_copy(network: keras.Model, prefix: str) -> keras.Model:
    """Builds another network from the configuration of a deferred network, which stays deferred.

    Args:
        network: Deferred network, see `is_deferred`.
        prefix: Beginning of the new network's name, before the name of `network`.
    """
    parts = vars(network)
    inner = parts["_config"]["config"]
    renamed = inner | {"name": prefix + inner["name"]}
    return _built_from(parts, parts["_config"] | {"config": renamed})


def deferred(config: Any, build: Callable[[dict], keras.Model]) -> Any:
    """Replaces the networks in a configuration by a `DeferredNetwork` each.

    Args:
        config: Configuration of a model, as parsed from JSON.
        build: Function from the configuration of a network to the network.

    Returns:
        A copy of `config` for `keras.saving.deserialize_keras_object`, in the scope of the custom
        object `DeferredNetwork`.
    """
    if isinstance(config, list):
        return [deferred(part, build) for part in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "Functional":
        return {
            "class_name": "DeferredNetwork",
            "config": {"build": build, "config": config},
            "module": None,
            "registered_name": "DeferredNetwork",
        }
    return {key: deferred(part, build) for key, part in config.items()}
