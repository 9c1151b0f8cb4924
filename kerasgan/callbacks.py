"""Callbacks for `fit`: pictures, scores, logs and checkpoints of every epoch, a guard, one player's learning rate.

Keras calls callbacks in the order of the list and hands all of them one dictionary of logs, so the order matters:

    [NonFiniteGuard(...), LearningRateScheduler(...), Scores(...), CSVLog(...), SampleGrid(...), Checkpoint(...)]

Scores come before what reads them; Checkpoint comes last, so that a saved epoch's log and pictures are on the disk.
All count epochs from 1, as files do: epoch 3 is the state after three. Keras' own `TensorBoard` works too.
"""

import collections
import csv
import inspect
import io
import itertools
import math
import pathlib
import time
import warnings

import keras
import numpy as np
from keras import ops

from kerasgan import images
from kerasgan.datasets.image_files import stored_image
from kerasgan.datasets.image_source import image_source
from kerasgan.io import callback_state, checkpoints, files, locks, side_files
from kerasgan.metrics.features.extract import UNKNOWN, Features, extract
from kerasgan.metrics.frechet import Statistics
from kerasgan.metrics.scores import (
    LIMITS,
    check,
    check_features,
    check_inference_mode,
    count_of,
    scores,
)

GIF_WIDTH = 700  # pixels: wider pictures are shrunk to it


def tensorboard_supports_players():
    """Whether Keras' TensorBoard copes with a model of several optimizers: since 3.15, not on 3.12 (Python 3.10)."""
    return "inner_optimizer" in inspect.getsource(keras.callbacks.TensorBoard)


