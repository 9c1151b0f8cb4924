"""Checks of arguments that the `sample` methods of all models share: counts and seeds."""

import operator

import numpy as np


def check_count(n, name="n", minimum=1):
    """A number of images as an int. Raises a ValueError, one line, for anything but an integer of
    at least `minimum`.
    """
    count = _integer(n)
    if count is None and isinstance(n, (list, tuple, np.ndarray)):
        raise ValueError(
            f"{name} must be an integer, at least {minimum}; received a {type(n).__name__}: use "
            "labels="
        )
    if count is None or count < minimum:
        raise ValueError(f"{name} must be an integer, at least {minimum}; received {_shown(n)}")
    return count


def check_seed(seed):
    """A seed as an int: any integer, also numpy's, modulo 2**32 as in Keras; None draws a new one.

    Raises a ValueError, one line, for anything else: True, 1.0 and "1" are no seeds.
    """
    if seed is None:
        return int(np.random.randint(2**31))
    found = _integer(seed)
    if found is None:
        raise ValueError(f"seed must be an integer or None; received {_shown(seed)}")
    return found % 2**32


def _integer(value):
    """An int, or None for what is no integer; a truth value is none."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.ndim):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _shown(value):
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"
