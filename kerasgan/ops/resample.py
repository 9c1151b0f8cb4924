"""Doubling and smoothing of maps as products with small constant matrices, one for rows and one for
columns.

No kernel of a backend's own is used, so a gradient has a gradient everywhere (TensorFlow's of its
bilinear resize has none), and doubling with smoothing is one pass over the map.
"""

import functools

import numpy as np
from keras import ops


def upsample(x):
    """Doubles maps [N, H, W, C] bilinearly: [N, 2 H, 2 W, C]. A pixel is the mean of its four
    (half-pixel centres).
    """
    return _apply(_doubling, x)


def blur(x, margin=0):
    """Smooths maps [N, H, W, C] by [1, 2, 1] / 4 along rows and columns, reflected at the border.

    Args:
        x: of at least 2 x 2.
        margin: rows and columns of zeros to add on each side: [N, H + 2 margin, W + 2 margin, C].
    """
    return _apply(functools.partial(_smoothing, margin=margin), x)


def upsample_blur(x):
    """`blur(upsample(x))` in one pass: [N, H, W, C] -> [N, 2 H, 2 W, C]."""
    return _apply(lambda size: _smoothing(2 * size) @ _doubling(size), x)


def _apply(matrix, x):
    """Multiplies the columns and rows of x [N, H, W, C] by `matrix(H)` and `matrix(W)`."""
    _, height, width, channels = x.shape
    down, across = (ops.convert_to_tensor(matrix(size), dtype=x.dtype) for size in (height, width))
    x = ops.matmul(across, x)  # [N, H, W', C]
    x = ops.matmul(down, ops.reshape(x, (-1, height, across.shape[0] * channels)))  # [N, H', W' C]
    return ops.reshape(x, (-1, down.shape[0], across.shape[0], channels))


@functools.cache
def _doubling(size):
    """[2 size, size]: three quarters of the nearest, one of the second nearest, which at the border
    is the same.
    """
    places = np.arange(2 * size)
    near, far = places // 2, np.clip(places // 2 + np.where(places % 2, 1, -1), 0, size - 1)
    matrix = np.zeros((2 * size, size), "float32")
    matrix[places, near] += 0.75
    matrix[places, far] += 0.25
    return matrix


@functools.cache
def _smoothing(size, margin=0):
    """[size + 2 margin, size]."""
    if size < 2:
        raise ValueError(f"a map must be at least 2 x 2 to be reflected; received side {size}")
    places, last = np.arange(size), size - 1
    matrix = np.zeros((size + 2 * margin, size), "float32")
    for weight, shift in ((0.25, -1), (0.5, 0), (0.25, 1)):
        matrix[margin + places, last - np.abs(last - np.abs(places + shift))] += weight
    return matrix
