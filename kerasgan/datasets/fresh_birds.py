"""Synthetic birds that are replaced during training, so that every epoch has new images.

Worker processes generate the images. Species, scene and captions at an index of the data set do not
change, so captions are embedded once. An image is shown in `lifetime` epochs.
"""

import collections
import concurrent.futures.process
import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable

import numpy as np

from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages
from kerasgan.datasets.epochs import Rows
from kerasgan.datasets.synthetic_birds import draw_bird, synthetic_birds

CHUNK = 64  # Number of images per task.


class FreshBirds(CaptionedBatches):
    """Feeds `fit` with images and caption embeddings of synthetic birds.

    A batch is `(images, embeddings)`, float32 `[B, size, size, 3]` in [-1, 1] and `[B, D]`.

    Each epoch replaces one in `lifetime` images, so an image occurs in `lifetime` epochs, each
    time with another crop and a random flip. Images depend on (seed, epoch, index) only, so a
    resumed run gets the same batches as an uninterrupted one. Worker processes generate the images
    of the next epoch during the current one.

    Args:
        count: Number of birds in an epoch.
        batch_size: Number of images per batch, at least 2.
        text_encoder: Callable that maps a list of n captions to embeddings `[n, D]`.
        size: Height and width of the images in a batch. They are cropped from images of 19/16 of
            this size, see `CaptionedBatches`.
        captions: Number of caption embeddings per bird that are sampled and averaged, at most 10.
        lifetime: Number of epochs for which an image is kept.
        seed: Integer seed.
        processes: Number of worker processes. With 0, the training process generates the images.
        mirrored: If `True`, a random half of the birds faces left, a different half in each epoch.
            Otherwise all face right.
        split: Split of `synthetic_birds`. With `"pairs"`, every batch consists of pairs of birds
            that differ in one attribute only. They are the hardest mismatched captions of each
            other, so a model that compares the captions of a batch learns small parts, too.

    Example:
        ```python
        birds = FreshBirds(4500, 32, text_encoder("synthetic_birds_text"))
        gan.fit(birds, epochs=20)
        ```
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        text_encoder: Callable[[list[str]], np.ndarray],
        size: int = 64,
        captions: int = 1,
        lifetime: int = 4,
        seed: int = 0,
        processes: int = 1,
        mirrored: bool = True,
        split: str = "train",
    ):
        if lifetime < 1:
            raise ValueError(f"lifetime must be at least 1; received {lifetime}")
        if processes < 0:
            raise ValueError(f"processes must be at least 0; received {processes}")
        self.side, self.lifetime, self.processes = size * 19 // 16, lifetime, processes
        self.mirrored = mirrored
        known = synthetic_birds(split, count, seed=seed, size=None)
        self._images = np.zeros((count, self.side, self.side, 3), "uint8")
        known = CaptionedImages(
            self._images, known.classes, known.captions, known.names, None, known.attributes
        )
        self.group = 2 if split == "pairs" else 1
        super().__init__(
            known.embed(text_encoder),
            batch_size,
            size,
            captions,
            seed,
            mirrored,
            mismatched=False,
            group=self.group,
        )
        self._held = np.full(count, -1)  # Generation of each image in memory.
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._waiting: dict[int, list] = {}  # Epoch -> submitted tasks.

    def generations(self, epoch: int) -> np.ndarray:
        """Returns how often each image has been replaced before or at an epoch, int `[count]`."""
        return (epoch + np.arange(len(self.data)) // self.group % self.lifetime) // self.lifetime

    def _tasks(self, epoch):
        """Yields arguments of `_render` for the birds whose image of an epoch is not in memory."""
        wanted = self.generations(epoch)
        places = np.flatnonzero(wanted != self._held)
        for start in range(0, len(places), CHUNK):
            chosen = places[start : start + CHUNK]
            first = chosen - chosen % self.group  # Birds of a pair differ in one attribute only.
            seeds = [
                (self.seed, int(generation), int(place))
                for generation, place in zip(wanted[chosen], first, strict=True)
            ]
            yield (
                chosen,
                wanted[chosen],
                (self.data.attributes[chosen], seeds, self.side, self.mirrored),
            )

    def _submit(self, task):
        """Gives a task to the worker processes, which are started if there are none.

        Raises:
            BrokenProcessPool: A worker process has ended.
        """
        if self._pool is None:
            # The training process has threads, which must not be forked.
            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.processes, context, _end_with_parent
            )
        return self._pool.submit(_render, *task)

    def _prepare(self, epoch):
        """Submits the images that an epoch needs to the worker processes."""
        if epoch not in self._waiting:
            self._waiting = {
                epoch: [
                    (chosen, wanted, self._submit(task))
                    for chosen, wanted, task in self._tasks(epoch)
                ]
            }

    def _share(self, epoch):
        """Creates the images of an epoch in this process and in the worker processes.

        Few tasks are submitted at a time. Cancelling the others instead may leave processes behind
        if a worker is killed (Python 3.11).
        """
        tasks, begun = collections.deque(self._tasks(epoch)), list[tuple]()
        while tasks:
            waiting = sum(not future.done() for *_, future in begun)
            if waiting < 2 * self.processes:
                chosen, wanted, task = tasks.popleft()
                begun.append((chosen, wanted, self._submit(task)))
            else:
                chosen, wanted, task = tasks.pop()
                self._images[chosen], self._held[chosen] = _render(*task), wanted
        return begun

    def set_epoch(self, epoch: int) -> None:
        """Waits for the images of an epoch, and submits those of the next one.

        Images that have not been submitted, as those of the first epoch, are also created by this
        process.
        """
        super().set_epoch(epoch)
        if self.processes:
            try:
                begun = self._waiting.pop(epoch, None)
                for chosen, wanted, pictures in self._share(epoch) if begun is None else begun:
                    self._images[chosen], self._held[chosen] = pictures.result(), wanted
                self._prepare(epoch + 1)
            except concurrent.futures.process.BrokenProcessPool:
                warnings.warn(
                    "FreshBirds draws in the training process now: its worker processes ended. A "
                    "script that trains with worker processes must keep its own code under "
                    "`if __name__ == '__main__':`, because each worker imports it",
                    stacklevel=2,
                )
                self.close()
                self.processes = 0
        for chosen, wanted, task in self._tasks(epoch):  # Without worker processes.
            self._images[chosen], self._held[chosen] = _render(*task), wanted

    def rows(self, index: int, own: Rows) -> tuple[np.ndarray, ...]:
        if (self._held != self.generations(self.epoch)).any():
            self.set_epoch(self.epoch)
        return super().rows(index, own)

    def close(self) -> None:
        """Ends the worker processes. The next batch starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._waiting = None, {}


def _end_with_parent():
    """Ends a worker process when the training process is gone, even if that was killed."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _render(attributes, seeds, side, mirrored):
    return np.stack(
        [
            draw_bird(each, (*seed, 0), side, mirrored=mirrored)
            for each, seed in zip(attributes, seeds, strict=True)
        ]
    )
