"""Adversarial pairs, a discriminator's loss and a generator's, for a discriminator of one logit [N, 1] (high: real).

Labels are accepted and not looked at: a discriminator that conditions on classes has seen them already.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
def logistic_discriminator_loss(real_logits, fake_logits, labels=None):
    """Cross-entropy of real against fake (Goodfellow et al., arXiv 1406.2661, equation 1). A scalar."""
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


@keras.saving.register_keras_serializable("kerasgan")
def nonsaturating_generator_loss(fake_logits, labels=None):
    """-log D(fake), which does not saturate where the discriminator wins (arXiv 1406.2661, section 3). A scalar."""
    return ops.mean(ops.softplus(-ops.cast(fake_logits, "float32")))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_discriminator_loss(real_logits, fake_logits, labels=None):
    """Logits beyond 1 on their right side cost nothing (Lim and Ye, Geometric GAN, arXiv 1705.02894). A scalar."""
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_generator_loss(fake_logits, labels=None):
    """-D(fake) (arXiv 1705.02894). A scalar."""
    return -ops.mean(ops.cast(fake_logits, "float32"))
