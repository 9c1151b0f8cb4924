"""Synthetic birds: vector graphics of invented birds with true captions, at any resolution.

This data set needs no download. Image and captions are generated from the same attributes. There
are 200 species, 150 for training and 50 for testing (a zero-shot split as of CUB in Reed et al.,
arXiv 1605.05395). The splits share all colors, bills and sizes, but no combination of colors.
Besides these splits there are birds with random attributes. The 150 training species let a model
guess one attribute from others, for example the bill from the colors; random birds do not.

Light falls from above and captions do not mention left or right, so images may be mirrored.

Scores on this data set must not be compared with scores on CUB.
"""

import numpy as np

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.synthetic_birds.attributes import (
    ATTRIBUTES,
    COLOURS,
    SPECIES,
    random_attributes,
    random_for,
    species,
    species_name,
)
from kerasgan.datasets.synthetic_birds.captions import generate_captions, parse_caption
from kerasgan.datasets.synthetic_birds.drawing import PARTS, draw_bird

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "PARTS",
    "SPECIES",
    "draw_bird",
    "generate_captions",
    "parse_caption",
    "part_maps",
    "synthetic_birds",
]


def synthetic_birds(
    split: str = "train", count: int | None = None, seed: int = 0, size: int | None = 304
) -> CaptionedImages:
    """Generates images of birds with ten captions each. Consecutive images have different species.

    Args:
        split: `"train"` (classes 0 to 149), `"test"` (150 to 199), `"random"` (random attributes
            without the color combinations of the test species; each combination of the first five
            attributes is a class), `"flying"` (random, but every third bird flies in any case, so
            five in nine do) or `"pairs"` (random; images 2i and 2i + 1 differ in exactly one
            attribute, in images and captions).
        count: Number of images. Defaults to 20 per species (3,000 and 1,000), or 3,000.
        seed: Integer seed. Image i depends on (seed, split, i) only.
        size: Height and width of the images in pixels, at least 16. `None` creates no images, which
            is 12 times as fast as 16 pixels; `images` has the shape `[count, 0, 0, 3]`.

    Returns:
        `CaptionedImages` with images uint8 `[count, size, size, 3]`, attributes int8 `[count, 7]`
        (in the order of `ATTRIBUTES`), no embeddings, and names such as
        "017.red_black_white_long_large/000316".

    Raises:
        ValueError: The split is unknown, the count is less than 1, the seed is negative or the
            size is less than 16.
    """
    _check_split(split)
    count = 20 * SPECIES.get(split, SPECIES["train"]) if count is None else count
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("size", size, 16)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}; received {value}")
    classes, seeds, attributes = _scenes(split, count, seed)
    images = np.zeros((count, size or 0, size or 0, 3), "uint8")
    if size:
        for index in range(count):
            images[index] = draw_bird(attributes[index], seeds[index], size)
    return CaptionedImages(
        images=images,
        classes=classes,
        captions=[generate_captions(*each) for each in zip(attributes, seeds, strict=True)],
        names=[
            f"{species_name(c, its)}/{index:06d}"
            for index, (c, its) in enumerate(zip(classes, attributes, strict=True))
        ],
        attributes=attributes,
    )


SPLITS = (*SPECIES, "random", "flying", "pairs")


def _check_split(split):
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; received {split!r}")


def _scenes(split, count, seed):
    """Classes `[count]`, seeds and attributes, int8 `[count, 7]`, of the birds of a split."""
    _check_split(split)
    if split not in SPECIES:
        pairs = split == "pairs"
        attributes = random_attributes(count, seed, pairs)
        if split == "flying":
            attributes[::3, list(ATTRIBUTES).index("pose")] = ATTRIBUTES["pose"].index("flying")
        _, classes = np.unique(attributes[:, :5], axis=0, return_inverse=True)
        # The birds of a pair share their seed: pictures and captions differ in one attribute only.
        seeds = [(seed, sum(SPECIES.values()), i - i % 2 if pairs else i) for i in range(count)]
        return classes.reshape(-1).astype("int32"), seeds, attributes
    first = 0 if split == "train" else SPECIES["train"]
    classes = first + np.arange(count, dtype="int32") % SPECIES[split]
    seeds = [(seed, first, index) for index in range(count)]
    kinds = [len(ATTRIBUTES[name]) for name in ("pose", "background")]
    scenes = [random_for(each, "scene").integers(kinds) for each in seeds]
    return classes, seeds, np.concatenate([species()[classes], scenes], axis=1).astype("int8")


def part_maps(
    split: str, count: int, seed: int = 0, size: int = 76
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generates images of birds with the part that is visible at each pixel.

    Args:
        split, count, seed, size: See `synthetic_birds`, which returns the same images.

    Returns:
        Images uint8 `[count, size, size, 3]`, indices in `PARTS` uint8 `[count, size, size]` and
        attributes int8 `[count, 7]`.
    """
    _, seeds, attributes = _scenes(split, count, seed)
    drawn = (
        draw_bird(each, its, size, parts=True) for each, its in zip(attributes, seeds, strict=True)
    )
    images, parts = zip(*drawn, strict=True)
    return np.stack(images), np.stack(parts), attributes
