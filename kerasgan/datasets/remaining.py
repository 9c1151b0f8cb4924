"""The rest of an epoch, for a training that resumes within it."""

from typing import Any

import keras


class RemainingBatches(keras.utils.PyDataset):
    """A `PyDataset` without its first batches.

    Args:
        data: `PyDataset`.
        start: Number of batches to leave out.
    """

    def __init__(self, data: keras.utils.PyDataset, start: int):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.start = data, start

    @property
    def num_batches(self) -> int:
        return self.data.num_batches - self.start

    def __getitem__(self, index: int) -> Any:
        return self.data[self.start + index]

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()
