"""Learning rates as functions of the step, for Keras' optimizers."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class FlatThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that stays for the first half of training and falls linearly to `end` of itself over
    the second.

    Args:
        rate: learning rate at the start.
        steps: optimizer steps in all.
        end: share of the rate that is left in the last step.
    """

    def __init__(self, rate, steps, end=0.05):
        if steps < 1:
            raise ValueError(f"steps must be at least 1; received {steps}")
        self.rate, self.steps, self.end = rate, steps, end

    def __call__(self, step):
        share = 2.0 * (1.0 - ops.cast(step, "float32") / self.steps)
        return self.rate * ops.clip(share, self.end, 1.0)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps, "end": self.end}


@keras.saving.register_keras_serializable("kerasgan")
class Halved(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is halved at every epoch, counted from 1, whose number is divided by `epochs`:
    with 100, epoch 99 has the rate itself, 100 to 199 a half, 200 a quarter (HDGAN's released
    code).

    Args:
        rate: learning rate at the start.
        epochs: from one halving to the next.
        steps_per_epoch: optimizer steps that make an epoch.
    """

    def __init__(self, rate, epochs, steps_per_epoch):
        if epochs < 1 or steps_per_epoch < 1:
            raise ValueError(
                f"epochs and steps_per_epoch must be at least 1; received {epochs} and "
                f"{steps_per_epoch}"
            )
        self.rate, self.epochs, self.steps_per_epoch = rate, epochs, steps_per_epoch

    def __call__(self, step):
        epoch = ops.floor(ops.cast(step, "float32") / self.steps_per_epoch) + 1.0
        return self.rate * ops.power(0.5, ops.floor(epoch / self.epochs))

    def get_config(self):
        return {"rate": self.rate, "epochs": self.epochs, "steps_per_epoch": self.steps_per_epoch}