class NonFiniteLossError(ArithmeticError):
    """Training has left the numbers: one line that names what, when, and the last good checkpoint."""


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops at the first loss that is infinite or not a number, and after an epoch whose weights are, before anything
    of that epoch is saved.

    Raises `NonFiniteLossError` out of `fit`. It looks at what `train_step` reports after every batch (a running mean, in
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
        if broken := _broken_weights(self.model):
            self._stop(f"{broken} are not finite after epoch {epoch + 1}")

    def _look(self, logs, when):
        broken = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if broken:
            self._stop(f"{broken[0]} is {logs[broken[0]]} in {when}")

    def _stop(self, what):
        good = (
            checkpoints.latest(self.folder, checkpoints.RESUME) if self.folder is not None else None
        )
        raise NonFiniteLossError(f"training stops: {what}; last good checkpoint: {good or 'none'}")


def _broken_weights(model):
    """How many trainable variables are not finite, as "3 of 8 trainable variables", or None. A loss is of before its
    update: what the last batch of an epoch broke shows in no report of it."""
    variables = model.trainable_variables
    broken = sum(not bool(ops.all(ops.isfinite(v))) for v in variables)
    return f"{broken} of {len(variables)} trainable variables" if broken else None


class ExplosionError(NonFiniteLossError):
    """Training has exploded again and again, `rollbacks` times: one line that names the likely causes."""

    def __init__(self, message, rollbacks=0):
        super().__init__(message)
        self.rollbacks = rollbacks


class ExplosionGuard(keras.callbacks.Callback):
    """Takes an exploding training back: weights, batch norm's averages and every optimizer to the last good state, one
    player's learning rate lowered; says so, logs `rollbacks`, and raises `ExplosionError` after too many.

    The model says what an explosion is: `alarm(recent)`, the last 100 steps' reports -> a reason or None; what may
    cause it: `causes(learning rate)`, a line; and, if it can, what looks wrong: `diagnose(means, updates)`, lines
    printed once each. Put it first in the list: later callbacks then see no numbers of a step that was taken back.

    A state counts as good once training has gone on from it for `every` steps without alarm. Noise is not taken back:
    the second attempt draws other.

    Args:
        player: whose learning rate, a number and no schedule, is lowered.
        every: steps from one copy of the state to the next; two are held in memory.
        factor, least: the rate is multiplied by the one, down to the other.
        attempts, within: so many roll-backs in so many epochs are too many.
        log: the file of the run's `CSVLog`, by which a resumed `fit` counts on, as far as whole epochs were logged;
            None counts anew.
    """

    def __init__(self, player, *, every=50, factor=0.5, least=1e-4, attempts=3, within=5, log=None):
        super().__init__()
        if every < 1 or attempts < 1 or within < 1:
            raise ValueError(
                f"every, attempts and within must be at least 1; received {every}, {attempts} and {within}"
            )
        if not 0 < factor < 1:
            raise ValueError(
                f"factor must be between 0 and 1 (it lowers the rate); received {factor}"
            )
        self.player, self.every, self.factor, self.least = player, every, factor, least
        self.attempts, self.within, self.log = attempts, within, log

    def on_train_begin(self, logs=None):
        model = self.model
        if not (hasattr(model, "alarm") and hasattr(model, "causes")):
            raise ValueError(
                f"a guarded model must have alarm() and causes(); received a {type(model).__name__}"
            )
        if isinstance(
            model.optimizer[self.player]._learning_rate,
            keras.optimizers.schedules.LearningRateSchedule,
        ):
            raise ValueError(
                f"the {self.player}'s learning rate must be a number to be lowered; received a schedule"
            )
        self._alarm, self._causes, self._diagnose = (
            model.alarm,
            model.causes,
            getattr(model, "diagnose", None),
        )
        self._recent, self._rollbacks, self._told, self._steps = (
            collections.deque(maxlen=100),
            None,
            set(),
            0,
        )
        self._rate, self._good, self._calm = self._learning_rate(), self._copy(), {}
        self._next = self._good

    def get_state(self):
        good, following = self._good, self._next
        return {
            "recent": list(self._recent),
            "rollbacks": self._rollbacks,
            "told": sorted(self._told),
            "steps": self._steps,
            "rate": self._rate,
            "calm": self._calm,
            "good_step": good[0],
            "good": good[1],
            "next_step": following[0],
            "next": None if following[1] is good[1] else following[1],
        }

    def set_state(self, state):
        shapes = [tuple(v.shape) for v in self._variables()]
        if any(
            [x.shape for x in copy] != shapes
            for copy in (state["good"], state["next"])
            if copy is not None
        ):
            raise ValueError("its copies are of other variables")
        self._recent.extend(state["recent"])
        self._rollbacks, self._told, self._steps = (
            list(state["rollbacks"]),
            set(state["told"]),
            state["steps"],
        )
        self._rate, self._calm, self._good = (
            state["rate"],
            state["calm"],
            (state["good_step"], state["good"]),
        )
        copy = state["good"] if state["next"] is None else state["next"]
        self._next = state["next_step"], copy

    def on_epoch_begin(self, epoch, logs=None):
        if self._rollbacks is None:  # the epochs in which they were, those before a resume included
            rows = (_logged(self.log, epoch) if self.log else None) or []
            counts = [int(float(row.get("rollbacks") or 0)) for row in rows]
            counts = [
                0,
                *itertools.accumulate(counts, max),
            ]  # an older log may count anew after a resume
            more = zip(rows, counts, counts[1:], strict=False)
            self._rollbacks = [
                int(row["epoch"]) for row, before, now in more for _ in range(now - before)
            ]
        self._epoch = epoch + 1
        self._restart(0)

    def on_train_batch_end(self, batch, logs=None):
        self._batch = batch
        count = batch + 1 - self._start
        before, means = self._before
        # What is reported is the epoch's mean so far: a step's own number is what moved it.
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

    def on_epoch_end(self, epoch, logs=None):
        if broken := _broken_weights(self.model):
            self._roll_back(f"{broken} are not finite", self._batch)
        if not self._before[0]:  # the epoch's last step was taken back, and all means with it
            logs.update(self._calm)
        updates = int(keras.ops.convert_to_numpy(self.model.optimizer[self.player].iterations))
        if self._diagnose and self._calm:
            for line in self._diagnose(logs, updates):
                if line.split("(")[0] not in self._told:
                    self._told.add(line.split("(")[0])
                    print(f"\nepoch {epoch + 1}: {line}")
        logs["rollbacks"] = float(len(self._rollbacks))

    def _learning_rate(self):
        return float(keras.ops.convert_to_numpy(self.model.optimizer[self.player].learning_rate))

    def _variables(self):
        model = self.model
        state = [v for v in model.variables if v.name != "seed_generator_state"]
        return state + list(model.optimizer.variables)

    def _copy(self):
        return self._steps, [np.array(keras.ops.convert_to_numpy(v)) for v in self._variables()]

    def _restart(self, start):
        self._start, self._before = start, (0, {})

    def _roll_back(self, reason, batch):
        rate = self._learning_rate()
        for variable, value in zip(self._variables(), self._good[1], strict=True):
            variable.assign(value)
        lowered = min(rate, max(rate * self.factor, self.least))
        self.model.optimizer[self.player].learning_rate = lowered
        self.model.reset_metrics()
        self._restart(batch + 1)
        self._recent.clear()
        print(
            f"\nstep {self._steps} of this fit: {reason}; back to step {self._good[0]}, the {self.player}'s learning "
            f"rate goes from {rate:.3g} to {lowered:.3g}"
        )
        self._next = self._good = (self._steps, self._good[1])
        self._rollbacks.append(self._epoch)
        if sum(epoch > self._epoch - self.within for epoch in self._rollbacks) >= self.attempts:
            raise ExplosionError(
                f"training stops after {self.attempts} roll-backs within {self.within} epochs: {reason}; "
                f"{self._causes(self._rate)}",
                len(self._rollbacks),
            )


class DropDetector(keras.callbacks.Callback):
    """Marks an epoch in which a number suddenly drops, and keeps the checkpoint before it.

    (Training notes of CoopNet: a sudden drop of the reconstruction error is a worse picture, for dozens of epochs.)
    Logs `<name>_drop`, 0 or 1; copies the files of the newest saved epoch to `<folder>/before_drop`.

    Args:
        folder: the checkpoints' folder.
        name: of the number.
        share: a drop is below so much of the median of the last `epochs`; the first ones of a run are never marked.
    """

    def __init__(self, folder, name="reconstruction", share=0.5, epochs=5):
        super().__init__()
        self.folder, self.name, self.share = pathlib.Path(folder), name, share
        self.seen = collections.deque(maxlen=_at_least_one(epochs))

    def get_state(self):
        return {"seen": list(self.seen)}

    def set_state(self, state):
        self.seen.clear()
        self.seen.extend(state["seen"])

    def on_epoch_end(self, epoch, logs=None):
        value, full = logs[self.name], len(self.seen) == self.seen.maxlen
        dropped = full and value < self.share * float(np.median(self.seen))
        self.seen.append(value)
        logs[f"{self.name}_drop"] = float(dropped)
        newest = checkpoints.latest(self.folder, checkpoints.RESUME) if dropped else None
        if newest:
            kept = files.make_folder(self.folder / "before_drop")
            for path in self.folder.glob("*_epoch_" + newest.stem.rpartition("_")[2] + ".h5"):
                files.copy(path, kept / path.name)
            print(
                f"\nepoch {epoch + 1}: {self.name} drops to {value:.3g}; {newest.name} and its networks are kept"
            )


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar with the named numbers only; the others go to the files.

    Args:
        names: of the numbers to show.
    """

    def __init__(self, names):
        super().__init__()
        self.names = tuple(names)

    def _chosen(self, logs):
        return {name: logs[name] for name in self.names if name in (logs or {})}

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, self._chosen(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, self._chosen(logs))


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
            raise ValueError(
                f"player must be one of {', '.join(self.model.players)}; received {self.player!r}"
            )

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer[self.player]
        rate = float(
            self.schedule(epoch, float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
        )
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(
                f"a learning rate must be finite and at least 0; received {rate} for epoch {epoch}"
            )
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


class Evaluate(Scores):
    """Scores pictures of the same latents every few epochs, with `kerasgan.metrics`, and adds the numbers to the logs.

    `Checkpoint(monitor="frechet_inception_distance")` then keeps the best epoch. Each time, some latents are drawn
    again beside others: a model that is not in inference mode gives other pictures, which is an error, not a score. Of
    a model that samples so by its own account (it has `protocol`, as CoopNet), it is a line of the protocol.

        latents = np.random.default_rng(0).normal(size=(5000, 100)).astype("float32")
        draw = lambda gan, latents: images.to_uint8(gan.generator.predict(latents, verbose=0))
        Evaluate(draw, latents, Inception(), reference="photos/", metrics=("fid",), every=10)

    Args:
        draw: function of the model and of rows of `latents` that returns their pictures, uint8 RGB [n, H, W, 3].
        latents: an array [N, ...] or a tuple of such, what each picture is drawn from: noise, labels, embeddings.
        extractor: of features, see `kerasgan.metrics.features.extract`.
        reference: images, as `image_source` takes them, `Features` or `Statistics`; looked at once, as training begins.
        metrics: names, see `kerasgan.metrics.scores`; without a reference, of those that need none.
        every: number of epochs between two scores; the last epoch is always scored.
        batch_size: pictures at once.
        options: dictionary of what else `scores` takes: splits, subset_size ...

    Attributes:
        protocol: how the last scores were got; None before.
    """

    def __init__(
        self,
        draw,
        latents,
        extractor,
        reference=None,
        metrics=("fid",),
        every=1,
        batch_size=32,
        options=None,
    ):
        super().__init__(self._evaluate, every)
        self.latents = latents if isinstance(latents, tuple) else (latents,)
        counts = {len(part) for part in self.latents}
        if len(counts) != 1 or min(counts) < 2:
            raise ValueError(
                f"latents must be at least 2, as many in each part; received {sorted(counts)}"
            )
        self.draw, self.extractor, self.reference, self.metrics = (
            draw,
            extractor,
            reference,
            tuple(metrics),
        )
        self.batch_size, self.options, self.protocol = batch_size, dict(options or {}), None

    def on_train_begin(self, logs=None):
        count = len(self.latents[0])
        limits = {name: self.options[name] for name in LIMITS if name in self.options}
        check(self.metrics, count, 0 if self.reference is None else None, **limits)
        if self.reference is not None and not isinstance(self.reference, (Features, Statistics)):
            self.reference = extract(
                self.reference, self.extractor, self.batch_size, progress=False
            )
        check(self.metrics, count, count_of(self.reference), **limits)
        about = getattr(self.extractor, "protocol", UNKNOWN)
        check_features(self.metrics, about, getattr(self.extractor, "logits", True), self.reference)

    def get_state(self):
        return {"protocol": self.protocol}

    def set_state(self, state):
        self.protocol = state["protocol"]

    def _evaluate(self, model):
        count, size = len(self.latents[0]), self.batch_size

        def drawn(rows):
            parts = tuple(part[rows] for part in self.latents)
            return np.asarray(self.draw(model, parts if len(parts) > 1 else parts[0]))

        few = np.arange(min(8, count))
        mode = "inference mode"
        try:
            check_inference_mode(drawn(few), drawn(np.array([0, 0, 0, *few[::-1]]))[:2:-1])
        except ValueError:
            if not model.sampling_protocol():
                raise
            mode = f"not inference mode: statistics of a {model.sampling_protocol()['statistics']}"
        pictures = image_source(
            lambda: (drawn(slice(i, i + size)) for i in range(0, count, size)), count=count
        )
        features = extract(pictures, self.extractor, size, progress=False)
        found = scores(features, self.reference, self.metrics, pictures=pictures, **self.options)
        self.protocol = found.pop("protocol") | {"mode": mode}
        return found


def _logged(path, epochs):
    """The rows of a log's first epochs, dictionaries of texts; none without the file, None of a damaged one."""

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
            self.rows = _logged(self.path, epoch)
            if self.rows is None:  # damaged, and perhaps somebody can mend it
                side_files.set_aside(self.path)
                self.rows = []
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.started, 3)
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, **(logs or {})})
        text = io.StringIO()
        writer = csv.DictWriter(
            text, list(dict.fromkeys(name for row in self.rows for name in row)), restval=""
        )
        writer.writeheader()
        writer.writerows(self.rows)
        side_files.write(self.path, text.getvalue())


