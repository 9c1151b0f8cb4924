"""The conditional VAE with the two mistakes that the notes tell of; `RECIPE` has the setting `arm`, one of `ARMS`.

What is reported is the ELBO as it should be, whatever is trained.
"""

import dataclasses

import keras
from keras import ops

import zoo.conditional_vae
from kerasgan.losses.variational import negative_elbo
from zoo.recipe import setting


@keras.saving.register_keras_serializable("benchmarks")
def elbo(log_likelihood, divergence):
    """Minimised: the sign flipped ("Notice that ELBO is the MAXIMIZING objective")."""
    return -negative_elbo(log_likelihood, divergence)


@keras.saving.register_keras_serializable("benchmarks")
def sigma_divergence(mean, log_variance):
    """`normal_kl_divergence` with sigma where the variance belongs ("variance is sigma squared!"): [N, D] -> [N]."""
    mean, log_sigma = ops.cast(mean, "float32"), ops.cast(log_variance, "float32") / 2
    return ops.sum(ops.square(mean) + ops.exp(log_sigma) - 1.0 - log_sigma, axis=-1) / 2


ARMS = {"": {}, "flipped": {"objective": elbo}, "sigma": {"divergence": sigma_divergence}}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.conditional_vae.Settings):
    """Those of the recipe, and which arm of the claim."""

    arm: str = setting("", "flipped or sigma; none is the recipe's model")


def build(settings):
    if settings.arm not in ARMS:
        raise ValueError(f"arm must be flipped, sigma or none; received {settings.arm!r}")
    return zoo.conditional_vae.build(settings, **ARMS[settings.arm])


RECIPE = dataclasses.replace(zoo.conditional_vae.RECIPE, settings=Settings, build=build)
