"""Interpolation between latents, styles, captions and labels of every model.

Latents of a normal distribution lie close to a sphere. Points on the straight line between two of
them are shorter than all latents of the training, so latents are interpolated on the sphere
(White, 2016, "Sampling Generative Networks", https://arxiv.org/abs/1609.04468). Styles w, caption
embeddings and class conditions are interpolated linearly.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgan.arguments import check_count

SPACES = ("z", "w")


def spherical(a: np.ndarray, b: np.ndarray, fraction: np.ndarray | float) -> np.ndarray:
    """Interpolates the directions of vectors along a great circle, and their lengths linearly.

    Args:
        a, b: Float arrays `[..., D]`.
        fraction: Array that broadcasts with `[..., 1]`, or a number: 0 gives `a`, 1 gives `b`.

    Returns:
        Float32 array `[..., D]`. Parallel vectors are interpolated linearly.
    """
    a, b, fraction = np.asarray(a, "float64"), np.asarray(b, "float64"), np.asarray(fraction)
    long_a, long_b = (np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    unit_a, unit_b = a / np.maximum(long_a, 1e-12), b / np.maximum(long_b, 1e-12)
    angle = np.arccos(np.clip(np.sum(unit_a * unit_b, axis=-1, keepdims=True), -1.0, 1.0))
    # On a great circle through opposite points the direction is arbitrary.
    parallel = np.sin(angle) < 1e-6
    sine = np.where(parallel, 1.0, np.sin(angle))
    arc = (np.sin((1 - fraction) * angle) * unit_a + np.sin(fraction * angle) * unit_b) / sine
    arc = arc * ((1 - fraction) * long_a + fraction * long_b)
    return np.where(parallel, linear(a, b, fraction), arc).astype("float32")


def linear(a: np.ndarray, b: np.ndarray, fraction: np.ndarray | float) -> np.ndarray:
    """Interpolates linearly between arrays; see `spherical`."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    return ((1 - fraction) * a + fraction * b).astype("float32")


def path(
    points: np.ndarray, frames: int, between: Callable = spherical, *, loop: bool = False
) -> np.ndarray:
    """Returns points on the way through key points.

    Args:
        points: Key points `[K, ...]`, K at least 1.
        frames: Number of points from one key point to the next.
        between: `spherical` or `linear`.
        loop: If `True`, the way returns to the first key point, which is not repeated.

    Returns:
        Float32 array `[F, ...]` with `F = K * frames` for a loop and `(K - 1) * frames + 1`
        otherwise. The key points themselves are in it.
    """
    points, frames = np.asarray(points), check_count(frames, "frames")
    ends = np.roll(points, -1, axis=0) if loop else points[1:]
    fraction = np.arange(frames).reshape(-1, *[1] * (points.ndim - 1)) / frames
    parts = [between(a[None], b[None], fraction) for a, b in zip(points, ends, strict=False)]
    return np.concatenate([*parts, *([] if loop else [points[-1:].astype("float32")])])


def nearest(points: np.ndarray, frames: int, *, loop: bool = False) -> np.ndarray:
    """Returns the nearest key point of each point of `path`, for labels, which have no between."""
    index = path(np.arange(len(points) + 1.0)[:, None], frames, linear)[:, 0]
    count = len(points) * frames if loop else (len(points) - 1) * frames + 1
    return np.asarray(points)[np.floor(index[:count] + 0.5).astype(int) % len(points)]


