"""Exponential moving averages (EMA) of network weights, as used for sampling by most GANs.

A model keeps a second copy of its generator, made by `ema_copy`, and calls `update_ema` after each
generator update. The weights of the trained network oscillate; the weights of the copy do not, so
its samples are better.

Reference:
    Yazici et al., 2019, "The Unusual Effectiveness of Averaging in GAN Training",
    https://arxiv.org/abs/1806.04498
"""

import keras
from keras import ops

from kerasgan.io import deferred
from kerasgan.types import Tensor


def ema_copy(network: keras.Model) -> keras.Model:
    """Returns a frozen copy of a built network, to hold the moving average of its weights.

    Args:
        network: A built `keras.Model`. Its class must implement `get_config` and `from_config`.

    Returns:
        A model of the same class and weights, named `ema_<name>`, with `trainable = False`. A
        deferred network of a loaded model stays deferred, because sampling uses the copy only.
    """
    if deferred.is_deferred(network):
        copy = deferred.built_copy(network, "ema_")
        weights = copy.get_weights()
        deferred.when_built(network, lambda trained: trained.set_weights(weights))
        copy.trainable = False
        return copy
    config = network.get_config()
    if "name" in config:  # `summary` and Keras' HDF5 files identify layers by name.
        config = config | {"name": f"ema_{network.name}"}
    copy = type(network).from_config(config)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


def update_ema(
    ema_network: keras.Model, network: keras.Model, ema_decay: float, updates: int | Tensor
) -> None:
    """Moves the weights of `ema_network` towards those of `network`.

    Each variable becomes `decay * ema + (1 - decay) * weight`. The decay is `min(ema_decay, (1 + t)
    / (10 + t))` after `t` updates, so that the average of a short training does not consist of
    initial weights. Integer variables keep their values.

    Args:
        ema_network: Copy made by `ema_copy`.
        network: Network in training.
        ema_decay: Final decay, in [0, 1).
        updates: Number of updates so far, an integer scalar or tensor.
    """
    t = ops.cast(updates, "float32")
    decay = ops.minimum(ema_decay, (1.0 + t) / (10.0 + t))
    for mean, variable in zip(ema_network.variables, network.variables, strict=True):
        if "float" in variable.dtype:
            mean.assign(mean + (1.0 - decay) * (variable - mean))
