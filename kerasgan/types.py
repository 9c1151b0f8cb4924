"""Types in the signatures of this package."""

from typing import Any, TypeAlias

Logs: TypeAlias = Any
"""Dict of scalars that Keras passes to the methods of callbacks. `None` in calls without it."""

Shape: TypeAlias = tuple[Any, ...]
"""Static shape of a tensor: integers, and `None` for sizes that are not known before the call."""

Tensor: TypeAlias = Any
"""A tensor of the Keras backend in use (`tf.Tensor`, `jax.Array`, `torch.Tensor`) or a symbolic
`keras.KerasTensor`. Functions of `keras.ops` also take NumPy arrays."""
