"""Operations over the whole batch of a step whose data are divided among replicas.

A replica is a device that executes the steps on its part of each batch: every k-th row, starting
at its index. Concatenating two batches, or splitting a batch in halves, therefore commutes with the
division among replicas. A model uses these operations where the result of a row depends on other
rows, and for its random numbers. Training on several replicas then equals training on one.

All replicas minimize the mean of their objectives. With one replica, these functions return their
argument, or call `keras.random`.
"""

import math
import threading
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasgan import backend
from kerasgan.types import Tensor

_device_statistics = False
_gradient_dtype = "float32"


class _Moving(threading.local):
    """State of a replica, which a `tf.distribute` strategy runs in its own thread.

    Attributes:
        differ: Whether moving statistics may differ from those of other replicas.
    """

    differ = False


moving_statistics = _Moving()


def use_device_statistics(enabled: bool) -> None:
    """Chooses batch statistics of each replica (`True`) or of the whole batch (`False`, default).

    Networks built before are affected, too, unless their step has been traced.
    """
    global _device_statistics
    _device_statistics = enabled


def device_statistics() -> bool:
    """Returns whether batch normalization uses the statistics of each replica."""
    return _device_statistics


def use_gradient_dtype(dtype: str) -> None:
    """Chooses the dtype in which gradients are exchanged, `"float32"` (default) or `"bfloat16"`.

    Steps that have been traced are not affected.
    """
    global _gradient_dtype
    _gradient_dtype = dtype


def count() -> int:
    """Returns the number of replicas. It is 1 outside of steps."""
    return backend.replica()[1]


def mean(values: Sequence[Tensor], dtype: str | None = None) -> list[Tensor]:
    """Returns the means of tensors over the replicas, with one exchange.

    The tensors must have the same shapes on all replicas.

    Args:
        values: List of tensors.
        dtype: Dtype of the exchanged values. Defaults to float32, or float64 if a tensor has it.
    """
    if count() == 1 or not values:
        return list(values)
    values = [ops.convert_to_tensor(value) for value in values]
    sizes = [math.prod(value.shape) for value in values]
    double = any(keras.backend.standardize_dtype(value.dtype) == "float64" for value in values)
    exact = "float64" if double else "float32"
    flat = ops.concatenate([ops.reshape(ops.cast(value, exact), (-1,)) for value in values])
    total = backend.all_sum(ops.cast(flat, dtype or exact), overwrite=True)
    total = ops.cast(total, exact) / count()
    means, start = [], 0
    for value, size in zip(values, sizes, strict=True):
        part = ops.reshape(total[start : start + size], value.shape)
        means.append(ops.cast(part, value.dtype))
        start += size
    return means


def mean_for_equal_losses(values: Sequence[Tensor]) -> list[Tensor]:
    """Returns `mean(values)` for a loss that each replica computes from the means alone.

    The gradients with respect to the means are then equal on all replicas, so that the backward
    pass needs no exchange.
    """
    if count() == 1:
        return list(values)
    means = mean([ops.stop_gradient(value) for value in values])
    # The gradient with respect to the own value is that with respect to the mean.
    return [
        value + ops.stop_gradient(mean - value) for value, mean in zip(values, means, strict=True)
    ]


def mean_gradients(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Returns the means of gradients over the replicas, exchanged in the chosen dtype.

    In bfloat16, a gradient is rounded to 8 significant bits before the exchange, and the sum again.
    The means are equal on all replicas.
    """
    return mean(gradients, None if _gradient_dtype == "float32" else _gradient_dtype)


def gather(x: Tensor) -> Tensor:
    """Returns the rows `[N, ...]` of the whole batch from the rows `[n, ...]` of this replica.

    Gradients with respect to rows of other replicas are added there.
    """
    index, replicas = backend.replica()
    if replicas == 1:
        return x
    # A sum of zeros and rows: the sum is the only exchange that a backend must differentiate.
    mine = ops.equal(ops.arange(replicas), index)
    mine = ops.reshape(mine, (-1, *[1] * (len(x.shape) - 1)))  # [replicas, 1, ...]
    placed = ops.where(mine, x[:, None], ops.zeros_like(x)[:, None])  # [n, replicas, ...]
    return ops.reshape(backend.all_sum(placed), (-1, *x.shape[1:]))


def own(x: Tensor, axis: int = 0) -> Tensor:
    """Returns the rows of this replica from the rows of the whole batch, the reverse of `gather`.

    Args:
        x: Tensor with the rows on `axis`.
        axis: Nonnegative axis.
    """
    index, replicas = backend.replica()
    if replicas == 1:
        return x
    shape = ops.shape(x)
    parts = (*shape[:axis], shape[axis] // replicas, replicas, *shape[axis + 1 :])
    return ops.take(ops.reshape(x, parts), index, axis=axis + 1)


def normal(shape: Sequence[Any], seed: Any, axis: int = 0) -> Tensor:
    """Returns `keras.random.normal`, equal to this replica's rows of the numbers of one device.

    Args:
        shape: Shape with the rows of this replica on `axis`.
        seed: Integer or `keras.random.SeedGenerator` with the same state on all replicas.
        axis: Nonnegative axis of the rows.
    """
    return own(keras.random.normal(_whole(shape, axis), seed=seed), axis)


def uniform(shape: Sequence[Any], seed: Any, axis: int = 0) -> Tensor:
    """Returns `keras.random.uniform` in [0, 1); see `normal`."""
    return own(keras.random.uniform(_whole(shape, axis), seed=seed), axis)


def randint(shape: Sequence[Any], low: int, high: int, seed: Any, axis: int = 0) -> Tensor:
    """Returns `keras.random.randint` from `low` to `high` - 1; see `normal`."""
    return own(keras.random.randint(_whole(shape, axis), low, high, seed=seed), axis)


def _whole(shape, axis):
    return (*shape[:axis], shape[axis] * count(), *shape[axis + 1 :])
