"""HDGAN in plain JAX: one function, compiled by `jax.jit`.

Networks, losses and optimizers are those of the PyTorch program in `hdgan.py`. The buffers of the
weights are donated to the step.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from benchmarks.speed.baselines.jax_layers import (
    adam,
    batch_norm,
    convolve,
    layer,
    mixed,
    moments,
)

SIZES = (64, 128, 256)
EMBEDDING, CONDITION, LATENT, TEXT = 1024, 128, 100, 128
VALID = ((0, 0), (0, 0))


# === Weights ===


def kernel(random: np.random.Generator, *shape: int, bias: bool = False) -> dict[str, Any]:
    """Weights of a convolution."""
    weights = layer(random, *shape, bias=bias)
    return weights | {"kernel": random.normal(0, 0.02, shape).astype("float32")}


def norm(random: np.random.Generator, channels: int) -> dict[str, Any]:
    """Weights of a batch normalization."""
    scale = random.normal(1, 0.02, channels).astype("float32")
    return {"scale": scale, "offset": np.zeros(channels, "float32")}


def block(random: np.random.Generator, *shape: int) -> dict[str, Any]:
    """Weights of a convolution and its batch normalization."""
    return {"conv": kernel(random, *shape), "norm": norm(random, shape[-1])}


def generator_weights(
    random: np.random.Generator, width: int = 128, largest: int = SIZES[-1]
) -> dict[str, Any]:
    """Weights of the generator."""

    def residual(channels):
        return [block(random, 3, 3, channels, channels) for _ in range(2)]

    channels, images = 8 * width, {}
    scales: list[dict] = [{"residual": residual(channels)}]
    for scale in (8, 16, 32, 64, 128, 256)[: largest.bit_length() - 3]:
        stage = {}
        if scale in (8, 32, 128, 256):
            stage["up"] = block(random, 3, 3, channels, channels // 2)
            channels //= 2
        scales.append(stage | {"residual": residual(channels)})
        if scale in SIZES:
            images[str(scale)] = kernel(random, 3, 3, channels, 3)
    return {
        "condition": layer(random, EMBEDDING, 2 * CONDITION),
        "project": layer(random, CONDITION + LATENT, 128 * width),
        "norm": norm(random, 128 * width),
        "scales": scales,
        "images": images,
    }


def discriminator_weights(
    random: np.random.Generator, size: int, width: int = 128
) -> dict[str, Any]:
    """Weights of the discriminator of a size."""
    code, channels = 4 * width, width * 64 // size
    first, blocks = kernel(random, 3, 3, 3, channels), []
    while channels < code:
        blocks.append(block(random, 3, 3, channels, 2 * channels))
        channels *= 2
    return {
        "first": first,
        "blocks": blocks,
        "shrink": block(random, 5, 5, code, code),
        "text": layer(random, EMBEDDING, TEXT),
        "joint": block(random, 1, 1, code + TEXT, code),
        "pair": kernel(random, 4, 4, code, 1, bias=True),
        "image": kernel(random, 4, 4, code, 1, bias=True),
    }


# === Networks ===


def leaky(x: jax.Array) -> jax.Array:
    """Leaky ReLU with a slope of 0.2."""
    return jax.nn.leaky_relu(x, negative_slope=0.2)


def normalized(weights: dict, x: jax.Array, statistics: list) -> jax.Array:
    """Normalizes by the statistics of the batch and appends them to a list."""
    y, found = batch_norm(weights, x)
    statistics.append(found)
    return y


def reflected(weights: dict, x: jax.Array) -> jax.Array:
    """3 x 3 convolution with reflected borders."""
    return convolve(weights, jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect"), 1, VALID)


def generate(
    weights: dict, embeddings: jax.Array, noise: jax.Array, latents: jax.Array
) -> tuple[tuple[list, jax.Array, jax.Array], list]:
    """Returns `(images of each size, mean, log deviation)` and the statistics of the batch."""
    statistics: list = []
    condition = leaky(embeddings @ weights["condition"]["kernel"] + weights["condition"]["bias"])
    mean, log_deviation = jnp.split(condition, 2, axis=1)
    x = jnp.concatenate([mean + jnp.exp(log_deviation) * noise, latents], axis=1)
    x = x @ weights["project"]["kernel"] + weights["project"]["bias"]
    x = normalized(weights["norm"], x, statistics).reshape(len(x), 4, 4, -1)
    images = []
    for index, scale in enumerate(weights["scales"]):
        if index:
            x = x.repeat(2, axis=1).repeat(2, axis=2)
        if "up" in scale:
            x = normalized(scale["up"]["norm"], reflected(scale["up"]["conv"], x), statistics)
            x = jax.nn.relu(x)
        first, second = scale["residual"]
        y = jax.nn.relu(normalized(first["norm"], reflected(first["conv"], x), statistics))
        x = x + normalized(second["norm"], reflected(second["conv"], y), statistics)
        if str(x.shape[1]) in weights["images"]:
            images.append(jnp.tanh(reflected(weights["images"][str(x.shape[1])], x)))
    return (images, mean, log_deviation), statistics


def discriminate(
    weights: dict, images: jax.Array, embeddings: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], list]:
    """Returns `(logits of pairs, logits of images)` and the statistics of the batch."""
    statistics: list = []
    around = ((1, 1), (1, 1))
    x = leaky(convolve(weights["first"], images, 2, around))
    for each in weights["blocks"]:
        x = leaky(normalized(each["norm"], convolve(each["conv"], x, 2, around), statistics))
    each = weights["shrink"]
    shrunk = leaky(normalized(each["norm"], convolve(each["conv"], x, 1, VALID), statistics))
    text = leaky(embeddings @ weights["text"]["kernel"] + weights["text"]["bias"])
    text = jnp.broadcast_to(text[:, None, None], (len(x), 4, 4, TEXT))
    each, joined = weights["joint"], jnp.concatenate([shrunk, text], axis=3)
    joined = leaky(normalized(each["norm"], convolve(each["conv"], joined, 1, VALID), statistics))
    pair = convolve(weights["pair"], joined, 1, VALID)
    whole = x if images.shape[1] >= 256 else shrunk
    return (pair, convolve(weights["image"], whole, 1, VALID)), statistics


def discriminate_all(
    weights: list, images: list, embeddings: jax.Array
) -> tuple[list[tuple[jax.Array, jax.Array]], list]:
    """Applies the discriminator of each size."""
    found = [discriminate(w, x, embeddings) for w, x in zip(weights, images, strict=True)]
    return [logits for logits, _ in found], [each for _, batch in found for each in batch]


# === The step ===


def pyramid(images: jax.Array, sizes: tuple[int, ...]) -> list[jax.Array]:
    """Returns the images of each size, by averages of blocks."""
    count, largest = images.shape[0], images.shape[1]
    return [
        images.reshape(count, size, largest // size, size, largest // size, 3).mean((2, 4))
        for size in sizes
    ]


def error(logits: jax.Array, target: float) -> jax.Array:
    """Mean squared difference from a target."""
    return jnp.square(logits - target).mean()


@functools.partial(jax.jit, donate_argnums=0, static_argnums=4)
def train(
    state: dict[str, Any],
    real: jax.Array,
    mismatched: jax.Array,
    embeddings: jax.Array,
    sizes: tuple[int, ...],
) -> tuple[dict, tuple]:
    """The training step: `state` to the new state and both losses."""
    random, *own = jax.random.split(state["random"], 3)
    noise = jax.random.normal(own[0], (len(real), CONDITION))
    latents = jax.random.normal(own[1], (len(real), LATENT))
    step = state["step"] + 1.0
    # The forward pass of the generator serves both phases.
    (fakes, mean, log_deviation), pull_back, generator_statistics = jax.vjp(
        lambda weights: generate(weights, embeddings, noise, latents),
        state["generator"],
        has_aux=True,
    )
    batches = pyramid(real, sizes), pyramid(mismatched, sizes), fakes

    def discriminator_loss(weights):
        found = [discriminate_all(weights, images, embeddings) for images in batches]
        loss = 0.0
        for one, other, fake in zip(*(logits for logits, _ in found), strict=True):
            loss = loss + error(one[0], 1) + (error(other[0], 0) + error(fake[0], 0)) / 2
            loss = loss + error(fake[1], 0) + (error(other[1], 1) + error(one[1], 1)) / 2
        return loss, [statistics for _, statistics in found]

    (d_loss, found), gradients = jax.value_and_grad(discriminator_loss, has_aux=True)(
        state["discriminators"]
    )
    weights, d_state = adam(state["discriminators"], gradients, state["d_adam"], step)
    running = state["d_running"]
    for statistics in found:
        running = mixed(running, statistics)

    def generator_loss(fakes, mean, log_deviation):
        divergence = 0.5 * (mean**2 + jnp.exp(2 * log_deviation) - 1) - log_deviation
        logits, statistics = discriminate_all(weights, fakes, embeddings)
        loss = 4 * divergence.mean() + sum(error(each, 1) for pair in logits for each in pair)
        return loss, statistics

    (g_loss, statistics), slopes = jax.value_and_grad(
        generator_loss, argnums=(0, 1, 2), has_aux=True
    )(fakes, mean, log_deviation)
    generator, g_state = adam(state["generator"], pull_back(slopes)[0], state["g_adam"], step)
    new = {
        "generator": generator,
        "discriminators": weights,
        "g_adam": g_state,
        "d_adam": d_state,
        "g_running": mixed(state["g_running"], generator_statistics),
        "d_running": mixed(running, statistics),
        "step": step,
        "random": random,
    }
    return new, (d_loss, g_loss)


def initial_state(width: int, sizes: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    """Returns the state before the first step."""
    random = np.random.default_rng(seed)
    generator = generator_weights(random, width, sizes[-1])
    discriminators = [discriminator_weights(random, size, width) for size in sizes]

    def running(function, *arguments):
        # The shapes of the statistics, without a computation.
        _, statistics = jax.eval_shape(function, *arguments)
        return [
            (np.zeros(mean.shape, "float32"), np.ones(variance.shape, "float32"))
            for mean, variance in statistics
        ]

    two = np.zeros((2, EMBEDDING), "float32")
    images = [np.zeros((2, size, size, 3), "float32") for size in sizes]
    state = {
        "generator": generator,
        "discriminators": discriminators,
        "g_adam": moments(generator),
        "d_adam": moments(discriminators),
        "g_running": running(generate, generator, two, two[:, :CONDITION], two[:, :LATENT]),
        "d_running": running(discriminate_all, discriminators, images, two),
        "step": np.zeros((), "float32"),
    }
    return jax.tree.map(jnp.asarray, state) | {"random": jax.random.key(seed)}


def training_step(
    batch_size: int, width: int = 128, seed: int = 0, largest: int = SIZES[-1]
) -> Callable[[], tuple[float, float]]:
    """Build a training step on random images: a function that runs it and returns both losses."""
    random, sizes = np.random.default_rng(seed), tuple(size for size in SIZES if size <= largest)
    real, mismatched = (
        jnp.asarray(random.uniform(-1, 1, (batch_size, largest, largest, 3)).astype("float32"))
        for _ in range(2)
    )
    embeddings = jnp.asarray(random.normal(size=(batch_size, EMBEDDING)).astype("float32"))
    state = initial_state(width, sizes, seed)

    def step():
        nonlocal state
        state, losses = train(state, real, mismatched, embeddings, sizes)
        return tuple(float(loss) for loss in losses)

    return step
