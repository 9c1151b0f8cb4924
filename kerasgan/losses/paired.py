"""Losses of discriminators that score every image of a batch with every caption of it.

The logits are `[N, N]`: row i is image i, column j is caption j, and the diagonal holds the
matching pairs.
"""

from keras import ops

from kerasgan.types import Tensor


def off_diagonal_mean(values: Tensor) -> Tensor:
    """Returns the mean of the off-diagonal entries of `[N, N]`, where N is at least 2."""
    count = ops.cast(ops.shape(values)[0], values.dtype)
    return (ops.sum(values) - ops.sum(ops.diagonal(values))) / ops.maximum(
        count * (count - 1.0), 1.0
    )


def matching_hinge_loss(real: Tensor, fake: Tensor, mismatch_weight: float = 0.5) -> Tensor:
    """Hinge loss of a matching-aware discriminator.

    Args:
        real: Logits `[N, N]` of real images with all captions of the batch.
        fake: Logits `[N]` of fakes with their own captions.
        mismatch_weight: Weight of real images with captions of other images. The weight of fakes is
            `1 - mismatch_weight`.

    Returns:
        A scalar.

    Reference:
        - Reed et al., 2016, "Generative Adversarial Text to Image Synthesis" (mismatched pairs),
          https://arxiv.org/abs/1605.05396
        - Lim and Ye, 2017, "Geometric GAN" (hinge), https://arxiv.org/abs/1705.02894
    """
    matched = ops.mean(ops.relu(1.0 - ops.diagonal(real)))
    mismatched = off_diagonal_mean(ops.relu(1.0 + real))
    return (
        matched
        + (1.0 - mismatch_weight) * ops.mean(ops.relu(1.0 + fake))
        + mismatch_weight * mismatched
    )


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Relativistic pairing loss, the mean of softplus(worse - better).

    Args:
        better: Logits that should be higher.
        worse: Logits that should be lower, in a shape that broadcasts with `better`.

    Returns:
        A scalar.

    Reference:
        Huang et al., 2025, "The GAN is dead; long live the GAN! A Modern Baseline GAN", equation 2,
        https://arxiv.org/abs/2501.05441
    """
    return ops.mean(ops.softplus(worse - better))


def relativistic_matching_loss(real: Tensor) -> Tensor:
    """`relativistic_loss` of real images with their own captions against the same images with the
    captions of other images.

    Args:
        real: Logits `[N, N]` of real images with all captions of the batch.

    Returns:
        A scalar.
    """
    return off_diagonal_mean(ops.softplus(real - ops.diagonal(real)[:, None]))


def contrastive_matching_loss(logits: Tensor) -> Tensor:
    """Symmetric cross-entropy of matching images and captions over the batch.

    Args:
        logits: Logits `[N, N]` of images with captions.

    Returns:
        A scalar, the mean of the cross-entropies over captions per image and over images per
        caption.

    Reference:
        Zhang et al., 2021, "Cross-Modal Contrastive Learning for Text-to-Image Generation",
        https://arxiv.org/abs/2101.04702
    """
    own = ops.diagonal(logits)
    return 0.5 * (
        ops.mean(ops.logsumexp(logits, axis=1) - own)
        + ops.mean(ops.logsumexp(logits, axis=0) - own)
    )
