"""Convolutions of 3 x 3 and stride 1 that keep the map's size, by Winograd's minimal filtering where that is faster
(Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308, section 4.3).

A tile of 6 x 6 pixels and a kernel, each taken to 36 numbers by a small matrix, need one product for each of the 36 to
make 4 x 4 pixels; directly there are 144. Over all tiles and channels these are 36 matrix products, which CPUs are good
at. In float32 the outputs are off by some 1e-6 of their deviation, ten times as much as the direct way's.
"""

import functools

import keras
import numpy as np
from keras import ops

from kerasgan import backend

# F(4 x 4, 3 x 3), through the points 0, 1, -1, 2, -2 and infinity: of six pixels, of three weights, to four outputs.
PIXELS = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]], "float32"
)  # fmt: skip
WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], "float32") / 24
OUTPUTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], "float32")
BORDERS = {"zeros": "constant", "reflect": "reflect", "symmetric": "symmetric"}  # as `ops.pad` calls them


def conv3x3(x, kernel, border="zeros"):
    """Convolution of stride 1 that keeps the map's size.

    Args:
        x: [N, H, W, C].
        kernel: [3, 3, C, F].
        border: what is around the map: "zeros", its reflection ("reflect": without its last row; "symmetric": with).

    Returns:
        [N, H, W, F].
    """
    if backend.prefers_products() and pays(x, kernel.shape[-1]):
        return winograd(x, kernel, border)
    if border == "zeros":
        return ops.conv(x, kernel, padding="same", data_format="channels_last")
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=BORDERS[border])
    return ops.conv(padded, kernel, data_format="channels_last")


def pays(x, filters):
    """Whether the small matrices' passes over x [N, H, W, C] cost less than the products they save: known sides that
    tiles fill, maps and kernels in proportion, and many channels (measured with TensorFlow on two cores)."""
    height, width, channels = x.shape[1:]
    sides = all(side is not None and side % 4 == 0 and 8 <= side <= 64 for side in (height, width))
    return sides and 1 / channels + 1 / filters <= 1 / 48 and keras.backend.standardize_dtype(x.dtype) == "float32"


def winograd(x, kernel, border="zeros"):
    """`conv3x3` as 36 matrix products, for sides that are multiples of 4."""
    count, height, width, channels = ops.shape(x)
    filters, high, wide = kernel.shape[-1], height // 4, width // 4
    rows, columns = (ops.convert_to_tensor(_tiles(side, border)) for side in (height, width))
    y = ops.reshape(ops.transpose(x, (1, 2, 0, 3)), (height, -1))
    y = ops.reshape(ops.matmul(rows, y), (6, high, width, -1))
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (6, width, -1))
    y = ops.reshape(ops.matmul(columns[None], y), (36, -1, channels))  # [6 x 6, W / 4 x H / 4 x N, C]
    weights = ops.matmul(ops.convert_to_tensor(np.kron(WEIGHTS, WEIGHTS)), ops.reshape(kernel, (9, -1)))
    y = ops.matmul(y, ops.reshape(weights, (36, channels, filters)))
    y = ops.matmul(ops.convert_to_tensor(np.kron(OUTPUTS, OUTPUTS)), ops.reshape(y, (36, -1)))
    y = ops.transpose(ops.reshape(y, (4, 4, wide, high, -1, filters)), (4, 3, 0, 2, 1, 5))
    return ops.reshape(y, (-1, height, width, filters))


@functools.cache
def _tiles(side, border):
    """The matrix [6 x side / 4, side] from a row of pixels to those of its tiles, the place in a tile first."""
    sources = np.pad(np.eye(side, dtype="float32"), ((1, 1), (0, 0)), mode=BORDERS[border])  # of padded pixels
    tiles = np.stack([PIXELS @ sources[start : start + 6] for start in range(0, side, 4)], axis=1)
    return tiles.reshape(-1, side)
