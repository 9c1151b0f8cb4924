"""The normalizing flow with the mistake that the training notes describe.

`RECIPE` has the setting `variant`, a key of `VARIANTS`. The reported measure is always the correct
number of bits per dimension.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

import zoo.flow
from kerasgan.models.real_nvp import normal_log_prob
from zoo.recipe import setting


@keras.saving.register_keras_serializable("benchmarks")
def summed_log_prob(latents: Any) -> Any:
    """Return the log-probability of latents `[N, D]`, wrongly summed over the batch as well.

    Training notes: "its shape is very wrong!!!". The scalar is broadcast to the log-determinants
    `[N]` without an error, so each sample gets the log-probability of the whole batch.
    """
    return ops.sum(normal_log_prob(latents))


VARIANTS = {"": {}, "summed": {"prior": summed_log_prob}}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.flow.Settings):
    """Settings of the recipe, and the variant of the loss."""

    variant: str = setting("", "Variant of the loss: summed. Empty for the correct loss.")


def build(settings: Settings) -> Any:
    """Build the model with the variant of the loss."""
    if settings.variant not in VARIANTS:
        raise ValueError(f"variant must be summed or empty; received {settings.variant!r}")
    return zoo.flow.build(settings, **VARIANTS[settings.variant])


RECIPE = dataclasses.replace(zoo.flow.RECIPE, settings=Settings, build=build)
