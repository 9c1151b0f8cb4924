"""Batch normalization with the fused kernel of each backend.

Keras 3's layer composes it from moments, which is about three times slower in training on
TensorFlow's CPU kernels.

Reference:
    Ioffe and Szegedy, 2015, "Batch Normalization", https://arxiv.org/abs/1502.03167
"""

from typing import Any

import keras
from keras import ops

from kerasgan import backend
from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class BatchNormalization(keras.layers.BatchNormalization):
    """Faster `keras.layers.BatchNormalization`, with the same arguments and weights.

    The outputs are equal up to 1e-5. The layer uses Keras' implementation where the fused kernel
    does not support the arguments: in inference, with masks, with an axis that is not the last, and
    with renormalization; on one device also with `synchronized=True` and in float64.

    On several devices, the statistics are those of the whole batch, unless
    `kerasgan.distribution.start(batch_statistics="device")` chooses those of each device. Keras'
    own layer uses those of each device on TensorFlow and PyTorch with one process per device.

    Args:
        *arguments: Positional arguments of `keras.layers.BatchNormalization`.
        relu: If `True`, applies a ReLU to the outputs. A separate ReLU layer gives the same result.
            On TensorFlow, this form saves memory if a `ReflectionConv2D` follows, because the
            gradient of that layer then needs no stored feature map.
        **options: Keyword arguments of `keras.layers.BatchNormalization`.
    """

    def __init__(self, *arguments: Any, relu: bool = False, **options: Any):
        super().__init__(*arguments, **options)
        self.relu = relu

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        last = self.axis in (-1, len(inputs.shape) - 1)
        renorm = getattr(self, "renorm", False)  # Since Keras 3.13.
        double = self.compute_dtype == "float64"
        one = replicas.count() == 1 or replicas.device_statistics()
        other = renorm or mask is not None or not last or (one and (self.synchronized or double))
        if not training or not self.trainable or other:
            outputs = super().call(inputs, training=training, mask=mask)
            return ops.relu(outputs) if self.relu else outputs
        channels = (inputs.shape[-1],)
        gamma = self.gamma if self.scale else ops.ones(channels)
        beta = self.beta if self.center else ops.zeros(channels)
        # Half-precision statistics would overflow.
        x = ops.cast(inputs, "float64" if double else "float32")
        batch_norm = backend.batch_norm if one else _synchronized_batch_norm
        outputs, mean, variance = batch_norm(
            x, ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta), self.epsilon, self.relu
        )
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(
                average * self.momentum + ops.stop_gradient(value) * (1.0 - self.momentum)
            )
        replicas.moving_statistics.differ = replicas.device_statistics()
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | ({"relu": True} if self.relu else {})


def _synchronized_batch_norm(x, gamma, beta, epsilon, relu):
    """Returns `backend.batch_norm` with the mean and variance of the batches of all replicas."""
    axes = tuple(range(len(x.shape) - 1))
    mean = ops.mean(x, axis=axes)
    variance = ops.mean(ops.square(x - mean), axis=axes)
    means, variances = ops.unstack(replicas.gather(ops.stack([mean, variance])[None]), 2, axis=1)
    mean = ops.mean(means, axis=0)
    variance = ops.mean(variances + ops.square(means - mean), axis=0)
    outputs = (x - mean) * (gamma * ops.rsqrt(variance + epsilon)) + beta
    return ops.relu(outputs) if relu else outputs, mean, variance
