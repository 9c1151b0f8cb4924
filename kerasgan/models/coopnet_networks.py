"""Networks of CoopNet: the descriptor and the generator; see `kerasgan.models.coopnet`."""

import warnings

import keras
from keras import initializers, layers

from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.convolution import conv2d, conv2d_transpose
from kerasgan.layers.summed_dense import SummedDense

SIZES = (28, 32, 64)


def _initializer(std):
    """Returns the authors' normal initializer, or PyTorch's default if `std` is `None`."""
    if std:
        return initializers.RandomNormal(0.0, std)
    return initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def build_descriptor(
    size: int,
    channels: int = 3,
    width: int = 64,
    *,
    head: int = 100,
    negative_slope: float = 0.2,
    initial_std: float | None = 0.01,
) -> keras.Model:
    """Builds the descriptor. It has no normalization, which would couple the Langevin chains.

    Input: images `[N, size, size, channels]` in [-1, 1].
    Output: f, `[N, 1]`.

    Args:
        size: Side of the images in pixels: 28, 32 or 64. The default network has 1,066,532
            parameters for gray images of 28 pixels, 2,012,388 and 6,927,588 for color images of 32
            and 64.
        channels: Number of image channels.
        width: Channels of the first convolution. The others have 2 and 4 times as many.
        head: Number of outputs that are summed. One Adam step changes a sum of 100 outputs a
            hundred times as much as one output.
        negative_slope: Negative slope of the leaky ReLUs, 0.2 in the authors' code and 0.01 in the
            port.
        initial_std: Standard deviation of the initial weights. `None` selects PyTorch's default,
            uniform within 1 / sqrt(inputs).
    """
    _check_size(size)
    images = x = keras.Input((size, size, channels), name="images")
    convolutions = ((4, 2), (4, 2), (4, 2)) if size == 28 else ((5, 2), (3, 2), (3, 1))
    for maps, (kernel, stride) in zip((width, 2 * width, 4 * width), convolutions, strict=True):
        # At 28 pixels: [N, 14, 14, 64], [N, 7, 7, 128], [N, 4, 4, 256]
        x = conv2d(x, maps, kernel, stride, kernel_initializer=_initializer(initial_std))
        x = layers.LeakyReLU(negative_slope)(x)
    f = SummedDense(head, kernel_initializer=_initializer(initial_std))(layers.Flatten()(x))
    return keras.Model(images, f, name="descriptor")


def build_generator(
    size: int,
    channels: int = 3,
    width: int = 64,
    *,
    latent_dim: int = 100,
    negative_slope: float = 0.2,
    initial_std: float | None = 0.005,
) -> keras.Model:
    """Builds the generator.

    Input: latents `[N, latent_dim]`.
    Output: images `[N, size, size, channels]` in [-1, 1].

    Args:
        size: Side of the images in pixels: 28, 32 or 64. The default network has 3,445,377
            parameters for gray images of 28 pixels, 1,439,747 and 5,127,683 for color images of 32
            and 64.
        channels: Number of image channels.
        width: Channels of the last map before the image (half of them at 28 pixels). Each earlier
            map has twice as many.
        latent_dim: Number of latent dimensions, at least 2. According to the training notes, fewer
            than 16 are not enough for color images.
        negative_slope: Negative slope of the leaky ReLUs.
        initial_std: Standard deviation of the initial weights; see `build_descriptor`.
    """
    _check_size(size)
    if latent_dim < 2:
        raise ValueError(
            f"latent_dim must be at least 2 (with fewer, nothing is learned); received {latent_dim}"
        )
    if latent_dim < 16 and channels > 1:
        warnings.warn(
            f"latent_dim {latent_dim} is small for color images; 100 is usual", stacklevel=2
        )
    latents = keras.Input((latent_dim,), name="latents")
    kernel, factors = {28: (4, (8, 4, 2)), 32: (5, (4, 2, 1)), 64: (5, (8, 4, 2, 1))}[size]

    def activate(x):
        return layers.LeakyReLU(negative_slope)(BatchNormalization(momentum=0.9, epsilon=1e-5)(x))

    def upsample(x, maps, kernel, strides=1, padding="valid"):
        weights = _initializer(initial_std)
        return conv2d_transpose(
            x, maps, kernel, strides, padding=padding, kernel_initializer=weights
        )

    x = layers.Reshape((1, 1, latent_dim))(latents)
    x = activate(upsample(x, factors[0] * width, 4))
    for factor in (*factors[1:], None):
        x = upsample(x, channels if factor is None else factor * width, kernel, 2, "same")
        if x.shape[1] == 8 and size == 28:
            # [N, 7, 7, C], as TensorFlow's transpose of a "same" convolution from 7 to 4 pixels
            x = layers.Cropping2D(((0, 1), (0, 1)))(x)
        x = layers.Activation("tanh")(x) if factor is None else activate(x)
    return keras.Model(latents, x, name="generator")


def _check_size(size):
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(map(str, SIZES))}; received {size}")
