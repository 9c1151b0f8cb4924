"""AttFind: finds the style coordinates that change a classifier's output.

Lang et al., 2021, "Explaining in Style: Training a GAN to explain a classifier in StyleSpace",
https://arxiv.org/abs/2104.13369, section 3.3.

    attributes = attfind(model, images)  # model: a trained StylEx
    images, logits = counterfactual(model, images, attributes, k=3)  # the first 3 attributes
    sufficiency(model, heldout, attributes)["all"]  # shares flipped by 1, 2, ... attributes

An attribute is a style coordinate and a direction: the coordinate is moved to the minimum or the
maximum of its range in the given images. `style_probe` computes these edits.

**Differences from the authors' notebook**

- Images are clipped to [-1, 1] before the classifier or the discriminator receives them, as when
  they are displayed.
- When all images are explained, or no attribute explains any of the remaining ones, all images
  return to the pool. The notebook then takes the mean over no images and selects its NaN.
- The merged list contains each coordinate once, in its better direction, since the opposite
  direction would undo it.
- `subset` considers the coordinates with the largest individual effects instead of all.
- With more than two classes, one class is explained against all others together. The common logit
  of the others is the log-sum-exp of their logits.

**Differences from the reproduction** (see `REPRODUCTION` for its settings)

- The effects on the logit of a class are measured on images of the other class. The reproduction
  measures them on images that already have the class.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgan.images import to_uint8
from kerasgan.io import files
from kerasgan.io.arrays import load_npz
from kerasgan.io.reading import parse_json, reading
from kerasgan.models.style_probe import (
    EncodedImages,
    StyleProbe,
    effects_of_encoded,
    log_odds,
    softmax,
)

# Mean effects up to this value count as zero: the same image computed in two ways differs as much.
ROUNDING = 1e-5

# === The search ===


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Attributes that separate a target class from all others, in descending order of score.

    Attributes:
        coordinates: Index of each attribute in the concatenated style vectors, int `[A]`.
        directions: End of the range that favors the target, int `[A]`: 0 for the minimum, 1 for the
            maximum.
        scores: Scores that determine the order, float `[A]`.
        effects: Mean effects, float `[A, 2]`. Column 0: effect of this end on the target's logit,
            for images of other classes. Column 1: effect of the opposite end on the logit of the
            other classes, for images of the target class.
        bounds: Minimum and maximum of each style coordinate, float32 `[2, J]`.
        shift_size: Fraction of the distance to the end of the range.
        target: Index of the target class.
        layers: Names of the style layers.
        sizes: Number of style coordinates of each layer.
        protocol: Settings of the search, a dict that can be saved as JSON.
    """

    coordinates: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    effects: np.ndarray
    bounds: np.ndarray
    shift_size: float
    target: int
    layers: list[str]
    sizes: list[int]
    protocol: dict = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.coordinates)

    def locations(self) -> list[tuple[str, int]]:
        """Layer name and index in its style vector of each attribute, such as `("8x8_2", 13)`."""
        ends = np.cumsum(self.sizes)
        layer = np.searchsorted(ends, self.coordinates, side="right")
        starts = ends - self.sizes
        return [
            (self.layers[i], int(c - starts[i]))
            for i, c in zip(layer, self.coordinates, strict=True)
        ]

    def rows(self) -> list[dict]:
        """One dict for each attribute, which can be saved as JSON."""
        keys = ("coordinate", "direction", "score", "effect_towards_target", "effect_towards_rest")
        columns = (self.coordinates, self.directions, self.scores, *self.effects.T)
        rows = [
            dict(zip(keys, (x.item() for x in row), strict=True))
            for row in zip(*columns, strict=True)
        ]
        for row, (layer, index) in zip(rows, self.locations(), strict=True):
            row |= {
                "layer": layer,
                "index": index,
                "direction": ("minimum", "maximum")[row["direction"]],
            }
        return rows

    def save(self, path: str | os.PathLike) -> None:
        """Writes the attributes to a `.npz` file atomically."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        files.write_npz(
            path, held | {"protocol": np.array(json.dumps(self.protocol))}, compressed=True
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Attributes":
        """Reads a file written by `save`."""
        names = [field.name for field in dataclasses.fields(cls)]
        rule = "attributes must be a file written by Attributes.save"
        with reading(path, rule):
            held = load_npz(path, names, rule)
            held = {name: held[name] for name in names}
            plain = {name: held[name].item() for name in ("shift_size", "target")}
            plain |= {name: held[name].tolist() for name in ("layers", "sizes")}
            return cls(**held | plain | {"protocol": parse_json(held["protocol"].item())})


def select_by_effect(
    effects: np.ndarray, count: int, max_effect: float = 1.0
) -> list[tuple[int, int]]:
    """Selects attributes greedily by their mean effect on images that are not yet explained.

    An image counts as explained when the effects of the selected attributes on it sum to
    `max_effect`.

    Args:
        effects: Effects on the logit of the other class, float `[N, 2, J]`. Negative effects count
            as 0.
        count: Maximum number of attributes.
        max_effect: 1 in the authors' notebook, 2.5 in the reproduction. With infinity no image
            counts as explained.

    Returns:
        List of `(direction, coordinate)`. It is shorter than `count` if no other attribute raises
        the logit of any image.

    Raises:
        ValueError: If `max_effect` is not positive.
    """
    if not max_effect > 0:
        raise ValueError(f"max_effect must be above 0; received {max_effect}")
    gains = np.maximum(effects, 0).reshape(len(effects), -1)
    explained = np.zeros(len(effects))
    selected: list[int] = []
    while len(selected) < count:
        pool = explained < max_effect
        means = gains[pool].mean(axis=0) if pool.any() else np.zeros(gains.shape[1])
        best = means.argmax()
        if means[best] > ROUNDING:
            selected.append(int(best))
            explained += gains[:, best]
            gains[:, best] = 0
        elif pool.all():
            break
        else:
            explained[:] = 0
    return [divmod(index, effects.shape[2]) for index in selected]


def select_by_count(
    effects: np.ndarray, count: int, threshold: float = 0.2, share: float = 0.03
) -> list[tuple[int, int]]:
    """Selects attributes by the number of images that they change.

    This is the alternative selector of the authors' notebook.

    Args:
        effects: See `select_by_effect`.
        count: Maximum number of attributes.
        threshold: An image counts as changed if the effect on it is above this value.
        share: Minimum share of changed images.

    Returns:
        List of `(direction, coordinate)`.
    """
    changed = (effects > threshold).mean(axis=0).ravel()
    order = np.argsort(-changed, kind="stable")[:count]
    return [
        divmod(int(index), effects.shape[2])
        for index in order
        if changed[index] >= max(share, 1e-9)
    ]


# Arguments in which the reproduction differs from the defaults of `attfind`.
REPRODUCTION = {
    "count": 5,
    "selector": functools.partial(select_by_effect, max_effect=2.5),
    "same_class": True,
}


def attfind(
    model: Any,
    images: np.ndarray,
    target: int = 0,
    *,
    count: int = 10,
    selector: Callable = select_by_effect,
    same_class: bool = False,
    shift_size: float = 1.0,
    probabilities: bool = False,
    max_unstable: int | None = None,
    min_discriminator_logit: float | None = None,
    max_discriminator_change: float | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> Attributes:
    """Finds the attributes by which a classifier separates the target class from all others.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        images: Float images `[N, H, W, C]` in [-1, 1], some of them predicted as the target and
            some not. The paper uses 250.
        target: Index of the target class. With two classes it only determines the sign.
        count: Number of attributes to select for the target, and to select for the other classes.
            The first `count` of the merged list are returned.
        selector: Function `(effects [N, 2, J], count) -> [(direction, coordinate)]`, such as
            `select_by_effect` or `select_by_count`.
        same_class: If `True` (reproduction), the effects on the logit of a class are measured on
            images of this class instead of images of the other classes.
        shift_size: Fraction of the distance to the end of the range.
        probabilities: If `True`, uses effects on probabilities instead of logits.
        max_unstable: Excludes images for which more edits than this change the logits by a sum of
            more than 2. The authors' notebook uses 750 of 10,600 edits.
        min_discriminator_logit: Excludes images whose reconstruction has a lower discriminator
            logit. The reproduction uses 0.5. (Presets have no discriminator. Load it from a run
            with `checkpoints.load_sampling_model(path, model.checkpoint_networks())`.)
        max_discriminator_change: Excludes coordinates that, moved twice as far, change the
            discriminator logit of any of the first ten images by more than this. The authors'
            notebook uses 0.2.
        batch_size, progress: See `StyleProbe`.

    Returns:
        The attributes, in descending order of score.

    Raises:
        ValueError: If all or none of the images are predicted as the target, or if no style
            coordinate changes the classifier's output.
    """
    probe = StyleProbe.of(model, batch_size, progress)
    if not 0 <= target < probe.classes:
        raise ValueError(f"target must be a class, 0 .. {probe.classes - 1}; received {target}")
    if count < 1:
        raise ValueError(f"count must be at least 1; received {count}")
    encoded = probe.encode(images)
    is_target = encoded.logits.argmax(axis=1) == target
    _check_both(is_target, target, "images")
    found = effects_of_encoded(probe, encoded, shift_size, None, probabilities)
    usable = np.ones(len(images), bool)
    if max_unstable is not None:
        usable &= (np.abs(found.values).sum(axis=-1) > 2).sum(axis=(1, 2)) <= max_unstable
    if min_discriminator_logit is not None:
        usable &= probe.discriminator_logits(encoded.images) >= min_discriminator_logit
    _check_both(is_target[usable], target, "images left after filtering")
    values = found.one_vs_rest(target).values  # [N, 2, J, 2]
    if max_discriminator_change is not None:
        values[:, :, _unrealistic(probe, encoded, found.bounds, max_discriminator_change)] = 0
    of_target, of_rest = values[is_target & usable], values[~is_target & usable]
    if not same_class:
        selected = selector(of_rest[..., 0], count), selector(of_target[..., 1], count)
    else:
        selected = selector(of_target[..., 0], count), selector(of_rest[..., 1], count)
    merged = merge(*selected, values[usable])[:count]
    if not merged:
        raise ValueError(
            "no style coordinate changes the classifier's output; is the model trained?"
        )
    scores, directions, coordinates = (np.array(column) for column in zip(*merged, strict=True))
    mean_effects = (
        of_rest[:, directions, coordinates, 0].mean(axis=0),
        of_target[:, 1 - directions, coordinates, 1].mean(axis=0),
    )
    protocol = {
        "images": len(images),
        "images_used": int(usable.sum()),
        "predicted_target": int(is_target.sum()),
        "edits": int(2 * encoded.styles.size),
        "effects": "probabilities" if probabilities else "logits",
        "selector": _call_name(selector),
        "count": count,
        "explained_images": "same class" if same_class else "other class",
        "max_unstable": max_unstable,
        "min_discriminator_logit": min_discriminator_logit,
        "max_discriminator_change": max_discriminator_change,
    }
    return Attributes(
        coordinates,
        directions,
        scores,
        np.stack(mean_effects, axis=1),
        found.bounds,
        float(shift_size),
        int(target),
        probe.layers,
        probe.sizes,
        protocol,
    )


def merge(
    for_target: list[tuple[int, int]], for_rest: list[tuple[int, int]], values: np.ndarray
) -> list[tuple[float, int, int]]:
    """Merges the attributes that favor the target class and those that favor the other classes.

    A coordinate that favors the other classes in one direction favors the target in the opposite
    direction. The score of `(direction, coordinate)` is the sum of two means over the images: the
    effect of this direction on the target's logit, and the effect of the opposite direction on the
    logit of the other classes.

    Args:
        for_target: List of `(direction, coordinate)` that a selector chose for the target.
        for_rest: List of `(direction, coordinate)` that a selector chose for the other classes.
        values: Effects of both directions of J coordinates on the logits of the target and of the
            other classes, float `[N, 2, J, 2]`.

    Returns:
        List of `(score, direction, coordinate)` in descending order of score. Each direction is
        the one that favors the target. Each coordinate occurs once.
    """
    means = values.mean(axis=0)
    best: dict[int, tuple[float, int]] = {}
    for direction, coordinate in [*for_target, *((1 - d, j) for d, j in for_rest)]:
        score = float(means[direction, coordinate, 0] + means[1 - direction, coordinate, 1])
        best[coordinate] = max(best.get(coordinate, (-np.inf, 0)), (score, direction))
    return sorted(
        ((score, d, j) for j, (score, d) in best.items()), key=lambda row: (-row[0], row[2])
    )


def _unrealistic(probe, encoded, bounds, max_change):
    """Mask `[J]` of the coordinates that change a discriminator logit by more than `max_change`."""
    styles, images = encoded.styles[:10], encoded.images[:10]
    shift = 2 * (bounds - styles[:, None])
    image, direction, coordinate = np.nonzero(shift)
    few = dataclasses.replace(
        encoded, styles=styles, rgb_styles=[x[:10] for x in encoded.rgb_styles]
    )
    after = probe.edited_logits(
        few, image, coordinate, shift[image, direction, coordinate], head="discriminator"
    )[:, 0]
    before = probe.discriminator_logits(images)[image]
    unrealistic = np.zeros(styles.shape[1], bool)
    unrealistic[coordinate[np.abs(after - before) > max_change]] = True
    return unrealistic


def _check_both(is_target, target, what):
    if is_target.all() or not is_target.any():
        which = "all" if len(is_target) and is_target.all() else "none"
        raise ValueError(
            f"{what} must include some predicted as class {target} and some not; received "
            f"{len(is_target)}, {which} predicted as {target}"
        )


def _call_name(function):
    """Name of a function, with the arguments of a `functools.partial`."""
    arguments = getattr(function, "keywords", {})
    suffix = ", ".join(f"{name}={value:g}" for name, value in arguments.items())
    return getattr(function, "func", function).__name__ + (f"({suffix})" if suffix else "")


# === Explanations ===

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
    probe = StyleProbe.of(model, batch_size, progress)
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    edits = strategy(probe, encoded, attributes, k)
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
    probe = StyleProbe.of(model, batch_size, progress)
    k = min(k, len(attributes)) if strategy is shared else k
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    before = encoded.logits.argmax(axis=1)
    coordinates, directions = strategy(probe, encoded, attributes, k)
    changes = []
    for count in range(1, coordinates.shape[1] + 1):
        styles = _apply(encoded, attributes, coordinates[:, :count], directions[:, :count])
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
        "strategy": _call_name(strategy),
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
    probe = StyleProbe.of(model, batch_size, progress)
    k = min(k, len(attributes)) if strategy is shared else k
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    edits = strategy(probe, encoded, attributes, k)
    styles = [
        _apply(encoded, attributes, *(x[:, :count] for x in edits))
        for count in range(edits[0].shape[1] + 1)
    ]
    return _images_of_steps(probe, np.stack(styles, axis=1), encoded.rgb_styles, attributes.target)


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
