"""Adversarial pairs for a discriminator of K + 1 classes, the last of which is "fake" (Salimans et
al., Improved Techniques for Training GANs, arXiv 1606.03498, section 5).

Logits are [N, K + 1], labels integers [N] in 0..K-1; each function returns a scalar.
"""

import keras
from keras import ops


def _cross_entropy(logits, target):
    """Mean over the batch; `target` are class numbers [N] or distributions [N, K + 1] (or [K +
    1]).
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    if len(target.shape) == 1 and "int" in keras.backend.standardize_dtype(target.dtype):
        target = ops.one_hot(target, logits.shape[-1])
    return -ops.mean(ops.sum(target * log_probabilities, axis=-1))


def _fake(logits):
    return ops.one_hot(
        ops.full(ops.shape(logits)[:1], logits.shape[-1] - 1, dtype="int32"), logits.shape[-1]
    )


@keras.saving.register_keras_serializable("kerasgan")
def class_discriminator_loss(real_logits, fake_logits, labels):
    """Cross-entropy: real images to their class, fakes to the last one."""
    return _cross_entropy(real_logits, labels) + _cross_entropy(fake_logits, _fake(fake_logits))


@keras.saving.register_keras_serializable("kerasgan")
def smoothed_class_discriminator_loss(real_logits, fake_logits, labels):
    """One-sided label smoothing (section 3.4): real images 0.9 to their class and 0.1 to "fake";
    fakes stay one-hot.
    """
    real = 0.9 * ops.one_hot(labels, real_logits.shape[-1]) + 0.1 * _fake(real_logits)
    return _cross_entropy(real_logits, real) + _cross_entropy(fake_logits, _fake(fake_logits))


@keras.saving.register_keras_serializable("kerasgan")
def fake_weighted_class_discriminator_loss(real_logits, fake_logits, labels):
    """The training notes' "smoothing": 0.9 on the fake class. It is 0.9 times the fakes'
    cross-entropy: a weight.
    """
    return _cross_entropy(real_logits, labels) + 0.9 * _cross_entropy(
        fake_logits, _fake(fake_logits)
    )


@keras.saving.register_keras_serializable("kerasgan")
def class_generator_loss(fake_logits, labels):
    """Cross-entropy of the fakes to the class they were asked for (non-saturating)."""
    return _cross_entropy(fake_logits, labels)
