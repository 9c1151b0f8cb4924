"""Transposed convolution of maps of a few pixels, where it is a matrix product: the first layer of
many generators.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class SmallConv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, same arguments, weights and numbers, for maps of a few
    pixels.

    Each pixel's contribution is a row of one matrix product, set into its place and added up. On
    TensorFlow's CPU kernels its forward pass is faster than the convolution's at 2 x 2 pixels and
    slower at 6 x 6.

    Maps [N, h, w, C] -> [N, (h - 1) * stride + kernel, (w - 1) * stride + kernel, filters]. Raises
    ValueError for anything but `padding="valid"` without dilation or output padding.
    """

    def build(self, input_shape):
        if (
            self.padding != "valid"
            or self.output_padding is not None
            or set(self.dilation_rate) != {1}
        ):
            raise ValueError(
                "padding must be 'valid', without dilation or output padding (a pixel's "
                "contribution is set whole into "
                f"its place); received {self.padding!r}, {self.dilation_rate} and "
                f"{self.output_padding}"
            )
        super().build(input_shape)

    def call(self, inputs):
        _, height, width, channels = inputs.shape
        (rows, columns), (down, right) = self.kernel_size, self.strides
        kernel = ops.transpose(self.kernel, (3, 0, 1, 2))  # [C, kh, kw, F]
        y = ops.matmul(
            ops.reshape(inputs, (-1, channels)),
            ops.reshape(kernel, (channels, rows * columns * self.filters)),
        )
        y = ops.reshape(y, (-1, height * width, rows, columns, self.filters))
        high, wide = (height - 1) * down, (width - 1) * right
        placed = []
        for index, part in enumerate(
            ops.unstack(y, height * width, axis=1)
        ):  # [N, kh, kw, F] a pixel
            top, left = index // width * down, index % width * right
            placed.append(ops.pad(part, ((0, 0), (top, high - top), (left, wide - left), (0, 0))))
        outputs = sum(placed[1:], placed[0])  # [N, H, W, F]
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)
