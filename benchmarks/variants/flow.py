"""The flow with the mistake that the notes tell of; `RECIPE` has the setting `arm`, one of `ARMS`.

What is reported is the bits per dimension as they should be, whatever is trained.
"""

import dataclasses

import keras
from keras import ops

import zoo.flow
from kerasgan.models.real_nvp import normal_log_prob
from zoo.recipe import setting


@keras.saving.register_keras_serializable("benchmarks")
def summed_log_prob(latents):
    """Summed over the batch too ("its shape is very wrong!!!"): [N, D] -> a scalar.

    Added to log-determinants [N] it broadcasts, so that nothing complains: each sample gets the whole batch's.
    """
    return ops.sum(normal_log_prob(latents))


ARMS = {"": {}, "summed": {"prior": summed_log_prob}}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.flow.Settings):
    """Those of the recipe, and which arm of the claim."""

    arm: str = setting("", "summed; none is the recipe's model")


def build(settings):
    if settings.arm not in ARMS:
        raise ValueError(f"arm must be summed or none; received {settings.arm!r}")
    return zoo.flow.build(settings, **ARMS[settings.arm])


RECIPE = dataclasses.replace(zoo.flow.RECIPE, settings=Settings, build=build)
