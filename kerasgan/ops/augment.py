"""Differentiable augmentation (DiffAugment) of images before a discriminator or a feature network.

The same augmentation is applied to real images and fakes.

Reference:
    Zhao et al., 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
    https://arxiv.org/abs/2006.10738
"""

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
def translate(
    images: Tensor, seed: keras.random.SeedGenerator, pixels: int = 2, fill: float = -1.0
) -> Tensor:
    """Shifts each image by a random number of whole pixels in each direction.

    Args:
        images: Images `[N, H, W, C]`.
        seed: `keras.random.SeedGenerator`.
        pixels: Largest shift in pixels.
        fill: Value of the pixels that are shifted in. The default is the black background of
            digits; the paper uses 0.

    Returns:
        Images `[N, H, W, C]`.
    """
    return shift(images, random_shifts(ops.shape(images)[0], seed, pixels), fill)


def random_shifts(count: int | Tensor, seed: keras.random.SeedGenerator, pixels: int) -> Tensor:
    """Returns random shifts of `count` images for `shift`, int32 `[2, count, 1, 1]`."""
    return replicas.randint((2, count, 1, 1), -pixels, pixels + 1, seed, axis=1)


def shift(images: Tensor, shifts: Tensor, fill: float = -1.0) -> Tensor:
    """Shifts images by whole pixels.

    The shift is a product with a 0-1 matrix. Its gradient is the opposite shift, and on the CPU it
    is faster than gathering.

    Args:
        images: Images `[N, H, W, C]`.
        shifts: Vertical and horizontal shift of each image in pixels, integers `[2, N, 1, 1]`.
        fill: Value of the pixels that are shifted in.

    Returns:
        Images `[N, H, W, C]`.
    """
    n = ops.shape(images)[0]
    _, height, width, channels = images.shape

    def matrix(size, by):  # [N, size, size]
        index = ops.arange(size)
        return ops.cast(ops.equal(index[None, :, None] + by, index[None, None, :]), images.dtype)

    x = ops.reshape(images - fill, (n, height, width * channels))
    x = ops.matmul(matrix(height, shifts[0]), x)  # rows
    x = ops.reshape(x, (n, height, width, channels))
    if channels == 1:
        x = ops.matmul(x[..., 0], matrix(width, shifts[1]))[..., None]
    else:
        x = ops.einsum("nhvc,nvw->nhwc", x, matrix(width, shifts[1]))
    return x + fill


@keras.saving.register_keras_serializable("kerasgan")
def crop(images: Tensor, seed: keras.random.SeedGenerator, smallest: float = 0.85) -> Tensor:
    """Crops a random rectangle of each image, flips it horizontally with probability 1/2, and
    resizes it bilinearly to the size of the image.

    A generator trained on the gradient of a frozen network learns meaningless textures that are
    aligned with the pixel grid. Random positions and scales prevent this.

    Args:
        images: Images `[N, H, W, C]`.
        seed: `keras.random.SeedGenerator`.
        smallest: Smallest side of the rectangle as a fraction of the image's side, in (0, 1].
            Height and width are sampled independently. With 1 the images are only flipped.

    Returns:
        Images `[N, H, W, C]`.

    Raises:
        ValueError: If `smallest` is not in (0, 1].
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest must be above 0 and at most 1; received {smallest}")
    n = ops.shape(images)[0]
    _, height, width, channels = images.shape
    sides, starts, mirrored = ops.unstack(replicas.uniform((3, 2, n, 1, 1), seed, axis=2), 3)
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
