"""Adversarial pairs, a discriminator's loss and a generator's, for a discriminator of one logit [N,
1] (high: real).

Labels are accepted and not looked at: a discriminator that conditions on classes has seen them
already.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
def logistic_discriminator_loss(real_logits, fake_logits, labels=None):
    """Cross-entropy of real against fake (Goodfellow et al., arXiv 1406.2661, equation 1). A
    scalar.
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


@keras.saving.register_keras_serializable("kerasgan")
def smoothed_logistic_discriminator_loss(real_logits, fake_logits, labels=None):
    """Soft labels, on one side: reals are 0.9, fakes stay 0 (Salimans et al., arXiv 1606.03498,
    section 3.4).
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(0.9 * ops.softplus(-real) + 0.1 * ops.softplus(real)) + ops.mean(
        ops.softplus(fake)
    )


@keras.saving.register_keras_serializable("kerasgan")
class NoisyLabels(keras.layers.Layer):
    """`logistic_discriminator_loss` with noisy labels: those of a few images, others in each step,
    are turned round.

    From lore: Chintala et al., "How to Train a GAN?", NIPS 2016. A layer, and not a function, since
    it draws: the model that is handed it keeps its seed.

    Args:
        share: of the labels to turn round, from 0 to under 0.5.
        seed: of the draw.
    """

    def __init__(self, share=0.05, seed=0, **arguments):
        super().__init__(**arguments)
        if not 0 <= share < 0.5:
            raise ValueError(
                "share must be at least 0 and under 0.5 (half the labels say nothing); received "
                f"{share}"
            )
        self.share, self.seed, self.seeds, self.built = (
            share,
            seed,
            keras.random.SeedGenerator(seed),
            True,
        )

    def call(self, real_logits, fake_logits, labels=None):
        return self._loss(ops.cast(real_logits, "float32")) + self._loss(
            -ops.cast(fake_logits, "float32")
        )

    def _loss(self, logits):
        """Of logits that are high where the image is on its own side."""
        turned = keras.random.uniform(ops.shape(logits), seed=self.seeds) < self.share
        return ops.mean(ops.softplus(ops.where(turned, logits, -logits)))

    def get_config(self):
        return super().get_config() | {"share": self.share, "seed": self.seed}


@keras.saving.register_keras_serializable("kerasgan")
def minmax_generator_loss(fake_logits, labels=None):
    """log(1 - D(fake)): the discriminator's own loss, its sign turned (arXiv 1406.2661, equation
    1), whose gradient vanishes where the discriminator wins. A scalar."""
    return -ops.mean(ops.softplus(ops.cast(fake_logits, "float32")))


@keras.saving.register_keras_serializable("kerasgan")
def nonsaturating_generator_loss(fake_logits, labels=None):
    """-log D(fake), which does not saturate where the discriminator wins (arXiv 1406.2661, section
    3). A scalar.
    """
    return ops.mean(ops.softplus(-ops.cast(fake_logits, "float32")))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_discriminator_loss(real_logits, fake_logits, labels=None):
    """Logits beyond 1 on their right side cost nothing (Lim and Ye, Geometric GAN, arXiv
    1705.02894). A scalar.
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_generator_loss(fake_logits, labels=None):
    """-D(fake) (arXiv 1705.02894). A scalar."""
    return -ops.mean(ops.cast(fake_logits, "float32"))


@keras.saving.register_keras_serializable("kerasgan")
def wasserstein_discriminator_loss(real_logits, fake_logits, labels=None):
    """The critic's: mean of fakes less mean of reals (arXiv 1701.07875, equation 2). A scalar.

    It needs a bound on the critic's slope, such as `penalties.wgan_gp_penalty`.
    """
    return ops.mean(ops.cast(fake_logits, "float32")) - ops.mean(ops.cast(real_logits, "float32"))


@keras.saving.register_keras_serializable("kerasgan")
def wasserstein_generator_loss(fake_logits, labels=None):
    """-D(fake) (arXiv 1701.07875, theorem 3). A scalar."""
    return -ops.mean(ops.cast(fake_logits, "float32"))
