"""Minibatch discrimination.

Differences from the paper:

- The similarities have no bias, because the dense layer that follows has one.
- The common scale of the kernels is learned, not initialized from the first batch.

Reference:
    Salimans et al., 2016, "Improved Techniques for Training GANs", section 3.2,
    https://arxiv.org/abs/1606.03498
"""

from typing import Any

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class MinibatchDiscrimination(keras.layers.Layer):
    """Similarity of each sample to the other samples of its batch.

    Input: features `[N, F]`. Output: similarities `[N, kernels]`,

        o(x_i)_b = sum over j of exp(-||M_ib - M_jb||_1),   M = x T,   T of shape [F, kernels, dims]

    Args:
        kernels: Number of outputs, B in the paper. The training notes use 100.
        dims: Length of the compared vectors, C in the paper. The training notes use 4.
        batch: Number of samples that are compared with each other. `None`, as in the paper, is the
            whole batch. An integer divides the batch into groups of this size; the last group may
            be smaller.
        rows: Number of samples whose similarities are computed at a time. The outputs are the same,
            and the memory is N * rows * kernels * dims floats instead of N * N * kernels * dims.
        include_self: If `True`, each sample counts its similarity to itself, exp(0) = 1, as in the
            code of the training notes. The paper's code does not count it.
        use_bias: If `True`, adds a bias to M. The bias cancels in every difference. It exists to
            match the parameter count of the network in the training notes.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `kernels`, `dims`, `batch` or `rows` is less than 1.
    """

    def __init__(
        self,
        kernels: int = 100,
        dims: int = 4,
        *,
        batch: int | None = None,
        rows: int | None = None,
        include_self: bool = False,
        use_bias: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (("kernels", kernels), ("dims", dims), ("batch", batch), ("rows", rows)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")
        self.kernels, self.dims, self.batch, self.rows = kernels, dims, batch, rows
        self.include_self, self.use_bias = include_self, use_bias

    def build(self, input_shape: Shape) -> None:
        shape = (input_shape[-1], self.kernels * self.dims)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=shape[1:], initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        projected = ops.matmul(inputs, self.kernel)  # [N, B * C]
        if self.use_bias:
            projected = projected + self.bias
        m = ops.reshape(ops.cast(projected, "float32"), (-1, self.kernels, self.dims))  # [n, B, C]
        everyone = replicas.gather(m)  # [N, B, C]
        samples = ops.shape(m)[0]
        if self.batch:
            # Groups are of the whole batch, so a group can have rows of several replicas.
            groups = _blocks(everyone, ops.shape(everyone)[0], self.batch)  # [G, batch, B, C]
            closeness = ops.reshape(_closeness(groups, groups), (-1, self.kernels))
            closeness = replicas.own(closeness[: ops.shape(everyone)[0]])
        elif self.rows:
            blocks = _blocks(m, samples, self.rows)
            closeness = ops.map(lambda block: _closeness(block, everyone), blocks)
            closeness = ops.reshape(closeness, (-1, self.kernels))[:samples]
        else:
            closeness = _closeness(m, everyone)  # [n, B]
        return ops.cast(closeness if self.include_self else closeness - 1.0, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.kernels)

    def get_config(self) -> dict[str, Any]:
        names = ("kernels", "dims", "batch", "rows", "include_self", "use_bias")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _blocks(m: Tensor, samples: int | Tensor, size: int) -> Tensor:
    """Divides `[N, B, C]` into blocks `[ceil(N / size), size, B, C]`.

    The last block is padded with samples so distant that their similarity is 0.
    """
    missing = -samples % size
    m = ops.pad(m, ((0, missing), (0, 0), (0, 0)), constant_values=1e9)
    return ops.reshape(m, (-1, size, *m.shape[1:]))


def _closeness(a: Tensor, b: Tensor) -> Tensor:
    """Returns the summed similarity of each sample of a `[..., n, B, C]` to all samples of b
    `[..., m, B, C]`, `[..., n, B]`.
    """
    a, b = ops.expand_dims(a, -3), ops.expand_dims(b, -4)
    # C is small. Summing C terms [..., n, m, B] needs a third of the memory traffic of reducing one
    # array [..., n, m, B, C].
    distance = sum(ops.abs(a[..., c] - b[..., c]) for c in range(a.shape[-1]))
    return ops.sum(ops.exp(-distance), axis=-2)
