"""Images that are read when asked for, each alike large."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from kerasgan.datasets.image_files import UnreadableImage, open_rgb

__all__ = ["LazyImages", "UnreadableImage", "open_rgb", "resized"]


class LazyImages(Sequence):
    """`images[i]` is `read(items[i])`: uint8 [H, W, 3]; what cannot be read raises `UnreadableImage` with its name."""

    def __init__(self, items, read):
        self.items, self.read = items, read

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        try:
            return self.read(self.items[index])
        except UnreadableImage:
            raise  # it names the image
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            told = " ".join(str(error).split())
            raise UnreadableImage(
                f"each file must be a readable image; {self.items[index]}: {told}"
            ) from None


def resized(image, size):
    """A Pillow image, stretched to a square by Pillow's antialiased bicubic filter -> uint8 [size, size, 3]."""
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
