"""Gradient penalties: scalars of a critic's slope, for the discriminator's loss."""

from keras import ops


def squared_slope(gradients):
    """Mean over the batch of ||gradient||^2, for R1 with gradients [N, ...] at real images.

    Mescheder et al., Which Training Methods for GANs do actually Converge?, arXiv 1801.04406, equation 9: the penalty
    is gamma / 2 times this.
    """
    gradients = ops.cast(gradients, "float32")
    return ops.mean(ops.sum(ops.square(ops.reshape(gradients, (ops.shape(gradients)[0], -1))), axis=-1))
