"""Upsampling and blurring of feature maps as products with two small constant matrices, for rows
and for columns.

These operations have second-order gradients on every backend (TensorFlow's bilinear resize has
none), and upsampling with blurring is one pass over the map.
"""

import functools
from collections.abc import Callable

import numpy as np
from keras import ops

from kerasgan.types import Tensor


def upsample(x: Tensor) -> Tensor:
    """Bilinear upsampling by 2 with half-pixel centers, `[N, H, W, C]` to `[N, 2 H, 2 W, C]`.

    At the border the edge pixels are repeated.
    """
    return _apply(_doubling, x)


def blur(x: Tensor, margin: int = 0) -> Tensor:
    """Blurs feature maps with the kernel [1, 2, 1] / 4 along rows and columns, with reflection
    padding.

    Args:
        x: Feature maps `[N, H, W, C]`. H and W are at least 2.
        margin: Rows and columns of zeros to add on each side.

    Returns:
        Feature maps `[N, H + 2 margin, W + 2 margin, C]`.
    """
    return _apply(functools.partial(_smoothing, margin=margin), x)


def upsample_blur(x: Tensor) -> Tensor:
    """Computes `blur(upsample(x))` in one pass, `[N, H, W, C]` to `[N, 2 H, 2 W, C]`."""
    return _apply(lambda size: _smoothing(2 * size) @ _doubling(size), x)


def _apply(matrix: Callable[[int], np.ndarray], x: Tensor) -> Tensor:
    """Multiplies the columns and rows of x `[N, H, W, C]` by `matrix(H)` and `matrix(W)`."""
    _, height, width, channels = x.shape
    down, across = (ops.convert_to_tensor(matrix(size), dtype=x.dtype) for size in (height, width))
    x = ops.matmul(across, x)  # [N, H, W', C]
    x = ops.matmul(down, ops.reshape(x, (-1, height, across.shape[0] * channels)))  # [N, H', W' C]
    return ops.reshape(x, (-1, down.shape[0], across.shape[0], channels))


@functools.cache
def _doubling(size: int) -> np.ndarray:
    """Returns the matrix `[2 size, size]` of bilinear upsampling.

    The weights are 3/4 for the nearest and 1/4 for the second nearest pixel, which at the border is
    the same.
    """
    places = np.arange(2 * size)
    near, far = places // 2, np.clip(places // 2 + np.where(places % 2, 1, -1), 0, size - 1)
    matrix = np.zeros((2 * size, size), "float32")
    matrix[places, near] += 0.75
    matrix[places, far] += 0.25
    return matrix


@functools.cache
def _smoothing(size: int, margin: int = 0) -> np.ndarray:
    """Returns the matrix `[size + 2 margin, size]` of the blur."""
    if size < 2:
        raise ValueError(f"blur needs maps of at least 2 x 2 pixels; received side {size}")
    places, last = np.arange(size), size - 1
    matrix = np.zeros((size + 2 * margin, size), "float32")
    for weight, shift in ((0.25, -1), (0.5, 0), (0.25, 1)):
        matrix[margin + places, last - np.abs(last - np.abs(places + shift))] += weight
    return matrix
