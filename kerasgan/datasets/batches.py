"""Batches of images and labels in memory, in an order that depends on nothing but (seed, epoch)."""

import keras
import numpy as np

from kerasgan.images import check_images


class Batches(keras.utils.PyDataset):
    """Feeds `fit` on every backend; needs no TensorFlow.

    The order of an epoch is a stateless function of (seed, epoch), so a run resumed at epoch n sees what an
    uninterrupted one would. `AdversarialModel.fit` tells it the epoch; for another model's `fit` set `.epoch = n`
    before it, and pass `shuffle=False`: Keras else shuffles the batches once more with Python's global generator.

    Args:
        images: float array [N, H, W, C] in [-1, 1].
        labels: int array [N], in 0..classes-1.
        batch_size: images a batch, at least 2.
        seed: of the order.
        shuffle: False keeps the order of the arrays.
        drop_remainder: leave out the last N mod batch_size images of an epoch's order, so that all batches are equal.
        classes: number of classes; None admits any label from 0.
        repeats: passes over the images in one epoch, each in an order of its own.

    Attributes:
        epoch: the epoch whose order is served, from 0; the end of an epoch adds one.
    """

    def __init__(
        self,
        images,
        labels,
        batch_size,
        seed=0,
        shuffle=True,
        drop_remainder=True,
        classes=None,
        repeats=1,
    ):
        super().__init__()
        self.images, self.labels = check_images(images), np.asarray(labels)
        if batch_size < 2:
            raise ValueError(
                f"batch_size must be at least 2 (batch norm has no statistics of one image); received {batch_size}"
            )
        if self.labels.shape != (len(self.images),) or not np.issubdtype(
            self.labels.dtype, np.integer
        ):
            raise ValueError(
                f"labels must be {len(self.images)} integers, one an image; "
                f"received {self.labels.dtype} {list(self.labels.shape)}"
            )
        low, high = self.labels.min(), self.labels.max()
        if low < 0 or (classes is not None and high >= classes):
            top = "" if classes is None else classes - 1
            raise ValueError(f"labels must be in 0..{top}; received labels from {low} to {high}")
        if drop_remainder and batch_size > len(self.images):
            raise ValueError(
                f"batch_size must be at most the {len(self.images)} images; received {batch_size}"
            )
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1; received {repeats}")
        self.labels, self.repeats = self.labels.astype("int32", copy=False), repeats
        self.batch_size, self.seed, self.shuffle, self.drop_remainder = (
            batch_size,
            seed,
            shuffle,
            drop_remainder,
        )
        self.epoch, self._within_epoch = 0, False

    @property
    def num_batches(self):
        return self.repeats * self._batches_in_a_pass

    @property
    def _batches_in_a_pass(self):
        return (
            len(self.images) // self.batch_size
            if self.drop_remainder
            else -(-len(self.images) // self.batch_size)
        )

    def __len__(self):
        return self.num_batches

    def order(self, index=0):
        """Indices of the images in one pass of the current epoch: int [N]."""
        count, number = len(self.images), self.epoch * self.repeats + index
        return (
            np.random.default_rng((self.seed, number)).permutation(count)
            if self.shuffle
            else np.arange(count)
        )

    def __getitem__(self, index):
        which, index = divmod(index, self._batches_in_a_pass)
        chosen = self.order(which)[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]

    def set_epoch(self, epoch):
        """`AdversarialModel.fit` calls this as an epoch begins, so a resumed run needs nothing more."""
        self.epoch = epoch

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):  # Keras also calls it before the first epoch
        self.epoch += self._within_epoch
        self._within_epoch = False
