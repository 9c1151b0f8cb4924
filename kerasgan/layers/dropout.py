"""Dropout whose masks differ between the devices of a distributed training."""

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class SpatialDropout2D(keras.layers.SpatialDropout2D):
    """`keras.layers.SpatialDropout2D` of `[N, H, W, C]` with the masks of one device.

    The seed has the same state on all devices. Keras' layer would therefore use the same masks for
    the rows of each device.
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate or replicas.count() == 1:
            return super().call(inputs, training=training)
        shape = (ops.shape(inputs)[0] * replicas.count(), 1, 1, inputs.shape[-1])
        ones = ops.ones(shape, inputs.dtype)
        masks = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return inputs * replicas.own(masks)
