"""3 x 3 convolutions of stride 1, plain or after nearest upsampling, by Winograd's minimal
filtering where it is faster.

The input is divided into tiles of 6 x 6 pixels. A small matrix transforms each tile, and another
one the kernel, to 36 numbers. The elementwise products of these 36 numbers give 4 x 4 output
pixels; direct convolution needs 144 products. Over all tiles and channels this is 36 matrix
products, which CPUs compute efficiently. In float32 the outputs differ from those of direct
convolution by 2e-6 to 5e-6 of their standard deviation (64 to 1,024 channels).

After nearest upsampling by 2, each output pixel depends on 2 x 2 pixels of the input. Their weights
are sums of kernel weights, and differ between even and odd rows and columns. Here 100 products give
8 x 8 output pixels, instead of 256.

Reference:
    Lavin and Gray, 2015, "Fast Algorithms for Convolutional Neural Networks", section 4,
    https://arxiv.org/abs/1509.09308
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Literal, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgan import backend
from kerasgan.types import Tensor

# Modes of `ops.pad`.
BORDERS: dict[str, Literal["constant", "reflect", "symmetric"]] = {
    "zeros": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
}


_DIRECT = contextvars.ContextVar("direct_convolutions", default=False)


@contextlib.contextmanager
def direct_convolutions() -> Iterator[None]:
    """Context in which `conv3x3` and `upsample_conv3x3` use direct convolutions on all devices.

    Functions are exported in it: other runtimes have their own algorithms, and a stored kernel
    that was transformed for Winograd's has four times the size and is rounded.
    """
    token = _DIRECT.set(True)
    try:
        yield
    finally:
        _DIRECT.reset(token)


class Filtering(NamedTuple):
    """Matrices of a minimal filtering algorithm along one axis.

    `outputs @ ((pixels @ x) * (weights @ g))` are the output pixels of a kernel g `[3]` on a tile x
    `[6]`.
    """

    pixels: np.ndarray
    weights: np.ndarray
    outputs: np.ndarray


def _same_size_filter() -> Filtering:
    """Returns F(4, 3), with the interpolation points 0, 1, -1, 2, -2 and infinity."""
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


def _upsampling_filter() -> Filtering:
    """Returns F(4, 2) twice, for the even and the odd pixels of the upsampled map.

    The interpolation points are 0, 1, -1, 2 and infinity.
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
    # From the weights of the kernel to those of the input's pixels, for even and odd positions.
    even = np.array([[1, 0, 0], [0, 1, 1]])
    odd = np.array([[1, 1, 0], [0, 0, 1]])
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


def conv3x3(x: Tensor, kernel: Tensor, border: str = "zeros") -> Tensor:
    """3 x 3 convolution of stride 1 that keeps the size of the map.

    Args:
        x: Feature maps `[N, H, W, C]`.
        kernel: Kernel `[3, 3, C, F]`.
        border: Padding: `"zeros"`, `"reflect"` (the edge row is not repeated) or `"symmetric"` (the
            edge row is repeated).

    Returns:
        Feature maps `[N, H, W, F]`.
    """
    if winograd_is_faster(x, kernel):
        return winograd(x, kernel, border)
    if border == "zeros":
        return ops.conv(x, kernel, padding="same", data_format="channels_last")
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=BORDERS[border])
    return ops.conv(padded, kernel, data_format="channels_last")


def upsample_conv3x3(x: Tensor, kernel: Tensor) -> Tensor:
    """Nearest upsampling by 2, followed by `conv3x3` with symmetric padding.

    Symmetric padding of the upsampled map repeats the edge row of the input. Without Winograd's
    algorithm, this is computed as four 2 x 2 convolutions of the input, with 4/9 of the
    multiplications.

    Args:
        x: Feature maps `[N, H, W, C]`.
        kernel: Kernel `[3, 3, C, F]`.

    Returns:
        Feature maps `[N, 2 H, 2 W, F]`.
    """
    if winograd_is_faster(x, kernel, UPSAMPLING):
        return winograd(x, kernel, "symmetric", UPSAMPLING)
    batch, height, width, _ = ops.shape(x)
    filters = kernel.shape[-1]
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    rows = []
    for top, half in enumerate(_folded(kernel, axis=0)):
        columns = []
        for left, quarter in enumerate(_folded(half, axis=1)):
            # One row and one column more than needed, so that x is padded once for all quarters.
            y = ops.conv(padded, quarter, data_format="channels_last")
            # `ops.slice` instead of indexing, whose gradient is slow on TensorFlow.
            columns.append(ops.slice(y, (0, top, left, 0), (batch, height, width, filters)))
        rows.append(ops.stack(columns, axis=3))  # [N, H, W, 2, F]
    return ops.reshape(ops.stack(rows, axis=2), (-1, 2 * height, 2 * width, filters))


