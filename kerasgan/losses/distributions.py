"""How far two batches of vectors are from one distribution: differentiable, unlike
`metrics.style_gap`.

MMD: Gretton et al., "A Kernel Two-Sample Test" (JMLR 13, 2012, lemma 6).
"""

from keras import ops


def moment_distance(x, y):
    """Squared differences of means and of standard deviations, number by number: x [N, D] and y [M,
    D] -> scalar.
    """
    differences = [ops.mean(x, axis=0) - ops.mean(y, axis=0), _deviation(x) - _deviation(y)]
    return sum(ops.mean(ops.square(difference)) for difference in differences)


def _deviation(x):
    return ops.sqrt(ops.mean(ops.square(x - ops.mean(x, axis=0, keepdims=True)), axis=0) + 1e-8)


def kernel_distance(x, y):
    """Squared maximum mean discrepancy, the unbiased estimate, by a Gaussian kernel as wide as x
    and y are apart: x [N, D] and y [M, D] -> scalar, about 0 (and below it as often) for one
    distribution."""
    width = ops.stop_gradient(ops.mean(_squares(x, y)))

    def among(x):
        count = ops.cast(ops.shape(x)[0], x.dtype)
        pairs = ops.maximum(count * (count - 1.0), 1.0)
        return (
            ops.sum(ops.exp(-_squares(x, x) / width)) - count
        ) / pairs  # without the diagonal's ones

    return among(x) + among(y) - 2.0 * ops.mean(ops.exp(-_squares(x, y) / width))


def _squares(x, y):
    """Squared distances [N, M]."""
    both = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)
    return ops.maximum(both - 2.0 * ops.matmul(x, ops.transpose(y)), 0.0)
