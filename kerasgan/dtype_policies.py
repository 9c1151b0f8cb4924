"""A context that sets the dtype policy of new layers."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


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
