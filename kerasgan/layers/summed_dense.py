"""Dense layer that computes only the sum of its outputs, for the head of CoopNet's descriptor."""

import keras
from keras import ops

from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class SummedDense(keras.layers.Dense):
    """Sum of the outputs of a `keras.layers.Dense`, at the cost of a single output.

    Arguments and weights are the same: kernel `[D, units]` and bias `[units]`. They receive the
    same gradients as in a dense layer followed by a sum. The sum is float32 also in mixed
    precision, where it could overflow.

    Input: `[..., D]`. Output: `[..., 1]`.

    Raises:
        ValueError: If an activation is given, because the layer sums the weights instead of the
            outputs.
    """

    def build(self, input_shape: Shape) -> None:
        if self.activation is not keras.activations.linear:
            name = getattr(self.activation, "__name__", self.activation)
            raise ValueError(f"SummedDense takes no activation; received {name}")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        kernel = ops.sum(ops.cast(self.kernel, "float32"), axis=-1, keepdims=True)
        outputs = ops.matmul(ops.cast(inputs, "float32"), kernel)
        return outputs + ops.sum(ops.cast(self.bias, "float32")) if self.use_bias else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], 1)
