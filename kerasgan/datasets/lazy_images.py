"""Images that are read when they are indexed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kerasgan.datasets.image_files import UnreadableImage, open_rgb

__all__ = ["LazyImages", "UnreadableImage", "open_rgb", "resized"]


class LazyImages(Sequence):
    """A sequence of images: `images[i]` is `read(items[i])`.

    Args:
        items: Sequence of paths or other keys.
        read: Function of an item that returns an image, uint8 `[H, W, 3]`. Images of one sequence
            have the same size.

    Raises:
        UnreadableImage: An image cannot be read. The message names its item.
    """

    def __init__(self, items: Sequence, read: Callable[[Any], np.ndarray]):
        self.items, self.read = items, read
        self._size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def size_of(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image, those of the first one."""
        if self._size is None:
            self._size = self[0].shape[:2]
        return self._size

    def __getitem__(self, index):
        try:
            return self.read(self.items[index])
        except UnreadableImage:
            raise
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise UnreadableImage(
                f"each file must be a readable image; {self.items[index]}: {reason}"
            ) from None


def resized(image: Image.Image, size: int) -> np.ndarray:
    """Stretches a Pillow image to a square with the antialiased bicubic filter.

    Returns:
        uint8 `[size, size, 3]`.
    """
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