def _folded(kernel: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Returns the two kernels of size 2 that equal a kernel of size 3 on the upsampled map.

    The first is for even output positions, the second for odd ones.
    """
    a, b, c = ops.split(kernel, 3, axis=axis)
    return ops.concatenate([a, b + c], axis=axis), ops.concatenate([a + b, c], axis=axis)


def winograd_is_faster(x: Tensor, kernel: Tensor, filtering: Filtering = SAME_SIZE) -> bool:
    """Returns whether `winograd` is faster than direct convolution for this input.

    It is on TensorFlow's CPU kernels, for float32 maps whose sides are multiples of 4 and in a
    certain range, and with so many channels that the transforms cost less than they save. The
    thresholds were measured on two cores.

    Args:
        x: Feature maps `[N, H, W, C]`.
        kernel: Kernel `[3, 3, C, F]`.
        filtering: `SAME_SIZE` or `UPSAMPLING`.
    """
    if _DIRECT.get():
        return False
    height, width, channels = x.shape[1:]
    least, most = (16, 32) if filtering is UPSAMPLING else (8, 64)
    sides = all(
        side is not None and side % 4 == 0 and least <= side <= most for side in (height, width)
    )
    known = sides and keras.backend.standardize_dtype(x.dtype) == "float32"
    return known and 1 / channels + 1 / kernel.shape[-1] <= 1 / 48 and backend.prefers_matmul()


def winograd(
    x: Tensor, kernel: Tensor, border: str = "zeros", filtering: Filtering = SAME_SIZE
) -> Tensor:
    """Computes `conv3x3`, or `upsample_conv3x3`, as matrix products.

    Args:
        x: Feature maps `[N, H, W, C]`. H and W are static and multiples of 4.
        kernel: Kernel `[3, 3, C, F]`.
        border: Padding, as in `conv3x3`. `UPSAMPLING` requires `"symmetric"`.
        filtering: `SAME_SIZE` for `conv3x3`, `UPSAMPLING` for `upsample_conv3x3`.

    Returns:
        Feature maps `[N, H, W, F]`, or `[N, 2 H, 2 W, F]` with `UPSAMPLING`.
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
    y = ops.matmul(columns[None], y)
    y = ops.reshape(y, (numbers**2, -1, channels))  # [values^2, W / 4 * H / 4 * N, C]
    weights, outputs = (ops.convert_to_tensor(np.kron(each, each)) for each in filtering[1:])
    weights = ops.reshape(
        ops.matmul(weights, ops.reshape(kernel, (9, -1))), (numbers**2, channels, filters)
    )
    y = ops.matmul(outputs, ops.reshape(ops.matmul(y, weights), (numbers**2, -1)))
    y = ops.transpose(ops.reshape(y, (outs, outs, wide, high, -1, filters)), (4, 3, 0, 2, 1, 5))
    return ops.reshape(y, (-1, high * outs, wide * outs, filters))


def _tiles(side: int, border: str, pixels: np.ndarray) -> np.ndarray:
    """Returns the matrix from a row of `side` pixels to the transformed values of its tiles.

    The result has the shape `[values * side / 4, side]`, with the index of the value first.
    """
    # Row i selects the source of the padded pixel i.
    sources = np.pad(np.eye(side, dtype="float32"), ((1, 1), (0, 0)), mode=BORDERS[border])
    tiles = np.stack([pixels @ sources[start : start + 6] for start in range(0, side, 4)], axis=1)
    return tiles.reshape(-1, side)
