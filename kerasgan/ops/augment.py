"""Differentiable augmentation of what a discriminator sees, real and fake alike (Zhao et al., Differentiable
Augmentation for Data-Efficient GAN Training, arXiv 2006.10738)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
def translate(images, seed, pixels=2, fill=-1.0):
    """Shifts each image [N, H, W, C] by up to `pixels` whole pixels in each direction; what comes in is `fill`.

    A shift is a product with a 0-1 matrix, so its gradient is the shift back; cheaper here than gathering.

    Args:
        seed: `keras.random.SeedGenerator`.
        fill: -1.0, black, the background of digits (the paper fills with 0).
    """
    n, height, width, channels = ops.shape(images)[0], *images.shape[1:]
    shifts = keras.random.randint((2, n, 1, 1), -pixels, pixels + 1, seed=seed)

    def matrix(size, shift):  # [N, size, size]
        index = ops.arange(size)
        return ops.cast(ops.equal(index[None, :, None] + shift, index[None, None, :]), images.dtype)

    x = ops.reshape(images - fill, (n, height, width * channels))
    x = ops.matmul(matrix(height, shifts[0]), x)  # rows
    x = ops.reshape(x, (n, height, width, channels))
    if channels == 1:
        x = ops.matmul(x[..., 0], matrix(width, shifts[1]))[..., None]
    else:
        x = ops.einsum("nhvc,nvw->nhwc", x, matrix(width, shifts[1]))
    return x + fill
