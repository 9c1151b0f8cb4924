"""Callbacks that log: a CSV file, a short progress bar, one player's learning rate."""

import csv
import inspect
import io
import math
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerasgan import distribution
from kerasgan.io import side_files
from kerasgan.io.paths import user_path
from kerasgan.types import Logs


def tensorboard_supports_players() -> bool:
    """Returns `True` if Keras' `TensorBoard` callback supports one optimizer per player.

    Keras 3.15 does. Keras 3.12, the newest release for Python 3.10, does not.
    """
    return "inner_optimizer" in inspect.getsource(keras.callbacks.TensorBoard)


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, limited to the named metrics. Other callbacks still see all of them.

    Args:
        names: Names of the metrics to show.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)

    def _selected(self, logs):
        return {name: logs[name] for name in self.names if name in (logs or {})}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        super().on_train_batch_end(batch, self._selected(logs))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        super().on_epoch_end(epoch, self._selected(logs))


class LearningRateScheduler(keras.callbacks.Callback):
    """Sets the learning rate of one player at the start of each epoch.

    The rate is logged as `<player>_learning_rate`. Keras' own `LearningRateScheduler` sets
    `model.optimizer.learning_rate`, which a model with several optimizers does not have.

    Args:
        player: Name of a player of the model, such as `"generator"`.
        schedule: Callable that maps the epoch (counted from 0, as in `fit`) and the current
            learning rate to the new learning rate.
    """

    def __init__(self, player: str, schedule: Callable[[int, float], float]):
        super().__init__()
        self.player, self.schedule = player, schedule

    def on_train_begin(self, logs: Logs = None) -> None:
        if self.player not in self.model.players:
            raise ValueError(
                f"player must be one of {', '.join(self.model.players)}; received {self.player!r}"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        optimizer = self.model.optimizer[self.player]
        rate = float(
            self.schedule(epoch, float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
        )
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(
                f"a learning rate must be finite and at least 0; received {rate} for epoch {epoch}"
            )
        optimizer.learning_rate = rate

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        rate = self.model.optimizer[self.player].learning_rate
        logs[f"{self.player}_learning_rate"] = float(keras.ops.convert_to_numpy(rate))


class CSVLog(keras.callbacks.Callback):
    """Writes all logged values of each epoch to a CSV file. Safe against resuming and killing.

    Keras' `CSVLogger` fixes its columns at the first epoch, so values that first appear later are
    lost. It also repeats the epochs between the last checkpoint and a kill. This callback adds
    columns when they appear and drops the rows that a resumed `fit` computes again.

    Args:
        path: Path of the CSV file. Its columns are `epoch`, `seconds` (duration of the epoch),
            then the logged values in order of appearance.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path, self.started = user_path(path), 0.0
        self.rows: list[dict[str, Any]] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.rows = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.rows is None:  # First epoch of this `fit`: keep the rows of earlier epochs.
            self.rows = read_log(self.path, epoch)
            if self.rows is None:  # Damaged: keep the file under another name.
                if distribution.is_chief():
                    side_files.set_aside(self.path)
                self.rows = []
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        seconds = round(time.perf_counter() - self.started, 3)
        rows = self.rows = self.rows or []
        rows.append({"epoch": epoch + 1, "seconds": seconds, **(logs or {})})
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        if distribution.is_chief():
            side_files.write(self.path, text.getvalue())


def read_log(path: str | os.PathLike, epochs: int) -> list[dict] | None:
    """Reads the rows of the first `epochs` epochs of a `CSVLog` file.

    Returns:
        A list of dictionaries from column name to text. The list is empty if there is no file.
        `None` if the file is damaged.
    """

    def read(path):
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        if "epoch" not in (reader.fieldnames or ()):
            raise ValueError("it must have a column epoch")
        rows = list(reader)
        numbers = [int(row["epoch"]) for row in rows]
        if numbers != sorted(set(numbers)) or any(None in row for row in rows):
            raise ValueError("it must hold one row for each epoch")
        return [row for row, number in zip(rows, numbers, strict=True) if number <= epochs]

    return side_files.read_or_default(path, read) if pathlib.Path(path).exists() else []
