"""Transposed convolution of maps of a few pixels as a matrix product, for the first layer of a
generator.
"""

import keras
from keras import ops

from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class SmallConv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` for maps of a few pixels.

    Arguments, weights and outputs are the same. Each input pixel's contribution is a row of one
    matrix product; the contributions are padded to the output size and summed. On TensorFlow's CPU
    kernels the forward pass is faster than the convolution's at 2 x 2 pixels and slower at 6 x 6.

    Input: maps `[N, h, w, C]`. Output: maps
    `[N, (h - 1) * stride + kernel, (w - 1) * stride + kernel, filters]`.

    Raises:
        ValueError: If `padding` is not `"valid"`, or dilation or output padding is given.
    """

    def build(self, input_shape: Shape) -> None:
        if (
            self.padding != "valid"
            or self.output_padding is not None
            or set(self.dilation_rate) != {1}
        ):
            raise ValueError(
                "SmallConv2DTranspose needs padding='valid', dilation_rate=1 and no output "
                f"padding; received padding={self.padding!r}, dilation_rate={self.dilation_rate} "
                f"and output_padding={self.output_padding}"
            )
        self.sides = tuple(input_shape[1:3])  # Static also while PyTorch traces an export.
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        (height, width), channels = self.sides, self.kernel.shape[-1]
        (rows, columns), (down, right) = self.kernel_size, self.strides
        kernel = ops.transpose(self.kernel, (3, 0, 1, 2))  # [C, kh, kw, F]
        y = ops.matmul(
            ops.reshape(inputs, (-1, channels)),
            ops.reshape(kernel, (channels, rows * columns * self.filters)),
        )
        y = ops.reshape(y, (-1, height * width, rows, columns, self.filters))
        high, wide = (height - 1) * down, (width - 1) * right
        placed = []
        for index, part in enumerate(ops.unstack(y, height * width, axis=1)):  # [N, kh, kw, F]
            top, left = index // width * down, index % width * right
            placed.append(ops.pad(part, ((0, 0), (top, high - top), (left, wide - left), (0, 0))))
        outputs = sum(placed[1:], placed[0])  # [N, H, W, F]
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)
