"""Convolutions of 3 x 3 and stride 1 that keep the map's size, or follow its doubling, by
Winograd's minimal filtering where that is faster (Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, arXiv 1509.09308, section 4).

A tile of 6 x 6 pixels and a kernel, each taken to 36 numbers by a small matrix, need one product
for each of the 36 to make 4 x 4 pixels; directly there are 144. Over all tiles and channels these
are 36 matrix products, which CPUs are good at. In float32 the outputs differ from the direct way's
by 2 to 5e-6 of their deviation (of 64 to 1,024 channels).

After a nearest doubling a pixel sees two by two of the small map, by weights that are sums of the
kernel's: other ones in even and in odd rows and columns. There 100 numbers make 8 x 8 pixels of the
doubled map, directly 256 products.
"""

import typing

import keras
import numpy as np
from keras import ops

from kerasgan import backend

BORDERS = {
    "zeros": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
}  # as `ops.pad` calls them


class Filtering(typing.NamedTuple):
    """Of one axis: `outputs` (`pixels` x * `weights` g) are the pixels that a kernel g [3] makes of
    a tile x [6].
    """

    pixels: np.ndarray
    weights: np.ndarray
    outputs: np.ndarray


def _same_size_filter():
    """F(4, 3), through the points 0, 1, -1, 2, -2 and infinity."""
    pixels = [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
    weights = (
        np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
    )
    outputs = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    return Filtering(*(np.array(each, "float32") for each in (pixels, weights, outputs)))


def _upsampling_filter():
    """F(4, 2) twice, for even and for odd pixels of the doubled map, through the points 0, 1, -1, 2
    and infinity.
    """
    pixels = np.array(
        [
            [2, -1, -2, 1, 0],
            [0, -2, -1, 1, 0],
            [0, 2, -3, 1, 0],
            [0, -1, 0, 1, 0],
            [0, 2, -1, -2, 1],
        ]
    )
    weights = np.array([[3, 0], [-3, -3], [-1, 1], [1, 2], [0, 6]]) / 6
    outputs = np.array([[1, 1, 1, 1, 0], [0, 1, -1, 2, 0], [0, 1, 1, 4, 0], [0, 1, -1, 8, 1]])
    even, odd = (
        np.array([[1, 0, 0], [0, 1, 1]]),
        np.array([[1, 1, 0], [0, 0, 1]]),
    )  # weights of the small map
    none = np.zeros_like(outputs)
    return Filtering(
        np.concatenate([np.pad(pixels, ((0, 0), (0, 1))), np.pad(pixels, ((0, 0), (1, 0)))]).astype(
            "float32"
        ),
        np.concatenate([weights @ even, weights @ odd]).astype("float32"),
        np.stack([np.hstack([outputs, none]), np.hstack([none, outputs])], axis=1)
        .reshape(8, 10)
        .astype("float32"),
    )


SAME_SIZE, UPSAMPLING = _same_size_filter(), _upsampling_filter()


def conv3x3(x, kernel, border="zeros"):
    """Convolution of stride 1 that keeps the map's size.

    Args:
        x: [N, H, W, C].
        kernel: [3, 3, C, F].
        border: what is around the map: "zeros", its reflection ("reflect": without its last row;
            "symmetric": with).

    Returns:
        [N, H, W, F].
    """
    if winograd_is_faster(x, kernel):
        return winograd(x, kernel, border)
    if border == "zeros":
        return ops.conv(x, kernel, padding="same", data_format="channels_last")
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=BORDERS[border])
    return ops.conv(padded, kernel, data_format="channels_last")


