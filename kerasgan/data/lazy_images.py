"""Images that are read when asked for, each alike large."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps


class UnreadableImage(ValueError):
    """One image among many cannot be read; the message names it."""


class LazyImages(Sequence):
    """`images[i]` is `read(items[i])`: uint8 [H, W, 3]; what cannot be read raises `UnreadableImage` with its name."""

    def __init__(self, items, read):
        self.items, self.read = items, read

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        try:
            return self.read(self.items[index])
        except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:  # by format
            told = " ".join(str(error).split())
            raise UnreadableImage(f"each file must be a readable image; {self.items[index]}: {told}") from None


def open_rgb(file):
    """A Pillow image in RGB, upright; grey becomes three equal channels, transparency is left out."""
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def resized(image, size):
    """A Pillow image, stretched to a square by Pillow's antialiased bicubic filter -> uint8 [size, size, 3]."""
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
