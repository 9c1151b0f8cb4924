"""Batches of images and labels that are held in memory."""

import numpy as np

from kerasgan.datasets.epochs import EpochDataset, Rows
from kerasgan.images import check_images


class Batches(EpochDataset):
    """Feeds images and labels to `fit` on every backend, without TensorFlow.

    The order of an epoch depends on (seed, epoch) only, see `EpochDataset`.

    Args:
        images: Float array `[N, H, W, C]` in [-1, 1].
        labels: Integer array `[N]` in 0..classes-1.
        batch_size: Number of images per batch, at least 2.
        seed: Integer seed of the order.
        shuffle: If `False`, the order of the arrays is kept.
        drop_remainder: If `True`, the last N mod batch_size images of an epoch are dropped, so that
            all batches have the same size.
        classes: Number of classes. `None` accepts any non-negative label.
        repeats: Number of passes over the images in one epoch, each in its own order.

    Attributes:
        epoch: Number of the current epoch, counted from 0. It determines the order.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_remainder: bool = True,
        classes: int | None = None,
        repeats: int = 1,
    ):
        super().__init__()
        self.images, self.labels = check_images(images), np.asarray(labels)
        count = len(self.images)
        if batch_size < 2:
            raise ValueError(
                "batch_size must be at least 2 (batch norm has no statistics of one image); "
                f"received {batch_size}"
            )
        integers = np.issubdtype(self.labels.dtype, np.integer)
        if self.labels.shape != (count,) or not integers:
            raise ValueError(
                f"labels must be {count} integers, one per image; "
                f"received {self.labels.dtype} {list(self.labels.shape)}"
            )
        low, high = self.labels.min(), self.labels.max()
        if low < 0 or (classes is not None and high >= classes):
            top = "" if classes is None else classes - 1
            raise ValueError(f"labels must be in 0..{top}; received labels from {low} to {high}")
        if drop_remainder and batch_size > count:
            raise ValueError(
                f"batch_size must be at most the {count} images; received {batch_size}"
            )
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1; received {repeats}")
        self.labels, self.repeats = self.labels.astype("int32", copy=False), repeats
        self.batch_size, self.seed = batch_size, seed
        self.shuffle, self.drop_remainder = shuffle, drop_remainder

    @property
    def num_batches(self) -> int:
        return self.repeats * self._batches_per_pass

    @property
    def _batches_per_pass(self):
        full, rest = divmod(len(self.images), self.batch_size)
        return full + (rest > 0 and not self.drop_remainder)

    def order(self, index: int = 0) -> np.ndarray:
        """Returns the order of the images in one pass of the current epoch: int `[N]`."""
        count, number = len(self.images), self.epoch * self.repeats + index
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, number)).permutation(count)

    def rows(self, index: int, own: Rows) -> tuple[np.ndarray, np.ndarray]:
        which, index = divmod(index, self._batches_per_pass)
        chosen = own(self.order(which)[index * self.batch_size : (index + 1) * self.batch_size])
        return self.images[chosen], self.labels[chosen]
