"""Lazy imports, so that `--help`, error messages and the list of recipes do not wait for Keras.

Importing Keras takes several seconds. Recipes and tools therefore import Keras, NumPy and kerasgan
like this:

    keras = lazy.module("keras")
    hdgan = lazy.module("kerasgan.models.hdgan")

The names are used like the modules themselves. The import happens when an attribute is first read.
"""

import importlib
import types


class LazyModule(types.ModuleType):
    """Placeholder that imports a module when one of its attributes is first read."""

    def __getattr__(self, name: str):
        return getattr(importlib.import_module(self.__name__), name)


def module(name: str) -> types.ModuleType:
    """Returns a placeholder for the module `name`."""
    return LazyModule(name)
