"""Minibatch discrimination (Salimans et al., Improved Techniques for Training GANs, arXiv
1606.03498, section 3.2).

Differences from the paper:

- no bias on the similarities: the dense layer that follows has one;
- the kernels' common scale is learnt, not set from the first batch.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
class MinibatchDiscrimination(keras.layers.Layer):
    """How close each sample is to the others of its batch: [N, F] -> [N, kernels].

    o(x_i)_b = sum over j of exp(-||M_ib - M_jb||_1), with M = x T and T of shape [F, kernels,
    dims].

    Args:
        kernels: B of the paper, the length of the output (100 in the training notes).
        dims: C of the paper, the length of what is compared (4 in the training notes).
        batch: samples compared with each other: None is the whole batch, as in the paper. A number
            cuts the batch into groups of that many; a last, shorter group has fewer to be close to.
        rows: computes the similarities of so many samples at a time. The numbers are the same, the
            memory is N * rows * kernels * dims floats instead of N * N.
        include_self: count exp(0) = 1 of each sample with itself. The paper's code does not; the
            notes' does.
        use_bias: add a bias to M. It cancels in every difference: it exists so that the notes'
            network has the notes' parameter count.
    """

    def __init__(
        self,
        kernels=100,
        dims=4,
        *,
        batch=None,
        rows=None,
        include_self=False,
        use_bias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("kernels", kernels), ("dims", dims), ("batch", batch), ("rows", rows)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")
        self.kernels, self.dims, self.batch, self.rows = kernels, dims, batch, rows
        self.include_self, self.use_bias = include_self, use_bias

    def build(self, input_shape):
        shape = (input_shape[-1], self.kernels * self.dims)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=shape[1:], initializer="zeros", name="bias")

    def call(self, inputs):
        projected = ops.matmul(inputs, self.kernel)  # [N, B * C]
        if self.use_bias:
            projected = projected + self.bias
        samples = ops.shape(projected)[0]
        m = ops.reshape(ops.cast(projected, "float32"), (-1, self.kernels, self.dims))  # [N, B, C]
        if self.batch:
            groups = _blocks(m, samples, self.batch)  # [G, batch, B, C]
            closeness = _closeness(groups, groups)  # [G, batch, B]
        elif self.rows:
            closeness = ops.map(lambda block: _closeness(block, m), _blocks(m, samples, self.rows))
        else:
            closeness = _closeness(m, m)
        closeness = ops.reshape(closeness, (-1, self.kernels))[:samples]  # [N, B]
        return ops.cast(closeness if self.include_self else closeness - 1.0, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.kernels)

    def get_config(self):
        names = ("kernels", "dims", "batch", "rows", "include_self", "use_bias")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _blocks(m, samples, size):
    """[N, B, C] -> [ceil(N / size), size, B, C], filled up with samples so far away that their
    closeness is 0.
    """
    missing = -samples % size
    m = ops.pad(m, ((0, missing), (0, 0), (0, 0)), constant_values=1e9)
    return ops.reshape(m, (-1, size, *m.shape[1:]))


def _closeness(a, b):
    """Of each sample in a [..., n, B, C] to all of b [..., m, B, C]: [..., n, B]."""
    a, b = ops.expand_dims(a, -3), ops.expand_dims(b, -4)
    # C is small: a sum of C terms [..., n, m, B] moves a third of the memory of one reduced array
    # [..., n, m, B, C]
    distance = sum(ops.abs(a[..., c] - b[..., c]) for c in range(a.shape[-1]))
    return ops.sum(ops.exp(-distance), axis=-2)
