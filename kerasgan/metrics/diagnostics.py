"""What a score hides: classes that are missing or all alike, samples copied from the training images, samples far from
all of them, samples that come twice.

Source: Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative models", arXiv
2004.05675: held-out images show how near to the training set an image comes that is no copy. Inter-class collapse,
intra-class collapse and overgeneralisation are words of the training notes.
Differences from the paper:
- shares of samples beyond the held-out images' 1st and 99th percentile in place of a test statistic: what they count
  can be looked at;
- each distance is over the median of the held-out images of the same class, where the paper takes the cells of a
  clustering: classes have names. Without, handwritten ones would be copies and eights far off, whatever the model.
"""

import numpy as np
from PIL import Image

from kerasgan.datasets.image_source import image_source
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.features.extract import extract, warn_if_swapped

QUANTILES = (
    0.01,
    0.25,
    0.5,
    0.75,
    0.99,
)  # of distances; beyond the outer two are copies and overgeneralised samples
MISSING = 0.1  # of the data's share: a judge that errs sees a little of a class that nobody drew
EXPECTED = (
    10  # samples of a class that the data lead one to expect, for fewer may be missing by chance
)
LEAST = 100  # images whose 1st and 99th percentile mean something
OF_CLASS = 20  # images of a class from which its own median is taken, else that of all
HELD_OUT = 2000  # training images that stand in for held-out ones
PARTS = 8  # sets of as many training images as samples, at most: the 1st percentile of one set is a few images
PER_CLASS = (
    1000  # images of a class whose distances make its diversity: as many again change little
)
SIDE = 64  # pixels; larger images are averaged down to it, for a hair's breadth aside is no other picture
BLOCK = 2**23  # numbers in memory at a time, for each side of a matrix product


