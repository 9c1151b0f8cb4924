"""Feature matching (Salimans et al., Improved Techniques for Training GANs, arXiv 1606.03498,
section 3.1).
"""

from keras import ops


def feature_matching(real_features, fake_features):
    """Mean squared difference of the two batches' mean features [N, F]; the real side is a
    constant. A scalar.

    The paper takes the sum over F; the notes, and this, the mean.
    """
    real = ops.mean(ops.cast(ops.stop_gradient(real_features), "float32"), axis=0)
    fake = ops.mean(ops.cast(fake_features, "float32"), axis=0)
    return ops.mean(ops.square(fake - real))
