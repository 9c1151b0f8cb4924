"""Unsupervised directions in the latent space by closed-form factorization (SeFa).

Shen and Zhou, 2021, "Closed-Form Factorization of Latent Semantics in GANs",
https://arxiv.org/abs/2007.06600.

The directions n that change the output A n of the first layer most are the eigenvectors of A^T A
with the largest eigenvalues. In StyleGAN2, A contains the affine maps from w to the style vectors.
In the other models, it is the part of the first layer's weights that multiplies the latents.

**Differences from the paper**

- The mapping from the latents to the input of the first layer may contain fixed linear layers, such
  as reshaping or joining with a condition. It is measured, so no network needs special code.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_count


@dataclasses.dataclass(frozen=True)
class Directions:
    """Directions of a latent space, the strongest first.

    Attributes:
        vectors: Unit vectors, float32 `[K, latent_dim]`.
        strengths: Singular values of the first layer's weights, float32 `[K]`.
        space: `"z"` or `"w"`, the space of the vectors.
        scale: Standard deviation of the latents along each vector, float32 `[K]`: 1 in z.
    """

    vectors: np.ndarray
    strengths: np.ndarray
    space: str
    scale: np.ndarray


def find_directions(model: Any, count: int = 5, blocks: Sequence[int] | None = None) -> Directions:
    """Finds the directions that change the first layer of a generator most.

    Args:
        model: Model of the zoo.
        count: Number of directions.
        blocks: Indices of the StyleGAN2 blocks whose affine maps are used, 0 at 4 x 4 pixels.
            `None` uses all. Early blocks give changes of the layout, late ones of colors.

    Returns:
        `count` directions, or as many as there are latent dimensions.

    Raises:
        ValueError: If the generator has no first layer that is linear in the latents, as in a flow.

    Example:
        ```python
        directions = find_directions(gan, 5)
        images = edit(gan, directions, strengths=[-3, 0, 3], labels=[8])  # [5, 3, H, W, C]
        ```
    """
    count = check_count(count, "count")
    styled = "noise" in model.sampling_inputs()
    if blocks is not None and not styled:
        raise ValueError(f"blocks need StyleGAN2 or StylEx; received a {type(model).__name__}")
    network = model.checkpoint_networks()["generator"]
    weights = _style_weights(network, blocks) if styled else _first_weights(model, network)
    _, strengths, vectors = np.linalg.svd(weights.astype("float64"), full_matrices=False)
    vectors = vectors[:count].astype("float32")
    scale = np.ones(len(vectors), "float32")
    if styled:
        w = model.map_latents(np.random.default_rng(0).standard_normal((2048, model.latent_dim)))
        scale = (w @ vectors.T).std(axis=0).astype("float32")
    return Directions(vectors, strengths[:count].astype("float32"), "w" if styled else "z", scale)


def edit(
    model: Any,
    directions: Directions,
    strengths: Sequence[float] = (-3.0, -1.5, 0.0, 1.5, 3.0),
    *,
    seed: int | None = 0,
    latents: np.ndarray | None = None,
    blocks: Sequence[int] | None = None,
    **options: Any,
) -> np.ndarray:
    """Generates images of one latent vector moved along each direction.

    Args:
        model: Model of the zoo.
        directions: Result of `find_directions`.
        strengths: Distances along a direction, in standard deviations of the latents.
        seed: Integer seed of the latent vector and of a fixed noise map.
        latents: Latent vector `[1, latent_dim]` instead of that of `seed`.
        blocks: Indices of the StyleGAN2 blocks whose w moves. `None` moves all.
        **options: Condition of the image (`labels=[8]`, `captions=[...]` or `embeddings=`, of one
            image) and further arguments of `model.sample`.

    Returns:
        Float32 images `[directions, strengths, H, W, C]` in [-1, 1].
    """
    count, moved = len(directions.vectors), np.asarray(strengths, "float32")
    rows = count * len(moved)
    latents = model.random_latents(1, seed) if latents is None else np.asarray(latents, "float32")
    steps = moved[None, :, None] * (directions.scale[:, None] * directions.vectors)[:, None]
    steps = steps.reshape(rows, -1)  # [directions * strengths, latent_dim]
    if "captions" in options:
        options["embeddings"] = model.encode_captions(options.pop("captions"))
    options = {
        name: np.repeat(np.asarray(value), rows, axis=0)
        if name in ("labels", "embeddings")
        else value
        for name, value in options.items()
    }
    if directions.space == "w":
        network = model.checkpoint_networks()["generator"]
        w = np.repeat(model.map_latents(latents)[:, None], network.blocks, axis=1)
        chosen = list(range(network.blocks) if blocks is None else blocks)
        w = np.repeat(w, rows, axis=0)
        w[:, chosen] += steps[:, None]
        noise = np.random.default_rng(seed).random((1, *model.image_shape[:2], 1), "float32")
        images = model.sample(**{"w": w, "noise": noise} | options)
    else:
        images = model.sample(latents=latents + steps, **options)
    return images.reshape(count, len(moved), *images.shape[1:])


def _style_weights(network, blocks):
    """Affine maps from w to the style vectors, `[sum of channels, latent_dim]`."""
    blocks = range(network.blocks) if blocks is None else blocks
    wrong = [index for index in blocks if not 0 <= index < network.blocks]
    if wrong or not len(blocks):
        raise ValueError(
            f"blocks must be from 0 to {network.blocks - 1}; received {wrong[0] if wrong else '[]'}"
        )
    kernels = [
        network.style_layers[2 * index + layer].affine.get_weights()[0]
        for index in blocks
        for layer in (0, 1)
    ]
    kernels = [kernel[: network.latent_dim].T for kernel in kernels]
    # Unit rows, as in the authors' code, so that no layer dominates by its scale.
    matrix = np.concatenate(kernels)
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)


def _first_weights(model, network):
    """Weights `[outputs, latent_dim]` of the first layer that depends on the latents."""
    specs = model.sampling_inputs()
    inputs = {
        name: np.zeros((model.latent_dim + 1, *spec.shape[1:]), spec.dtype)
        for name, spec in specs.items()
    }
    inputs["latents"][1:] = np.eye(model.latent_dim)
    if not getattr(network, "inputs", None):
        raise ValueError(
            f"the generator of a {type(model).__name__} has no first layer that is linear in the "
            "latents, so it has no directions"
        )
    values = _network_inputs(model, network, inputs)
    for layer in network.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        before = keras.Model(network.inputs, layer.input)(values, training=False)
        before = np.array(ops.convert_to_numpy(before), "float64")
        before = (before[1:] - before[:1]).reshape(model.latent_dim, -1)  # [latent_dim, inputs]
        if not np.any(before):
            continue  # Only the condition reaches this layer.
        weights = np.array(ops.convert_to_numpy(kernel), "float64")
        # Kernels are [inputs, outputs], or [height, width, outputs, inputs] of transposed
        # convolutions of a 1 x 1 map.
        flat = weights if weights.ndim == 2 else weights.reshape(-1, weights.shape[-1]).T
        return (before @ flat).T
    raise ValueError(f"no layer of {network.name} depends on the latents")


def _network_inputs(model, network, inputs):
    if model.conditioning == "captions":
        values = [inputs["embeddings"], *model.split_latents(inputs["latents"])]
    else:
        values = list(inputs.values())
    values = [ops.convert_to_tensor(value) for value in values]
    return values if len(values) > 1 else values[0]