def diagnose(
    samples,
    training,
    extractor,
    labels=None,
    heldout=None,
    names=None,
    *,
    seed=0,
    examples=8,
    cache=None,
    progress=False,
):
    """Compare samples with the images that their model learnt from, in features and in pixels.

    Args:
        samples: uint8 [N, H, W, C], C = 1 or 3, at least 100; from the generator in inference mode.
        training: uint8 [M, H, W, C], at least 100, as the model saw them.
        extractor: see `metrics.features`; it is shown grey images as RGB.
        labels: int [M], classes of the training images; None takes the extractor's largest logit, or, without logits,
            all images for one class.
        heldout: uint8 [L, H, W, C], at least 100 real images that the model did not see; None takes training images,
            each against the others.
        names: of the classes; their numbers by default.
        seed: of what is drawn by chance: examples, and images where all would be too many.
        examples: samples of each kind to point at.
        cache, progress: of `features.extract`.

    Returns:
        A dictionary that JSON can hold. Numbers; those of pixels are named `pixel_...`:
        classes_missing: classes that the samples show less than a tenth as often as the data do. An image's class
            is that of its largest logit where there is one for each class, else that of its nearest training image.
        class_share_distance: share of samples that would have to change class for the data's shares, in [0, 1].
        class_share_chance: about what as many images drawn by chance from the data get.
        intra_class_diversity: mean distance between samples of a class over the same of the data, mean of the classes.
        least_intra_class_diversity: of the class that has least.
        nearest_training_ratio: distance of the samples to their nearest training image, over what is usual for held-out
            images of their class; the median, of which held-out images have 1. Below it the samples are nearer to what
            the model saw than other real images are.
        copies: share of the samples at most as far as the 1st percentile of the held-out images; real ones get 0.01.
        overgeneralised: share farther than their 99th percentile; real ones get 0.01.
        nearest_sample_ratio: the same of the distance to the nearest other sample, over what is usual among as many
            training images.
        near_duplicates: share at most as far from another sample as the 1st percentile there; real ones get 0.01.
        And `missing_classes`, `rare_classes` (too rare for so few samples), `least_diverse_class`, `classes` (a
        dictionary each, with the usual distance to the nearest training image; pixels in grey levels, root mean
        square), `distances` (quantiles of them over the usual), `examples` (places in `samples` and `training`, with
        such distances) and `protocol`. A diversity of fewer than 10 images is None.

    Raises:
        ValueError: shapes, types or labels other than these; features that are not finite or all the same.
    """
    sets = {"training": training, "samples": samples} | (
        {} if heldout is None else {"heldout": heldout}
    )
    sets = {name: _checked(name, images, np.shape(training)[1:]) for name, images in sets.items()}
    seen = {
        name: extract(image_source(images, convert=True), extractor, cache=cache, progress=progress)
        for name, images in sets.items()
    }
    warn_if_swapped(seen["samples"].images, seen["training"].images)
    features = {name: found.features for name, found in seen.items()}
    pixels = {name: _pixels(images) for name, images in sets.items()}
    random = np.random.default_rng(seed)
    classes, names, judged = _classes(seen, labels, names)
    shown = np.sort(random.permutation(len(samples))[:examples])
    numbers, rows = _shares(classes, names)
    distances, pictures = {"quantiles": list(QUANTILES)}, {}
    for prefix, space, vectors in (("", "features", features), ("pixel_", "pixels", pixels)):
        usual, beyond, distances[space], pictures[space] = _compare(
            space, vectors, classes, len(names), shown, random
        )
        ratios = _relative_diversity(vectors, classes, len(names), random)
        for row, distance, ratio in zip(rows, usual, ratios, strict=True):
            row |= {f"{prefix}usual_distance": distance, f"{prefix}diversity": ratio}
        told = {place: ratio for place, ratio in enumerate(ratios) if ratio is not None}
        least = min(told, key=told.get, default=None)
        numbers[f"{prefix}intra_class_diversity"] = (
            float(np.mean([*told.values()])) if told else None
        )
        numbers[f"{prefix}least_intra_class_diversity"] = told.get(least)
        numbers[f"{prefix}least_diverse_class"] = names[least] if told else None
        numbers |= {prefix + name: value for name, value in beyond.items()}
        alike = [np.flatnonzero(classes[name] == least) for name in ("samples", "training")]
        pictures[space]["least_diverse"] = [
            np.sort(random.permutation(x)[:examples]).tolist() for x in alike
        ]
    few = min(len(samples), len(training))
    about = {
        "samples": f"{len(samples)}, {' x '.join(map(str, np.shape(samples)[1:]))}",
        "training_images": len(training),
        "heldout_images": f"none: {min(len(training), HELD_OUT)} training images, each against the others"
        if heldout is None
        else len(heldout),
        "features": f"{features['samples'].shape[1]} numbers of the extractor, Euclidean distance",
        "extractor": seen["samples"].protocol,
        "pixels": f"8 bits, averaged down to at most {SIDE} a side, root mean square difference, not aligned",
        "classes": judged,
        "missing": f"below {MISSING:g} of the data's share, where {EXPECTED} samples or more were to be expected",
        "diversity": f"of at most {PER_CLASS} images of a class, over the same of the training images",
        "among_samples": f"{few} samples, and as many training images, {min(PARTS, len(training) // few)} times others",
        "seed": seed,
    }
    return numbers | {
        "classes": rows,
        "distances": distances,
        "examples": pictures,
        "protocol": about,
    }


