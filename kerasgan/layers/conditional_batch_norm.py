"""Class-conditional batch norm (Dumoulin et al., A Learned Representation for Artistic Style, arXiv
1610.07629; in GANs since Miyato & Koyama, cGANs with Projection Discriminator, arXiv
1802.05637)."""

import keras
from keras import ops

from kerasgan.layers.batch_norm import BatchNormalization


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch norm with a scale and a shift a class: maps [N, H, W, C] and one-hot classes [N, K] ->
    [N, H, W, C].

    Args:
        momentum, epsilon: of the normalisation, in Keras' terms.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
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

    def build(self, input_shape):
        maps, classes = input_shape
        self.normalise.build(maps)
        self.gamma = self.add_weight(
            shape=(classes[-1], maps[-1]), initializer="ones", name="gamma"
        )
        self.beta = self.add_weight(shape=(classes[-1], maps[-1]), initializer="zeros", name="beta")

    def call(self, inputs, training=None):
        maps, classes = inputs
        gamma = ops.matmul(classes, self.gamma)[:, None, None, :]  # [N, 1, 1, C]
        beta = ops.matmul(classes, self.beta)[:, None, None, :]
        return self.normalise(maps, training=training) * gamma + beta

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}
