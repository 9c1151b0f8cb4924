"""Data sets whose every batch is checked on the host as it passes: Keras', TensorFlow's, torch's and generators."""

import copy
import types

import keras
import numpy as np


class Checked:
    """Wraps what `fit` takes; remembers the first batch that did not fit.

    A framework wraps an exception of its data pipeline into pages of its own: `error` is the one line.

    Args:
        check: function of a batch that returns it, or raises a ValueError.
    """

    def __init__(self, check):
        self._check, self.error = check, None

    def __call__(self, batch):
        try:
            return self._check(batch)
        except ValueError as error:
            self.error = self.error or error
            raise

    def wrap(self, data):
        """A data set of checked batches, or None where `data` is no data set that we know."""
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
        def single(x):  # still of torch: Keras asks each for its `cpu()`
            return x.float() if hasattr(x, "is_floating_point") and x.is_floating_point() else x

        def batches(self_):
            for batch in type(loader).__iter__(self_):
                self(batch)
                yield keras.tree.map_structure(single, batch)

        checked = copy.copy(loader)
        checked.__class__ = type("DataLoader", (type(loader),), {"__iter__": batches})
        return checked


class CheckedDataset(keras.utils.PyDataset):
    """Another `PyDataset`, each of whose batches is checked.

    Args:
        data: the `PyDataset`.
        check: function of a batch that returns it, or raises a ValueError.
    """

    def __init__(self, data, check):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.check = data, check

    @property
    def num_batches(self):
        return self.data.num_batches

    def __getitem__(self, index):
        return _owned(self.check(self.data[index]))

    def on_epoch_begin(self):
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        self.data.on_epoch_end()


def _owned(batch):
    """Copies of a batch's arrays: TensorFlow may compute in the memory of the arrays that it is given."""
    return keras.tree.map_structure(
        lambda x: np.array(x) if isinstance(x, np.ndarray) else x, batch
    )
