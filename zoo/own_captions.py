"""A user's folder of captioned images, and settings that follow from the number of its images.

`zoo.text_encoder`, `zoo.robust_image_encoder` and `zoo.text_to_image` share this module.
"""

import functools
import math
import pathlib
from typing import Any

from zoo import lazy

caption_folder = lazy.module("kerasgan.datasets.caption_folder")
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")

BIRDS = "synthetic_birds"  # the default data, which is no folder
IN_MEMORY = 2**30  # bytes of images; more are read again in each epoch


@functools.lru_cache(2)
def splits(data: str, size: int, seed: int = 0) -> dict[str, Any]:
    """Returns the splits `"train"` and `"test"` of a folder, see `caption_splits`.

    Args:
        data: The folder.
        size: Height and width of the images in pixels.
        seed: Seed of the choice of the test images.
    """
    found = caption_folder.caption_splits(data, size, seed)
    small = sum(map(len, found.values())) * size * size * 3 <= IN_MEMORY
    return {split: part.in_memory() if small else part for split, part in found.items()}


def name_of(data: str) -> str:
    """Returns the folder's name as a part of file names."""
    name = pathlib.Path(data).expanduser().resolve().name
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return kept.strip("_") or "own"


def batch_size(images: int, most: int) -> int:
    """Returns a power of two, at most `most` and at most half the images; at least 2."""
    return max(2, min(most, 2 ** int(math.log2(max(images / 2, 2)))))


def steps(images: int, few: int, most: int) -> int:
    """Returns a number of training steps: `few` for 50 images, growing with their square root."""
    return min(most, max(few, round(few * math.sqrt(images / 50))))


def passes(images: int, batch: int, total: int, least: int = 50) -> tuple[int, int]:
    """Returns `(epochs, repeats)` that make about `total` steps, `least` or more in each epoch."""
    once = max(images // batch, 1)
    repeats = max(-(-min(least, total) // once), 1)
    return max(round(total / (repeats * once)), 1), repeats


def names_sides(data: Any) -> bool:
    """Returns whether captions name `left` or `right`, which mirrored images contradict."""
    return any(
        word in ("left", "right")
        for captions in data.captions
        for caption in captions
        for word in char_cnn_rnn.words(caption)
    )
