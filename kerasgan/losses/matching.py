"""Matching-aware losses of text-conditioned GANs, least squares or logistic, and the DAMSM loss of
whole sentences.

Sources: Reed et al., "Generative Adversarial Text to Image Synthesis" (arXiv 1605.05396, algorithm
1: a real image beside another's text is a fake pair); Mao et al., "Least Squares Generative
Adversarial Networks" (arXiv 1611.04076); Zhang, Xie and Yang (arXiv 1802.09178, equations 1 and 2).
Without the factor 1/2 of least squares, as in the last one's code. Logistic, and non-saturating for
the generator: Goodfellow et al. (arXiv 1406.2661), as Reed et al. had it. DAMSM: Xu et al.,
"AttnGAN" (arXiv 1711.10485, section 3.2).
"""

from keras import ops

KINDS = ("real", "mismatched", "fake")
LOSSES = ("least_squares", "logistic")


def squared_error(logits, target):
    """Mean of (logits - target)^2 over all images and patches."""
    return ops.mean(ops.square(logits - target))


def adversarial_loss(logits, real, loss="least_squares"):
    """Adversarial loss of one discriminator head for real or fake targets.

    The loss is the squared distance of the logits from 1 (real) or 0 (fake), or the sigmoid
    cross-entropy (`"logistic"`). It is averaged over images and patches and returned as a scalar.
    """
    if loss == "logistic":
        return ops.mean(ops.softplus(-logits if real else logits))
    return squared_error(logits, float(real))


def matching_aware_loss(real, wrong, fake, loss="least_squares"):
    """Discriminator loss of image-text pairs.

    The target of a real image with its text is real. The target of a real image with another
    image's text, and of a fake with its text, is fake; these two terms share one weight. The
    logits may have any equal shapes. Returns a scalar.
    """
    return sum(
        pair_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, wrong, fake), strict=True)
    )


def unconditional_loss(real, wrong, fake, loss="least_squares"):
    """Discriminator loss of images without their text.

    The target of both real images is real, whichever text they are paired with; these two terms
    share one weight. The target of a fake is fake.
    """
    return sum(
        image_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, wrong, fake), strict=True)
    )


def pair_term(logits, kind, loss="least_squares"):
    """Contribution of one of `KINDS` to `matching_aware_loss`."""
    return (
        adversarial_loss(logits, True, loss)
        if kind == "real"
        else adversarial_loss(logits, False, loss) / 2.0
    )


def image_term(logits, kind, loss="least_squares"):
    """Contribution of one of `KINDS` to `unconditional_loss`."""
    return (
        adversarial_loss(logits, False, loss)
        if kind == "fake"
        else adversarial_loss(logits, True, loss) / 2.0
    )


def damsm_loss(images, texts, gamma=10.0, others=None):
    """Contrastive image-text matching loss (DAMSM) over the batch.

    The loss is the sum of two cross-entropies of softmax(gamma * cosine): images against captions
    and captions against images. It uses whole sentences only. Captions with the same meaning are
    not excluded.

    Args:
        images: Image vectors `[N, D]`, from an encoder trained jointly with the text encoder.
        texts: Caption vectors `[N, D]`. Row i belongs to image i.
        gamma: Factor of the cosine similarities.
        others: Vectors `[M, D]` of captions that belong to no image of the batch. They are
            additional negatives for the images.

    Returns:
        A scalar.
    """
    images, texts = (_unit(ops.cast(vectors, "float32")) for vectors in (images, texts))
    scores = gamma * ops.matmul(images, ops.transpose(texts))  # [N, N], image i with caption j
    own, of_images = ops.diagonal(scores), scores
    if others is not None:
        beside = gamma * ops.matmul(
            images, ops.transpose(_unit(ops.cast(others, "float32")))
        )  # [N, M]
        of_images = ops.concatenate([scores, beside], axis=1)
    return ops.mean(ops.logsumexp(of_images, axis=1) - own) + ops.mean(
        ops.logsumexp(scores, axis=0) - own
    )


def _unit(vectors):
    return vectors * ops.rsqrt(ops.sum(ops.square(vectors), axis=1, keepdims=True) + 1e-8)
