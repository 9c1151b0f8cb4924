"""The conditional VAE with the two mistakes that the training notes describe.

`RECIPE` has the setting `variant`, a key of `VARIANTS`. The reported measure is always the correct
ELBO.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

import zoo.conditional_vae
from kerasgan.losses.variational import negative_elbo
from zoo.recipe import setting


@keras.saving.register_keras_serializable("benchmarks")
def elbo(log_likelihood: Any, divergence: Any) -> Any:
    """Return the ELBO, whose minimization is wrong.

    Training notes: "Notice that ELBO is the MAXIMIZING objective".
    """
    return -negative_elbo(log_likelihood, divergence)


@keras.saving.register_keras_serializable("benchmarks")
def sigma_divergence(mean: Any, log_variance: Any) -> Any:
    """Return `normal_kl_divergence` with sigma in place of the variance: `[N, D]` to `[N]`.

    Training notes: "variance is sigma squared!".
    """
    mean, log_sigma = ops.cast(mean, "float32"), ops.cast(log_variance, "float32") / 2
    return ops.sum(ops.square(mean) + ops.exp(log_sigma) - 1.0 - log_sigma, axis=-1) / 2


VARIANTS = {"": {}, "flipped": {"objective": elbo}, "sigma": {"divergence": sigma_divergence}}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.conditional_vae.Settings):
    """Settings of the recipe, and the variant of the loss."""

    variant: str = setting("", "Variant of the loss: flipped or sigma. Empty for the correct loss.")


def build(settings: Settings) -> Any:
    """Build the model with the variant of the loss."""
    if settings.variant not in VARIANTS:
        raise ValueError(f"variant must be flipped, sigma or empty; received {settings.variant!r}")
    return zoo.conditional_vae.build(settings, **VARIANTS[settings.variant])


RECIPE = dataclasses.replace(zoo.conditional_vae.RECIPE, settings=Settings, build=build)
