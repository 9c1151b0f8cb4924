"""Types in the signatures of this package."""

from typing import Any, TypeAlias

Shape: TypeAlias = tuple[Any, ...]
"""Static shape of a tensor: integers, and `None` for sizes that are not known before the call."""

Tensor: TypeAlias = Any
"""A tensor of the Keras backend in use (`tf.Tensor`, `jax.Array`, `torch.Tensor`) or a symbolic
`keras.KerasTensor`. Functions of `keras.ops` also take NumPy arrays."""
