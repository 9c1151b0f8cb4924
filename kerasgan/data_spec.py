"""Declaration of the data that a model trains on, checked in the same way on every path.

A model returns a `DataSpec` from `data_spec()`. `fit`, `evaluate`, `train_on_batch` and
`test_on_batch` check arrays and every batch of a data set on the host. Shapes and dtypes are
checked again when a step is traced.
"""

import collections.abc
import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from kerasgan.images import check_images


def check_labels(labels: Any, classes: int | None = None, count: int | None = None) -> np.ndarray:
    """Returns `labels` as an array.

    Args:
        labels: Integers `[N]` from 0 to `classes` - 1.
        classes: Number of classes. `None` accepts any non-negative integer.
        count: Expected N, the number of images. `None` accepts any.

    Raises:
        ValueError: The labels have another shape, type, count or range.
    """
    if count is not None and (labels is None or np.ndim(labels) == 0 or len(labels) != count):
        received = (
            None if labels is None else np.size(labels) if np.ndim(labels) == 0 else len(labels)
        )
        raise ValueError(f"labels must have {count} entries, one per image; received {received}")
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be a list of integers; received {labels.dtype} {list(labels.shape)}"
        )
    if labels.min() < 0 or (classes is not None and labels.max() >= classes):
        top = "" if classes is None else classes - 1
        raise ValueError(
            f"labels must be in 0..{top}; received labels from {labels.min()} to {labels.max()}"
        )
    return labels


class Part(Protocol):
    """One tensor of a batch."""

    @property
    def name(self) -> str:
        """Name of the tensor in messages."""

    def check(self, x: np.ndarray, count: int | None) -> np.ndarray:
        """Checks shape, dtype and values. Returns the array in the dtype that models use."""

    def check_type(self, shape: Sequence[int | None], dtype: str) -> None:
        """Checks shape and dtype."""


@dataclasses.dataclass(frozen=True)
class Images:
    """Float images `[N, *shape]`, finite and in [-1, 1]."""

    shape: tuple
    name: str = "images"

    def check(self, x: np.ndarray, count: int | None) -> np.ndarray:
        return check_images(x, None if None in self.shape else self.shape, self.name)

    def check_type(self, shape: Sequence[int | None], dtype: str) -> None:
        if "float" not in dtype or len(shape) != 4 or not _fits(shape[1:], self.shape):
            kind = "" if "float" in dtype else "a float array "
            received = (
                f"{dtype} [{', '.join('N' if side is None else str(side) for side in shape)}]"
            )
            raise ValueError(
                f"{self.name} must be {kind}[N, {', '.join(map(str, self.shape))}]; "
                f"received {received}"
            )


