"""Mirrors an image when a latent value is negative."""

from collections.abc import Sequence

import keras
from keras import layers, ops

from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class Mirror(layers.Layer):
    """Mirrors images left to right where the last latent value is negative: `[images, latents]`, of
    shapes `[N, H, W, C]` and `[N, L]`, to `[N, H, W, C]`.

    A generator that ends with it learns one direction only, half as much as both.
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        images, latents = inputs
        return ops.where(latents[:, -1:, None, None] < 0.0, ops.flip(images, axis=2), images)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return input_shape[0]