def grids(folder):
    """[(epoch, path)] of the grids in a run's folder, oldest epoch first."""
    found = ((path.stem[6:], path) for path in (pathlib.Path(folder) / "grids").glob("epoch_*.png"))
    return sorted((int(epoch), path) for epoch, path in found if epoch.isdecimal())


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
            raise ValueError(
                f"draw must be a function of the model that returns a picture; received {draw!r}"
            )
        self.folder, self.draw, self.every, self.ms = (
            pathlib.Path(folder),
            draw,
            _at_least_one(every),
            ms,
        )
        self.epoch = None

    def on_train_begin(self, logs=None):
        files.make_folder(side_files.clear_path(self.folder / "grids", folder=True))
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
        paths = [
            path for n, path in grids(self.folder) if self.epoch is not None and n <= self.epoch
        ]
        # Few frames of few pixels: a long run's GIF stays one that a page can carry.
        first = next(
            (x for path in paths if (x := side_files.read_or_default(path, _read_png)) is not None),
            None,
        )
        if first is not None:
            frames = 100 if first.shape[1] < GIF_WIDTH else 40
            chosen = sorted(
                {round(i) for i in np.linspace(0, len(paths) - 1, min(len(paths), frames))}
            )
            drawn = [side_files.read_or_default(paths[i], _read_png, notes=[]) for i in chosen]
            drawn = [x for x in drawn if x is not None] or [first]
            images.save_gif(side_files.clear_path(self.folder / "history.gif"), drawn, self.ms)

    def _draw(self, epoch):
        path = self.folder / "grids" / f"epoch_{epoch:04d}.png"
        images.save_png(side_files.clear_path(path), self.draw(self.model))