def interpolate(
    model: Any,
    points: int | np.ndarray = 4,
    frames: int = 15,
    *,
    labels: Any = None,
    captions: list[str] | None = None,
    embeddings: np.ndarray | None = None,
    space: str = "z",
    loop: bool = True,
    seed: int | None = 0,
    truncation: float = 1.0,
    **options: Any,
) -> np.ndarray:
    """Generates images on a way through key points of the latent space.

    Labels, captions or embeddings belong to the key points. Caption embeddings and the class
    conditions of StyleGAN2 and StylEx are interpolated too. Other models have one image per integer
    label, so the label changes half-way. A single label or caption holds for all key points.

    Args:
        model: Model of the zoo.
        points: Number of random key points, or latents `[K, latent_dim]`. A single key point shows
            the change of captions or labels alone.
        frames: Number of images from one key point to the next.
        labels: Integer labels `[K]` or `[1]`. `None` cycles through the classes.
        captions: K captions, or one.
        embeddings: Caption embeddings `[K, D]` or `[1, D]` instead of captions.
        space: `"z"`, spherical interpolation of latents, or `"w"`, linear interpolation of styles
            (StyleGAN2 and StylEx).
        loop: If `True`, the way returns to the first key point.
        seed: Integer seed of the key points and of a fixed noise map.
        truncation: Truncation psi of StyleGAN2 and StylEx.
        **options: Further arguments of `model.sample`, such as `by="descriptor"` of CoopNet.

    Returns:
        Float32 images `[F, H, W, C]` in [-1, 1]; see `path` for F.

    Raises:
        ValueError: If an argument does not fit the model.

    Example:
        ```python
        frames = interpolate(gan, captions=["a small red bird", "a large blue bird"])
        save_animation("birds.gif", frames)
        ```
    """
    styled = "noise" in model.sampling_inputs()
    if space not in SPACES or (space == "w" or truncation != 1) and not styled:
        raise ValueError(
            "space='w' and truncation need a StyleGAN2 or StylEx, other models take space='z'; "
            f"received space={space!r}, truncation={truncation:g} for a {type(model).__name__}"
        )
    conditions = _conditions(model, labels, captions, embeddings)
    count = len(next(iter(conditions.values()))) if conditions else 1
    if isinstance(points, (int, np.integer)):
        points = model.random_latents(max(check_count(points, "points"), count), seed)
    points = np.asarray(points, "float32")
    keys = max(len(points), count)
    if model.conditioning == "labels" and labels is None:
        conditions["labels"] = np.arange(keys) % model.classes
    arrays = {"latents": points, **conditions}
    for name, values in arrays.items():
        if len(values) not in (1, keys):
            raise ValueError(
                f"{name} must be 1 or as many as there are key points ({keys}); "
                f"received {len(values)}"
            )
        arrays[name] = np.repeat(values, keys, axis=0) if len(values) == 1 else values
    made: dict[str, Any] = {}
    if space == "w":
        made["w"] = path(model.map_latents(arrays.pop("latents")), frames, linear, loop=loop)
    else:
        made["latents"] = path(arrays.pop("latents"), frames, spherical, loop=loop)
    for name, values in arrays.items():
        if name == "labels" and styled:
            one_hot = np.asarray(model.label_conditions(values))
            made["conditions"] = path(one_hot, frames, linear, loop=loop)
        elif name == "labels":
            made[name] = nearest(values, frames, loop=loop)
        else:
            made[name] = path(values, frames, linear, loop=loop)
    if styled:
        size = model.image_shape[:2]
        noise = np.random.default_rng(seed).random((1, *size, 1), "float32")
        options = {"noise": noise, "truncation": truncation} | options
    return model.sample(**made, **options)


def _conditions(model, labels, captions, embeddings):
    """Returns the given conditions of the key points, by name, as arrays."""
    given = {"labels": labels, "captions": captions, "embeddings": embeddings}
    given = {name: value for name, value in given.items() if value is not None}
    allowed = {"labels": ("labels",), "captions": ("captions", "embeddings"), None: ()}
    wrong = [name for name in given if name not in allowed[model.conditioning]]
    if wrong or model.conditioning == "captions" and len(given) != 1:
        needed = {"labels": "labels", "captions": "captions or embeddings", None: "no conditions"}
        raise ValueError(
            f"a {type(model).__name__} takes {needed[model.conditioning]}; received "
            f"{', '.join(given) or 'none'}"
        )
    if "captions" in given:
        return {"embeddings": np.asarray(model.encode_captions(given["captions"]))}
    if "labels" in given:
        labels = np.atleast_1d(np.asarray(labels))
        model.check_labels(labels)
        return {"labels": labels}
    return {name: np.asarray(value, "float32") for name, value in given.items()}
