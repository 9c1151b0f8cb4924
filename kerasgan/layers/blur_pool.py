"""Anti-aliased max pooling: dense maximum, blur, subsampling."""

import keras
from keras import layers, ops

from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class BlurMaxPooling2D(layers.Layer):
    """2 x 2 max pooling whose gradient reaches every pixel.

    Ordinary max pooling passes the gradient to one pixel of each 2 x 2 cell. The grid's phase
    decides which one, so patterns of period 2 are almost invisible to the network. This layer takes
    the maximum at every position (stride 1), averages over 2 x 2 positions and keeps every second
    one.

    Input: maps `[N, H, W, C]`. Output: maps `[N, H / 2, W / 2, C]`.

    Reference:
        Zhang, 2019, "Making Convolutional Networks Shift-Invariant Again",
        https://arxiv.org/abs/1904.11486
    """

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.max_pool(inputs, 2, 1, padding="same", data_format="channels_last")
        return ops.average_pool(x, 2, 2, padding="valid", data_format="channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        return (batch, height and height // 2, width and width // 2, channels)
