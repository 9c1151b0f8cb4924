"""Synthetic birds that worker processes replace during training, so that every epoch has new
images.

The species, scene and captions at an index of the data set never change; the image does. Captions
are therefore embedded once, and no image is shown for more than a few epochs.
"""

import concurrent.futures
import multiprocessing

import numpy as np

from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages
from kerasgan.datasets.synthetic_birds import draw_bird, synthetic_birds

CHUNK = 64  # images per task


class FreshBirds(CaptionedBatches):
    """Feeds `fit` with `(images, embeddings)`, `[B, size, size, 3]` in [-1, 1] and `[B, D]`, of
    synthetic birds.

    Each epoch replaces one in `lifetime` images, so an image is shown in `lifetime` epochs, each
    time with another crop and a random flip. Every image is a function of (seed, epoch, index)
    alone: a resumed run gets the same batches as an uninterrupted one. Worker processes make the
    next epoch's images while the current epoch trains.

    Args:
        count: Number of birds in an epoch.
        batch_size: Images in a batch, at least 2.
        text_encoder: Callable from a list of n captions to embeddings `[n, D]`.
        size: Side of the images that are fed. Images are made at 19/16 of it, as for
            `CaptionedBatches`.
        captions: Number of a bird's ten caption embeddings that are averaged, chosen anew each
            time.
        lifetime: Number of epochs for which an image is kept. 1 replaces every image in every
            epoch.
        seed: Integer seed of everything random.
        processes: Number of worker processes. 0 makes the images in the training process.
        mirrored: Whether half of the birds face left, chosen anew each time. Otherwise all face
            right.

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
        text_encoder,
        size: int = 64,
        captions: int = 1,
        lifetime: int = 4,
        seed: int = 0,
        processes: int = 1,
        mirrored: bool = True,
    ):
        if lifetime < 1:
            raise ValueError(f"lifetime must be at least 1; received {lifetime}")
        if processes < 0:
            raise ValueError(f"processes must be at least 0; received {processes}")
        self.side, self.lifetime, self.processes = size * 19 // 16, lifetime, processes
        self.mirrored = mirrored
        known = synthetic_birds(
            "train", count, seed=seed, size=16
        )  # scenes and captions; these pictures are not used
        blank = np.zeros((count, self.side, self.side, 3), "uint8")
        known = CaptionedImages(
            blank, known.classes, known.captions, known.names, None, known.attributes
        )
        super().__init__(known.embed(text_encoder), batch_size, size, captions, seed, mirrored)
        self._drawn = np.full(count, -1)  # generation of each picture that is in memory
        self._pool, self._waiting = None, {}

    def generations(self, epoch: int) -> np.ndarray:
        """Returns how often each image has been replaced before or at an epoch, int `[count]`."""
        return (epoch + np.arange(len(self.data)) % self.lifetime) // self.lifetime

    def _tasks(self, epoch):
        """Arguments of `_draw_all` for the birds whose picture of that epoch is not in memory."""
        wanted = self.generations(epoch)
        places = np.flatnonzero(wanted != self._drawn)
        for start in range(0, len(places), CHUNK):
            chosen = places[start : start + CHUNK]
            seeds = [(self.seed, int(wanted[place]), int(place)) for place in chosen]
            yield (
                chosen,
                wanted[chosen],
                (self.data.attributes[chosen], seeds, self.side, self.mirrored),
            )

    def _prepare(self, epoch):
        """Submits the images that an epoch needs to the worker processes."""
        if self.processes and self._pool is None:
            context = multiprocessing.get_context("spawn")  # the training process has threads
            self._pool = concurrent.futures.ProcessPoolExecutor(self.processes, context)
        if self._pool is not None and epoch not in self._waiting:
            submit = lambda task: self._pool.submit(_draw_all, *task)  # noqa: E731
            self._waiting = {
                epoch: [
                    (chosen, wanted, submit(task)) for chosen, wanted, task in self._tasks(epoch)
                ]
            }

    def set_epoch(self, epoch):
        """Waits for the images of an epoch, and submits those of the next one."""
        super().set_epoch(epoch)
        self._prepare(epoch)
        for chosen, wanted, pictures in self._waiting.pop(epoch, []):
            self.data.images[chosen], self._drawn[chosen] = pictures.result(), wanted
        for chosen, wanted, task in self._tasks(epoch):  # without workers
            self.data.images[chosen], self._drawn[chosen] = _draw_all(*task), wanted
        self._prepare(epoch + 1)

    def __getitem__(self, index):
        if (self._drawn != self.generations(self.epoch)).any():
            self.set_epoch(self.epoch)
        real, _, embeddings = super().__getitem__(index)
        return real, embeddings

    def close(self):
        """Ends the worker processes. The next batch starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._waiting = None, {}


def _draw_all(attributes, seeds, side, mirrored):
    return np.stack(
        [
            draw_bird(each, (*seed, 0), side, mirrored=mirrored)
            for each, seed in zip(attributes, seeds, strict=True)
        ]
    )
