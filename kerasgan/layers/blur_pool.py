"""Max pooling without aliasing: the maximum at every place, then a blur, then the subsampling."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kerasgan")
class BlurMaxPooling2D(layers.Layer):
    """2 x 2 max pooling whose gradient reaches every pixel: `[N, H, W, C]` to `[N, H / 2, W / 2,
    C]`.

    Ordinary max pooling passes a gradient to one pixel of each 2 x 2 cell, and the phase of the
    grid decides to which. Patterns of period 2 are then almost invisible to the network. Here the
    maximum is taken at every place (stride 1) and averaged over 2 x 2 places before every second
    one is kept.

    Reference:
        Zhang, "Making Convolutional Networks Shift-Invariant Again", arXiv 1904.11486.
    """

    def call(self, inputs):
        x = ops.max_pool(inputs, 2, 1, padding="same", data_format="channels_last")
        return ops.average_pool(x, 2, 2, padding="valid", data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and height // 2, width and width // 2, channels)
