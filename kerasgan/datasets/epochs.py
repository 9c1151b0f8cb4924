"""Base class of the data sets whose order and augmentation depend on (seed, epoch, index) only."""

import dataclasses
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of each batch that one of several processes reads. By default, there is one process.

    Calling it with an array of the whole batch returns these rows.

    Attributes:
        index: Index of the process.
        processes: Number of processes.
        devices: Number of devices of all processes together.
        consecutive: If `True`, the rows of a process are consecutive. Otherwise it reads every
            k-th row.
    """

    index: int = 0
    processes: int = 1
    devices: int = 1
    consecutive: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) % self.devices:
            raise ValueError(
                f"the size of each batch must be a multiple of the {self.devices} devices; "
                f"received {len(x)} (use another batch_size, or drop_remainder=True)"
            )
        if self.consecutive:
            size = len(x) // self.processes
            return x[self.index * size : (self.index + 1) * size]
        return x[self.index :: self.processes]


class EpochDataset(keras.utils.PyDataset):
    """A `PyDataset` that knows the number of the current epoch.

    Subclasses implement `rows`, which computes a batch from `(seed, self.epoch, index)`, so that a
    run resumed at epoch n receives the same batches as an uninterrupted run, and each of several
    processes reads its part of the batches of a single one.

    `AdversarialModel.fit` calls `set_epoch`. For the `fit` of another model, set `epoch` yourself
    and pass `shuffle=False`. Otherwise Keras shuffles the batches again with Python's global
    random generator.

    Attributes:
        epoch: Number of the current epoch, counted from 0. It increases after each epoch.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.epoch, self._in_epoch = 0, False

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.rows(index, Rows())

    def rows(self, index: int, own: Rows) -> Any:
        """Returns some rows of a batch, and reads only their images.

        Args:
            index: Number of the batch in the epoch.
            own: The rows.
        """
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch. `AdversarialModel.fit` calls this at the start of each epoch."""
        self.epoch = epoch

    def on_epoch_begin(self) -> None:
        self._in_epoch = True

    def on_epoch_end(self) -> None:
        self.epoch += self._in_epoch  # Keras also calls this before the first epoch.
        self._in_epoch = False


def rows_of(data: keras.utils.PyDataset, index: int, own: Rows) -> Any:
    """Returns some rows of a batch of any `PyDataset`.

    An `EpochDataset` with `rows` reads only these rows. Other data sets, and subclasses that change
    `__getitem__`, read the whole batch.

    Args:
        data: `PyDataset`.
        index: Number of the batch.
        own: The rows.
    """
    for kind in type(data).__mro__:
        if "rows" in vars(kind):
            return data.rows(index, own)
        if "__getitem__" in vars(kind):
            break
    return keras.tree.map_structure(lambda x: x if x is None else own(x), data[index])
