"""Channel-wise scale and shift that a condition vector predicts: how text enters every scale of a
generator."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalAffine(layers.Layer):
    """Scales and shifts each channel of a map by amounts predicted from a condition vector.

    The prediction starts at zero, so the layer starts as the identity. Inputs are `[maps,
    condition]`, of shapes
    `[N, H, W, C]` and `[N, D]`; the output is `[N, H, W, C]`.

    Args:
        hidden: Units of the hidden layer between condition and prediction. 0 predicts linearly.

    Reference:
        Tao et al., "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis", arXiv
        2008.05865.
    """

    def __init__(self, hidden: int = 0, **arguments):
        super().__init__(**arguments)
        self.hidden = hidden

    def build(self, input_shape):
        maps, condition = input_shape
        if self.hidden:
            self.middle = layers.Dense(self.hidden, "relu", name="hidden", dtype=self.dtype_policy)
            self.middle.build(condition)
            condition = (None, self.hidden)
        self.predict = layers.Dense(
            2 * maps[-1], kernel_initializer="zeros", name="predict", dtype=self.dtype_policy
        )
        self.predict.build(condition)
        self.built = True

    def call(self, inputs):
        maps, condition = inputs
        if self.hidden:
            condition = self.middle(condition)
        scale, shift = ops.split(
            self.predict(condition)[:, None, None, :], 2, axis=-1
        )  # [N, 1, 1, C]
        return maps * (1.0 + scale) + shift

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden}