def nearest(queries, references, own=None):
    """The nearest reference of each query by Euclidean distance, in blocks.

    Args:
        queries, references: arrays [N, ...] and [M, ...] of any type, as many values a row.
        own: int [N], the reference that each query must not take, for one that is among the references itself.

    Returns:
        index int [N], the first of equally near ones; distance float64 [N].
    """
    queries, references = (np.asarray(x).reshape(len(x), -1) for x in (queries, references))
    if queries.shape[1] != references.shape[1] or len(references) < 1 + (own is not None):
        raise ValueError(
            "queries and references must have as many values a row, and references one to choose; "
            f"received {list(queries.shape)} and {list(references.shape)}"
        )
    rows = int(np.clip(BLOCK // queries.shape[1], 16, 2048))
    index, distance = np.zeros(len(queries), "int64"), np.full(len(queries), np.inf)
    for start in range(0, len(references), rows):
        block = references[start : start + rows].astype(
            "float64"
        )  # the Gram form cancels: float32 would not do
        norms = np.einsum("md,md->m", block, block)
        for first in range(0, len(queries), rows):
            here = slice(first, first + rows)
            part = queries[here].astype("float64")
            order = (
                norms - 2 * part @ block.T
            )  # [n, m], the squares less the query's own, which orders nothing
            if own is not None:
                mine = own[here] - start
                at = np.flatnonzero((mine >= 0) & (mine < len(block)))
                order[at, mine[at]] = np.inf
            best = order.argmin(axis=1)
            exact = np.linalg.norm(
                part - block[best], axis=1
            )  # a copy is at 0, not at what rounding leaves
            exact[np.isinf(order[np.arange(len(part)), best])] = np.inf
            nearer = exact < distance[here]
            index[here] = np.where(nearer, start + best, index[here])
            distance[here] = np.where(nearer, exact, distance[here])
    return index, distance


# === Classes ===


def _classes(seen, labels, names):
    """The class of every image of each set, the classes' names, and how they were found."""
    logits = {name: found.logits for name, found in seen.items()}
    count = len(seen["training"])
    if labels is None and logits["training"] is None:
        return (
            {name: np.zeros(len(x), int) for name, x in seen.items()},
            ["all"],
            "not known: no labels, no logits",
        )
    if labels is None:
        names = _named(names, logits["training"].shape[1])
        return {name: x.argmax(axis=1) for name, x in logits.items()}, names, "the largest logit"
    labels = np.asarray(labels)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError(
            f"labels must be {count} integers from 0, as the training images; "
            f"received {labels.dtype} {list(labels.shape)}"
        )
    names = _named(names, int(labels.max()) + 1)
    others = [name for name in seen if name != "training"]
    if logits["training"] is not None and logits["training"].shape[1] == len(names):
        found = {name: logits[name].argmax(axis=1) for name in others}
        right = np.mean(logits["training"].argmax(axis=1) == labels)
        return (
            found | {"training": labels},
            names,
            f"the largest logit; right for {right:.1%} of the training images",
        )
    found = {
        name: labels[nearest(seen[name].features, seen["training"].features)[0]] for name in others
    }
    return found | {"training": labels}, names, "that of the nearest training image, in features"


def _named(names, count):
    names = [str(i) for i in range(count)] if names is None else list(map(str, names))
    if len(names) < count or len(set(names)) < len(names):
        raise ValueError(
            f"names must be at least {count}, all different; received {', '.join(names)}"
        )
    return names


def _shares(classes, names):
    """Numbers of all classes, and a dictionary of each."""
    found, labels = classes["samples"], classes["training"]
    counts, data = (np.bincount(x, minlength=len(names)) for x in (found, labels))
    shares, real = counts / len(found), data / len(labels)
    judged = real * len(found) >= EXPECTED
    missing = judged & (shares < MISSING * real)
    chance = np.sqrt(real * (1 - real) * 2 / np.pi * (1 / len(found) + 1 / len(labels))).sum() / 2
    rows = [
        {"class": name, "samples": int(n), "share": float(share), "data_share": float(of_data)}
        for name, n, share, of_data in zip(names, counts, shares, real, strict=True)
    ]
    numbers = {
        "classes_missing": int(missing.sum()),
        "missing_classes": [name for name, is_so in zip(names, missing, strict=True) if is_so],
        "rare_classes": [name for name, is_so in zip(names, judged, strict=True) if not is_so],
        "class_share_distance": float(np.abs(shares - real).sum() / 2),
        "class_share_chance": float(chance),
    }
    return numbers, rows


def _relative_diversity(vectors, classes, count, random):
    """Of each class the samples' diversity over the data's; None where there are few of either, or all are the same."""
    ratios = []
    for place in range(count):
        ours, theirs = (
            vectors[name][random.permutation(np.flatnonzero(classes[name] == place))[:PER_CLASS]]
            for name in ("samples", "training")
        )
        spread = 0.0
        if min(len(ours), len(theirs)) >= EXPECTED:
            spread = intra_class_diversity(theirs, np.zeros(len(theirs)))
        ratios.append(intra_class_diversity(ours, np.zeros(len(ours))) / spread if spread else None)
    return ratios


# === Distances ===


def _compare(space, vectors, classes, count, shown, random):
    """Usual distance of each class, numbers, quantiles and examples of one space.

    `vectors` [N, D] and `classes` [N] are of samples and training images, and perhaps of held-out ones.
    """
    found, labels = classes["samples"], classes["training"]
    samples, training, heldout = (vectors.get(name) for name in ("samples", "training", "heldout"))
    near, distance = nearest(samples, training)
    if heldout is None:
        own = random.permutation(len(training))[:HELD_OUT]
        held, of_held = nearest(training[own], training, own)[1], labels[own]
    else:
        held, of_held = nearest(heldout, training)[1], classes["heldout"]
    usual = _usual(space, held, of_held, count)
    distance, held = distance / usual[found], held / usual[of_held]
    few = min(len(samples), len(training))
    ours, each = np.sort(random.permutation(len(samples))[:few]), np.arange(few)
    twin, apart = nearest(samples[ours], samples[ours], each)
    parts = min(PARTS, len(training) // few)
    theirs = random.permutation(len(training))[: parts * few]
    real = np.concatenate(
        [nearest(training[x], training[x], each)[1] for x in np.split(theirs, parts)]
    )
    usual_apart = _usual(space, real, labels[theirs], count)
    apart, real = apart / usual_apart[found[ours]], real / usual_apart[labels[theirs]]
    sets = {"samples": distance, "heldout": held, "among_samples": apart, "among_training": real}
    quantiles = {name: np.quantile(values, QUANTILES).tolist() for name, values in sets.items()}
    numbers = {
        "nearest_training_ratio": quantiles["samples"][2] / quantiles["heldout"][2],
        "copies": float(np.mean(distance <= quantiles["heldout"][0])),
        "overgeneralised": float(np.mean(distance > quantiles["heldout"][-1])),
        "nearest_sample_ratio": quantiles["among_samples"][2] / quantiles["among_training"][2],
        "near_duplicates": float(np.mean(apart <= quantiles["among_training"][0])),
    }
    order, pairs = np.argsort(distance, kind="stable"), {}
    for i in np.argsort(apart, kind="stable"):  # each of two is often the other's nearest: one pair
        pairs.setdefault(tuple(sorted((int(ours[i]), int(ours[twin[i]])))), float(apart[i]))
    few = len(shown)
    chosen = {"nearest": order[:few], "farthest": order[::-1][:few], "random": shown}
    examples = {
        kind: [[int(i), int(near[i]), float(distance[i])] for i in places]
        for kind, places in chosen.items()
    } | {"pairs": [[*pair, far] for pair, far in list(pairs.items())[:few]]}
    scale = (
        np.sqrt(samples.shape[1]) if space == "pixels" else 1.0
    )  # grey levels, whatever the size
    return (usual / scale).tolist(), numbers, quantiles, examples


def _usual(space, distance, classes, count):
    """The median distance of each class [K]; that of all for a class with few images, or with most of them twice."""
    of_all = np.median(distance)
    if not of_all > 0:
        raise ValueError(
            f"{space} must tell the real images apart; received a median distance of 0 to the nearest"
        )
    parts = [distance[classes == place] for place in range(count)]
    return np.array([(len(part) >= OF_CLASS and np.median(part)) or of_all for part in parts])


# === Images ===


def _checked(name, images, shape):
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[3] not in (1, 3)
        or len(images) < LEAST
    ):
        raise ValueError(
            f"{name} must be uint8 [N, H, W, 1 or 3], N at least {LEAST}; received {images.dtype} {list(images.shape)}"
        )
    if images.shape[1:] != shape:
        raise ValueError(
            f"{name} must be {list(shape)}, as the training images; received {list(images.shape[1:])}"
        )
    return images


def _pixels(images):
    """uint8 [N, h * w * C], sides at most `SIDE`."""
    factor = -(-max(images.shape[1:3]) // SIDE)
    if factor > 1:
        pictures = images[..., 0] if images.shape[3] == 1 else images
        images = np.stack(
            [np.asarray(Image.fromarray(picture).reduce(factor)) for picture in pictures]
        )
    return images.reshape(len(images), -1)
