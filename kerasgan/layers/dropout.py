"""Dropout whose masks differ between the devices of a distributed training."""

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class SpatialDropout2D(keras.layers.SpatialDropout2D):
    """`keras.layers.SpatialDropout2D` of `[N, H, W, C]` for training on several devices.

    All devices have the same seeds, so Keras' layer would draw the same masks on each of them. This
    layer draws the masks of the whole batch on each device and uses those of the device's rows.
    The results equal those of one device.
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate or replicas.count() == 1:
            return super().call(inputs, training=training)
        shape = (ops.shape(inputs)[0] * replicas.count(), 1, 1, inputs.shape[-1])
        ones = ops.ones(shape, inputs.dtype)
        masks = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return inputs * replicas.own(masks)
