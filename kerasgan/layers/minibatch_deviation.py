"""Minibatch standard deviation of ProGAN.

Reference:
    Karras et al., 2017, "Progressive Growing of GANs for Improved Quality, Stability, and
    Variation", section 3, https://arxiv.org/abs/1710.10196
"""

from typing import Any

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class MinibatchDeviation(keras.layers.Layer):
    """Appends one feature, the mean standard deviation of the features over a group of samples.

    Input: features `[N, F]`. Output: features `[N, F + 1]`.

    Args:
        group: Number of samples in a group, at least 2. The paper uses 4. A batch that is not
            divisible by it forms one group.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, group: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        if group < 2:
            raise ValueError(
                f"group must be at least 2 samples (one has no deviation); received {group}"
            )
        self.group = group

    def call(self, inputs: Tensor) -> Tensor:
        x = replicas.gather(ops.cast(inputs, "float32"))
        n = ops.shape(x)[0]
        if isinstance(n, int):
            group = self.group if n % self.group == 0 else n
        else:
            group = ops.where(ops.equal(n % self.group, 0), self.group, n)
        x = ops.reshape(x, (group, -1, inputs.shape[-1]))  # [group, N / group, F]
        variance = ops.mean(ops.square(x - ops.mean(x, axis=0, keepdims=True)), axis=0)
        deviation = ops.mean(ops.sqrt(variance + 1e-8), axis=-1, keepdims=True)  # [N / group, 1]
        deviation = ops.reshape(ops.tile(deviation[None], (group, 1, 1)), (-1, 1))  # [N, 1]
        deviation = replicas.own(deviation)
        return ops.concatenate([inputs, ops.cast(deviation, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"group": self.group}
