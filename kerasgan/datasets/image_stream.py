"""A source of uint8 images: its batches, its parts for several processes, and checks of its images.

`kerasgan.datasets.image_source.image_source` makes such sources.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kerasgan.datasets.generated import GeneratedBlocks
from kerasgan.datasets.image_files import on_background

BLOCK = 64  # Maximum number of images of an array per read.
# Maximum memory of a batch, and of files decoded in advance, unless one image takes more.
BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Result of `image_source`. Iterating over it yields batches of 32 images.

    Attributes:
        name: Name of the source in messages and protocols.
        blocks: Function that returns an iterator over `(origin, images)`: the source of the images
            for error messages, such as a file, or `None`; and uint8 `[n, H, W, C]`.
        count: Number of images, or `None` if it is unknown.
        convert: See `image_source`.
        mixed_sizes: See `image_source`.
        content: Function that returns a fingerprint of all images, or `None`.
        jpeg_qualities: Number of JPEG files of each estimated quality among the files read so far.
        generated: `GeneratedBlocks` of the images, or `None` if they are read.
    """

    name: str
    blocks: Callable[[], Iterator[tuple[str | None, np.ndarray]]]
    count: int | None = None
    convert: bool = False
    mixed_sizes: bool = False
    content: Callable[[], str] | None = None
    jpeg_qualities: Counter[int] = dataclasses.field(default_factory=Counter)
    generated: GeneratedBlocks | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.batches()

    def batches(self, batch_size: int = 32) -> Iterator[np.ndarray]:
        """Yields batches, uint8 `[B, H, W, 3]` with B = `batch_size`.

        The last batch, and the last one before the size changes, may be smaller. If the images are
        so large that a batch takes more than `BYTES` of memory, batches are smaller.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; received {batch_size}")
        # Images of one size that are less than a batch.
        held: list[np.ndarray] = []
        size: tuple[int, ...] | None = None
        for where, block in self._checked():
            if size is not None and size != block.shape[1:3]:
                if not self.mixed_sizes:
                    one, other = (
                        f"{height} x {width}" for height, width in (size, block.shape[1:3])
                    )
                    raise ValueError(
                        f"images must have one size unless mixed_sizes=True; received {one} and "
                        f"{other} in {where}"
                    )
                if held:
                    yield np.concatenate(held)
                    held = []
            size = block.shape[1:3]
            most = min(batch_size, max(1, BYTES // (3 * size[0] * size[1])))
            while len(block):
                room = most - sum(map(len, held))
                held.append(block[:room])
                if len(block) < room:
                    break
                yield np.concatenate(held)
                held, block = [], block[room:]
        if held:
            yield np.concatenate(held)

    def share(self, index: int, count: int, batch_size: int = 32) -> Iterator[np.ndarray]:
        """Yields the part of process `index` of `count`, uint8 `[B, H, W, 3]`.

        With generated images, each process generates every `count`-th block. Other images are
        divided by batches, and each process reads all of them.
        """
        if count == 1 or self.generated is None:
            yield from itertools.islice(self.batches(batch_size), index, None, count)
            return
        size = self.generated.size
        for number in range(index, -(-(self.count or 0) // size), count):
            where = f"{self.name}, from image {number * size}"
            block = to_rgb(self.generated[number], self.convert, where)
            yield block[: (self.count or 0) - number * size]

    def fingerprint(self) -> str | None:
        """Returns a checksum of the images, or `None` if they are generated."""
        return None if self.content is None else f"{self.content()} {self.count} {self.convert}"

    def _checked(self):
        done = 0
        for where, block in self.blocks():
            block = to_rgb(block, self.convert, where or f"{self.name}, from image {done}")
            block = block[: None if self.count is None else self.count - done]
            if len(block):
                yield where or f"{self.name}, from image {done}", block
            done += len(block)
            if done == self.count:
                return
        if not done:
            raise ValueError(f"at least one image is needed; received none from {self.name}")
        if self.count is not None:
            raise ValueError(f"{self.name} must yield {self.count} images; it yielded {done}")


def check_array(array: np.ndarray, where: str) -> np.ndarray:
    """Returns the array if its shape and dtype are those of images. Reads no pixels."""
    if len(array.shape) != 4:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(array.shape)} in {where}")
    if array.shape[0]:
        to_rgb(np.zeros((1, *array.shape[1:]), array.dtype), True, where)
    return array


def slices(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the images of an array in blocks of at most `BLOCK`."""
    return (np.asarray(array[start : start + BLOCK]) for start in range(0, array.shape[0], BLOCK))


def to_rgb(block: Any, convert: bool, where: str) -> np.ndarray:
    """Converts a block to uint8 `[n, H, W, 3]`. Raises `ValueError` if that is not possible."""
    block = np.asarray(block)
    if block.dtype != np.uint8:
        raise ValueError(
            "images must be uint8 (kerasgan.images.to_uint8 converts those in [-1, 1]); received "
            f"{block.dtype} in {where}"
        )
    if block.ndim != 4 or block.shape[3] not in (1, 3, 4) or 0 in block.shape[1:3]:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(block.shape)} in {where}")
    if block.shape[3] != 3 and not convert:
        kind = "grayscale" if block.shape[3] == 1 else "RGBA"
        raise ValueError(f"images must be RGB unless convert=True; received {kind} in {where}")
    if block.shape[3] == 1:
        return np.repeat(block, 3, axis=3)
    return block if block.shape[3] == 3 else on_background(block)
