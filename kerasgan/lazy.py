"""Lazy public names (PEP 562), so that `import kerasgan` does not import every model."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_exports(
    package: str, exports: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Makes `__getattr__`, `__dir__` and `__all__` of a package with lazily imported names.

    A name is imported on first use. Submodules of the package are attributes too, even if they were
    not imported. The package repeats the exports as `if TYPE_CHECKING:` imports for editors and
    type checkers; `tests/test_public_api.py` compares the two.

    Args:
        package: The package's `__name__`.
        exports: Dict from the full name of a module to the names that the package re-exports from
            it. A name that is also the name of a submodule must be imported eagerly instead,
            because importing the submodule would replace it.

    Returns:
        `__getattr__`, `__dir__` and `__all__`.

    Example:
        ```python
        __getattr__, __dir__, __all__ = lazy_exports(
            __name__, {"kerasgan.models.hdgan": ("HDGAN",)}
        )
        ```
    """
    modules = {name: module for module, names in exports.items() for name in names}

    def submodules() -> list[str]:
        return [found.name for found in pkgutil.iter_modules(sys.modules[package].__path__)]

    def __getattr__(name: str) -> Any:
        if name in modules:
            value = getattr(importlib.import_module(modules[name]), name)
        elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        own = [name for name in vars(sys.modules[package]) if not name.startswith("_")]
        return sorted({*own, *modules, *submodules(), "__all__", "__doc__", "__name__"} - HIDDEN)

    return __getattr__, __dir__, sorted(modules)


HIDDEN = {"TYPE_CHECKING", "lazy_exports"}
