"""Feature matching.

Reference:
    Salimans et al., 2016, "Improved Techniques for Training GANs", section 3.1,
    https://arxiv.org/abs/1606.03498
"""

from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Mean squared difference of the two batches' mean features `[N, F]`.

    Real features are constants without a gradient. The paper sums over F; the training notes and
    this function take the mean. Returns a scalar.
    """
    real = ops.mean(ops.cast(ops.stop_gradient(real_features), "float32"), axis=0)
    fake = ops.mean(ops.cast(fake_features, "float32"), axis=0)
    real, fake = replicas.mean_for_equal_losses([real, fake])
    return ops.mean(ops.square(fake - real))
