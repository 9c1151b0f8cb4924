"""Matching-aware losses of text-conditioned GANs, least squares or logistic.

The least-squares losses omit the factor 1/2, as the code of Zhang, Xie and Yang does. The logistic
loss of the generator is non-saturating.

Reference:
    - Reed et al., 2016, "Generative Adversarial Text to Image Synthesis", algorithm 1 (mismatched
      pairs), https://arxiv.org/abs/1605.05396
    - Mao et al., 2016, "Least Squares Generative Adversarial Networks",
      https://arxiv.org/abs/1611.04076
    - Zhang, Xie and Yang, 2018, "Photographic Text-to-Image Synthesis with a
      Hierarchically-nested Adversarial Network", equations 1 and 2,
      https://arxiv.org/abs/1802.09178
    - Goodfellow et al., 2014, "Generative Adversarial Networks" (logistic loss),
      https://arxiv.org/abs/1406.2661
"""

from keras import ops

from kerasgan.types import Tensor

KINDS = ("real", "mismatched", "fake")
LOSSES = ("least_squares", "logistic")


def squared_error(logits: Tensor, target: float) -> Tensor:
    """Returns the mean of (logits - target)^2 over all images and patches."""
    return ops.mean(ops.square(logits - target))


def adversarial_loss(logits: Tensor, real: bool, loss: str = "least_squares") -> Tensor:
    """Adversarial loss of one discriminator head for real or fake targets.

    Args:
        logits: Logits of any shape. The loss is averaged over images and patches.
        real: If `True`, the target is real, otherwise fake.
        loss: `"least_squares"`, the squared distance from 1 (real) or 0 (fake), or `"logistic"`,
            the sigmoid cross-entropy.

    Returns:
        A scalar.
    """
    if loss == "logistic":
        return ops.mean(ops.softplus(-logits if real else logits))
    return squared_error(logits, float(real))


def matching_aware_loss(
    real: Tensor, mismatched: Tensor, fake: Tensor, loss: str = "least_squares"
) -> Tensor:
    """Discriminator loss of image-text pairs.

    Real images with their captions have the target real and the weight 1. Mismatched pairs and
    fakes have the target fake and the weight 1/2 each. The logits may have any shape.

    Args:
        real: Logits of real images with their captions.
        mismatched: Logits of real images with captions of other images.
        fake: Logits of fakes with their captions.
        loss: `"least_squares"` or `"logistic"`.

    Returns:
        A scalar.
    """
    return sum(
        pair_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, mismatched, fake), strict=True)
    )


def unconditional_loss(
    real: Tensor, mismatched: Tensor, fake: Tensor, loss: str = "least_squares"
) -> Tensor:
    """Discriminator loss of images without captions.

    Both batches of real images have the target real and the weight 1/2 each. Fakes have the target
    fake and the weight 1.

    Args:
        real: Logits of real images.
        mismatched: Logits of the real images of the mismatched pairs.
        fake: Logits of fakes.
        loss: `"least_squares"` or `"logistic"`.

    Returns:
        A scalar.
    """
    return sum(
        image_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, mismatched, fake), strict=True)
    )


def pair_term(logits: Tensor, kind: str, loss: str = "least_squares") -> Tensor:
    """Returns the contribution of one of `KINDS` to `matching_aware_loss`."""
    if kind == "real":
        return adversarial_loss(logits, True, loss)
    return adversarial_loss(logits, False, loss) / 2.0


def image_term(logits: Tensor, kind: str, loss: str = "least_squares") -> Tensor:
    """Returns the contribution of one of `KINDS` to `unconditional_loss`."""
    if kind == "fake":
        return adversarial_loss(logits, False, loss)
    return adversarial_loss(logits, True, loss) / 2.0