def upsample_conv3x3(x, kernel):
    """Nearest doubling of a map [N, H, W, C], then `conv3x3` by kernel [3, 3, C, F]: [N, 2 H, 2 W,
    F].

    The border is the doubled map's reflection, which is the small map's own last row again.
    Directly, these are four convolutions of 2 x 2 on the small map, 4/9 of the arithmetic.
    """
    if winograd_is_faster(x, kernel, UPSAMPLING):
        return winograd(x, kernel, "symmetric", UPSAMPLING)
    batch, height, width, _ = ops.shape(x)
    padded, filters = (
        ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric"),
        kernel.shape[-1],
    )
    rows = []
    for top, half in enumerate(_folded(kernel, axis=0)):
        columns = []
        for left, quarter in enumerate(_folded(half, axis=1)):
            y = ops.conv(
                padded, quarter, data_format="channels_last"
            )  # a row and a column too many: no copies of x
            # Not y[...]: TensorFlow's gradient of that is slow.
            columns.append(ops.slice(y, (0, top, left, 0), (batch, height, width, filters)))
        rows.append(ops.stack(columns, axis=3))  # [N, H, W, 2, F]
    return ops.reshape(ops.stack(rows, axis=2), (-1, 2 * height, 2 * width, kernel.shape[-1]))


def _folded(kernel, axis):
    """Three weights of a doubled map as two of the small one, for its even places and for its odd
    ones.
    """
    a, b, c = ops.split(kernel, 3, axis=axis)
    return ops.concatenate([a, b + c], axis=axis), ops.concatenate([a + b, c], axis=axis)


def winograd_is_faster(x, kernel, filtering=SAME_SIZE):
    """Whether `winograd` is the faster way for x [N, H, W, C]: on TensorFlow's CPU kernels, for
    sides that tiles fill, maps and kernels in proportion, and many channels, so that its passes
    over x cost less than it saves (measured on two cores)."""
    height, width, channels = x.shape[1:]
    least, most = (16, 32) if filtering is UPSAMPLING else (8, 64)
    sides = all(
        side is not None and side % 4 == 0 and least <= side <= most for side in (height, width)
    )
    known = sides and keras.backend.standardize_dtype(x.dtype) == "float32"
    return known and 1 / channels + 1 / kernel.shape[-1] <= 1 / 48 and backend.prefers_matmul()


def winograd(x, kernel, border="zeros", filtering=SAME_SIZE):
    """`conv3x3` as matrix products; by `UPSAMPLING`, `upsample_conv3x3`, whose border is
    "symmetric".

    Args:
        x: [N, H, W, C], H and W known multiples of 4: others cannot be reshaped into tiles.
        kernel: [3, 3, C, F].
        border: as in `conv3x3`.
        filtering: a `Filtering`.

    Returns:
        [N, H, W, F], or [N, 2 H, 2 W, F].
    """
    _, height, width, channels = ops.shape(x)
    filters, high, wide = kernel.shape[-1], height // 4, width // 4
    outs, numbers = filtering.outputs.shape
    rows, columns = (
        ops.convert_to_tensor(_tiles(side, border, filtering.pixels)) for side in (height, width)
    )
    y = ops.reshape(ops.transpose(x, (1, 2, 0, 3)), (height, -1))
    y = ops.reshape(ops.matmul(rows, y), (numbers, high, width, -1))
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (numbers, width, -1))
    y = ops.reshape(
        ops.matmul(columns[None], y), (numbers**2, -1, channels)
    )  # [., W / 4 x H / 4 x N, C]
    weights, outputs = (ops.convert_to_tensor(np.kron(each, each)) for each in filtering[1:])
    weights = ops.reshape(
        ops.matmul(weights, ops.reshape(kernel, (9, -1))), (numbers**2, channels, filters)
    )
    y = ops.matmul(outputs, ops.reshape(ops.matmul(y, weights), (numbers**2, -1)))
    y = ops.transpose(ops.reshape(y, (outs, outs, wide, high, -1, filters)), (4, 3, 0, 2, 1, 5))
    return ops.reshape(y, (-1, high * outs, wide * outs, filters))


def _tiles(side, border, pixels):
    """The matrix from a row of `side` pixels to the numbers of its tiles [numbers x side / 4], the
    number first.
    """
    sources = np.pad(
        np.eye(side, dtype="float32"), ((1, 1), (0, 0)), mode=BORDERS[border]
    )  # of padded pixels
    tiles = np.stack([pixels @ sources[start : start + 6] for start in range(0, side, 4)], axis=1)
    return tiles.reshape(-1, side)
