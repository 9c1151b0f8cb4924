"""Batch normalisation with each backend's fused kernel (Ioffe & Szegedy, arXiv 1502.03167).

Keras 3's layer composes it from moments; on TensorFlow's CPU kernels that is about three times
slower in training.
"""

import keras
from keras import ops

from kerasgan import backend


@keras.saving.register_keras_serializable("kerasgan")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, same arguments, weights and numbers (to 1e-5), faster.

    Falls back to Keras' own path where the kernel has no counterpart: inference, masks, an axis
    that is not the last, synchronised or renormalised statistics, float64.

    Args:
        relu: whether a ReLU follows. A layer of its own does the same; here, on TensorFlow, a
            `ReflectionConv2D` after it keeps no map for its gradient.
        *arguments, **options: those of `keras.layers.BatchNormalization`.
    """

    def __init__(self, *arguments, relu=False, **options):
        super().__init__(*arguments, **options)
        self.relu = relu

    def call(self, inputs, training=None, mask=None):
        last = self.axis in (-1, len(inputs.shape) - 1)
        renorm = getattr(self, "renorm", False)  # since Keras 3.13
        other = self.synchronized or renorm or self.compute_dtype == "float64"
        if not training or not self.trainable or mask is not None or other or not last:
            outputs = super().call(inputs, training=training, mask=mask)
            return ops.relu(outputs) if self.relu else outputs
        channels = (inputs.shape[-1],)
        gamma = self.gamma if self.scale else ops.ones(channels)
        beta = self.beta if self.center else ops.zeros(channels)
        x = ops.cast(inputs, "float32")  # half-precision statistics overflow
        outputs, mean, variance = backend.batch_norm(
            x, ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta), self.epsilon, self.relu
        )
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(
                average * self.momentum + ops.stop_gradient(value) * (1.0 - self.momentum)
            )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self):
        return super().get_config() | ({"relu": True} if self.relu else {})
