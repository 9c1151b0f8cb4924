"""Callbacks that watch for divergence: non-finite values, explosions, sudden drops of a metric."""

import collections
import itertools
import math
import os

import keras
import numpy as np
from keras import ops

from kerasgan import distribution
from kerasgan.callbacks.intervals import check_interval
from kerasgan.callbacks.logging import read_log
from kerasgan.io import checkpoints, files
from kerasgan.io.paths import user_path
from kerasgan.types import Logs


class NonFiniteLossError(ArithmeticError):
    """A loss or weight is not finite. The message names it, the step and the last checkpoint."""


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training at the first non-finite loss or weight, before the epoch is saved.

    After each batch it checks the values that `train_step` reports. These are running means, in
    which a NaN persists, so the check does not delay the next step. After each epoch it also
    checks all trainable variables.

    Args:
        folder: Folder of the checkpoints, used to name the last intact one. `None` names none.

    Raises:
        NonFiniteLossError: Raised out of `fit`.
    """

    async_safe = True  # Lets Keras fetch the values of a batch on another thread.

    def __init__(self, folder: str | os.PathLike | None = None):
        super().__init__()
        self.folder, self.epoch = None if folder is None else user_path(folder), 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._check_logs(logs, f"batch {batch + 1} of epoch {self.epoch}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._check_logs(logs, f"epoch {epoch + 1}")
        if broken := _nonfinite_weights(self.model):
            self._stop(f"{broken} are not finite after epoch {epoch + 1}")

    def _check_logs(self, logs, when):
        broken = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if broken:
            self._stop(f"{broken[0]} is {logs[broken[0]]} in {when}")

    def _stop(self, reason):
        last = None
        if self.folder is not None:
            last = checkpoints.latest(self.folder, checkpoints.RESUME)
        raise NonFiniteLossError(
            f"training stops: {reason}; last good checkpoint: {last or 'none'}"
        )


def _nonfinite_weights(model):
    """Returns, for example, "3 of 8 trainable variables", or `None` if all are finite.

    A loss is computed before its update, so the logs of an epoch cannot show that its last update
    produced non-finite weights.
    """
    variables = model.trainable_variables
    broken = sum(not bool(ops.all(ops.isfinite(v))) for v in variables)
    return f"{broken} of {len(variables)} trainable variables" if broken else None


class ExplosionError(NonFiniteLossError):
    """Training diverged too often. The message names the likely causes.

    Attributes:
        rollbacks: Number of rollbacks of the run.
    """

    def __init__(self, message: str, rollbacks: int = 0):
        super().__init__(message)
        self.rollbacks = rollbacks


class ExplosionGuard(keras.callbacks.Callback):
    """Restores the last good state when training diverges, and lowers a learning rate.

    The state comprises all weights, the batch normalization statistics and the optimizers'
    variables. Seed generators are not restored, so the repeated steps use other noise. The
    callback prints the reason and logs the number of `rollbacks`.

    The model defines what a divergence is:

    - `alarm(recent)` maps the reports of the last 100 steps to a reason, or `None`.
    - `causes(learning_rate)` returns one line that names the likely causes.
    - `diagnose(means, updates)` (optional) returns lines about suspicious values. Each is printed
      once.

    A state is good once training has continued from it for `every` steps without an alarm.

    Put this callback first in the list, so that the others do not see values of a step that was
    undone.

    Args:
        player: Name of the player whose learning rate is lowered. The rate must be a number, not a
            schedule.
        every: Number of steps between copies of the state. Two copies are held in memory.
        factor: Factor in (0, 1) by which each rollback multiplies the learning rate.
        min_learning_rate: Lower bound of the learning rate.
        max_rollbacks: Number of rollbacks within `window` epochs that ends training.
        window: Number of epochs over which rollbacks are counted.
        log: Path of the run's `CSVLog` file. A resumed `fit` restores its count from it. `None`
            restarts the count.

    Raises:
        ExplosionError: Raised out of `fit` after too many rollbacks.
    """

    renamed_state = {"told": "reported"}  # Old -> new key in saved states.

    def __init__(
        self,
        player: str,
        *,
        every: int = 50,
        factor: float = 0.5,
        min_learning_rate: float = 1e-4,
        max_rollbacks: int = 3,
        window: int = 5,
        log: str | os.PathLike | None = None,
    ):
        super().__init__()
        if every < 1 or max_rollbacks < 1 or window < 1:
            raise ValueError(
                "every, max_rollbacks and window must be at least 1; "
                f"received {every}, {max_rollbacks} and {window}"
            )
        if not 0 < factor < 1:
            raise ValueError(
                f"factor must be between 0 and 1 (it lowers the rate); received {factor}"
            )
        self.player, self.every, self.factor = player, every, factor
        self.min_learning_rate = min_learning_rate
        self.max_rollbacks, self.window = max_rollbacks, window
        self.log = None if log is None else user_path(log)

    def on_train_begin(self, logs: Logs = None) -> None:
        model = self.model
        if not (hasattr(model, "alarm") and hasattr(model, "causes")):
            raise ValueError(
                f"a guarded model must have alarm() and causes(); received a {type(model).__name__}"
            )
        rate = model.optimizer[self.player]._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            raise ValueError(
                f"the learning rate of the {self.player} must be a number, so that it can be "
                "lowered; received a schedule"
            )
        self._alarm, self._causes = model.alarm, model.causes
        self._diagnose = getattr(model, "diagnose", None)
        self._recent: collections.deque[dict[str, float]] = collections.deque(maxlen=100)
        self._rollbacks: list[int] | None = None
        self._reported: set[str] = set()
        self._steps = 0
        self._calm: dict[str, float] = {}
        self._before: tuple[int, dict[str, float]] = (0, {})
        self._rate, self._good = self._learning_rate(), self._copy()
        self._next = self._good

    def get_state(self) -> dict:
        good, following = self._good, self._next
        return {
            "recent": list(self._recent),
            "rollbacks": self._rollbacks,
            "reported": sorted(self._reported),
            "steps": self._steps,
            "rate": self._rate,
            "calm": self._calm,
            "good_step": good[0],
            "good": good[1],
            "next_step": following[0],
            "next": None if following[1] is good[1] else following[1],
        }

    def set_state(self, state: dict) -> None:
        shapes = [tuple(v.shape) for v in self._variables()]
        copies = [copy for copy in (state["good"], state["next"]) if copy is not None]
        if any([x.shape for x in copy] != shapes for copy in copies):
            raise ValueError("its copies are of other variables")
        self._recent.extend(state["recent"])
        self._rollbacks, self._steps = list(state["rollbacks"]), state["steps"]
        self._reported = set(state["reported"])
        self._rate, self._calm = state["rate"], state["calm"]
        self._good = state["good_step"], state["good"]
        copy = state["good"] if state["next"] is None else state["next"]
        self._next = state["next_step"], copy

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self._rollbacks is None:
            # One entry (its epoch) per rollback, including those before a resume.
            rows = (read_log(self.log, epoch) if self.log else None) or []
            counts = [int(float(row.get("rollbacks") or 0)) for row in rows]
            # Logs of earlier versions may restart the count after a resume.
            counts = [0, *itertools.accumulate(counts, max)]
            self._rollbacks = [
                int(row["epoch"])
                for row, before, after in zip(rows, counts, counts[1:], strict=False)
                for _ in range(after - before)
            ]
        self._epoch = epoch + 1
        self._restart(0)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._batch = batch
        count = batch + 1 - self._start
        before, means = self._before
        # The logs hold the mean of the epoch so far. Recover the mean of the new steps.
        new = count - before
        self._recent.append(
            {name: (v * count - means.get(name, 0.0) * before) / new for name, v in logs.items()}
        )
        self._before, self._steps = (count, dict(logs)), self._steps + new
        reason = self._alarm(list(self._recent))
        if reason:
            self._roll_back(reason, batch)
            logs.clear()
        else:
            self._calm = dict(logs)
            if self._steps - self._next[0] >= self.every:
                self._good, self._next = self._next, self._copy()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if broken := _nonfinite_weights(self.model):
            self._roll_back(f"{broken} are not finite", self._batch)
        if not self._before[0]:  # The last step was undone, and the means with it.
            logs.update(self._calm)
        updates = int(keras.ops.convert_to_numpy(self.model.optimizer[self.player].iterations))
        if self._diagnose and self._calm:
            for line in self._diagnose(logs, updates):
                if line.split("(")[0] not in self._reported:
                    self._reported.add(line.split("(")[0])
                    print(f"\nepoch {epoch + 1}: {line}")
        logs["rollbacks"] = float(len(self._rollbacks or ()))

    def _learning_rate(self):
        return float(keras.ops.convert_to_numpy(self.model.optimizer[self.player].learning_rate))

    def _variables(self):
        model = self.model
        state = [v for v in model.variables if v.name != "seed_generator_state"]
        return state + list(model.optimizer.variables)

    def _copy(self):
        return self._steps, [np.array(keras.ops.convert_to_numpy(v)) for v in self._variables()]

    def _restart(self, start: int) -> None:
        self._start, self._before = start, (0, {})

    def _roll_back(self, reason, batch):
        rate = self._learning_rate()
        for variable, value in zip(self._variables(), self._good[1], strict=True):
            variable.assign(value)
        lowered = min(rate, max(rate * self.factor, self.min_learning_rate))
        self.model.optimizer[self.player].learning_rate = lowered
        self.model.reset_metrics()
        self._restart(batch + 1)
        self._recent.clear()
        print(
            f"\nstep {self._steps} of this fit: {reason}; back to step {self._good[0]}, "
            f"the {self.player}'s learning rate goes from {rate:.3g} to {lowered:.3g}"
        )
        self._next = self._good = (self._steps, self._good[1])
        self._rollbacks.append(self._epoch)
        recent = sum(epoch > self._epoch - self.window for epoch in self._rollbacks)
        if recent >= self.max_rollbacks:
            raise ExplosionError(
                f"training stops after {self.max_rollbacks} roll-backs within {self.window} "
                f"epochs: {reason}; {self._causes(self._rate)}",
                len(self._rollbacks),
            )


class DropDetector(keras.callbacks.Callback):
    """Marks epochs in which a metric drops suddenly, and keeps the checkpoint before the drop.

    According to the training notes of CoopNet, a sudden drop of the reconstruction error precedes
    dozens of epochs with worse images. This callback logs `<name>_drop` as 0 or 1 and copies the
    files of the newest saved epoch to `<folder>/before_drop`.

    Args:
        folder: Folder of the checkpoints.
        name: Name of the metric.
        share: A value below this share of the median of the last `epochs` values is a drop.
        epochs: Number of previous epochs that the median covers. The first `epochs` epochs of a
            run are never marked.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        name: str = "reconstruction",
        share: float = 0.5,
        epochs: int = 5,
    ):
        super().__init__()
        self.folder, self.name, self.share = user_path(folder), name, share
        self.seen: collections.deque[float] = collections.deque(maxlen=check_interval(epochs))

    def get_state(self) -> dict:
        return {"seen": list(self.seen)}

    def set_state(self, state: dict) -> None:
        self.seen.clear()
        self.seen.extend(state["seen"])

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        value, full = logs[self.name], len(self.seen) == self.seen.maxlen
        dropped = full and value < self.share * float(np.median(self.seen))
        self.seen.append(value)
        logs[f"{self.name}_drop"] = float(dropped)
        saves = dropped and distribution.is_chief()
        newest = checkpoints.latest(self.folder, checkpoints.RESUME) if saves else None
        if newest:
            kept = files.make_folder(self.folder / "before_drop")
            for path in self.folder.glob("*_epoch_" + newest.stem.rpartition("_")[2] + ".h5"):
                files.copy(path, kept / path.name)
            print(
                f"\nepoch {epoch + 1}: {self.name} drops to {value:.3g}; "
                f"{newest.name} and its networks are kept"
            )
