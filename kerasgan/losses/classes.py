"""Adversarial losses for a discriminator of K + 1 classes, the last of which is "fake".

Logits are `[N, K + 1]`, labels are integers `[N]` from 0 to K - 1. Each function returns a scalar.

Reference:
    Salimans et al., 2016, "Improved Techniques for Training GANs", section 5,
    https://arxiv.org/abs/1606.03498
"""

import keras
from keras import ops

from kerasgan.types import Tensor


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the batch.

    Args:
        logits: Tensor `[N, K + 1]`.
        target: Class numbers `[N]`, or probabilities `[N, K + 1]` or `[K + 1]`.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    if len(target.shape) == 1 and "int" in keras.backend.standardize_dtype(target.dtype):
        target = ops.one_hot(target, logits.shape[-1])
    return -ops.mean(ops.sum(target * log_probabilities, axis=-1))


def _fake(logits: Tensor) -> Tensor:
    """Returns one-hot targets `[N, K + 1]` of the fake class."""
    classes = logits.shape[-1]
    return ops.one_hot(ops.full(ops.shape(logits)[:1], classes - 1, dtype="int32"), classes)


@keras.saving.register_keras_serializable("kerasgan")
def class_discriminator_loss(real_logits: Tensor, fake_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of real images with their class and of fakes with the last class."""
    return _cross_entropy(real_logits, labels) + _cross_entropy(fake_logits, _fake(fake_logits))


@keras.saving.register_keras_serializable("kerasgan")
def smoothed_class_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor
) -> Tensor:
    """`class_discriminator_loss` with one-sided label smoothing (arXiv 1606.03498, section 3.4).

    Real images have probability 0.9 for their class and 0.1 for "fake". Fakes stay one-hot.
    """
    real = 0.9 * ops.one_hot(labels, real_logits.shape[-1]) + 0.1 * _fake(real_logits)
    return _cross_entropy(real_logits, real) + _cross_entropy(fake_logits, _fake(fake_logits))


@keras.saving.register_keras_serializable("kerasgan")
def fake_weighted_class_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor
) -> Tensor:
    """The label smoothing of the training notes: a target of 0.9 for the fake class.

    This multiplies the cross-entropy of the fakes by 0.9, so it is a weight, not a smoothing.
    """
    return _cross_entropy(real_logits, labels) + 0.9 * _cross_entropy(
        fake_logits, _fake(fake_logits)
    )


@keras.saving.register_keras_serializable("kerasgan")
def class_generator_loss(fake_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of fakes with the class that they were generated for (non-saturating)."""
    return _cross_entropy(fake_logits, labels)
