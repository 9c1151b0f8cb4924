"""Diagnostics of samples: missing classes, collapsed classes, copies, outliers and duplicates.

Distances of held-out real images to the training images show how close an image comes without being
a copy. The training notes call missing classes "inter-class collapse", collapsed classes
"intra-class collapse" and outliers "overgeneralisation".

Reference:
    Meehan, Chaudhuri and Dasgupta, 2020, "A Non-Parametric Test to Detect Data-Copying in
    Generative Models", https://arxiv.org/abs/2004.05675

**Differences from the paper**

- The measures are the shares of samples beyond the 1st and 99th percentile of held-out images
  instead of a test statistic, so that the counted samples can be inspected.
- Distances are relative to the median of held-out images of the same class; the paper uses the
  cells of a clustering. Without this, handwritten ones would count as copies and eights as outliers
  for any model.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kerasgan.datasets.image_source import image_source
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.features.extract import extract, warn_if_swapped
from kerasgan.metrics.nearest import nearest

# Quantiles of distances. Samples beyond the outer two are copies and outliers.
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
# A class is missing below this share of its frequency in the data. It is not 0, because classifiers
# err.
MISSING = 0.1
# Expected number of samples of a class below which it may be missing at random.
EXPECTED = 10
LEAST = 100  # Smallest number of images for the 1st and 99th percentile.
OF_CLASS = 20  # Smallest number of images of a class for a median of its own.
HELD_OUT = 2000  # Number of training images that replace held-out images.
# Largest number of subsets of training images that are compared with the samples. The 1st
# percentile of a single subset would be an average of few images.
PARTS = 8
PER_CLASS = 1000  # Largest number of images of a class for its diversity.
SIDE = 64  # Larger images are downsampled to this side, so that small shifts matter less.


def diagnose(
    samples: np.ndarray,
    training: np.ndarray,
    extractor: Callable,
    labels: np.ndarray | None = None,
    heldout: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    examples: int = 8,
    cache: str | os.PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Compares samples with the training images of their model, in feature space and in pixels.

    Args:
        samples: Images, uint8 `[N, H, W, C]` with C = 1 or 3, at least 100, generated in inference
            mode.
        training: Training images, uint8 `[M, H, W, C]`, at least 100, preprocessed as for training.
        extractor: Feature extractor, see `metrics.features.extract`. Gray images are passed as RGB.
        labels: Integers `[M]`, classes of the training images. `None` uses the extractor's largest
            logit, or a single class if the extractor returns no logits.
        heldout: Real images that are not in the training data, uint8 `[L, H, W, C]`, at least 100.
            `None` uses training images, each compared with the others.
        names: Names of the classes. Defaults to their indices.
        seed: Seed of the random examples, and of subsets of large sets.
        examples: Number of examples of each kind.
        cache: See `features.extract.extract`.
        progress: See `features.extract.extract`.

    Returns:
        JSON-serializable dict. Measures in pixels have the prefix `pixel_`.

        - `classes_missing`: number of classes whose share of the samples is below a tenth of their
          share of the data. The class of an image is its largest logit if there is one per class,
          else the class of its nearest training image.
        - `class_share_distance`: share of samples in [0, 1] that would have to change class to
          match the shares of the data.
        - `class_share_chance`: approximate value of that for random images of the data.
        - `intra_class_diversity`: mean distance between samples of a class relative to the data,
          averaged over classes.
        - `least_intra_class_diversity`: smallest value among the classes.
        - `nearest_training_ratio`: distance of samples to their nearest training image relative to
          that of held-out images of their class; median. Values below 1 mean that samples are
          closer to the training data than other real images.
        - `copies`: share of samples within the 1st percentile of held-out images (real images:
          0.01).
        - `overgeneralised`: share of samples beyond the 99th percentile (real images: 0.01).
        - `nearest_sample_ratio`: distance of samples to their nearest other sample, relative to as
          many training images; median.
        - `near_duplicates`: share of samples within the 1st percentile of that (real images: 0.01).
        - `missing_classes`, `rare_classes` (too rare for this number of samples),
          `least_diverse_class`: names of classes.
        - `classes`: dict of each class, with its usual distance to the nearest training image
          (pixels: root mean square in gray levels).
        - `distances`: quantiles of relative distances.
        - `examples`: indices into `samples` and `training`, with relative distances.
        - `protocol`: description of the measurement.
        Diversities of fewer than 10 images are `None`.

    Raises:
        ValueError: If a shape, a type or a label is wrong, or if features are not finite or all
        equal.
    """
    sets = {"training": training, "samples": samples} | (
        {} if heldout is None else {"heldout": heldout}
    )
    sets = {name: _checked(name, images, np.shape(training)[1:]) for name, images in sets.items()}
    extracted = {
        name: extract(image_source(images, convert=True), extractor, cache=cache, progress=progress)
        for name, images in sets.items()
    }
    warn_if_swapped(extracted["samples"].images, extracted["training"].images)
    features = {name: found.features for name, found in extracted.items()}
    pixels = {name: _pixels(images) for name, images in sets.items()}
    random = np.random.default_rng(seed)
    classes, names, class_source = _classes(extracted, labels, names)
    shown = np.sort(random.permutation(len(samples))[:examples])
    numbers, rows = _shares(classes, names)
    distances, pairs = {"quantiles": list(QUANTILES)}, {}
    for prefix, space, vectors in (("", "features", features), ("pixel_", "pixels", pixels)):
        usual, beyond, distances[space], pairs[space] = _compare(
            space, vectors, classes, len(names), shown, random
        )
        ratios = _relative_diversity(vectors, classes, len(names), random)
        for row, distance, ratio in zip(rows, usual, ratios, strict=True):
            row |= {f"{prefix}usual_distance": distance, f"{prefix}diversity": ratio}
        known = {index: ratio for index, ratio in enumerate(ratios) if ratio is not None}
        least = min(known, key=known.__getitem__, default=None)
        numbers[f"{prefix}intra_class_diversity"] = (
            float(np.mean([*known.values()])) if known else None
        )
        numbers[f"{prefix}least_intra_class_diversity"] = None if least is None else known[least]
        numbers[f"{prefix}least_diverse_class"] = None if least is None else names[least]
        numbers |= {prefix + name: value for name, value in beyond.items()}
        alike = [np.flatnonzero(classes[name] == least) for name in ("samples", "training")]
        pairs[space]["least_diverse"] = [
            np.sort(random.permutation(x)[:examples]).tolist() for x in alike
        ]
    few = min(len(samples), len(training))
    parts, replaced = min(PARTS, len(training) // few), min(len(training), HELD_OUT)
    about = {
        "samples": f"{len(samples)}, {' x '.join(map(str, np.shape(samples)[1:]))}",
        "training_images": len(training),
        "heldout_images": f"none: {replaced} training images, each compared with the others"
        if heldout is None
        else len(heldout),
        "features": f"{features['samples'].shape[1]} features of the extractor, Euclidean distance",
        "extractor": extracted["samples"].protocol,
        "pixels": f"8 bits, downsampled to at most {SIDE} pixels per side, root mean square",
        "classes": class_source,
        "missing": f"below {MISSING:g} of the data's share, if {EXPECTED} samples are expected",
        "diversity": f"of at most {PER_CLASS} images per class, relative to the training images",
        "among_samples": f"{few} samples, and {parts} subsets of as many training images",
        "seed": seed,
    }
    return numbers | {
        "classes": rows,
        "distances": distances,
        "examples": pairs,
        "protocol": about,
    }


# === Classes ===


def _classes(extracted, labels, names):
    """Classes of the images of each set, names of the classes, and source of the classes."""
    logits = {name: found.logits for name, found in extracted.items()}
    count = len(extracted["training"])
    if labels is None and logits["training"] is None:
        return (
            {name: np.zeros(len(x), int) for name, x in extracted.items()},
            ["all"],
            "unknown: no labels, no logits",
        )
    if labels is None:
        names = _named(names, logits["training"].shape[1])
        return {name: x.argmax(axis=1) for name, x in logits.items()}, names, "the largest logit"
    labels = np.asarray(labels)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError(
            f"Expected {count} integer labels from 0, one per training image; "
            f"received {labels.dtype} {list(labels.shape)}."
        )
    names = _named(names, int(labels.max()) + 1)
    others = [name for name in extracted if name != "training"]
    if logits["training"] is not None and logits["training"].shape[1] == len(names):
        found = {name: logits[name].argmax(axis=1) for name in others}
        right = np.mean(logits["training"].argmax(axis=1) == labels)
        return (
            found | {"training": labels},
            names,
            f"the largest logit (correct for {right:.1%} of the training images)",
        )
    found = {
        name: labels[nearest(extracted[name].features, extracted["training"].features)[0]]
        for name in others
    }
    return (
        found | {"training": labels},
        names,
        "that of the nearest training image in feature space",
    )


def _named(names, count):
    names = [str(i) for i in range(count)] if names is None else list(map(str, names))
    if len(names) < count or len(set(names)) < len(names):
        raise ValueError(f"Expected at least {count} different names; received {', '.join(names)}.")
    return names


def _shares(classes, names):
    """Measures of the class shares, and a dict of each class."""
    found, labels = classes["samples"], classes["training"]
    counts, data = (np.bincount(x, minlength=len(names)) for x in (found, labels))
    shares, real = counts / len(found), data / len(labels)
    frequent = real * len(found) >= EXPECTED
    missing = frequent & (shares < MISSING * real)
    chance = np.sqrt(real * (1 - real) * 2 / np.pi * (1 / len(found) + 1 / len(labels))).sum() / 2
    rows = [
        {"class": name, "samples": int(n), "share": float(share), "data_share": float(of_data)}
        for name, n, share, of_data in zip(names, counts, shares, real, strict=True)
    ]
    numbers = {
        "classes_missing": int(missing.sum()),
        "missing_classes": [name for name, is_so in zip(names, missing, strict=True) if is_so],
        "rare_classes": [name for name, is_so in zip(names, frequent, strict=True) if not is_so],
        "class_share_distance": float(np.abs(shares - real).sum() / 2),
        "class_share_chance": float(chance),
    }
    return numbers, rows


def _relative_diversity(vectors, classes, count, random):
    """Diversity of each class relative to the data; `None` for few or equal images."""
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
    """Compares the sets in one space.

    Args:
        space: "features" or "pixels".
        vectors: Dict of vectors `[N, D]` of samples, training images and, optionally, held-out
            images.
        classes: Dict of classes `[N]` of the same sets.
        count: Number of classes.
        shown: Indices of the random examples.
        random: Random generator.

    Returns:
        Usual distance of each class, measures, quantiles and examples.
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
    for i in np.argsort(
        apart, kind="stable"
    ):  # Two samples are often each other's nearest: one pair.
        pairs.setdefault(tuple(sorted((int(ours[i]), int(ours[twin[i]])))), float(apart[i]))
    few = len(shown)
    chosen = {"nearest": order[:few], "farthest": order[::-1][:few], "random": shown}
    examples = {
        kind: [[int(i), int(near[i]), float(distance[i])] for i in places]
        for kind, places in chosen.items()
    } | {"pairs": [[*pair, far] for pair, far in list(pairs.items())[:few]]}
    # Pixel distances in gray levels are independent of the image size.
    scale = np.sqrt(samples.shape[1]) if space == "pixels" else 1.0
    return (usual / scale).tolist(), numbers, quantiles, examples


def _usual(space, distance, classes, count):
    """Median distance of each class `[K]`.

    Classes with few images, or with a median of 0, get the median of all classes.
    """
    of_all = np.median(distance)
    if not of_all > 0:
        raise ValueError(
            f"The {space} do not distinguish the real images: their median distance is 0."
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
            f"Expected {name} as uint8 [N, H, W, 1 or 3] with N at least {LEAST}; received "
            f"{images.dtype} {list(images.shape)}."
        )
    if images.shape[1:] != shape:
        raise ValueError(
            f"Expected {name} of shape {list(shape)}, like the training images; received "
            f"{list(images.shape[1:])}."
        )
    return images


def _pixels(images):
    """Flattened images, uint8 `[N, h * w * C]`, with sides of at most `SIDE` pixels."""
    factor = -(-max(images.shape[1:3]) // SIDE)
    if factor > 1:
        pictures = images[..., 0] if images.shape[3] == 1 else images
        images = np.stack(
            [np.asarray(Image.fromarray(picture).reduce(factor)) for picture in pictures]
        )
    return images.reshape(len(images), -1)
