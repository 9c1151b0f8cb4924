"""Types in the signatures of this package."""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the Keras backend in use (`tf.Tensor`, `jax.Array`, `torch.Tensor`) or a symbolic
`keras.KerasTensor`. Functions of `keras.ops` also take NumPy arrays."""
