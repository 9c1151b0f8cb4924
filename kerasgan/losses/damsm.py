"""The DAMSM loss (deep attentional multimodal similarity model) with sentence embeddings.

Reference:
    Xu et al., 2017, "AttnGAN: Fine-Grained Text to Image Generation with Attentional Generative
    Adversarial Networks", section 3.2, https://arxiv.org/abs/1711.10485
"""

from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


def damsm_loss(
    images: Tensor, texts: Tensor, gamma: float = 10.0, others: Tensor | None = None
) -> Tensor:
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
    images, texts = map(replicas.gather, (images, texts))
    images, texts = (_unit(ops.cast(vectors, "float32")) for vectors in (images, texts))
    scores = gamma * ops.matmul(images, ops.transpose(texts))  # [N, N], image i with caption j
    matching, per_image = ops.diagonal(scores), scores
    if others is not None:
        others = _unit(ops.cast(others, "float32"))
        negatives = gamma * ops.matmul(images, ops.transpose(others))  # [N, M]
        per_image = ops.concatenate([scores, negatives], axis=1)
    image_loss = ops.mean(ops.logsumexp(per_image, axis=1) - matching)
    caption_loss = ops.mean(ops.logsumexp(scores, axis=0) - matching)
    return image_loss + caption_loss


def _unit(vectors: Tensor) -> Tensor:
    """Normalizes vectors `[N, D]` to length 1."""
    return vectors * ops.rsqrt(ops.sum(ops.square(vectors), axis=1, keepdims=True) + 1e-8)
