"""Checks of the arguments that the `sample` methods of all models share: counts and seeds."""

import operator
from typing import Any

import numpy as np


def check_count(n: Any, name: str = "n", minimum: int = 1) -> int:
    """Converts a number of images to `int`.

    Args:
        n: Any integer, also a NumPy scalar.
        name: Name of the argument in messages.
        minimum: Smallest allowed value.

    Raises:
        ValueError: `n` is not an integer or too small.
    """
    count = _integer(n)
    if count is None and isinstance(n, (list, tuple, np.ndarray)):
        raise ValueError(
            f"{name} must be an integer of at least {minimum}; received a {type(n).__name__}: use "
            "labels="
        )
    if count is None or count < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}; received {_shown(n)}")
    return count


def check_seed(seed: Any) -> int:
    """Converts a seed to an `int` in [0, 2**32), as Keras does.

    Args:
        seed: Any integer, also a NumPy scalar. `None` chooses a random seed.

    Raises:
        ValueError: `seed` is not an integer, such as `True`, `1.0` or `"1"`.
    """
    if seed is None:
        return int(np.random.randint(2**31))
    found = _integer(seed)
    if found is None:
        raise ValueError(f"seed must be an integer or None; received {_shown(seed)}")
    return found % 2**32


def _integer(value):
    """Returns the value as an `int`, or `None` if it is not an integer. Booleans are not."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.ndim):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _shown(value):
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"
