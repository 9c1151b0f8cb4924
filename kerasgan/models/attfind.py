"""AttFind: finds the style coordinates that change a classifier's output.

Lang et al., 2021, "Explaining in Style: Training a GAN to explain a classifier in StyleSpace",
https://arxiv.org/abs/2104.13369, section 3.3.

    attributes = attfind(model, images)  # model: a trained StylEx
    images, logits = counterfactual(model, images, attributes, k=3)  # the first 3 attributes
    sufficiency(model, heldout, attributes)["all"]  # shares flipped by 1, 2, ... attributes

An attribute is a style coordinate and a direction: the coordinate is moved to the minimum or the
maximum of its range in the given images. `style_probe` computes these edits. The search is in this
module, its result in `attfind_attributes`, and its application in `attfind_counterfactuals`.

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
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgan.models.attfind_attributes import Attributes as Attributes, call_name
from kerasgan.models.attfind_counterfactuals import (
    counterfactual as counterfactual,
    cumulative_counterfactuals as cumulative_counterfactuals,
    edit as edit,
    independent as independent,
    shared as shared,
    subset as subset,
    sufficiency as sufficiency,
    traversals as traversals,
)
from kerasgan.models.style_probe import ROUNDING as ROUNDING, StyleProbe, effects_of_encoded


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
        "selector": call_name(selector),
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
