"""Checks every batch of a data set on the host: Keras, TensorFlow, PyTorch and generators."""

import copy
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.epochs import Rows, rows_of


class Checked:
    """Wraps data sets for `fit` and remembers the first batch that failed the check.

    Frameworks bury an exception of the data pipeline in a long message of their own. `error` is
    the original exception with its one line.

    Args:
        check: Function of a batch that returns the batch or raises `ValueError`. Its argument
            `size` is the number of rows of the whole batch, if the batch is a part of one.

    Attributes:
        error: The first exception raised by `check`, or `None`.
    """

    def __init__(self, check: Callable[[Any], Any]):
        self._check = check
        self.error: ValueError | None = None

    def __call__(self, batch: Any, **options: Any) -> Any:
        try:
            return self._check(batch, **options)
        except ValueError as error:
            self.error = self.error or error
            raise

    def wrap(self, data: Any) -> Any:
        """Returns a data set of checked batches, or `None` if the type of `data` is not known."""
        kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(data).__mro__}
        if isinstance(data, keras.utils.PyDataset):
            return CheckedDataset(data, self)
        if isinstance(data, types.GeneratorType):
            return (_owned(self(batch)) for batch in data)
        if any(
            kind.startswith("tensorflow.python.") and kind.endswith(".DatasetV2") for kind in kinds
        ):
            return self._tensorflow(data)
        if any(
            kind.startswith("torch.utils.data") and kind.endswith(".DataLoader") for kind in kinds
        ):
            return self._torch(data)
        return None

    def _tensorflow(self, dataset):
        import tensorflow as tf

        def check(*batch):
            batch = batch if len(batch) > 1 else batch[0]
            leaves = tf.nest.flatten(batch)

            def on_host(*arrays):
                self(tf.nest.pack_sequence_as(batch, list(arrays)))
                return True

            passed = tf.numpy_function(on_host, leaves, tf.bool)
            with tf.control_dependencies([passed]):
                leaves = [tf.identity(x) for x in leaves]
            leaves = [tf.cast(x, tf.float32) if x.dtype.is_floating else x for x in leaves]
            return tf.nest.pack_sequence_as(batch, leaves)

        return dataset.map(check)

    def _torch(self, loader):
        def single(x):  # Stays a torch tensor: Keras calls its `cpu()`.
            return x.float() if hasattr(x, "is_floating_point") and x.is_floating_point() else x

        def batches(self_):
            for batch in type(loader).__iter__(self_):
                self(batch)
                yield keras.tree.map_structure(single, batch)

        checked = copy.copy(loader)
        checked.__class__ = type("DataLoader", (type(loader),), {"__iter__": batches})
        return checked


class CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks and copies each batch of another one.

    Args:
        data: The `PyDataset`.
        check: Function of a batch that returns the batch or raises `ValueError`.
    """

    def __init__(self, data: keras.utils.PyDataset, check: Callable[..., Any]):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.check = data, check

    @property
    def num_batches(self) -> int | None:
        return self.data.num_batches

    def __getitem__(self, index):
        return _owned(self.check(self.data[index]))

    def rows(self, index: int, own: Rows) -> Any:
        """Returns some rows of a batch, see `kerasgan.datasets.epochs.rows_of`."""
        batch = rows_of(self.data, index, own)
        count = len(next(x for x in keras.tree.flatten(batch) if x is not None))
        return _owned(self.check(batch, size=count * own.processes))

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()


def _owned(batch):
    """Copies the arrays of a batch, since TensorFlow may write into the memory it is given."""
    return keras.tree.map_structure(
        lambda x: np.array(x) if isinstance(x, np.ndarray) else x, batch
    )
