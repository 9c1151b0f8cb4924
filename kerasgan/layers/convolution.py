"""Convolutions that choose the fastest layer for the shape of their input.

On CPUs the best algorithm depends on the number of channels, the kernel and the size of the map.
Models call these functions instead of choosing a layer class. Every choice has the weights of the
Keras layer of the same arguments, and its outputs up to rounding.
"""

from typing import Any

from keras import layers

from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.conv_transpose import SmallConv2DTranspose
from kerasgan.layers.image_conv import ImageConv2D
from kerasgan.types import Tensor

IMAGE_CHANNELS = 4  # Largest number of channels for which `ImageConv2D` is used.
SMALL_PIXELS = 4  # Largest number of input pixels for which `SmallConv2DTranspose` is used.


def conv2d(
    x: Tensor,
    filters: int,
    kernel_size: int,
    strides: int = 1,
    *,
    padding: str = "same",
    **arguments: Any,
) -> Tensor:
    """Applies a new convolution layer to `x`.

    `ImageConv2D` is used for images, `Conv3x3` for 3 x 3 kernels of stride 1 and padding `"same"`,
    `keras.layers.Conv2D` otherwise.

    Args:
        x: Feature maps `[N, H, W, C]`.
        filters: Number of output channels.
        kernel_size: Side of the kernel.
        strides: Stride in both directions.
        padding: `"same"` or `"valid"`.
        **arguments: Further arguments of `keras.layers.Conv2D`, except dilation and groups.

    Returns:
        Feature maps `[N, H', W', filters]`.
    """
    if x.shape[-1] <= IMAGE_CHANNELS and None not in x.shape[1:3]:
        layer = ImageConv2D
    elif (kernel_size, strides, padding) == (3, 1, "same"):
        layer = Conv3x3
    else:
        layer = layers.Conv2D
    return layer(filters, kernel_size, strides, padding=padding, **arguments)(x)


def conv2d_transpose(
    x: Tensor,
    filters: int,
    kernel_size: int,
    strides: int = 1,
    *,
    padding: str = "valid",
    **arguments: Any,
) -> Tensor:
    """Applies a new transposed convolution layer to `x`.

    `SmallConv2DTranspose` is used for maps of up to 4 pixels and padding `"valid"`,
    `keras.layers.Conv2DTranspose` otherwise.

    Args:
        x: Feature maps `[N, H, W, C]`.
        filters: Number of output channels.
        kernel_size: Side of the kernel.
        strides: Stride in both directions.
        padding: `"valid"` or `"same"`.
        **arguments: Further arguments of `keras.layers.Conv2DTranspose`, except dilation and
            output padding.

    Returns:
        Feature maps `[N, H', W', filters]`.
    """
    _, height, width, _ = x.shape
    small = None not in (height, width) and height * width <= SMALL_PIXELS
    layer = SmallConv2DTranspose if small and padding == "valid" else layers.Conv2DTranspose
    return layer(filters, kernel_size, strides, padding=padding, **arguments)(x)
