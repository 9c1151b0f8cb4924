"""Losses of discriminators that score every image of a batch with every caption of it: logits `[N,
N]`.

Row i is image i, column j is caption j; the diagonal holds the matching pairs.
"""

from keras import ops


def off_diagonal_mean(values):
    """Mean of the entries of `[N, N]` that are off the diagonal; N is at least 2."""
    count = ops.cast(ops.shape(values)[0], values.dtype)
    return (ops.sum(values) - ops.sum(ops.diagonal(values))) / ops.maximum(
        count * (count - 1.0), 1.0
    )


def matching_hinge_loss(real, fake, mismatch_weight: float = 0.5):
    """Hinge loss of a matching-aware discriminator.

    Args:
        real: Logits `[N, N]` of real images with all captions of the batch.
        fake: Logits `[N]` of fake images with their own captions.
        mismatch_weight: Weight of real images with other images' captions; fakes weigh 1 minus
            this.

    Returns:
        Scalar.

    Reference:
        Reed et al., arXiv 1605.05396 (mismatched pairs); Lim and Ye, arXiv 1705.02894 (hinge).
    """
    matched = ops.mean(ops.relu(1.0 - ops.diagonal(real)))
    mismatched = off_diagonal_mean(ops.relu(1.0 + real))
    return (
        matched
        + (1.0 - mismatch_weight) * ops.mean(ops.relu(1.0 + fake))
        + mismatch_weight * mismatched
    )


def relativistic_loss(better, worse):
    """Mean of softplus(worse - better): a pair of logits is right when `better` is the larger one.

    Reference:
        Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", arXiv 2501.05441,
        equation 2.
    """
    return ops.mean(ops.softplus(worse - better))


def relativistic_matching_loss(real):
    """`relativistic_loss` of real images with their own captions against the same images with
    others': `[N, N]`."""
    return off_diagonal_mean(ops.softplus(real - ops.diagonal(real)[:, None]))


def contrastive_matching_loss(logits):
    """Cross-entropy of each image's own caption among the batch's, and of each caption's own image:
    `[N, N]` to scalar.

    Reference:
        Zhang et al., "Cross-Modal Contrastive Learning for Text-to-Image Generation", arXiv
        2101.04702.
    """
    own = ops.diagonal(logits)
    return 0.5 * (
        ops.mean(ops.logsumexp(logits, axis=1) - own)
        + ops.mean(ops.logsumexp(logits, axis=0) - own)
    )
