"""Differentiable augmentation of what a discriminator sees, real and fake alike (Zhao et al.,
Differentiable Augmentation for Data-Efficient GAN Training, arXiv 2006.10738)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasgan")
def translate(images, seed, pixels=2, fill=-1.0):
    """Shifts each image [N, H, W, C] by up to `pixels` whole pixels in each direction; what comes
    in is `fill`.

    A shift is a product with a 0-1 matrix, so its gradient is the shift back; cheaper here than
    gathering.

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


@keras.saving.register_keras_serializable("kerasgan")
def crop(images, seed, smallest=0.85):
    """A random rectangle of each image [N, H, W, C], mirrored by chance, scaled up to the image's
    size, bilinearly.

    A generator that is led by a fixed network finds textures on the pixels' grid that mean nothing;
    at another place and scale each time they are no use.

    Args:
        seed: `keras.random.SeedGenerator`.
        smallest: least side of the rectangle over the image's, above 0, at most 1 (then only
            mirrored); height and width are chosen each by itself.

    Returns:
        [N, H, W, C].
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest must be above 0 and at most 1; received {smallest}")
    n, height, width, channels = ops.shape(images)[0], *images.shape[1:]
    sides, starts, mirrored = ops.unstack(keras.random.uniform((3, 2, n, 1, 1), seed=seed), 3)
    sides = smallest + (1.0 - smallest) * sides  # [2, N, 1, 1]

    def matrix(size, side, start):  # [N, size, size]
        pixels = ops.arange(size, dtype=images.dtype)
        places = start * (1.0 - side) * size + (pixels[:, None] + 0.5) * side - 0.5  # [N, size, 1]
        return ops.relu(1.0 - ops.abs(ops.clip(places, 0.0, size - 1.0) - pixels))

    across = matrix(width, sides[1], starts[1])
    across = ops.where(mirrored[0] < 0.5, ops.flip(across, axis=1), across)
    x = ops.reshape(images, (n, height, width * channels))
    x = ops.matmul(matrix(height, sides[0], starts[0]), x)
    return ops.einsum("nwv,nhvc->nhwc", across, ops.reshape(x, (n, height, width, channels)))
