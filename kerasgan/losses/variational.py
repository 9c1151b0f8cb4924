"""The evidence lower bound (ELBO) of variational autoencoders, in nats.

The ELBO of a sample is the log-likelihood of the input minus the KL divergence of its code from the
prior. Training maximizes it, so the loss is its negative. Encoders predict the logarithm of the
variance, sigma squared.

Reference:
    Kingma and Welling, 2013, "Auto-Encoding Variational Bayes", equation 3,
    https://arxiv.org/abs/1312.6114
"""

import keras
from keras import ops

from kerasgan.types import Tensor


def _total(x: Tensor) -> Tensor:
    """Sums each sample of `[N, ...]`."""
    return ops.sum(ops.reshape(x, (ops.shape(x)[0], -1)), axis=-1)  # [N]


@keras.saving.register_keras_serializable("kerasgan")
def normal_kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of codes `[N, D]` (appendix B), `[N]`, at least 0."""
    mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
    return _total(ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance) / 2


@keras.saving.register_keras_serializable("kerasgan")
def bernoulli_log_likelihood(images: Tensor, logits: Tensor) -> Tensor:
    """Log-likelihood `[N]` of images under pixel probabilities sigmoid(logits) (appendix C.1).

    Images `[N, ...]` in [-1, 1] are mapped to [0, 1]. For grey pixels the value is the negative
    cross-entropy, as is usual, and not a density.
    """
    ink, logits = (ops.cast(images, "float32") + 1.0) / 2.0, ops.cast(logits, "float32")
    return _total(ink * logits - ops.softplus(logits))


@keras.saving.register_keras_serializable("kerasgan")
def negative_elbo(log_likelihood: Tensor, divergence: Tensor) -> Tensor:
    """Negative mean of the ELBO over the batch, a scalar."""
    return ops.mean(divergence - log_likelihood)
