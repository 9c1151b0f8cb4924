"""Learning rate schedules."""

from typing import Any

import keras
from keras import ops

from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class FlatThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that is constant for half of the steps, then falls linearly to `end * rate`.

    Args:
        rate: Initial learning rate.
        steps: Total number of optimizer steps.
        end: Final learning rate as a fraction of `rate`.
    """

    def __init__(self, rate: float, steps: int, end: float = 0.05):
        if steps < 1:
            raise ValueError(f"steps must be at least 1; received {steps}")
        self.rate, self.steps, self.end = rate, steps, end

    def __call__(self, step: Tensor) -> Tensor:
        share = 2.0 * (1.0 - ops.cast(step, "float32") / self.steps)
        return self.rate * ops.clip(share, self.end, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps, "end": self.end}


@keras.saving.register_keras_serializable("kerasgan")
class Halved(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that is halved every `epochs` epochs, as in HDGAN's code.

    Epochs are counted from 1, and the epochs whose number is a multiple of `epochs` start a new
    rate. With `epochs=100`, epochs 1 to 99 use `rate`, 100 to 199 half of it, and 200 to 299 a
    quarter.

    Args:
        rate: Initial learning rate.
        epochs: Number of epochs between halvings.
        steps_per_epoch: Number of optimizer steps per epoch.
    """

    def __init__(self, rate: float, epochs: int, steps_per_epoch: int):
        if epochs < 1 or steps_per_epoch < 1:
            raise ValueError(
                f"epochs and steps_per_epoch must be at least 1; received {epochs} and "
                f"{steps_per_epoch}"
            )
        self.rate, self.epochs, self.steps_per_epoch = rate, epochs, steps_per_epoch

    def __call__(self, step: Tensor) -> Tensor:
        epoch = ops.floor(ops.cast(step, "float32") / self.steps_per_epoch) + 1.0
        return self.rate * ops.power(0.5, ops.floor(epoch / self.epochs))

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "epochs": self.epochs, "steps_per_epoch": self.steps_per_epoch}
