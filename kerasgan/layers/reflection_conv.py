"""Convolutions whose border is the picture's own reflection, plain and after a doubling of the map.

The networks of HDGAN (arXiv 1802.09178), and before them CycleGAN's, pad by reflection: zeros
around a map leave marks at the border of the picture.
"""

import keras
from keras import layers, ops

from kerasgan import backend
from kerasgan.ops.conv3x3 import conv3x3, upsample_conv3x3


@keras.saving.register_keras_serializable("kerasgan")
class ReflectionConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` of stride 1 that keeps the map's size: [N, H, W, C] -> [N, H, W,
    filters].

    Args:
        filters: channels out.
        kernel_size: odd, at most 2 H - 1.
        **arguments: those of `keras.layers.Conv2D`, without strides and padding.
    """

    def __init__(self, filters, kernel_size=3, **arguments):
        super().__init__(filters, kernel_size, **arguments)
        if (
            any(size % 2 == 0 for size in self.kernel_size)
            or set(self.strides) != {1}
            or self.padding != "valid"
        ):
            raise ValueError(
                "kernel_size must be odd, strides 1 and padding left alone (the map keeps its "
                "size); received "
                f"kernel_size {self.kernel_size}, strides {self.strides}, padding {self.padding!r}"
            )

    def call(self, inputs):
        outputs = backend.remat(self.convolved)(inputs, ops.convert_to_tensor(self.kernel))
        return self.activation(outputs + self.bias if self.use_bias else outputs)

    def convolved(self, maps, kernel):
        """The convolution itself; the padded maps, as large as the maps, are not kept for its
        gradient.
        """
        if self.kernel_size == (3, 3):
            return conv3x3(maps, kernel, "reflect")
        rows, columns = (size // 2 for size in self.kernel_size)
        padded = ops.pad(maps, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect")
        return ops.conv(padded, kernel, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable("kerasgan")
class UpsampleConv2D(ReflectionConv2D):
    """`UpSampling2D` (nearest), then `ReflectionConv2D` of 3 x 3: [N, H, W, C] -> [N, 2 H, 2 W,
    filters].

    Same weights and numbers, at less than half the arithmetic: see `ops.conv3x3.upsample_conv3x3`.
    """

    def __init__(self, filters, kernel_size=3, **arguments):
        super().__init__(filters, kernel_size, **arguments)
        if self.kernel_size != (3, 3):
            raise ValueError(f"kernel_size must be 3; received {self.kernel_size}")

    def convolved(self, maps, kernel):
        return upsample_conv3x3(maps, kernel)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)
