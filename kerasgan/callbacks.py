"""Callbacks for `fit`: pictures, scores, logs and checkpoints of every epoch, a guard, one player's learning rate.

Keras calls callbacks in the order of the list and hands all of them one dictionary of logs, so the order matters:

    [NonFiniteGuard(...), LearningRateScheduler(...), Scores(...), CSVLog(...), SampleGrid(...), Checkpoint(...)]

Scores come before what reads them; Checkpoint comes last, so that a saved epoch's log and pictures are on the disk.
All count epochs from 1, as files do: epoch 3 is the state after three. Keras' own `TensorBoard` works too.
"""

import csv
import inspect
import io
import math
import pathlib
import time
import warnings

import keras
import numpy as np
from PIL import Image

from kerasgan import checkpoints, images

GIF_WIDTH = 700  # pixels: wider pictures are shrunk to it


def several_optimizers():
    """Whether Keras' TensorBoard copes with a model of several optimizers: since 3.15, not on 3.12 (Python 3.10)."""
    return "inner_optimizer" in inspect.getsource(keras.callbacks.TensorBoard)


class NonFiniteLoss(ArithmeticError):
    """Training has left the numbers: one line that names what, when, and the last good checkpoint."""


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops at the first loss that is infinite or not a number, before anything of that epoch is saved.

    Raises `NonFiniteLoss` out of `fit`. It looks at what `train_step` reports after every batch (a running mean, in
    which a NaN stays) without holding up the next step.

    Args:
        folder: the checkpoints' folder, to name the last good one; None names none.
    """

    async_safe = True  # Keras then waits for a batch's numbers on another thread

    def __init__(self, folder=None):
        super().__init__()
        self.folder, self.epoch = folder, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self._look(logs, f"batch {batch + 1} of epoch {self.epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self._look(logs, f"epoch {epoch + 1}")

    def _look(self, logs, when):
        broken = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if broken:
            good = checkpoints.latest(self.folder, checkpoints.RESUME) if self.folder is not None else None
            raise NonFiniteLoss(
                f"training stops: {broken[0]} is {logs[broken[0]]} in {when}; last good checkpoint: {good or 'none'}"
            )


class LearningRateScheduler(keras.callbacks.Callback):
    """Sets one player's learning rate at the start of each epoch, and logs it as `<player>_learning_rate`.

    (Keras' own sets `model.optimizer.learning_rate`, which a model of several optimizers does not have.)

    Args:
        player: name of a player of the model, such as `"generator"`.
        schedule: function of the epoch, counted from 0 as in `fit`, and of the current rate; returns the rate.
    """

    def __init__(self, player, schedule):
        super().__init__()
        self.player, self.schedule = player, schedule

    def on_train_begin(self, logs=None):
        if self.player not in self.model.players:
            raise ValueError(f"player must be one of {', '.join(self.model.players)}; received {self.player!r}")

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer[self.player]
        rate = float(self.schedule(epoch, float(keras.ops.convert_to_numpy(optimizer.learning_rate))))
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"a learning rate must be finite and at least 0; received {rate} for epoch {epoch}")
        optimizer.learning_rate = rate

    def on_epoch_end(self, epoch, logs=None):
        rate = self.model.optimizer[self.player].learning_rate
        logs[f"{self.player}_learning_rate"] = float(keras.ops.convert_to_numpy(rate))


class Scores(keras.callbacks.Callback):
    """Scores the model every few epochs and adds the numbers to the logs, where later callbacks see them.

    Args:
        score: function of the model that returns a dictionary of names and floats.
        every: number of epochs between two scores; the last epoch is always scored.
    """

    def __init__(self, score, every=1):
        super().__init__()
        self.score, self.every = score, _at_least_one(every)

    def on_epoch_end(self, epoch, logs=None):
        if _due(self, epoch):
            logs.update({name: float(value) for name, value in self.score(self.model).items()})


class CSVLog(keras.callbacks.Callback):
    """Writes every number of every epoch to a CSV file that survives a resume and a kill at any time.

    Keras' `CSVLogger` fixes its columns at the first epoch, so that later scores are lost, and repeats the epochs
    between the last checkpoint and a kill. This one drops the rows that a resumed `fit` makes anew.

    Args:
        path: the file. Columns: `epoch`, `seconds` (that the epoch took), then the logs in order of appearance.
    """

    def __init__(self, path):
        super().__init__()
        self.path, self.rows, self.started = pathlib.Path(path), None, 0.0

    def on_train_begin(self, logs=None):
        self.rows = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.rows is None:  # the first epoch of this fit says what is kept of an earlier one
            kept = list(csv.DictReader(io.StringIO(self.path.read_text()))) if self.path.exists() else []
            self.rows = [row for row in kept if int(row["epoch"]) <= epoch]
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.started, 3)
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, **(logs or {})})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self.rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text(text.getvalue())
        temporary.replace(self.path)


class SampleGrid(keras.callbacks.Callback):
    """Draws the same latents every few epochs: `grids/epoch_0001.png` ..., and at the end `history.gif` of them all.

    The GIF is made from the files, so it shows a resumed run from its first epoch on. A run that starts at its
    beginning also draws epoch 0, the untrained model.

    Args:
        folder: the run's folder.
        draw: function of the model that returns a picture, uint8 [H, W, 1 or 3], such as
            `lambda gan: images.grid(gan.sample(n=100, seed=0), columns=10)`: with a seed, or the latents are others
            each time.
        every: number of epochs between two grids; the last epoch is always drawn.
        ms: milliseconds that a picture of the GIF stays.
    """

    def __init__(self, folder, draw, every=1, ms=200):
        super().__init__()
        if not callable(draw):
            raise ValueError(f"draw must be a function of the model that returns a picture; received {draw!r}")
        self.folder, self.draw, self.every, self.ms = pathlib.Path(folder), draw, _at_least_one(every), ms
        self.epoch = None

    def on_train_begin(self, logs=None):
        (self.folder / "grids").mkdir(parents=True, exist_ok=True)
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.epoch is None and epoch == 0:
            self._draw(0)
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.epoch = epoch + 1
        if _due(self, epoch):
            self._draw(epoch + 1)

    def on_train_end(self, logs=None):
        paths = sorted((self.folder / "grids").glob("epoch_*.png"))
        paths = [path for path in paths if self.epoch is not None and int(path.stem[6:]) <= self.epoch]
        if paths:  # few frames of few pixels: a long run's GIF stays one that a page can carry
            frames = 100 if _read_png(paths[0]).shape[1] < GIF_WIDTH else 40
            chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(len(paths), frames))})
            images.save_gif(self.folder / "history.gif", [_read_png(paths[i]) for i in chosen], self.ms)

    def _draw(self, epoch):
        images.save_png(self.folder / "grids" / f"epoch_{epoch:04d}.png", self.draw(self.model))


class Checkpoint(keras.callbacks.Callback):
    """Saves the model after each epoch (`checkpoints.save`), so that a kill costs an epoch at most, and notes the best
    epoch by a metric in `best.json`.

    What stays: the network files of every few epochs, of the best one and of the last; the resume files of the last
    two. Raises `CheckpointError` before training if the folder cannot be written.

    Args:
        folder: the checkpoints' folder.
        run, dataset, size: parts of the file names.
        every: number of epochs from one whose network files stay to the next.
        resume_every: number of epochs from one save to the next, for models so large that each epoch is too often.
        monitor: name of a number in the logs, or None; epochs whose logs lack it do not compete.
        mode: `"min"` or `"max"`: which of `monitor` is better.
        keep: number of resume files to keep, at least 1; 2 survive the damage of one.
        info: a dictionary that JSON can hold, for the files: seed, preset ...
    """

    def __init__(
        self, folder, *, run, dataset, size, every=1, resume_every=1, monitor=None, mode="min", keep=2, info=None
    ):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max'; received {mode!r}")
        self.folder, self.every, self.monitor, self.mode = pathlib.Path(folder), _at_least_one(every), monitor, mode
        self.resume_every = _at_least_one(resume_every)
        self.arguments = dict(run=run, dataset=dataset, size=size, keep=keep, info=info)
        self.best = None
        checkpoints.file_name(run, dataset, size, "G", 0)  # a bad name is an error now, not after an epoch

    def on_train_begin(self, logs=None):
        checkpoints.check_folder(self.folder)
        self.started = False

    def on_epoch_begin(self, epoch, logs=None):
        if not self.started:
            self.started, noted = True, checkpoints.best(self.folder)
            ours = noted and noted["metric"] == self.monitor and noted["epoch"] <= epoch
            self.best = noted["value"] if ours else None

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(self.monitor)
        better = value is not None and math.isfinite(value) and (self.best is None or self._better(value))
        if not (better or _due(self, epoch) or (epoch + 1) % self.resume_every == 0):
            return
        checkpoints.save(self.folder, self.model, epoch=epoch + 1, history=logs, **self.arguments)
        names = {key: self.arguments[key] for key in ("run", "dataset", "size")}
        if better:
            self.best = value
            path = self.folder / checkpoints.file_name(**names, letter="G", epoch=epoch + 1)
            checkpoints.mark_best(self.folder, path, self.monitor, value)
        best = (checkpoints.best(self.folder) or {}).get("epoch")
        resumable = checkpoints.epochs(self.folder, checkpoints.RESUME, **names)
        checkpoints.prune(self.folder, **names, keep=lambda e: e % self.every == 0 or e == best or e in resumable)

    def on_train_end(self, logs=None):
        if self.monitor is not None and self.best is None:
            seen = ", ".join(sorted(logs or {}))
            warnings.warn(f"no best epoch: the logs never had {self.monitor!r}; they have {seen}", stacklevel=2)

    def _better(self, value):
        return value < self.best if self.mode == "min" else value > self.best


def _due(callback, epoch):
    """Every so many epochs, and after the last one."""
    return (epoch + 1) % callback.every == 0 or epoch + 1 == callback.params.get("epochs")


def _at_least_one(every):
    if every < 1:
        raise ValueError(f"every must be at least 1 (epoch); received {every}")
    return every


def _read_png(path):
    with Image.open(path) as picture:
        if picture.width > GIF_WIDTH:
            picture = picture.resize((GIF_WIDTH, round(picture.height * GIF_WIDTH / picture.width)))
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]
