"""Does a picture of a drawn bird show what its caption says? By the shipped bird judge (zoo/bird_attribute_classifier.py).

The judge is our own classifier of the attributes of drawn birds; its scores compare with nothing but each other.
"""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from kerasgan.datasets.synthetic_birds import ATTRIBUTES
from kerasgan.images import from_uint8, to_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.features.extract import features_and_logits

JUDGE_FOLDER = Path(__file__).parents[2] / "presets" / "bird_attribute_classifier"
VALUES = [len(values) for values in ATTRIBUTES.values()]


def attribute_accuracy(images, asked, judge=None):
    """Share of the attributes asked for that the pictures show.

    Args:
        images: [N, S, S, 3], uint8 or float in [-1, 1]; rounded to 8 bits and scaled to the judge's size, antialiased.
        asked: int [N, 7] in the order of `ATTRIBUTES`, as `synthetic_birds.parse_caption` reads it from captions: the place of the
            value, -1 where nothing is said. At least one is.
        judge: a classifier into the values of all attributes, one after another, in place of the shipped one.

    Returns:
        A dictionary of numbers in [0, 1] and `protocol`, a dictionary that says how they were got:
        attribute_accuracy: over everything asked for.
        attribute_chance: the same that pictures get which have nothing to do with what is asked.
        crown_accuracy, wing_accuracy ...: of each attribute, where it was asked for.

    Raises:
        ValueError: shapes, types or ranges other than these; `CheckpointError`, one of those: the judge is missing.
    """
    asked = check_asked(asked, len(images))
    judge, info = shipped() if judge is None else (judge, {})
    return shares(judged(judge, images)[1], asked) | {
        "protocol": protocol(info) | {"samples": len(asked)}
    }


@functools.cache  # a run scores many epochs
def shipped():
    """The shipped judge: `(network, info)`, where info holds its test accuracies and the checksum of its file."""
    path = checkpoints.latest(JUDGE_FOLDER, letter="C")
    if path is None:
        raise checkpoints.CheckpointError(
            f"no judge in {JUDGE_FOLDER}; train it: python -m zoo.bird_attribute_classifier"
        )
    return checkpoints.load_network(path)


def check_asked(asked, count):
    """`asked` as an int array [count, 7], or a ValueError in one line."""
    asked = np.asarray(asked)
    if asked.shape != (count, len(VALUES)) or not np.issubdtype(asked.dtype, np.integer):
        raise ValueError(
            f"asked must be int [{count}, {len(VALUES)}], one row an image; received {asked.dtype} {list(asked.shape)}"
        )
    if not ((asked >= -1) & (asked < VALUES)).all():
        raise ValueError(
            f"asked must be -1 or places below {VALUES}; received {asked.min(0)} to {asked.max(0)}"
        )
    if not (asked >= 0).any():
        raise ValueError("at least one attribute must be asked for; received -1 only")
    return asked


def judged(judge, images):
    """What a judge sees in images (as in `attribute_accuracy`): features [N, F], and the attributes, int [N, 7]."""
    features, heads = opinions(judge, images)
    return features, values_of(heads)


def values_of(heads):
    """The attributes that the logits of `opinions` mean, int [N, 7]."""
    return np.stack([head.argmax(axis=1) for head in heads], axis=1)


def opinions(judge, images):
    """What a judge says of images (as in `attribute_accuracy`): features [N, F], and the logits of each attribute, a
    list of [N, values]."""
    features, logits = features_and_logits(
        judge, from_uint8(resized(images, judge.input_shape[1])), batch_size=100
    )
    if logits.shape[1] != sum(VALUES):
        raise ValueError(
            f"a judge must give {sum(VALUES)} logits, one a value; received {logits.shape[1]}"
        )
    return features, np.split(logits, np.cumsum(VALUES)[:-1], axis=1)


def resized(images, size):
    """Square images, uint8 or float in [-1, 1], as uint8 [N, size, size, 3], bilinear and antialiased."""
    images = np.asarray(images)
    images = images if images.dtype == np.uint8 else to_uint8(images)
    if (
        images.ndim != 4
        or not len(images)
        or images.shape[1] != images.shape[2]
        or images.shape[3] != 3
    ):
        raise ValueError(f"images must be [N, S, S, 3]; received {list(images.shape)}")
    if images.shape[1] == size:
        return images
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in images]
    )


def shares(found, asked):
    """The numbers of `attribute_accuracy`, of attributes found, int [N, 7]."""
    told = asked >= 0
    right = told & (found == asked)
    of_each = {
        f"{name}_accuracy": (right[:, i].sum(), told[:, i].sum())
        for i, name in enumerate(ATTRIBUTES)
    }
    return {
        "attribute_accuracy": float(right.sum() / told.sum()),
        "attribute_chance": float((told / VALUES).sum() / told.sum()),
        **{name: float(hits / count) for name, (hits, count) in of_each.items() if count},
    }


def protocol(info):
    """How the judge came to its numbers; `info` of the shipped one, empty of another."""
    return {
        "judge": "the bird judge" if info else "a network of the caller's",
        "judge_sha256": info.get("sha256"),
        "judge_test_accuracy": info.get("test_accuracy"),
        "asked": "the attributes that the caption names; what it leaves unsaid does not count",
        "chance": "each value of an attribute as likely as the others",
        "images": "rounded to 8 bits, scaled to the judge's size, bilinear and antialiased",
        "mode": "judge in inference mode; sample with the generator in inference mode",
    }
