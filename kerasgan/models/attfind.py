"""AttFind (Lang et al., Explaining in Style: Training a GAN to explain a classifier in StyleSpace, arXiv 2104.13369,
section 3.3): which coordinates of a generator's style vectors change what a classifier says of its pictures.

    found = attfind(model, images)                        # model: a trained StylEx
    pictures = counterfactual(model, images, found, k=3)  # the three strongest attributes at once
    sufficiency(model, heldout, found)["all"]             # shares of images that flip by 1, 2 ... 10 attributes

An attribute is a coordinate and the end of its range, as the images have it, to which it is moved; `style_probe` moves.

Differences from the authors' notebook:
- pictures are clipped to [-1, 1] before a classifier or a discriminator sees them, as they are when they are shown;
- where every image is explained, or none is left that an attribute could explain, all come back (there, the mean of no
  image is not a number, and its place is chosen);
- the merged list names a coordinate once, with its better direction: the other one would undo it;
- `subset` tries the coordinates that do most by themselves, not all;
- of more than two classes, one is explained against the rest, whose logit is the log of their exponentials' sum.

Differences from the reproduction (`REPRODUCTION` has its numbers): images to be explained are those that are predicted
the other class; there, those that are of the class already.
"""

import dataclasses
import functools
import json

import numpy as np

from kerasgan.images import to_uint8
from kerasgan.io import files
from kerasgan.io.arrays import load_npz
from kerasgan.io.reading import parse_json, reading
from kerasgan.models.style_probe import Probe, effects_of, log_odds, softmax

ROUNDING = 1e-5  # an effect of no more than this, on the mean, is none: what is drawn in two ways differs by as much

