"""Convolutions whose border is the picture's own reflection, plain and after a doubling of the map.

The networks of HDGAN (arXiv 1802.09178), and before them CycleGAN's, pad by reflection: zeros around a map leave marks
at the border of the picture.
"""

import keras
from keras import layers, ops

from kerasgan import backend
from kerasgan.ops.conv3x3 import conv3x3


@keras.saving.register_keras_serializable("kerasgan")
class ReflectionConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` of stride 1 that keeps the map's size: [N, H, W, C] -> [N, H, W, filters].

    Args:
        filters: channels out.
        kernel_size: odd, at most 2 H - 1.
        **arguments: those of `keras.layers.Conv2D`, without strides and padding.
    """

    def __init__(self, filters, kernel_size=3, **arguments):
        super().__init__(filters, kernel_size, **arguments)
        if any(size % 2 == 0 for size in self.kernel_size) or set(self.strides) != {1} or self.padding != "valid":
            raise ValueError(
                "kernel_size must be odd, strides 1 and padding left alone (the map keeps its size); received "
                f"kernel_size {self.kernel_size}, strides {self.strides}, padding {self.padding!r}"
            )

    def call(self, inputs):
        outputs = backend.recomputed(self.convolved)(inputs, ops.convert_to_tensor(self.kernel))
        return self.activation(outputs + self.bias if self.use_bias else outputs)

    def convolved(self, maps, kernel):
        """The convolution itself; the padded maps, as large as the maps, are not kept for its gradient."""
        if self.kernel_size == (3, 3):
            return conv3x3(maps, kernel, "reflect")
        rows, columns = (size // 2 for size in self.kernel_size)
        padded = ops.pad(maps, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect")
        return ops.conv(padded, kernel, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable("kerasgan")
class UpsampleConv2D(ReflectionConv2D):
    """`UpSampling2D` (nearest), then `ReflectionConv2D` of 3 x 3: [N, H, W, C] -> [N, 2 H, 2 W, filters].

    Same weights and numbers. A pixel of the doubled map sees four pixels of the small one, not nine: those of even and
    of odd rows and columns are four convolutions of 2 x 2 on the small map, 4/9 of the arithmetic. A row reflected at
    the border of the doubled map is the small map's own border again.
    """

    def __init__(self, filters, kernel_size=3, **arguments):
        super().__init__(filters, kernel_size, **arguments)
        if self.kernel_size != (3, 3):
            raise ValueError(f"kernel_size must be 3; received {self.kernel_size}")

    def convolved(self, maps, kernel):
        batch, height, width, channels = ops.shape(maps)
        padded = ops.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        rows = []
        for top, half in enumerate(_folded(kernel, axis=0)):
            columns = []
            for left, quarter in enumerate(_folded(half, axis=1)):
                # Not padded[...]: TensorFlow's gradient of that is slow.
                part = ops.slice(padded, (0, top, left, 0), (batch, height + 1, width + 1, channels))
                columns.append(ops.conv(part, quarter, data_format="channels_last"))
            rows.append(ops.stack(columns, axis=3))  # [N, H, W, 2, F]
        return ops.reshape(ops.stack(rows, axis=2), (-1, 2 * height, 2 * width, self.filters))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)


def _folded(kernel, axis):
    """Three weights of a doubled map as two of the small one, for its even places and for its odd ones."""
    a, b, c = ops.split(kernel, 3, axis=axis)
    return ops.concatenate([a, b + c], axis=axis), ops.concatenate([a + b, c], axis=axis)
