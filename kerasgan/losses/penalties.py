"""Gradient penalties for the losses of the discriminator and of the generator.

Some functions take gradients. Others take `(critic, real, fake, seed)`, for models that accept a
penalty function: `critic` is a function of images `[N, ...]` that returns logits, `seed` a
`keras.random.SeedGenerator`.
"""

from collections.abc import Callable

import keras
from keras import ops

from kerasgan import backend
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.types import Tensor

Critic = Callable[[Tensor], Tensor]


@keras.saving.register_keras_serializable("kerasgan")
def r1_penalty(
    critic: Critic, real: Tensor, fake: Tensor, seed: keras.random.SeedGenerator
) -> Tensor:
    """R1 penalty: half of `squared_gradient_norm` at the real images.

    The caller multiplies it by gamma (arXiv 1801.04406, equation 9).
    """
    return squared_gradient_norm(_input_gradient(critic, real)) / 2


@keras.saving.register_keras_serializable("kerasgan")
def unit_gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, seed: keras.random.SeedGenerator
) -> Tensor:
    """`unit_gradient_norm` at the real images, the penalty of the reproduction of StylEx."""
    return unit_gradient_norm(_input_gradient(critic, real))


@keras.saving.register_keras_serializable("kerasgan")
def wgan_gp_penalty(
    critic: Critic, real: Tensor, fake: Tensor, seed: keras.random.SeedGenerator
) -> Tensor:
    """WGAN-GP penalty: `unit_gradient_norm` at random points between real and fake images.

    The interpolation weights are uniform. The caller multiplies the penalty by lambda, 10 in the
    paper (arXiv 1704.00028, algorithm 1). The critic must have no batch norm, because the penalty
    applies to each image's own gradient.
    """
    share = replicas.uniform((ops.shape(real)[0], *[1] * (len(real.shape) - 1)), seed)
    real, fake = full_precision((real, fake))
    between = real + ops.cast(share, real.dtype) * (fake - real)
    return unit_gradient_norm(_input_gradient(critic, between))


@keras.saving.register_keras_serializable("kerasgan")
def squared_gradient_norm(gradients: Tensor) -> Tensor:
    """Mean over the batch of ||gradient||^2 for gradients `[N, ...]`.

    R1 (Mescheder et al., 2018, https://arxiv.org/abs/1801.04406, equation 9) is gamma / 2 times
    this value at real images.
    """
    return ops.mean(_squared_norms(gradients))


@keras.saving.register_keras_serializable("kerasgan")
def unit_gradient_norm(gradients: Tensor) -> Tensor:
    """Mean over the batch of (||gradient|| - 1)^2 for gradients `[N, ...]`.

    WGAN-GP (Gulrajani et al., 2017, https://arxiv.org/abs/1704.00028, equation 3) uses gradients at
    points between real images and fakes.
    """
    lengths = ops.sqrt(_squared_norms(gradients) + 1e-12)  # The square root has no gradient at 0.
    return ops.mean(ops.square(lengths - 1.0))


def path_lengths(gradients: Tensor) -> Tensor:
    """Path lengths of StyleGAN2's regularization, ||J^T y||, from gradients `[N, L, D]`.

    The gradients are those of <images, noise> with respect to the styles of L layers. The result
    `[N]` is the root of the mean over layers of ||gradient||^2.

    Reference:
        Karras et al., 2019, section 3.2, https://arxiv.org/abs/1912.04958
    """
    squares = ops.sum(ops.square(ops.cast(gradients, "float32")), axis=-1)
    return ops.sqrt(ops.mean(squares, axis=-1) + 1e-12)  # The square root has no gradient at 0.


def _input_gradient(critic: Critic, x: Tensor) -> Tensor:
    if hasattr(critic, "input_gradient"):  # `training.Critic` applies the loss scale.
        return critic.input_gradient(x)
    return backend.value_and_input_gradient(critic, x)[1]


def _squared_norms(gradients: Tensor) -> Tensor:
    gradients = ops.cast(gradients, "float32")
    gradients = ops.reshape(gradients, (ops.shape(gradients)[0], -1))
    return ops.sum(ops.square(gradients), axis=-1)  # [N]