# === The search ===


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Attributes of a classifier, the strongest first, as of one class, the target, against the rest.

    Attributes:
        coordinates: int [A], places in all style vectors in a row.
        directions: int [A], the end that speaks for the target: 0 the minimum, 1 the maximum.
        scores: float [A], which they are ordered by.
        effects: float [A, 2], means: of the target's logit by a move to that end, over images predicted something
            else; of the rest's logit by a move to the other end, over images predicted the target.
        bounds: float32 [2, J], minimum and maximum of each coordinate.
        shift_size: how much of the way to an end a move goes.
        target: the class.
        layers: names of the style layers.
        sizes: coordinates of each.
        protocol: how they were found, a dictionary that JSON can hold.
    """

    coordinates: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    effects: np.ndarray
    bounds: np.ndarray
    shift_size: float
    target: int
    layers: list
    sizes: list
    protocol: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.coordinates)

    def places(self):
        """Layer's name and place in its style vector of each attribute, such as ("8x8_2", 13)."""
        ends = np.cumsum(self.sizes)
        layer = np.searchsorted(ends, self.coordinates, side="right")
        starts = ends - self.sizes
        return [
            (self.layers[i], int(c - starts[i]))
            for i, c in zip(layer, self.coordinates, strict=True)
        ]

    def rows(self):
        """A dictionary that JSON can hold for each attribute."""
        keys = ("coordinate", "direction", "score", "effect_towards_target", "effect_towards_rest")
        columns = (self.coordinates, self.directions, self.scores, *self.effects.T)
        rows = [
            dict(zip(keys, (x.item() for x in row), strict=True))
            for row in zip(*columns, strict=True)
        ]
        for row, (layer, index) in zip(rows, self.places(), strict=True):
            row |= {
                "layer": layer,
                "index": index,
                "direction": ("minimum", "maximum")[row["direction"]],
            }
        return rows

    def save(self, path):
        """Writes all of it to a file *.npz, whole or not at all."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        files.write_npz(
            path, held | {"protocol": np.array(json.dumps(self.protocol))}, compressed=True
        )

    @classmethod
    def load(cls, path):
        """What `save` wrote."""
        names = [field.name for field in dataclasses.fields(cls)]
        rule = "attributes are read from what Attributes.save wrote"
        with reading(path, rule):
            held = load_npz(path, names, rule)
            held = {name: held[name] for name in names}
            plain = {name: held[name].item() for name in ("shift_size", "target")}
            plain |= {name: held[name].tolist() for name in ("layers", "sizes")}
            return cls(**held | plain | {"protocol": parse_json(held["protocol"].item())})


def select(effects, count, max_effect=1.0):
    """The attributes that explain images of one class, one after the other.

    The next one is that which does most, on the mean of the images that are not explained yet; an image is, once
    the effects of those chosen so far add up to `max_effect` on it.

    Args:
        effects: float [N, 2, J], on the logit of the other class; what lowers it counts as 0.
        count: attributes to choose.
        max_effect: 1 in the authors' notebook, 2.5 in the reproduction; infinite, all images count always.

    Returns:
        List of (direction, coordinate), shorter than `count` where no more of them raise the logit of any image.
    """
    if not max_effect > 0:
        raise ValueError(f"max_effect must be above 0; received {max_effect}")
    raises = np.maximum(effects, 0).reshape(len(effects), -1)
    explained, chosen = np.zeros(len(effects)), []
    while len(chosen) < count:
        pool = explained < max_effect
        means = raises[pool].mean(axis=0) if pool.any() else np.zeros(raises.shape[1])
        best = means.argmax()
        if means[best] > ROUNDING:
            chosen.append(best)
            explained += raises[:, best]
            raises[:, best] = 0
        elif pool.all():
            break
        else:
            explained[:] = 0
    return [tuple(map(int, divmod(place, effects.shape[2]))) for place in chosen]


def select_often(effects, count, threshold=0.2, share=0.03):
    """The authors' other selector: attributes by the number of images that they change.

    Args:
        effects, count: as of `select`.
        threshold: least effect on an image that it is changed by.
        share: least share of images to be changed.

    Returns:
        As `select`.
    """
    often = (effects > threshold).mean(axis=0).ravel()
    order = np.argsort(-often, kind="stable")[:count]
    return [
        tuple(map(int, divmod(place, effects.shape[2])))
        for place in order
        if often[place] >= max(share, 1e-9)
    ]


# What the reproduction does otherwise than `attfind` does by default.
REPRODUCTION = {
    "count": 5,
    "selector": functools.partial(select, max_effect=2.5),
    "same_class": True,
}


def attfind(
    model,
    images,
    target=0,
    *,
    count=10,
    selector=select,
    same_class=False,
    shift_size=1.0,
    probabilities=False,
    max_unstable=None,
    min_realness=None,
    max_realness_change=None,
    batch_size=64,
    progress=True,
):
    """The attributes by which a classifier tells the target from the rest.

    Args:
        model: a trained `StylEx`; see `Probe`.
        images: float [N, H, W, C] in [-1, 1], some predicted the target, some not; 250 in the paper.
        target: the class that is told from the rest; of two classes, which one only says which direction is which.
        count: attributes to find, for the target and for the rest; as many of both together, at most, are returned.
        selector: `(effects [N, 2, J], count) -> [(direction, coordinate)]`: `select` or `select_often`.
        same_class: explain the images that are predicted a class already by that class, as in the reproduction.
        shift_size: how much of the way to the end of its range a coordinate goes.
        probabilities: effects on probabilities instead of logits.
        max_unstable: leave out images for which more moves than this change the logits by more than 2 in sum; 750 in
            the authors' notebook, of 10,600.
        min_realness: leave out images whose drawing the discriminator gives a lower logit; 0.5 in the reproduction.
            (A preset holds no discriminator: `checkpoints.load_sampling_model(path, ("E", "C", "D"))` of a run has it.)
        max_realness_change: leave out coordinates that, moved twice as far, change the discriminator's logit of one of
            the first ten images by more than this; 0.2 in the authors' notebook.
        batch_size, progress: see `Probe`.

    Returns:
        `Attributes`.

    Raises:
        ValueError: images that are all predicted the target, or none, or no attribute that changes anything.
    """
    probe = Probe.of(model, batch_size, progress)
    if not 0 <= target < probe.classes:
        raise ValueError(f"target must be a class, 0 .. {probe.classes - 1}; received {target}")
    if count < 1:
        raise ValueError(f"count must be at least 1; received {count}")
    encoded = probe.encode(images)
    of_target = encoded.logits.argmax(axis=1) == target
    _check_both(of_target, target, "images")
    found = effects_of(probe, encoded, shift_size, None, probabilities)
    usable = np.ones(len(images), bool)
    if max_unstable is not None:
        usable &= (np.abs(found.values).sum(axis=-1) > 2).sum(axis=(1, 2)) <= max_unstable
    if min_realness is not None:
        usable &= probe.realness(encoded.pictures) >= min_realness
    _check_both(of_target[usable], target, "images that are left")
    values = found.against_rest(target).values  # [N, 2, J, 2]
    if max_realness_change is not None:
        values[:, :, _unreal(probe, encoded, found.bounds, max_realness_change)] = 0
    ours, theirs = values[of_target & usable], values[~of_target & usable]
    if not same_class:
        lists = selector(theirs[..., 0], count), selector(ours[..., 1], count)
    else:
        lists = selector(ours[..., 0], count), selector(theirs[..., 1], count)
    merged = merge(*lists, values[usable])[:count]
    if not merged:
        raise ValueError("no coordinate changes what the classifier says; is the model trained?")
    scores, directions, coordinates = (np.array(column) for column in zip(*merged, strict=True))
    towards = (
        theirs[:, directions, coordinates, 0].mean(axis=0),
        ours[:, 1 - directions, coordinates, 1].mean(axis=0),
    )
    chosen_by = getattr(selector, "func", selector)
    protocol = {
        "images": len(images),
        "images_used": int(usable.sum()),
        "predicted_target": int(of_target.sum()),
        "moves": int(2 * encoded.styles.size),
        "effects": "probabilities" if probabilities else "logits",
        "selector": chosen_by.__name__ + _told(getattr(selector, "keywords", {})),
        "count": count,
        "explained_images": "of the class itself" if same_class else "of the other class",
        "max_unstable": max_unstable,
        "min_realness": min_realness,
        "max_realness_change": max_realness_change,
    }
    return Attributes(
        coordinates,
        directions,
        scores,
        np.stack(towards, axis=1),
        found.bounds,
        float(shift_size),
        int(target),
        probe.layers,
        probe.sizes,
        protocol,
    )


def merge(for_target, for_rest, values):
    """Two lists of (direction, coordinate) as one: what speaks for the rest speaks, the other way, for the target.

    Args:
        for_target, for_rest: as from a selector.
        values: float [N, 2, J, 2], effects on target and rest.

    Returns:
        List of (score, direction, coordinate), the greatest score first: the mean effect on the target's logit by a
        move in that direction, and on the rest's by one in the other, added up. A coordinate comes once.
    """
    means, best = values.mean(axis=0), {}
    for direction, coordinate in [*for_target, *((1 - d, j) for d, j in for_rest)]:
        score = float(means[direction, coordinate, 0] + means[1 - direction, coordinate, 1])
        best[coordinate] = max(best.get(coordinate, (-np.inf, 0)), (score, direction))
    return sorted(
        ((score, d, j) for j, (score, d) in best.items()), key=lambda row: (-row[0], row[2])
    )


def _unreal(probe, encoded, bounds, most):
    """Which coordinates [J] a discriminator does not let pass."""
    styles, pictures = encoded.styles[:10], encoded.pictures[:10]
    shift = 2 * (bounds - styles[:, None])
    image, direction, coordinate = np.nonzero(shift)
    few = dataclasses.replace(encoded, styles=styles, colours=[x[:10] for x in encoded.colours])
    after = probe.moved(
        few, image, coordinate, shift[image, direction, coordinate], head="realness"
    )[:, 0]
    unreal = np.zeros(styles.shape[1], bool)
    unreal[coordinate[np.abs(after - probe.realness(pictures)[image]) > most]] = True
    return unreal


def _check_both(of_target, target, what):
    if of_target.all() or not of_target.any():
        which = "all" if len(of_target) and of_target.all() else "none"
        received = f"{len(of_target)}, {which} predicted {target}"
        raise ValueError(
            f"{what} must be of both sides, some predicted {target} and some not; received {received}"
        )


def _told(options):
    return (
        f"({', '.join(f'{name}={value:g}' for name, value in options.items())})" if options else ""
    )


# === Explanations ===

# A strategy is `(probe, encoded, attributes, k) -> (coordinates [N, k], directions [N, k])`: the moves that are to make
# each image something else, the first ones first; a coordinate of -1 is none.


def shared(probe, encoded, attributes, k):
    """The first k attributes for every image: towards the target, or away from it where the image is predicted it."""
    of_target = encoded.logits.argmax(axis=1) == attributes.target
    coordinates, directions = attributes.coordinates[:k], attributes.directions[:k]
    return np.tile(coordinates, (len(of_target), 1)), np.where(
        of_target[:, None], 1 - directions, directions
    )


def independent(probe, encoded, attributes, k):
    """For each image the k coordinates that move its odds most by themselves (section 3.4 of the paper)."""
    found = effects_of(probe, encoded, attributes.shift_size, attributes.bounds)
    sign = _towards_other(encoded, attributes)
    before = log_odds(encoded.logits, attributes.target)[:, None, None]
    after = log_odds(encoded.logits[:, None, None] + found.values, attributes.target)
    gains = (after - before) * sign[:, None, None]  # [N, 2, J]
    directions, gains = gains.argmax(axis=1), gains.max(axis=1)
    coordinates = np.argsort(-gains, axis=1, kind="stable")[:, :k]
    helps = np.take_along_axis(gains, coordinates, axis=1) > ROUNDING
    return np.where(helps, coordinates, -1), np.take_along_axis(directions, coordinates, axis=1)


def subset(probe, encoded, attributes, k, candidates=50):
    """For each image k coordinates that move its odds together, each the best beside those before it (section 3.4).

    `candidates` is the number of coordinates to choose from, the first of `independent`.
    """
    coordinates, directions = independent(probe, encoded, attributes, max(k, candidates))
    images, sign = np.arange(len(coordinates)), _towards_other(encoded, attributes)
    left = coordinates.copy()  # -1 where there is none, or it has been taken
    chosen, styles = [], encoded.styles.copy()
    odds = log_odds(encoded.logits, attributes.target) * sign
    for _ in range(min(k, coordinates.shape[1])):
        image, place = np.nonzero(left >= 0)
        coordinate = left[image, place]
        shift = attributes.bounds[directions[image, place], coordinate] - styles[image, coordinate]
        after = probe.moved(encoded, image, coordinate, shift * attributes.shift_size, styles)
        gains = np.full(left.shape, -np.inf)
        gains[image, place] = log_odds(after, attributes.target) * sign[image] - odds[image]
        best = gains.argmax(axis=1)
        helps = gains[images, best] > ROUNDING
        coordinate, direction = np.where(helps, left[images, best], -1), directions[images, best]
        chosen.append((coordinate, direction))
        styles = _apply(
            encoded, attributes, *(np.stack(x, axis=1) for x in zip(*chosen, strict=True))
        )
        odds = odds + np.where(helps, gains[images, best], 0)
        left[images, best] = -1
    return tuple(np.stack(part, axis=1) for part in zip(*chosen, strict=True))


def _towards_other(encoded, attributes):
    """1 where an image is to become the target, -1 where it is the target, [N]."""
    return np.where(encoded.logits.argmax(axis=1) == attributes.target, -1.0, 1.0)


def _apply(encoded, attributes, coordinates, directions):
    """Styles [N, J] after moves [N, k]; of two of one coordinate the first counts."""
    styles = encoded.styles.copy()
    for coordinate, direction in reversed(list(zip(coordinates.T, directions.T, strict=True))):
        rows = np.flatnonzero(coordinate >= 0)
        place, before = (rows, coordinate[rows]), encoded.styles[rows, coordinate[rows]]
        styles[place] = before + attributes.shift_size * (
            attributes.bounds[direction[rows], place[1]] - before
        )
    return styles


def counterfactual(
    model, images, attributes, k=1, *, strategy=shared, batch_size=64, progress=True
):
    """Pictures of the images with k attributes applied together, so that the classifier should see something else.

    Args:
        model: see `Probe`.
        images: float [N, H, W, C] in [-1, 1].
        attributes: as from `attfind`.
        k: at most as many as there are.
        strategy: `shared`, `independent` or `subset`.
        batch_size, progress: see `Probe`.

    Returns:
        `(pictures, logits)`: float32 [N, H, W, C] in [-1, 1] and [N, K].
    """
    probe = Probe.of(model, batch_size, progress)
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    return probe.draw(
        _apply(encoded, attributes, *strategy(probe, encoded, attributes, k)), encoded.colours
    )


def sufficiency(model, images, attributes, k=10, *, strategy=shared, batch_size=64, progress=True):
    """How many images flip with 1, 2 ... k attributes applied together: the paper's sufficiency, as a curve.

    An image flips if what is drawn of it is predicted the target before and not after, or the other way round.

    Args:
        As of `counterfactual`; the images should be others than those that the attributes were found in. Where there
        are fewer attributes than k, the curve ends with them.

    Returns:
        dict: `all`, shares of images for 1, 2 ... attributes; `classes`, a list of dicts for each class that images
        were predicted before, `class`, `images` and the shares `flipped`; `images`; `strategy`; `target`.
    """
    probe = Probe.of(model, batch_size, progress)
    k = min(k, len(attributes)) if strategy is shared else k
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    before = encoded.logits.argmax(axis=1)
    coordinates, directions = strategy(probe, encoded, attributes, k)
    flipped = []
    for most in range(1, coordinates.shape[1] + 1):
        styles = _apply(encoded, attributes, coordinates[:, :most], directions[:, :most])
        after = probe.draw(styles, encoded.colours)[1].argmax(axis=1)
        flipped.append((after == attributes.target) != (before == attributes.target))
    flipped = np.array(flipped)  # [k, N]
    classes = [
        {
            "class": int(c),
            "images": int((before == c).sum()),
            "flipped": flipped[:, before == c].mean(axis=1).tolist(),
        }
        for c in np.unique(before)
    ]
    name = getattr(strategy, "func", strategy).__name__ + _told(getattr(strategy, "keywords", {}))
    return {
        "all": flipped.mean(axis=1).tolist(),
        "classes": classes,
        "images": len(before),
        "strategy": name,
        "target": attributes.target,
    }


def traversals(model, images, attributes, steps=7, *, batch_size=64):
    """Pictures of each attribute by itself, from the end that speaks against the target to that which speaks for it.

    Returns:
        `(pictures, probabilities)`: uint8 [A, N, steps, H, W, C], and float [A, N, steps] of the target.
    """
    probe = Probe.of(model, batch_size, False)
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
        rows.append(_shown(probe, styles, encoded.colours, attributes.target))
    return tuple(np.stack(part) for part in zip(*rows, strict=True))


def additions(model, images, attributes, k=10, *, strategy=shared, batch_size=64, progress=True):
    """Pictures of each image with none, 1, 2 ... k attributes applied together.

    Returns:
        `(pictures, probabilities)`: uint8 [N, k + 1, H, W, C], and float [N, k + 1] of the target.
    """
    probe = Probe.of(model, batch_size, progress)
    k = min(k, len(attributes)) if strategy is shared else k
    _check(probe, attributes, k, strategy)
    encoded = probe.encode(images)
    moves = strategy(probe, encoded, attributes, k)
    styles = [
        _apply(encoded, attributes, *(x[:, :most] for x in moves))
        for most in range(moves[0].shape[1] + 1)
    ]
    return _shown(probe, np.stack(styles, axis=1), encoded.colours, attributes.target)


def _shown(probe, styles, colours, target):
    """Pictures, uint8, and probabilities of styles [N, steps, J]."""
    count, steps, _ = styles.shape
    every = [np.repeat(x, steps, axis=0) for x in colours]
    pictures, logits = probe.draw(styles.reshape(count * steps, -1), every)
    pictures, chances = to_uint8(pictures), softmax(logits)[:, target]
    return pictures.reshape(count, steps, *pictures.shape[1:]), chances.reshape(count, steps)


def _check(probe, attributes, k=1, strategy=shared):
    if (attributes.layers, attributes.sizes) != (probe.layers, probe.sizes):
        received = f"{len(attributes.layers)} layers of {sum(attributes.sizes)} coordinates"
        wanted = f"{len(probe.layers)} layers of {sum(probe.sizes)}"
        raise ValueError(
            f"attributes must be of the model's own generator, {wanted}; received {received}"
        )
    most = len(attributes) if strategy is shared else sum(probe.sizes)
    if not 1 <= k <= most:
        raise ValueError(f"k must be in 1 .. {most}; received {k}")
