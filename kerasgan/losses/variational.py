"""The evidence lower bound (Kingma and Welling, Auto-Encoding Variational Bayes, arXiv 1312.6114,
equation 3), in nats.

Of each sample, [N]: the log-likelihood of what was encoded and the divergence of its code from the
prior. Their difference, the ELBO, is maximised: the loss is its negative. What an encoder says of
the spread is the logarithm of the variance, sigma squared.
"""

import keras
from keras import ops


def _total(x):
    return ops.sum(ops.reshape(x, (ops.shape(x)[0], -1)), axis=-1)  # [N]


@keras.saving.register_keras_serializable("kerasgan")
def normal_kl_divergence(mean, log_variance):
    """KL(N(mean, variance) || N(0, 1)) of codes [N, D] (appendix B) -> [N], at least 0."""
    mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
    return _total(ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance) / 2


@keras.saving.register_keras_serializable("kerasgan")
def bernoulli_log_likelihood(images, logits):
    """Images [N, ...] in [-1, 1], read as chances of ink, under a pixel's chance sigmoid(logits)
    (appendix C.1) -> [N].

    Of grey pixels it is their negative cross-entropy, as is usual, and no density.
    """
    ink, logits = (ops.cast(images, "float32") + 1.0) / 2.0, ops.cast(logits, "float32")
    return _total(ink * logits - ops.softplus(logits))


@keras.saving.register_keras_serializable("kerasgan")
def negative_elbo(log_likelihood, divergence):
    """Minus the mean over the batch of the ELBO. A scalar."""
    return ops.mean(divergence - log_likelihood)
