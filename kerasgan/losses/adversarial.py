"""Discriminator and generator losses for a discriminator with one logit per image.

Logits are `[N, 1]`; a high logit means real. The functions accept labels and ignore them, because
a class-conditional discriminator already receives them as input.
"""

from typing import Any

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
def logistic_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of real and fake logits (Goodfellow et al., arXiv 1406.2661, equation
    1).

    Returns a scalar.
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


@keras.saving.register_keras_serializable("kerasgan")
def smoothed_logistic_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Logistic loss with one-sided label smoothing.

    The target of reals is 0.9; the target of fakes stays 0 (Salimans et al., arXiv 1606.03498,
    section 3.4).
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(0.9 * ops.softplus(-real) + 0.1 * ops.softplus(real)) + ops.mean(
        ops.softplus(fake)
    )


@keras.saving.register_keras_serializable("kerasgan")
class NoisyLabels(keras.layers.Layer):
    """`logistic_discriminator_loss` with noisy labels.

    Each step flips the labels of a few randomly chosen images. This is a practitioners' heuristic.
    It is a layer instead of a function because it uses random numbers: the model that receives it
    stores the state of its seed generator.

    Args:
        share: Share of the labels to flip, in [0, 0.5).
        seed: Integer seed of the random choice.
        **arguments: Arguments of `keras.layers.Layer`.

    Reference:
        Chintala et al., 2016, "How to Train a GAN? Tips and Tricks to Make GANs Work",
        https://github.com/soumith/ganhacks
    """

    def __init__(self, share: float = 0.05, seed: int = 0, **arguments: Any):
        super().__init__(**arguments)
        if not 0 <= share < 0.5:
            raise ValueError(
                "share must be at least 0 and less than 0.5 (labels flipped half of the time carry "
                f"no information); received {share}"
            )
        self.share, self.seed = share, seed
        self.seeds = keras.random.SeedGenerator(seed)
        self.built = True

    def call(
        self, real_logits: Tensor, fake_logits: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        return self._loss(ops.cast(real_logits, "float32")) + self._loss(
            -ops.cast(fake_logits, "float32")
        )

    def _loss(self, logits: Tensor) -> Tensor:
        """Noisy loss of logits that are high where the discriminator is correct."""
        flipped = replicas.uniform(ops.shape(logits), self.seeds) < self.share
        return ops.mean(ops.softplus(ops.where(flipped, logits, -logits)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"share": self.share, "seed": self.seed}


@keras.saving.register_keras_serializable("kerasgan")
def minmax_generator_loss(fake_logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Minimax generator loss, log(1 - D(fake)) (arXiv 1406.2661, equation 1).

    It is the discriminator's loss on fakes with the opposite sign. Its gradient vanishes where the
    discriminator rejects fakes with certainty. Returns a scalar.
    """
    return -ops.mean(ops.softplus(ops.cast(fake_logits, "float32")))


@keras.saving.register_keras_serializable("kerasgan")
def nonsaturating_generator_loss(fake_logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Non-saturating generator loss, -log D(fake) (arXiv 1406.2661, section 3).

    Its gradient does not vanish where the discriminator rejects fakes with certainty. Returns a
    scalar.
    """
    return ops.mean(ops.softplus(-ops.cast(fake_logits, "float32")))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Hinge loss of the discriminator (Lim and Ye, Geometric GAN, arXiv 1705.02894).

    Correct logits beyond a margin of 1 add no loss. Returns a scalar.
    """
    real, fake = ops.cast(real_logits, "float32"), ops.cast(fake_logits, "float32")
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


@keras.saving.register_keras_serializable("kerasgan")
def hinge_generator_loss(fake_logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Generator loss of the hinge pair, -D(fake) (arXiv 1705.02894). Returns a scalar."""
    return -ops.mean(ops.cast(fake_logits, "float32"))


@keras.saving.register_keras_serializable("kerasgan")
def wasserstein_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Wasserstein critic loss (arXiv 1701.07875, equation 2).

    The loss is the mean logit of the fakes minus the mean logit of the reals, a scalar. The
    critic's gradient must be bounded, for example with `penalties.wgan_gp_penalty`.
    """
    return ops.mean(ops.cast(fake_logits, "float32")) - ops.mean(ops.cast(real_logits, "float32"))


@keras.saving.register_keras_serializable("kerasgan")
def wasserstein_generator_loss(fake_logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Wasserstein generator loss, -D(fake) (arXiv 1701.07875, theorem 3). Returns a scalar."""
    return -ops.mean(ops.cast(fake_logits, "float32"))
