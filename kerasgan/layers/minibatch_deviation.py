"""Minibatch standard deviation (Karras et al., Progressive Growing of GANs, arXiv 1710.10196,
section 3).
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class MinibatchDeviation(keras.layers.Layer):
    """Appends to features [N, F] one number, their mean standard deviation over a group of samples:
    [N, F + 1].

    Args:
        group: samples compared; a batch that it does not divide is one group (4 in the paper).
    """

    def __init__(self, group=4, **kwargs):
        super().__init__(**kwargs)
        if group < 2:
            raise ValueError(
                f"group must be at least 2 (one sample does not deviate); received {group}"
            )
        self.group = group

    def call(self, inputs):
        n = ops.shape(inputs)[0]
        if isinstance(n, int):
            group = self.group if n % self.group == 0 else n
        else:
            group = ops.where(ops.equal(n % self.group, 0), self.group, n)
        x = ops.reshape(
            ops.cast(inputs, "float32"), (group, -1, inputs.shape[-1])
        )  # [group, N / group, F]
        variance = ops.mean(ops.square(x - ops.mean(x, axis=0, keepdims=True)), axis=0)
        deviation = ops.mean(ops.sqrt(variance + 1e-8), axis=-1, keepdims=True)  # [N / group, 1]
        deviation = ops.reshape(ops.tile(deviation[None], (group, 1, 1)), (-1, 1))  # [N, 1]
        return ops.concatenate([inputs, ops.cast(deviation, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return super().get_config() | {"group": self.group}
