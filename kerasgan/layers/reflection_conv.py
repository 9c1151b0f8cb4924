"""Convolutions with reflection padding, plain and after upsampling.

The networks of HDGAN (arXiv 1802.09178), like those of CycleGAN, pad by reflection, because zero
padding leaves artifacts at the border of the image.
"""

from typing import Any

import keras
from keras import layers, ops

from kerasgan import backend
from kerasgan.ops.conv3x3 import conv3x3, upsample_conv3x3
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class ReflectionConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` of stride 1 with reflection padding, which keeps the size of the map.

    Input: maps `[N, H, W, C]`. Output: maps `[N, H, W, filters]`.

    Args:
        filters: Number of output channels.
        kernel_size: Side of the kernel, odd and at most 2 H - 1.
        **arguments: Further arguments of `keras.layers.Conv2D`, except `strides` and `padding`.

    Raises:
        ValueError: If `kernel_size` is even, or `strides` or `padding` is given.
    """

    def __init__(self, filters: int, kernel_size: int = 3, **arguments: Any):
        super().__init__(filters, kernel_size, **arguments)
        if (
            any(size % 2 == 0 for size in self.kernel_size)
            or set(self.strides) != {1}
            or self.padding != "valid"
        ):
            raise ValueError(
                f"{type(self).__name__} needs an odd kernel_size and default strides and padding "
                f"(it keeps the size of the map); received kernel_size={self.kernel_size}, "
                f"strides={self.strides} and padding={self.padding!r}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        outputs = backend.remat(self.convolved)(inputs, ops.convert_to_tensor(self.kernel))
        return self.activation(outputs + self.bias if self.use_bias else outputs)

    def convolved(self, maps: Tensor, kernel: Tensor) -> Tensor:
        """Convolves the maps, without bias.

        It runs under gradient checkpointing, so that the padded maps are not stored for the
        gradient.

        Args:
            maps: Maps `[N, H, W, C]`.
            kernel: Kernel `[K, K, C, filters]`.
        """
        if self.kernel_size == (3, 3):
            return conv3x3(maps, kernel, "reflect")
        rows, columns = (size // 2 for size in self.kernel_size)
        padded = ops.pad(maps, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect")
        return ops.conv(padded, kernel, data_format="channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable("kerasgan")
class UpsampleConv2D(ReflectionConv2D):
    """`UpSampling2D` (nearest), then a 3 x 3 `ReflectionConv2D`, in one operation.

    Weights and outputs are the same, at less than half the multiplications; see
    `kerasgan.ops.upsample_conv3x3`.

    Input: maps `[N, H, W, C]`. Output: maps `[N, 2 H, 2 W, filters]`.

    Args:
        filters: Number of output channels.
        kernel_size: 3.
        **arguments: Further arguments of `keras.layers.Conv2D`, except `strides` and `padding`.
    """

    def __init__(self, filters: int, kernel_size: int = 3, **arguments: Any):
        super().__init__(filters, kernel_size, **arguments)
        if self.kernel_size != (3, 3):
            raise ValueError(f"UpsampleConv2D needs kernel_size=3; received {self.kernel_size}")

    def convolved(self, maps: Tensor, kernel: Tensor) -> Tensor:
        return upsample_conv3x3(maps, kernel)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)
