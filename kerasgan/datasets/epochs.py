"""Base class of the data sets whose order and augmentation depend on (seed, epoch, index) only."""

from typing import Any

import keras


class EpochDataset(keras.utils.PyDataset):
    """A `PyDataset` that knows the number of the current epoch.

    Subclasses compute a batch from `(seed, self.epoch, index)`, so that a run resumed at epoch n
    receives the same batches as an uninterrupted run.

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

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch. `AdversarialModel.fit` calls this at the start of each epoch."""
        self.epoch = epoch

    def on_epoch_begin(self) -> None:
        self._in_epoch = True

    def on_epoch_end(self) -> None:
        self.epoch += self._in_epoch  # Keras also calls this before the first epoch.
        self._in_epoch = False
