"""A dense layer of which only the sum counts: the head of CoopNet's descriptor."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class SummedDense(keras.layers.Dense):
    """The sum of a `keras.layers.Dense`'s outputs, [..., D] -> [..., 1], at the cost of one output.

    Same arguments and weights, kernel [D, units] and bias [units], each of which learns as if the
    outputs were made. The sum is float32 in mixed precision too, in which a large one would not
    fit. Raises ValueError for an activation, of which the sum is no sum of weights.
    """

    def build(self, input_shape):
        if self.activation is not keras.activations.linear:
            name = getattr(self.activation, "__name__", self.activation)
            raise ValueError(f"a SummedDense must be without activation; received {name}")
        super().build(input_shape)

    def call(self, inputs):
        kernel = ops.sum(ops.cast(self.kernel, "float32"), axis=-1, keepdims=True)
        outputs = ops.matmul(ops.cast(inputs, "float32"), kernel)
        return outputs + ops.sum(ops.cast(self.bias, "float32")) if self.use_bias else outputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)
