"""Class-conditional batch normalization.

Reference:
    Dumoulin et al., 2016, "A Learned Representation for Artistic Style",
    https://arxiv.org/abs/1610.07629. In GANs since Miyato and Koyama, 2018, "cGANs with Projection
    Discriminator", https://arxiv.org/abs/1802.05637
"""

from typing import Any

import keras
from keras import ops

from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalization with one scale and one shift per class.

    Inputs: `[maps, classes]`, maps `[N, H, W, C]` and one-hot classes `[N, K]`. Output: maps
    `[N, H, W, C]`.

    Args:
        momentum: Momentum of the moving statistics, as in `keras.layers.BatchNormalization`.
        epsilon: Constant added to the variance.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        self.normalise = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            dtype=self.dtype_policy,
            name="normalise",
        )

    def build(self, input_shape: list[Shape]) -> None:
        maps, classes = input_shape
        self.normalise.build(maps)
        self.gamma = self.add_weight(
            shape=(classes[-1], maps[-1]), initializer="ones", name="gamma"
        )
        self.beta = self.add_weight(shape=(classes[-1], maps[-1]), initializer="zeros", name="beta")

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        maps, classes = inputs
        gamma = ops.matmul(classes, self.gamma)[:, None, None, :]  # [N, 1, 1, C]
        beta = ops.matmul(classes, self.beta)[:, None, None, :]
        return self.normalise(maps, training=training) * gamma + beta

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}
