"""The weights of a modulated convolution (Karras et al., arXiv 1912.04958, section 2.2); see
`ops.modulated_conv`.
"""

import keras
from keras import ops

from kerasgan.ops.modulated_conv import modulated_conv


@keras.saving.register_keras_serializable("kerasgan")
class ModulatedConv2D(keras.layers.Layer):
    """Maps [N, H, W, C] and styles [N, C] -> maps [N, H, W, filters]; stride 1, "same", no bias.

    Args:
        filters: channels out.
        kernel_size: odd.
        demodulate: keep outputs at unit variance whatever the style; not where they are a picture's
            colours.
    """

    def __init__(self, filters, kernel_size=3, demodulate=True, **arguments):
        super().__init__(**arguments)
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd (the map keeps its size); received {kernel_size}"
            )
        self.filters, self.kernel_size, self.demodulate = filters, kernel_size, demodulate

    def build(self, input_shape):
        maps, style = input_shape
        if maps[-1] != style[-1]:
            raise ValueError(
                f"a style must be one number a channel, {maps[-1]}; received {style[-1]}"
            )
        shape = (self.kernel_size, self.kernel_size, maps[-1], self.filters)
        normal = keras.initializers.VarianceScaling(
            2.0, "fan_in", "untruncated_normal"
        )  # Kaiming's
        self.kernel = self.add_weight(shape=shape, initializer=normal, name="kernel")

    def call(self, inputs):
        x, style = inputs
        return modulated_conv(x, ops.convert_to_tensor(self.kernel), style, self.demodulate)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], self.filters)

    def get_config(self):
        own = ("filters", "kernel_size", "demodulate")
        return super().get_config() | {name: getattr(self, name) for name in own}
