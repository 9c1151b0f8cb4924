"""Saves the model after each epoch, and marks the best epoch."""

import math
import os
import signal
import threading
import time
import warnings
from typing import Any

import keras

from kerasgan import distribution
from kerasgan.callbacks.intervals import check_interval, is_due
from kerasgan.io import callback_state, checkpoints, locks
from kerasgan.io.paths import user_path
from kerasgan.types import Logs


class Preempted(Exception):
    """Training stopped on SIGTERM, after writing a file to resume from."""


class Checkpoint(keras.callbacks.Callback):
    """Saves the model after each epoch with `checkpoints.save`, so a kill costs at most one epoch.

    The best epoch by a metric is recorded in `best.json`. Network files are kept for every
    `every`-th epoch, the best epoch and the epochs of the remaining resume files.

    The resume file also stores the state of the other callbacks in the list: those that define
    `get_state()` and `set_state(state)`, and Keras' own callbacks that count epochs. After
    `checkpoints.resume`, `AdversarialModel.fit` restores these states.

    Args:
        folder: Folder of the checkpoints. It is created if needed and locked during training.
        run: Name of the run, part of the file names.
        dataset: Name of the data set, part of the file names.
        size: Image size in pixels, part of the file names. `None` takes the size of the largest
            images of the model's generator.
        every: Number of epochs between network files that are kept.
        resume_every: Number of epochs between saves, for models that are too large to save after
            every epoch.
        monitor: Name of the metric that defines the best epoch, or `None`. Epochs without this
            metric are ignored.
        mode: `"min"` if lower values of `monitor` are better, `"max"` if higher values are.
        keep: Number of resume files to keep, at least 1. With 2, the run survives a damaged file.
        info: Dictionary of JSON values stored in each file, such as the seed or preset.
        minutes: Number of minutes between two saves within an epoch, or `None`. Such a save is one
            file, which replaces the one before.

    On SIGTERM, which schedulers send before they stop a job, training finishes the step, saves
    within the epoch and raises `Preempted`. A `fit` that resumes from a save within an epoch equals
    an uninterrupted one. Its data must be a `keras.utils.PyDataset`.

    Raises:
        Preempted: On SIGTERM.
        CheckpointError: The folder cannot be written. Raised before training.
        LockedError: Another process writes to the folder. Raised before training.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        run: str,
        dataset: str,
        size: int | None = None,
        every: int = 1,
        resume_every: int = 1,
        monitor: str | None = None,
        mode: str = "min",
        keep: int = 2,
        info: dict | None = None,
        minutes: float | None = None,
    ):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max'; received {mode!r}")
        self.folder, self.monitor, self.mode = user_path(folder), monitor, mode
        self.every, self.resume_every = check_interval(every), check_interval(resume_every)
        self.arguments: dict[str, Any] = dict(
            run=run, dataset=dataset, size=size, keep=keep, info=info
        )
        self.best: float | None = None
        self.best_record: dict[str, Any] | None = None
        # Set by `AdversarialModel.fit`.
        self.siblings: list[keras.callbacks.Callback] = []
        self.initial_epoch = 0
        self.locked = False
        self.within_epochs = False  # Set by `fit`: its data can start at any batch.
        self.minutes, self._stop = minutes, False
        self._handler: Any = None
        checkpoints.file_name(run, dataset, size or 1, "G", 0)  # Raises for invalid names.

    def on_train_begin(self, logs: Logs = None) -> None:
        if self.arguments["size"] is None:
            self.arguments["size"] = self._image_size()
        if distribution.is_chief():
            checkpoints.check_folder(self.folder)
        if distribution.is_chief() and not self.locked:
            locks.acquire(self.folder)
            self.locked = True
        self.started, self.best_record, self._stop = False, None, False
        self.first_batch, self.saved_at = 0, time.monotonic()
        if self.within_epochs and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        resumed = getattr(self.model, "resumed", None)
        if resumed is None and self.initial_epoch == 0:
            self._warn_of_an_earlier_run()
        if resumed is not None and resumed.epoch == self.initial_epoch:
            for line in callback_state.restore(self.siblings, resumed.states):
                print(f"note: {line}")

    def _image_size(self):
        generator = self.model.checkpoint_networks().get("generator")
        shapes = [output.shape for output in getattr(generator, "outputs", None) or []]
        sizes = [shape[1] for shape in shapes if len(shape) == 4 and shape[1]]
        image_shape = getattr(self.model, "image_shape", None)  # For generators without outputs.
        if not sizes and not image_shape:
            raise ValueError(
                "Checkpoint needs size=..., the image size in file names, because the generator of "
                f"{type(self.model).__name__} has no image output; received none"
            )
        return max(sizes) if sizes else image_shape[0]

    def _warn_of_an_earlier_run(self):
        epochs = checkpoints.saved_epochs(self.folder, self.arguments["run"])
        if epochs and distribution.is_chief():
            warnings.warn(
                f"{self.folder} holds epochs up to {epochs[-1]} of an earlier training, which this "
                "one overwrites. Call kerasgan.io.checkpoints.resume(folder, model) before fit to "
                "continue it, or use another folder",
                stacklevel=2,
            )

    def _on_sigterm(self, number, frame):
        self._stop = True

    def get_state(self) -> dict:
        return {"best": self.best_record}

    def set_state(self, state: dict) -> None:
        self.best_record = state["best"]

    def release(self) -> None:
        """Releases the lock of the folder. `fit` calls this when it ends, also after an error."""
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None
        if self.locked:
            self.locked = False
            locks.release(self.folder)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch, self.first_batch = epoch, 0
        if distribution.any_process(self._stop):
            self._save_within(0)
            raise Preempted(f"stopped after epoch {epoch}")
        resumed = getattr(self.model, "resumed", None)
        if resumed is not None and resumed.epoch == epoch and resumed.metrics is not None:
            # Keras has just reset the means of the epoch.
            for variable, value in zip(self.model.metrics_variables, resumed.metrics, strict=True):
                variable.assign(value)
            self.first_batch = resumed.batch
        if not self.started:
            self._find_best(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        # The processes agree in the same step. They ask seldom, since it takes a millisecond.
        several = distribution.processes()[1] > 1
        if not self.within_epochs or (several and batch % 8):
            return
        due = self.minutes and time.monotonic() - self.saved_at >= 60 * self.minutes
        stop, due = distribution.any_process(self._stop), distribution.any_process(bool(due))
        done = self.first_batch + batch + 1
        if (stop or due) and done < self.params["steps"]:
            self._save_within(done)
            if stop:
                raise Preempted(f"stopped after epoch {self.epoch} and {done} batches")

    def _save_within(self, batch):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.saved_at = time.monotonic()
        if distribution.is_chief():
            states = callback_state.get_states(self.siblings)
            checkpoints.save_partial(
                self.folder,
                self.model,
                epoch=self.epoch,
                batch=batch,
                states=states,
                **self.arguments,
            )

    def _find_best(self, epoch):
        self.started, record = True, checkpoints.best(self.folder)
        saved = self.best_record
        if record is None and saved and (self.folder / saved["file"]).is_file():
            if distribution.is_chief():
                checkpoints.mark_best(self.folder, saved["file"], saved["metric"], saved["value"])
            record = saved
        if record and record["metric"] == self.monitor and record["epoch"] <= epoch:
            self.best, self.best_record = record["value"], record
        else:
            self.best = self.best_record = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        value = (logs or {}).get(self.monitor, math.nan)
        better = math.isfinite(value) and (self.best is None or self._better(value))
        if not (better or is_due(self, epoch) or (epoch + 1) % self.resume_every == 0):
            return
        names = {key: self.arguments[key] for key in ("run", "dataset", "size")}
        if better:
            self.best = value
            file = checkpoints.file_name(**names, letter="G", epoch=epoch + 1)
            self.best_record = {
                "file": file,
                "epoch": epoch + 1,
                "metric": self.monitor,
                "value": float(value),
            }
        if not distribution.is_chief():
            return
        states = callback_state.get_states(self.siblings)
        checkpoints.save(
            self.folder, self.model, epoch=epoch + 1, history=logs, states=states, **self.arguments
        )
        checkpoints.remove_partial(self.folder, **names)
        if better and self.monitor is not None:
            checkpoints.mark_best(self.folder, file, self.monitor, value)
        best = (checkpoints.best(self.folder) or {}).get("epoch")
        resumable = checkpoints.epochs(self.folder, checkpoints.RESUME, **names)
        checkpoints.prune(
            self.folder, **names, keep=lambda e: e % self.every == 0 or e == best or e in resumable
        )

    def on_train_end(self, logs: Logs = None) -> None:
        self.release()
        if self.monitor is not None and self.best is None:
            seen = ", ".join(sorted(logs or {}))
            warnings.warn(
                f"no best epoch: the logs never had {self.monitor!r}; they have {seen}",
                stacklevel=2,
            )

    def _better(self, value):
        return value < self.best if self.mode == "min" else value > self.best
