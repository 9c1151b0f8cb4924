"""Images that are generated in blocks when they are needed."""

from collections.abc import Callable, Sequence

import numpy as np


class GeneratedBlocks(Sequence):
    """Sequence of blocks of generated images, uint8 `[n, H, W, C]`.

    Each block can be generated without the others, so that several processes divide the work.

    Args:
        generate: Function of `(start, stop)` that returns the images of these indices.
        total: Number of images.
        size: Number of images of a block. The last block may be smaller.
    """

    def __init__(self, generate: Callable[[int, int], np.ndarray], total: int, size: int):
        self.generate, self.total, self.size = generate, total, size

    def __len__(self) -> int:
        return -(-self.total // self.size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} blocks; received index {index}")
        start = index * self.size
        return self.generate(start, min(start + self.size, self.total))
