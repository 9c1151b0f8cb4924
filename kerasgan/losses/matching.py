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
    """What logits of one head lose that should say real, or fake: their squared distance from 1 or
    0, or the cross-entropy of their sigmoid ("logistic"), averaged over images and patches. A
    scalar."""
    if loss == "logistic":
        return ops.mean(ops.softplus(-logits if real else logits))
    return squared_error(logits, float(real))


def matching_aware_loss(real, wrong, fake, loss="least_squares"):
    """Of pairs: a real image with its text is real; a real image with another's text and a fake
    with its text are fake, and share one weight. Logits of any equal shapes -> scalar."""
    return sum(
        pair_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, wrong, fake), strict=True)
    )


def unconditional_loss(real, wrong, fake, loss="least_squares"):
    """Of images alone: both real images, whosever text they stand beside, are real and share one
    weight; a fake is fake."""
    return sum(
        image_term(logits, kind, loss)
        for kind, logits in zip(KINDS, (real, wrong, fake), strict=True)
    )


def pair_term(logits, kind, loss="least_squares"):
    """What one of `KINDS` adds to `matching_aware_loss`."""
    return (
        adversarial_loss(logits, True, loss)
        if kind == "real"
        else adversarial_loss(logits, False, loss) / 2.0
    )


def image_term(logits, kind, loss="least_squares"):
    """What one of `KINDS` adds to `unconditional_loss`."""
    return (
        adversarial_loss(logits, False, loss)
        if kind == "fake"
        else adversarial_loss(logits, True, loss) / 2.0
    )


def damsm_loss(images, texts, gamma=10.0, others=None):
    """How surely an image is told to be its own caption's among the batch's, and a caption its own
    image's: the sum of both cross-entropies of softmax(gamma * cosine). Sentences only; captions
    that mean the same are not left out.

    Vectors [N, D] of images and of captions, row by row a pair, from encoders that learnt together
    -> scalar. `others`, [M, D], are captions of no image here, from which an image must be told as
    well.
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
