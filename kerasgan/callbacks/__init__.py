"""Callbacks for `fit`: divergence guards, logging, sample grids, evaluation and checkpoints.

Keras calls callbacks in list order and passes the same dictionary of logs to each of them, so the
order matters:

    [NonFiniteGuard(...), LearningRateScheduler(...), Evaluate(...), CSVLog(...), SampleGrid(...),
     Checkpoint(...)]

Callbacks that add values to the logs come before those that read them. `Checkpoint` comes last, so
that the log and the sample grid of a saved epoch are already on disk.

Epoch numbers in logs and file names count from 1: epoch 3 is the state after three epochs. Keras'
own `TensorBoard` callback works too (see `tensorboard_supports_players`).
"""

from kerasgan.callbacks.checkpointing import Checkpoint, Preempted
from kerasgan.callbacks.evaluation import Evaluate, Scores
from kerasgan.callbacks.guards import (
    DropDetector,
    ExplosionError,
    ExplosionGuard,
    NonFiniteGuard,
    NonFiniteLossError,
)
from kerasgan.callbacks.logging import (
    CSVLog,
    LearningRateScheduler,
    ProgressBar,
    tensorboard_supports_players,
)
from kerasgan.callbacks.sampling import SampleGrid, grids
from kerasgan.callbacks.weights_and_biases import WandbLog

__all__ = [
    "CSVLog",
    "Checkpoint",
    "DropDetector",
    "Evaluate",
    "ExplosionError",
    "ExplosionGuard",
    "LearningRateScheduler",
    "NonFiniteGuard",
    "NonFiniteLossError",
    "Preempted",
    "ProgressBar",
    "SampleGrid",
    "Scores",
    "WandbLog",
    "grids",
    "tensorboard_supports_players",
]
