"""Differentiable distances between distributions: of two batches of vectors, or of classes.

Reference:
    Gretton et al., 2012, "A Kernel Two-Sample Test", JMLR 13, lemma 6.
"""

from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


def moment_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference of the means and of the standard deviations of each dimension.

    Args:
        x: Tensor `[N, D]`.
        y: Tensor `[M, D]`.

    Returns:
        A scalar.
    """
    x, y = replicas.gather(x), replicas.gather(y)
    differences = [ops.mean(x, axis=0) - ops.mean(y, axis=0), _deviation(x) - _deviation(y)]
    return sum(ops.mean(ops.square(difference)) for difference in differences)


def _deviation(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x - ops.mean(x, axis=0, keepdims=True)), axis=0) + 1e-8)


def kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy with a Gaussian kernel.

    The kernel width is the mean squared distance between `x` and `y`. For equal distributions the
    estimate is about 0, and negative in half of the cases.

    Args:
        x: Tensor `[N, D]`.
        y: Tensor `[M, D]`.

    Returns:
        A scalar.
    """
    x, y = replicas.gather(x), replicas.gather(y)
    width = ops.stop_gradient(ops.mean(_squares(x, y)))

    def within(x: Tensor) -> Tensor:
        count = ops.cast(ops.shape(x)[0], x.dtype)
        pairs = ops.maximum(count * (count - 1.0), 1.0)
        # Subtracting `count` removes the ones of the diagonal.
        return (ops.sum(ops.exp(-_squares(x, x) / width)) - count) / pairs

    return within(x) + within(y) - 2.0 * ops.mean(ops.exp(-_squares(x, y) / width))


def class_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL divergence of the class distributions of two sets of logits.

    Args:
        logits: Logits `[N, K]` of the distribution p.
        others: Logits `[N, K]` of the distribution q.

    Returns:
        KL(p || q), `[N]`.
    """
    p, q = (ops.log_softmax(ops.cast(each, "float32"), axis=-1) for each in (logits, others))
    return ops.sum(ops.exp(p) * (p - q), axis=-1)


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Returns the squared distances `[N, M]` of the rows of `x` and `y`."""
    both = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)
    return ops.maximum(both - 2.0 * ops.matmul(x, ops.transpose(y)), 0.0)
