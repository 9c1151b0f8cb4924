"""Channel-wise scale and shift predicted from a condition vector, such as a caption embedding."""

from typing import Any

import keras
from keras import layers, ops

from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalAffine(layers.Layer):
    """Scales and shifts each channel of a map by amounts predicted from a condition vector.

    The prediction is initialized to zero, so the layer starts as the identity.

    Inputs: `[maps, condition]`, of shapes `[N, H, W, C]` and `[N, D]`. Output: maps `[N, H, W, C]`.

    Args:
        hidden: Units of the hidden layer between condition and prediction. 0 predicts linearly.
        **arguments: Arguments of `keras.layers.Layer`.

    Reference:
        Tao et al., 2020, "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis",
        https://arxiv.org/abs/2008.05865
    """

    def __init__(self, hidden: int = 0, **arguments: Any):
        super().__init__(**arguments)
        self.hidden = hidden

    def build(self, input_shape: list[Shape]) -> None:
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

    def call(self, inputs: list[Tensor]) -> Tensor:
        maps, condition = inputs
        if self.hidden:
            condition = self.middle(condition)
        predicted = self.predict(condition)[:, None, None, :]
        scale, shift = ops.split(predicted, 2, axis=-1)  # [N, 1, 1, C]
        return maps * (1.0 + scale) + shift

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden": self.hidden}