@dataclasses.dataclass(frozen=True)
class Labels:
    """Integers `[N]` from 0 to `classes` - 1, or any non-negative integers if it is `None`."""

    classes: int | None = None
    name: str = "labels"

    def check(self, x: np.ndarray, count: int | None) -> np.ndarray:
        return check_labels(x, self.classes, count).astype("int32", copy=False)

    def check_type(self, shape: Sequence[int | None], dtype: str) -> None:
        if "int" not in dtype or len(shape) != 1:
            raise ValueError(
                f"{self.name} must be a list of integers; received {dtype} {list(shape)}"
            )


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Numbers `[N, *shape]`: finite floats, or integers from `minimum` to `maximum`."""

    shape: tuple
    name: str
    integer: bool = False
    minimum: int = 0
    maximum: int | tuple = 0  # One limit, or one for each column.

    def check(self, x: np.ndarray, count: int | None) -> np.ndarray:
        self.check_type(x.shape, x.dtype.name)
        if self.integer:
            if (x < self.minimum).any() or (x > np.asarray(self.maximum)).any():
                maximum = max(self.maximum) if isinstance(self.maximum, tuple) else self.maximum
                raise ValueError(
                    f"{self.name} must be in {self.minimum}..{maximum}; received values from "
                    f"{x.min()} to {x.max()}"
                )
            return x.astype("int32", copy=False)
        if not np.isfinite(x).all():
            raise ValueError(f"{self.name} must be finite; received infinite numbers or NaN")
        return x.astype("float32", copy=False)

    def check_type(self, shape: Sequence[int | None], dtype: str) -> None:
        kind = "int" if self.integer else "float"
        if (
            kind not in dtype
            or len(shape) != 1 + len(self.shape)
            or not _fits(shape[1:], self.shape)
        ):
            shown = ", ".join(["N", *("any" if side is None else str(side) for side in self.shape)])
            raise ValueError(
                f"{self.name} must be {kind} [{shown}]; received {dtype} {list(shape)}"
            )


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A part that the model accepts and ignores, such as labels of an unconditional model."""

    name: str = "labels"

    def check(self, x: np.ndarray, count: int | None) -> np.ndarray:
        return x

    def check_type(self, shape: Sequence[int | None], dtype: str) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The parts of a batch, in order.

    Args:
        parts: `Images`, `Labels`, `Numbers` and `Ignored`, one for each tensor of a batch.
        optional: Number of parts at the end that may be missing.
        smallest: Smallest allowed number of images in a training batch.
        reason: Reason for `smallest`, which messages add in parentheses.
    """

    parts: tuple[Part, ...]
    optional: int = 0
    smallest: int = 1
    reason: str = ""

    def check(self, data: Any, training: bool = False, size: int | None = None) -> Any:
        """Returns the data with float32 images and int32 labels.

        Args:
            data: A batch, or the rows of one that belong to this process.
            training: If `True`, the size of the batch is checked too.
            size: Number of rows of the whole batch. `None` means that `data` is the whole
                batch.

        Raises:
            ValueError: The data do not have the declared parts, shapes, types or ranges.
        """
        self._refuse_mappings(data)
        leaves = keras.tree.flatten(data)
        arrays = [_array(x) for x in leaves if x is not None]
        for x, array in zip((x for x in leaves if x is not None), arrays, strict=True):
            if not hasattr(x, "dtype") and array.dtype.kind not in "biuf":
                raise ValueError(f"data must be arrays of numbers; received a {type(x).__name__}")
            if not array.ndim:
                raise ValueError(
                    "data must be arrays with one entry per image; received one number"
                )
        if len(arrays) == 1 < len(self.parts) - self.optional and isinstance(self.parts[1], Labels):
            check_labels(None, count=np.size(arrays[0]) and len(arrays[0]))
        parts = self._parts(len(arrays))
        checked: list[np.ndarray] = []
        count: int | None = None
        for part, x in zip(parts, arrays, strict=True):
            if count is not None and len(x) != count:
                raise ValueError(
                    f"{part.name} must have {count} entries, one per image; received {len(x)}"
                )
            checked.append(part.check(x, count))
            count = len(x)
        if training and count is not None:
            self.check_size(size or count)
        rest = iter(checked)
        return keras.tree.pack_sequence_as(
            data, [None if x is None else next(rest) for x in leaves]
        )

    def check_traced(self, data: Any, training: bool = False, replicas: int = 1) -> None:
        """Checks shapes and dtypes only, for tensors that may not have values yet.

        Args:
            data: The rows of a batch that belong to one replica.
            training: If `True`, the size of the batch is checked too.
            replicas: Number of replicas.
        """
        self._refuse_mappings(data)
        tensors = [x for x in keras.tree.flatten(data) if x is not None]
        size = None
        for part, x in zip(self._parts(len(tensors)), tensors, strict=True):
            # TensorFlow traces a step again with unknown ranks when the rank of its data changes.
            if getattr(x.shape, "rank", True) is not None:
                part.check_type(tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
                size = x.shape[0] if size is None else size
        if training and isinstance(size, int):
            self.check_size(size * replicas)

    def check_size(self, size: int) -> None:
        """Raises a `ValueError` if a training batch of `size` images is too small."""
        if size < self.smallest:
            raise ValueError(
                f"batch_size must be at least {self.smallest}{self._why()}; received {size}"
            )

    def check_split(self, count: int, batch_size: int | None) -> None:
        """Checks that no batch of an epoch is too small for training.

        Args:
            count: Number of images.
            batch_size: Number of images per batch. `None` means Keras' default of 32.

        Raises:
            ValueError: If the batch size, or the size of the last batch, is too small.
        """
        batch_size = batch_size or 32
        last = count % batch_size or batch_size
        if min(batch_size, last) < self.smallest:
            raise ValueError(
                f"batch_size must be at least {self.smallest} and must not leave a smaller batch"
                f"{self._why()}; received batch_size {batch_size} for {count} images"
            )

    def _refuse_mappings(self, data):
        for part in data if isinstance(data, (list, tuple)) else [data]:
            if isinstance(part, collections.abc.Mapping):
                names = ", ".join(each.name for each in self.parts)
                raise ValueError(
                    f"data must be a tuple ({names}); received a dictionary with {list(part)}"
                )

    def _why(self):
        return f" ({self.reason})" if self.reason else ""

    def _parts(self, count):
        if not len(self.parts) - self.optional <= count <= len(self.parts):
            names = ", ".join(part.name for part in self.parts)
            least = f", the last {self.optional} optional" if self.optional else ""
            raise ValueError(
                f"data must be ({names}){least}, without sample weights; received {count} "
                f"part{'s' * (count != 1)}"
            )
        return self.parts[:count]


def _fits(shape, wanted):
    """Returns whether a shape equals the wanted one. A side of `None` fits any size."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _array(x):
    if hasattr(x, "detach"):  # A PyTorch tensor that may require a gradient.
        x = x.detach()
    numbers = not isinstance(x, (np.ndarray, list, int, float)) and hasattr(x, "shape")
    x = np.asarray(ops.convert_to_numpy(x) if numbers else x)
    return x.astype("float32") if x.dtype.name == "bfloat16" else x