class Checkpoint(keras.callbacks.Callback):
    """Saves the model after each epoch (`checkpoints.save`), so that a kill costs an epoch at most, and notes the best
    epoch by a metric in `best.json`.

    What stays: the network files of every few epochs, of the best one and of the last; the resume files of the last
    two. Raises `CheckpointError` before training if the folder cannot be written, and `LockedError` if another process
    writes to it.

    The resume file also keeps the state of the other callbacks of `AdversarialModel.fit`, those that have `get_state()`
    and `set_state(state)`, and of Keras' own that count; after `checkpoints.resume`, `fit` gives it back.

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
        self,
        folder,
        *,
        run,
        dataset,
        size,
        every=1,
        resume_every=1,
        monitor=None,
        mode="min",
        keep=2,
        info=None,
    ):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max'; received {mode!r}")
        self.folder, self.every, self.monitor, self.mode = (
            pathlib.Path(folder),
            _at_least_one(every),
            monitor,
            mode,
        )
        self.resume_every = _at_least_one(resume_every)
        self.arguments = dict(run=run, dataset=dataset, size=size, keep=keep, info=info)
        self.best = self.noted = None
        self.siblings, self.initial_epoch, self.locked = (
            [],
            0,
            False,
        )  # `AdversarialModel.fit` tells the first two
        checkpoints.file_name(
            run, dataset, size, "G", 0
        )  # a bad name is an error now, not after an epoch

    def on_train_begin(self, logs=None):
        checkpoints.check_folder(self.folder)
        if not self.locked:
            locks.acquire(self.folder)
            self.locked = True
        self.started, self.noted = False, None
        resumed = getattr(self.model, "resumed", None)
        if resumed is not None and resumed.epoch == self.initial_epoch:
            for line in callback_state.restore(self.siblings, resumed.states):
                print(f"note: {line}")

    def get_state(self):
        return {"best": self.noted}

    def set_state(self, state):
        self.noted = state["best"]

    def release(self):
        """Gives the folder's lock back, as `fit` does at its end, however it ends."""
        if self.locked:
            self.locked = False
            locks.release(self.folder)

    def on_epoch_begin(self, epoch, logs=None):
        if not self.started:
            self.started, noted = True, checkpoints.best(self.folder)
            if noted is None and self.noted and (self.folder / self.noted["file"]).is_file():
                checkpoints.mark_best(
                    self.folder, *(self.noted[name] for name in ("file", "metric", "value"))
                )
                noted = self.noted
            ours = noted and noted["metric"] == self.monitor and noted["epoch"] <= epoch
            self.best, self.noted = (noted["value"], noted) if ours else (None, None)

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(self.monitor)
        better = (
            value is not None
            and math.isfinite(value)
            and (self.best is None or self._better(value))
        )
        if not (better or _due(self, epoch) or (epoch + 1) % self.resume_every == 0):
            return
        names = {key: self.arguments[key] for key in ("run", "dataset", "size")}
        if better:
            self.best = value
            file = checkpoints.file_name(**names, letter="G", epoch=epoch + 1)
            self.noted = {
                "file": file,
                "epoch": epoch + 1,
                "metric": self.monitor,
                "value": float(value),
            }
        states = callback_state.of(self.siblings)
        checkpoints.save(
            self.folder, self.model, epoch=epoch + 1, history=logs, states=states, **self.arguments
        )
        if better:
            checkpoints.mark_best(self.folder, file, self.monitor, value)
        best = (checkpoints.best(self.folder) or {}).get("epoch")
        resumable = checkpoints.epochs(self.folder, checkpoints.RESUME, **names)
        checkpoints.prune(
            self.folder, **names, keep=lambda e: e % self.every == 0 or e == best or e in resumable
        )

    def on_train_end(self, logs=None):
        self.release()
        if self.monitor is not None and self.best is None:
            seen = ", ".join(sorted(logs or {}))
            warnings.warn(
                f"no best epoch: the logs never had {self.monitor!r}; they have {seen}",
                stacklevel=2,
            )

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
    with stored_image(path) as picture:
        if picture.width > GIF_WIDTH:
            picture = picture.resize((GIF_WIDTH, round(picture.height * GIF_WIDTH / picture.width)))
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]
