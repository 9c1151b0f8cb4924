"""Sample grids during training, as PNG files and an animated GIF."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasgan import distribution, images
from kerasgan.callbacks.intervals import check_interval, is_due
from kerasgan.datasets.image_files import stored_image
from kerasgan.io import files, side_files
from kerasgan.io.paths import user_path
from kerasgan.types import Logs

GIF_WIDTH = 700  # Maximum width of the GIF in pixels.


def grids(folder: str | os.PathLike) -> list[tuple[int, pathlib.Path]]:
    """Lists the sample grids in a run's folder as `(epoch, path)`, sorted by epoch."""
    found = ((path.stem[6:], path) for path in (user_path(folder) / "grids").glob("epoch_*.png"))
    return sorted((int(epoch), path) for epoch, path in found if epoch.isdecimal())


class SampleGrid(keras.callbacks.Callback):
    """Saves a grid of samples every few epochs, and an animation of all grids after training.

    The grids are `grids/epoch_0001.png` and so on; the animation is `history.gif`. The animation
    is made from the files, so in a resumed run it starts at the first epoch. A run that starts at
    epoch 0 also saves the samples of the untrained model.

    Args:
        folder: Folder of the run.
        sample: Callable that maps the model to an image, uint8 `[H, W, 1 or 3]`, for example
            `lambda gan: images.grid(gan.sample(n=100, seed=0), columns=10)`. A fixed seed keeps
            the latents the same in all grids.
        every: Number of epochs between grids. The last epoch is always saved.
        ms: Duration of one frame of the GIF in milliseconds.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        sample: Callable[[Any], np.ndarray],
        every: int = 1,
        ms: int = 200,
    ):
        super().__init__()
        if not callable(sample):
            raise ValueError(
                f"sample must be a function of the model that returns an image; received {sample!r}"
            )
        self.folder, self.sample, self.ms = user_path(folder), sample, ms
        self.every = check_interval(every)
        self.epoch: int | None = None  # Number of finished epochs of this `fit`.

    def on_train_begin(self, logs: Logs = None) -> None:
        if distribution.is_chief():
            files.make_folder(side_files.clear_path(self.folder / "grids", folder=True))
        self.epoch = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        resumed = getattr(self.model, "resumed", None)  # Within epoch 0, if not `None`.
        if self.epoch is None and epoch == 0 and resumed is None:
            self._save(0)
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch + 1
        if is_due(self, epoch):
            self._save(epoch + 1)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.epoch is None or not distribution.is_chief():
            return
        paths = [path for n, path in grids(self.folder) if n <= self.epoch]
        first = next(
            (x for path in paths if (x := side_files.read_or_default(path, _read_png)) is not None),
            None,
        )
        if first is not None:
            # Limit the number of frames, so that the GIF of a long run fits on a web page.
            count = min(len(paths), 100 if first.shape[1] < GIF_WIDTH else 40)
            chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, count)})
            frames = [side_files.read_or_default(paths[i], _read_png, notes=[]) for i in chosen]
            frames = [frame for frame in frames if frame is not None] or [first]
            images.save_gif(side_files.clear_path(self.folder / "history.gif"), frames, self.ms)

    def _save(self, epoch):
        path = self.folder / "grids" / f"epoch_{epoch:04d}.png"
        samples = self.sample(self.model)  # On JAX, all processes compute them together.
        if distribution.is_chief():
            images.save_png(side_files.clear_path(path), samples)


def _read_png(path):
    with stored_image(path) as picture:
        if picture.width > GIF_WIDTH:
            picture = picture.resize((GIF_WIDTH, round(picture.height * GIF_WIDTH / picture.width)))
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]
