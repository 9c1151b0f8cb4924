"""Counterfactual images: applies the attributes of `kerasgan.models.attfind` to images."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgan.images import to_uint8
from kerasgan.models.attfind_attributes import Attributes, call_name
from kerasgan.models.style_probe import (
    ROUNDING,
    EncodedImages,
    StyleProbe,
    effects_of_encoded,
    log_odds,
    softmax,
)

# A strategy is a function `(probe, encoded, attributes, k) -> (coordinates, directions)` that
# chooses k edits, int [N, k], to change the class of each image, in order of importance. A
# coordinate of -1 means no edit.


def shared(
    probe: StyleProbe, encoded: EncodedImages, attributes: Attributes, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Strategy that applies the first k attributes to every image.

    Images of the target class are moved away from it; the others are moved towards it.
    """
    is_target = encoded.logits.argmax(axis=1) == attributes.target
    coordinates, directions = attributes.coordinates[:k], attributes.directions[:k]
    directions = np.where(is_target[:, None], 1 - directions, directions)
    return np.tile(coordinates, (len(is_target), 1)), directions


def independent(
    probe: StyleProbe, encoded: EncodedImages, attributes: Attributes, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Strategy that selects, for each image, the k coordinates with the largest individual effect.

    This is the "independent" selection of section 3.4 of the paper. The effect is measured on the
    log odds.
    """
    found = effects_of_encoded(probe, encoded, attributes.shift_size, attributes.bounds)
    sign = _sign_of_flip(encoded, attributes)
    before = log_odds(encoded.logits, attributes.target)[:, None, None]
    after = log_odds(encoded.logits[:, None, None] + found.values, attributes.target)
    gains = (after - before) * sign[:, None, None]  # [N, 2, J]
    directions, gains = gains.argmax(axis=1), gains.max(axis=1)
    coordinates = np.argsort(-gains, axis=1, kind="stable")[:, :k]
    positive = np.take_along_axis(gains, coordinates, axis=1) > ROUNDING
    return np.where(positive, coordinates, -1), np.take_along_axis(directions, coordinates, axis=1)


def subset(
    probe: StyleProbe,
    encoded: EncodedImages,
    attributes: Attributes,
    k: int,
    candidates: int = 50,
) -> tuple[np.ndarray, np.ndarray]:
    """Strategy that selects, for each image, k coordinates with a large joint effect.

    This is the "subset" selection of section 3.4 of the paper: each coordinate is the best one in
    addition to those selected before. The candidates are the first `candidates` coordinates of
    `independent`.
    """
    coordinates, directions = independent(probe, encoded, attributes, max(k, candidates))
    images, sign = np.arange(len(coordinates)), _sign_of_flip(encoded, attributes)
    left = coordinates.copy()  # -1 for no candidate or one that has been selected
    selected, styles = [], encoded.styles.copy()
    odds = log_odds(encoded.logits, attributes.target) * sign
    for _ in range(min(k, coordinates.shape[1])):
        image, rank = np.nonzero(left >= 0)
        coordinate = left[image, rank]
        shift = attributes.bounds[directions[image, rank], coordinate] - styles[image, coordinate]
        shift = shift * attributes.shift_size
        after = probe.edited_logits(encoded, image, coordinate, shift, styles)
        gains = np.full(left.shape, -np.inf)
        gains[image, rank] = log_odds(after, attributes.target) * sign[image] - odds[image]
        best = gains.argmax(axis=1)
        positive = gains[images, best] > ROUNDING
        coordinate = np.where(positive, left[images, best], -1)
        selected.append((coordinate, directions[images, best]))
        styles = _apply(
            encoded, attributes, *(np.stack(x, axis=1) for x in zip(*selected, strict=True))
        )
        odds = odds + np.where(positive, gains[images, best], 0)
        left[images, best] = -1
    coordinates, chosen = (np.stack(part, axis=1) for part in zip(*selected, strict=True))
    return coordinates, chosen


def _sign_of_flip(encoded, attributes):
    """Sign `[N]` of the change in log odds that flips an image: -1 for images of the target."""
    return np.where(encoded.logits.argmax(axis=1) == attributes.target, -1.0, 1.0)


def _apply(encoded, attributes, coordinates, directions):
    """Style vectors `[N, J]` after edits `[N, k]`; of two edits of a coordinate the first wins."""
    styles = encoded.styles.copy()
    for coordinate, direction in reversed(list(zip(coordinates.T, directions.T, strict=True))):
        rows = np.flatnonzero(coordinate >= 0)
        index, before = (rows, coordinate[rows]), encoded.styles[rows, coordinate[rows]]
        styles[index] = before + attributes.shift_size * (
            attributes.bounds[direction[rows], index[1]] - before
        )
    return styles


def counterfactual(
    model: Any,
    images: np.ndarray,
    attributes: Attributes,
    k: int = 1,
    *,
    strategy: Callable = shared,
    batch_size: int = 64,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Generates counterfactual images by applying k attributes jointly.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        images: Float images `[N, H, W, C]` in [-1, 1].
        attributes: Result of `attfind`.
        k: Number of attributes, at most `len(attributes)` for the strategy `shared`.
        strategy: `shared`, `independent` or `subset`.
        batch_size, progress: See `StyleProbe`.

    Returns:
        `(images, logits)`: float32 `[N, H, W, C]` in [-1, 1] and classifier logits `[N, K]`.

    Raises:
        ValueError: If the attributes belong to another generator or k is out of range.
    """
    probe, encoded, edits = _edits(model, images, attributes, k, strategy, batch_size, progress)
    return probe.synthesize(_apply(encoded, attributes, *edits), encoded.rgb_styles)


def edit(
    model: Any,
    encoded: EncodedImages,
    attributes: Attributes,
    strengths: np.ndarray,
    *,
    batch_size: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """Moves the attributes of encoded images by any amount.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        encoded: Result of `StyleProbe.encode` for one image.
        attributes: Result of `attfind`.
        strengths: Float array `[T, A]` in [-1, 1] with one row per edited image. 1 moves an
            attribute to the end of its range that favors the target, -1 to the other end, and 0
            keeps it.
        batch_size: See `StyleProbe`.

    Returns:
        `(images, logits)`: float32 `[T, H, W, C]` in [-1, 1] and classifier logits `[T, K]`.

    Raises:
        ValueError: If the attributes belong to another generator, or the strengths are no numbers
            in [-1, 1] or have another shape.
    """
    probe = StyleProbe.of(model, batch_size, False)
    _check(probe, attributes)
    strengths = np.asarray(strengths, "float32")
    if strengths.ndim != 2 or strengths.shape[1] != len(attributes) or not len(strengths):
        shape = list(strengths.shape)
        raise ValueError(f"strengths must be [T, {len(attributes)}]; received {shape}")
    if not (np.abs(strengths) <= 1).all():  # Also false for NaN.
        raise ValueError(
            f"strengths must be in [-1, 1]; received {strengths.min():g} to {strengths.max():g}"
        )
    styles = np.repeat(encoded.styles, len(strengths), axis=0)  # [T, J]
    columns, favors = attributes.coordinates, attributes.directions
    before = styles[:, columns]
    end = attributes.bounds[np.where(strengths > 0, favors, 1 - favors), columns]  # [T, A]
    styles[:, columns] = before + np.abs(strengths) * attributes.shift_size * (end - before)
    rgb_styles = [np.repeat(x, len(strengths), axis=0) for x in encoded.rgb_styles]
    return probe.synthesize(styles, rgb_styles)


def sufficiency(
    model: Any,
    images: np.ndarray,
    attributes: Attributes,
    k: int = 10,
    *,
    strategy: Callable = shared,
    batch_size: int = 64,
    progress: bool = True,
) -> dict:
    """Share of images that flip when 1, 2, ..., k attributes are applied jointly.

    This is the paper's sufficiency as a curve. An image flips if its reconstruction is predicted as
    the target before the edits and not after them, or the reverse.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        images: Float images `[N, H, W, C]` in [-1, 1], other than those given to `attfind`.
        attributes: Result of `attfind`.
        k: Maximum number of attributes. With the strategy `shared` the curve ends at
            `len(attributes)`.
        strategy: `shared`, `independent` or `subset`.
        batch_size, progress: See `StyleProbe`.

    Returns:
        Dict with `all`, list of shares of images for 1, 2, ... attributes; `classes`, a list of
        dicts with `class`, `images` and `flipped` (shares) for each class predicted before the
        edits; `images`, their number; `strategy`, its name; `target`.
    """
    k = min(k, len(attributes)) if strategy is shared else k
    probe, encoded, edits = _edits(model, images, attributes, k, strategy, batch_size, progress)
    before = encoded.logits.argmax(axis=1)
    changes = []
    for count in range(1, edits[0].shape[1] + 1):
        styles = _apply(encoded, attributes, *(x[:, :count] for x in edits))
        after = probe.synthesize(styles, encoded.rgb_styles)[1].argmax(axis=1)
        changes.append((after == attributes.target) != (before == attributes.target))
    flipped = np.array(changes)  # [k, N]
    classes = [
        {
            "class": int(c),
            "images": int((before == c).sum()),
            "flipped": flipped[:, before == c].mean(axis=1).tolist(),
        }
        for c in np.unique(before)
    ]
    return {
        "all": flipped.mean(axis=1).tolist(),
        "classes": classes,
        "images": len(before),
        "strategy": call_name(strategy),
        "target": attributes.target,
    }


def traversals(
    model: Any,
    images: np.ndarray,
    attributes: Attributes,
    steps: int = 7,
    *,
    batch_size: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """Generates images along the range of each attribute.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        images: Float images `[N, H, W, C]` in [-1, 1].
        attributes: Result of `attfind`.
        steps: Number of equidistant values, from the end that disfavors the target to the end that
            favors it.
        batch_size: See `StyleProbe`.

    Returns:
        `(images, probabilities)`: uint8 `[A, N, steps, H, W, C]` and the probability of the target,
        float `[A, N, steps]`.
    """
    probe = StyleProbe.of(model, batch_size, False)
    _check(probe, attributes)
    encoded = probe.encode(images)
    rows = []
    for coordinate, direction in zip(attributes.coordinates, attributes.directions, strict=True):
        before = encoded.styles[:, coordinate]
        ends = attributes.bounds[[1 - direction, direction], coordinate]  # [2]
        ends = before[:, None] + attributes.shift_size * (ends - before[:, None])  # [N, 2]
        styles = np.repeat(encoded.styles[:, None], steps, axis=1)  # [N, steps, J]
        styles[..., coordinate] = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(
            0, 1, steps, dtype="float32"
        )
        rows.append(_images_of_steps(probe, styles, encoded.rgb_styles, attributes.target))
    traversed, probabilities = (np.stack(part) for part in zip(*rows, strict=True))
    return traversed, probabilities


def cumulative_counterfactuals(
    model: Any,
    images: np.ndarray,
    attributes: Attributes,
    k: int = 10,
    *,
    strategy: Callable = shared,
    batch_size: int = 64,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Generates each image with the first 0, 1, 2, ..., k attributes applied jointly.

    Args:
        model, images, attributes, k, strategy, batch_size, progress: See `sufficiency`.

    Returns:
        `(images, probabilities)`: uint8 `[N, k + 1, H, W, C]` and the probability of the target,
        float `[N, k + 1]`.
    """
    k = min(k, len(attributes)) if strategy is shared else k
    probe, encoded, edits = _edits(model, images, attributes, k, strategy, batch_size, progress)
    styles = [
        _apply(encoded, attributes, *(x[:, :count] for x in edits))
        for count in range(edits[0].shape[1] + 1)
    ]
    return _images_of_steps(probe, np.stack(styles, axis=1), encoded.rgb_styles, attributes.target)


def _edits(model, images, attributes, k, strategy, batch_size, progress):
    """Probe, encoded images and the edits `(coordinates, directions)` that a strategy chooses."""
    probe = StyleProbe.of(model, batch_size, progress)
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    return probe, encoded, strategy(probe, encoded, attributes, k)


def _images_of_steps(probe, styles, rgb_styles, target):
    """Images (uint8) and probabilities of the target for style vectors `[N, steps, J]`."""
    count, steps, _ = styles.shape
    repeated = [np.repeat(x, steps, axis=0) for x in rgb_styles]
    images, logits = probe.synthesize(styles.reshape(count * steps, -1), repeated)
    images, probabilities = to_uint8(images), softmax(logits)[:, target]
    return images.reshape(count, steps, *images.shape[1:]), probabilities.reshape(count, steps)


def _check(probe, attributes, k=1, strategy=shared):
    if (attributes.layers, attributes.sizes) != (probe.layers, probe.sizes):
        received = f"{len(attributes.layers)} layers with {sum(attributes.sizes)} coordinates"
        wanted = f"{len(probe.layers)} layers with {sum(probe.sizes)} coordinates"
        raise ValueError(
            f"attributes must belong to the generator of this model, {wanted}; received {received}"
        )
    most = len(attributes) if strategy is shared else sum(probe.sizes)
    if not 1 <= k <= most:
        raise ValueError(f"k must be in 1 .. {most}; received {k}")
