"""Support for files that were saved before an argument or an attribute was renamed."""

import functools
from typing import Any

import keras


class RenamedArguments:
    """Mixin that lets `from_config` accept configurations with earlier argument names.

    A subclass lists its renamed constructor arguments. The names are replaced before `from_config`
    runs, also in classes that override `from_config`. The tables of all base classes apply too, so
    a subclass lists only its own.

    Example:
        ```python
        class MyGAN(RenamedArguments, keras.Model):
            renamed_arguments = {"average": "ema_decay"}

            def __init__(self, ema_decay=None): ...

        MyGAN.from_config({"average": 0.99})  # The same as {"ema_decay": 0.99}.
        ```

    Attributes:
        renamed_arguments: Dict from an earlier name of a constructor argument to its present name.
    """

    renamed_arguments: dict[str, str] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "from_config" in vars(cls):
            own = vars(cls)["from_config"].__func__
            cls.from_config = _with_present_names(own)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        present = present_names(config, collected(cls, "renamed_arguments"))
        return super().from_config(present)  # type: ignore[misc]


def _with_present_names(from_config):
    @classmethod
    @functools.wraps(from_config)
    def renamed(cls, config, *arguments):
        config = present_names(config, collected(cls, "renamed_arguments"))
        return from_config(cls, config, *arguments)

    return renamed


def present_names(config: dict, renamed: dict[str, str]) -> dict:
    """Returns a copy of `config` in which each key of `renamed` is replaced by its value."""
    return {renamed.get(key, key): value for key, value in config.items()}


def collected(cls: type, attribute: str) -> dict[str, str]:
    """Merges the dicts that `cls` and its base classes define under one attribute name."""
    merged: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        merged |= vars(base).get(attribute, {})
    return merged


def accept_earlier_attributes(model: keras.Model, store: Any) -> None:
    """Makes a network of `model` available under the earlier attribute name that a file uses.

    Keras stores the weights of `model.ema_generator` in the HDF5 group `ema_generator` and, when it
    loads a file, reads the groups that `dir(model)` lists. Call this in `load_own_variables`, which
    Keras calls before it lists them.

    Args:
        model: Model whose class has a dict `renamed_attributes`, from earlier names to present
            names.
        store: Keras' weight store, the argument of `load_own_variables`.
    """
    for old, new in collected(type(model), "renamed_attributes").items():
        network = getattr(model, new, None)
        if isinstance(network, keras.Layer) and store.has_path(old):
            # Keras' `__setattr__` would track the network a second time.
            vars(model)[old] = network


def forget_earlier_attributes(model: keras.Model) -> None:
    """Undoes `accept_earlier_attributes`.

    Call this in `save_own_variables`, so that new files use the present names.
    """
    for old in collected(type(model), "renamed_attributes"):
        vars(model).pop(old, None)
