"""Learning rates as functions of the step, for Keras' optimizers."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class FlatThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that stays for the first half of training and falls linearly to `end` of itself over the second.

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
