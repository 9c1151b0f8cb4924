"""The corrected conditional MNIST GAN in plain JAX: one function, compiled by `jax.jit`.

Networks, losses and optimizers are those of `mnist_gan.corrected_step`. The buffers of the weights
are donated to the step.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax, numpy as jnp

from benchmarks.speed.baselines.jax_layers import (
    LAYOUT,
    adam,
    batch_norm,
    convolve,
    layer,
    mixed,
    moments,
    norm,
    running,
)

CLASSES, FAKE, LATENT = 10, 10, 100
KERNELS, SIZE = 100, 4  # B and C of minibatch discrimination.


def generator_weights(random: np.random.Generator) -> dict[str, Any]:
    """Weights of the generator."""
    return {
        "project": layer(random, LATENT + CLASSES, 256 * 2 * 2),
        "up_1": layer(random, 5, 5, 256, 128),
        "norm_1": norm(128),
        "up_2": layer(random, 4, 4, 128, 128),
        "norm_2": norm(128),
        "up_3": layer(random, 4, 4, 128, 64),
        "norm_3": norm(64),
        "up_4": layer(random, 1, 1, 64, 1),
    }


def discriminator_weights(random: np.random.Generator) -> dict[str, Any]:
    """Weights of the discriminator."""
    features = 2 * 14 * 14
    return {
        "conv_1": layer(random, 2, 2, 1, 32),
        "conv_2": layer(random, 2, 2, 32, 2),
        "norm": norm(2),
        "tensor": layer(random, features, KERNELS * SIZE, bias=False),
        "head": layer(random, features + KERNELS, CLASSES + 1),
    }


def up(weights: dict, x: jax.Array, stride: int = 1) -> jax.Array:
    """Transposed convolution."""
    strides = (stride, stride)
    y = lax.conv_transpose(x, weights["kernel"], strides, "VALID", dimension_numbers=LAYOUT)
    return y + weights["bias"]


def generate(weights: dict, latents: jax.Array, labels: jax.Array) -> tuple[jax.Array, list]:
    """Returns images `[B, 28, 28, 1]` and the statistics of the batch."""
    x = jnp.concatenate([latents, jax.nn.one_hot(labels, CLASSES)], axis=1)
    x = jax.nn.relu(x @ weights["project"]["kernel"] + weights["project"]["bias"])
    x, statistics = x.reshape(-1, 2, 2, 256), []
    for index, stride in ((1, 1), (2, 2), (3, 2)):
        x, found = batch_norm(weights[f"norm_{index}"], up(weights[f"up_{index}"], x, stride))
        x = jax.nn.relu(x)
        statistics.append(found)
    return jnp.tanh(up(weights["up_4"], x))[:, 1:29, 1:29], statistics


def discriminate(weights: dict, images: jax.Array) -> tuple[jax.Array, jax.Array, list]:
    """Returns logits `[B, 11]`, features `[B, 392]` and the statistics of the batch."""
    x = jax.nn.leaky_relu(
        convolve(weights["conv_1"], images, 1, ((0, 1), (0, 1))), negative_slope=0.2
    )
    x, statistics = batch_norm(weights["norm"], convolve(weights["conv_2"], x, 2, "VALID"))
    features = jax.nn.leaky_relu(x, negative_slope=0.2).reshape(len(images), -1)
    rows = (features @ weights["tensor"]["kernel"]).reshape(-1, KERNELS, SIZE)
    distance = jnp.abs(rows[:, None] - rows[None]).sum(axis=3)  # [N, N, B]
    closeness = jnp.exp(-distance).sum(axis=1) - 1
    joined = jnp.concatenate([features, closeness], axis=1)
    logits = joined @ weights["head"]["kernel"] + weights["head"]["bias"]
    return logits, features, [statistics]


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Mean cross entropy of logits and target probabilities."""
    return -(target * jax.nn.log_softmax(logits)).sum(axis=1).mean()


@functools.partial(jax.jit, donate_argnums=0)
def train(state: dict[str, Any], images: jax.Array, labels: jax.Array) -> tuple[dict, tuple]:
    """The corrected step: `state` to the new state and both losses."""
    random, own = jax.random.split(state["random"])
    latents = jax.random.normal(own, (len(images), LATENT))
    fake = jax.nn.one_hot(jnp.full(len(images), FAKE), CLASSES + 1)
    own_class = jax.nn.one_hot(labels, CLASSES + 1)
    step = state["step"] + 1.0
    # The forward pass of the generator serves both phases.
    fakes, pull_back, generator_statistics = jax.vjp(
        lambda weights: generate(weights, latents, labels), state["generator"], has_aux=True
    )

    def discriminator_loss(weights):
        real_logits, _, real_statistics = discriminate(weights, images)
        fake_logits, _, fake_statistics = discriminate(weights, fakes)
        loss = cross_entropy(real_logits, 0.9 * own_class + 0.1 * fake)
        return loss + cross_entropy(fake_logits, fake), (real_statistics, fake_statistics)

    (d_loss, found), gradients = jax.value_and_grad(discriminator_loss, has_aux=True)(
        state["discriminator"]
    )
    weights, d_state = adam(state["discriminator"], gradients, state["d_adam"], step)
    running = state["d_running"]
    for statistics in found:
        running = mixed(running, statistics)
    _, real_features, statistics = discriminate(weights, images)
    running = mixed(running, statistics)

    def generator_loss(fakes):
        logits, features, statistics = discriminate(weights, fakes)
        matching = ((features.mean(axis=0) - real_features.mean(axis=0)) ** 2).mean()
        return cross_entropy(logits, own_class) + matching, statistics

    (g_loss, statistics), slope = jax.value_and_grad(generator_loss, has_aux=True)(fakes)
    generator, g_state = adam(state["generator"], pull_back(slope)[0], state["g_adam"], step)
    new = {
        "generator": generator,
        "discriminator": weights,
        "g_adam": g_state,
        "d_adam": d_state,
        "g_running": mixed(state["g_running"], generator_statistics),
        "d_running": mixed(running, statistics),
        "step": step,
        "random": random,
    }
    return new, (d_loss, g_loss)


def initial_state(seed: int = 0) -> dict[str, Any]:
    """Returns the state before the first step."""
    random = np.random.default_rng(seed)
    weights = {
        "generator": generator_weights(random),
        "discriminator": discriminator_weights(random),
    }

    return jax.tree.map(
        jnp.asarray,
        weights
        | {
            "g_adam": moments(weights["generator"]),
            "d_adam": moments(weights["discriminator"]),
            "g_running": running(128, 128, 64),
            "d_running": running(2),
            "step": np.zeros((), "float32"),
        },
    ) | {"random": jax.random.key(seed)}


def corrected_step(batch_size: int) -> Callable[[], tuple[float, float]]:
    """Build the corrected step on random images in [-1, 1]; it returns both losses."""
    random = np.random.default_rng(1)
    images = jnp.asarray(random.uniform(-1, 1, [batch_size, 28, 28, 1]).astype("float32"))
    labels = jnp.asarray(random.integers(0, CLASSES, batch_size))
    state = initial_state()

    def step():
        nonlocal state
        state, losses = train(state, images, labels)
        return tuple(float(loss) for loss in losses)

    return step
