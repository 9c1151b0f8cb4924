"""Layers and Adam in plain JAX for the baselines.

Weights are nested dictionaries. Kernels are `[height, width, inputs, outputs]` and images
`[B, height, width, C]`, which XLA prefers on CPUs.
"""

from typing import Any

import jax
import numpy as np
from jax import lax, numpy as jnp

RATE, BETA_1, BETA_2, EPSILON = 2e-4, 0.5, 0.999, 1e-8
MOMENTUM = 0.9  # PyTorch calls 1 - 0.9 the momentum of the running statistics.
LAYOUT = ("NHWC", "HWIO", "NHWC")


def uniform(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Returns random weights as PyTorch's layers do, `[..., inputs, outputs]`."""
    bound = 1 / np.sqrt(np.prod(shape[:-1]))
    return random.uniform(-bound, bound, shape).astype("float32")


def layer(random: np.random.Generator, *shape: int, bias: bool = True) -> dict[str, Any]:
    """Weights of a dense layer or a convolution."""
    weights = {"kernel": uniform(random, *shape)}
    return weights | {"bias": np.zeros(shape[-1], "float32")} if bias else weights


def norm(channels: int) -> dict[str, Any]:
    """Weights of a batch normalization."""
    return {"scale": np.ones(channels, "float32"), "offset": np.zeros(channels, "float32")}


def batch_norm(weights: dict, x: jax.Array) -> tuple[jax.Array, tuple]:
    """Normalizes by the statistics of the batch; also returns them."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    scale = weights["scale"] * lax.rsqrt(variance + 1e-5)
    return (x - mean) * scale + weights["offset"], (mean, variance)


def convolve(weights: dict, x: jax.Array, stride: int, padding: Any) -> jax.Array:
    """Convolution."""
    y = lax.conv_general_dilated(
        x, weights["kernel"], (stride, stride), padding, dimension_numbers=LAYOUT
    )
    return y + weights["bias"] if "bias" in weights else y


def adam(weights: Any, gradients: Any, state: tuple, step: jax.Array) -> tuple[Any, tuple]:
    """One step of Adam."""
    first, second = state
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradients)
    rate = RATE / (1 - BETA_1**step)

    def moved(w, m, v):
        return w - rate * m / (jnp.sqrt(v / (1 - BETA_2**step)) + EPSILON)

    return jax.tree.map(moved, weights, first, second), (first, second)


def mixed(running: list, found: list) -> list:
    """Updates running statistics."""
    return jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, running, found)


def moments(weights: Any) -> tuple:
    """Returns the state of Adam before the first step."""
    return jax.tree.map(np.zeros_like, weights), jax.tree.map(np.zeros_like, weights)


def running(*channels: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the running mean and variance of each batch normalization at the start."""
    return [(np.zeros(n, "float32"), np.ones(n, "float32")) for n in channels]
