"""Networks of HDGAN: the generator and the discriminators; see `kerasgan.models.hdgan`."""

from collections.abc import Iterable, Sequence

import keras
from keras import initializers, layers, ops

from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.reflection_conv import ReflectionConv2D, UpsampleConv2D
from kerasgan.types import Tensor

SIZES = (64, 128, 256)
LATENT_DIM = 100  # Section 4.1 of the paper's supplement; `noise_dim` in the authors' code.
CONDITION_DIM = 128
IMAGE_LOSSES = ("released", "global", "local", "both", None)
NORMS = ("batch", "layer", "none")


def normalization(kind: str = "batch", relu: bool = False) -> layers.Layer:
    """Returns a normalization layer.

    Args:
        kind: One of `NORMS`.
        relu: If `True`, batch normalization applies a ReLU to its outputs.
    """
    if kind == "layer":
        return layers.LayerNormalization(epsilon=1e-5)
    if kind == "none":
        return layers.Identity()
    # PyTorch's momentum and epsilon in Keras' convention. The code samples gamma from N(1, 0.02).
    return BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer=initializers.RandomNormal(1.0, 0.02),
        relu=relu,
    )


def initial_weights() -> keras.initializers.Initializer:
    """Returns the initializer of all kernels, N(0, 0.02)."""
    return initializers.RandomNormal(0.0, 0.02)


def dense(x: Tensor, units: int, activation: str | None = None) -> Tensor:
    """Applies a dense layer with PyTorch's initialization, uniform within 1 / sqrt(inputs)."""
    bound = x.shape[-1] ** -0.5
    uniform = lambda: initializers.RandomUniform(-bound, bound)  # noqa: E731
    return layers.Dense(
        units, activation, kernel_initializer=uniform(), bias_initializer=uniform()
    )(x)


def conv_block(x: Tensor, channels: int, relu: bool = True, up: bool = False) -> Tensor:
    """Applies a 3 x 3 convolution and batch normalization.

    Args:
        x: Feature maps `[N, H, W, C]`.
        channels: Number of output channels.
        relu: If `True`, applies a ReLU to the outputs.
        up: If `True`, upsamples by 2 before the convolution.
    """
    kind = UpsampleConv2D if up else ReflectionConv2D
    return normalization(relu=relu)(
        kind(channels, use_bias=False, kernel_initializer=initial_weights())(x)
    )


def residual_block(x: Tensor, up: bool = False) -> Tensor:
    """Applies two convolution blocks with a skip connection, after upsampling by 2 if `up`."""
    channels = x.shape[-1]
    y = conv_block(conv_block(x, channels, up=up), channels, relu=False)
    return layers.Add()([layers.UpSampling2D()(x) if up else x, y])


def leaky_relu(x: Tensor) -> Tensor:
    """Applies a leaky ReLU with the negative slope 0.2."""
    return layers.LeakyReLU(0.2)(x)


def check_sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    """Checks image sizes and sorts them.

    Args:
        sizes: Different image sizes of the form `64 * 2**k`.

    Returns:
        The sizes in ascending order.

    Raises:
        ValueError: If there is no size, a repeated size or a size of another form.
    """
    sizes = tuple(sizes)
    if (
        not sizes
        or len(set(sizes)) < len(sizes)
        or any(s < 64 or s % 64 or s // 64 & (s // 64 - 1) for s in sizes)
    ):
        raise ValueError(
            f"sizes must be distinct values out of 64, 128, 256, 512, ...; received {list(sizes)}"
        )
    return tuple(sorted(sizes))


def build_generator(
    sizes: Sequence[int] = SIZES,
    width: int = 128,
    *,
    embedding_dim: int = 1024,
    latent_dim: int = LATENT_DIM,
    condition_dim: int = CONDITION_DIM,
    residual_blocks: int = 1,
    skip: bool = False,
    conditioning_noise: float = 1.0,
) -> keras.Model:
    """Builds the generator, which outputs an image at every resolution in `sizes`.

    The network is one stack from 4 x 4 pixels to the largest size ("plain", "gen_origin").

    Inputs: caption embeddings `[N, embedding_dim]`, latents `[N, latent_dim]` and conditioning
    noise `[N, condition_dim]`, both from N(0, 1). With zero noise the condition is its mean.

    Outputs: a list of images `[N, s, s, 3]` in [-1, 1] for each size, smallest first, followed by
    the mean and the log standard deviation of the condition, both `[N, condition_dim]`.

    Args:
        sizes: Image sizes. Fewer than three sizes give the training notes' "single_256",
            "comb_64_256" and "comb_128_256".
        width: One eighth of the channels at 4 x 4 pixels. 128 (paper) gives 41,378,496 parameters.
        embedding_dim: Dimension of the caption embeddings.
        latent_dim: Dimension of the latents.
        condition_dim: Dimension of the condition.
        residual_blocks: Residual blocks per scale: 1 in the released code, 2 in earlier runs.
        skip: If `True`, adds the "upsampling skip connection" ("large multimodal path"): the
            feature maps at 4, 8 and 16 pixels are upsampled by 8, with three convolutions, and
            joined to those at 32, 64 and 128 pixels. `False` is "noupsample".
        conditioning_noise: Scale of the conditioning augmentation noise. The paper uses 1. Smaller
            values help short trainings, where this noise would otherwise dominate the caption.

    Returns:
        The generator.
    """
    sizes = check_sizes(sizes)
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    latents = keras.Input((latent_dim,), name="latents")
    noise = keras.Input((condition_dim,), name="noise")
    # The code, too, applies the activation to the log standard deviation.
    x = leaky_relu(dense(embeddings, 2 * condition_dim))
    mean, log_deviation = ops.split(x, 2, axis=-1)
    condition = mean + conditioning_noise * ops.exp(log_deviation) * noise
    x = dense(layers.Concatenate()([condition, latents]), 4 * 4 * 8 * width)
    x = layers.Reshape((4, 4, 8 * width))(normalization()(x))  # no activation
    scale, channels, images = 4, 8 * width, []
    maps: dict[int, keras.KerasTensor] = {}
    while True:
        halved = scale in (8, 32) or scale >= 128
        if halved:
            channels //= 2
            x = conv_block(x, channels, up=True)
        for index in range(residual_blocks):
            up = scale > 4 and not halved and index == 0
            x = residual_block(x, up=up)  # [N, scale, scale, channels]
        if skip and scale // 8 in maps:
            x = _join_skip(x, maps[scale // 8])
        maps[scale] = x
        if scale in sizes:
            rgb = ReflectionConv2D(
                3, use_bias=False, kernel_initializer=initial_weights(), activation="tanh"
            )
            images.append(rgb(x))
        if scale == sizes[-1]:
            return keras.Model(
                [embeddings, latents, noise], [*images, mean, log_deviation], name="generator"
            )
        scale *= 2


def _join_skip(x: Tensor, small: Tensor) -> Tensor:
    """Joins the maps of a skip connection, upsampled by 8, to `x`."""
    if x.shape[1] > 128:  # The skip connection of the training notes ends at 128 pixels.
        return x
    channels = small.shape[-1]
    for _ in range(3):
        channels //= 2
        small = conv_block(small, channels, up=True)
    x = layers.Concatenate()([x, small])
    return normalization()(
        layers.Conv2D(
            x.shape[-1] - channels, 1, use_bias=False, kernel_initializer=initial_weights()
        )(x)
    )


def build_discriminator(
    size: int,
    width: int = 128,
    *,
    embedding_dim: int = 1024,
    text_dim: int = 128,
    image_loss: str | None = "released",
    extra_conv: bool = True,
    norm: str = "batch",
) -> keras.Model:
    """Builds the discriminator of one resolution.

    Inputs: images `[N, size, size, 3]` and caption embeddings `[N, embedding_dim]`.

    Outputs: a list with the logits of the image-caption pair, `[N, 1]`, followed by the logits
    `[N, h, w, 1]` of each head that scores the image alone.

    Args:
        size: Image size, `64 * 2**k`. The three full-width discriminators for 64, 128 and 256
            pixels have 25,693,606 parameters together.
        width: One quarter of the channels of the image features. 128 (paper) gives 512 channels.
        embedding_dim: Dimension of the caption embeddings.
        text_dim: Dimension of the text features. Each discriminator has its own projection.
        image_loss: Heads that score the image alone.

            - `"released"` (paper): a 4 x 4 convolution of the image features. It gives one logit
              at 64 and 128 pixels and 5 x 5 patches at 256. This was accidental in the code
              ("plain_gl_disc") and became the paper's local discriminator.
            - `"global"`: one logit at each size ("fulglo", "disc_global", "disc_origin").
            - `"local"`: one logit per position of the feature map, 4 x 4 at 128 and 8 x 8 at 256
              pixels. At 64 pixels it is the global head ("disc_local": "64 never uses local").
            - `"both"`: the global and the local head ("disc_both").
            - `None`: no such head, pairs only ("disc_global_no_img", the best birds of the
              training notes).
        extra_conv: If `True` (paper), adds a 1 x 1 convolution of the joined image and text
            features ("extra 1x1 to embed image feature", "revisedisc").
        norm: Normalization: `"batch"` (paper), `"layer"` (over the channels of each position) or
            `"none"` (with He initialization). Real, mismatched and fake pairs are separate
            batches, so the statistics of batch norm reveal which batch is which. Narrow networks
            then learn the statistics instead of the pairs. Layer norm removes the magnitude of
            the features at each position.

    Returns:
        The discriminator.

    Raises:
        ValueError: If an option has an unknown value.
    """
    (size,) = check_sizes([size])
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; received {norm!r}")
    if image_loss not in IMAGE_LOSSES:
        known = ", ".join(map(str, IMAGE_LOSSES))
        raise ValueError(f"image_loss must be one of {known}; received {image_loss!r}")
    code, weights = 4 * width, initializers.HeNormal if norm == "none" else initial_weights
    images = keras.Input((size, size, 3), name="images")
    embeddings = keras.Input((embedding_dim,), name="embeddings")

    def conv(x, channels, kernel, stride=1, padding="same"):
        return layers.Conv2D(
            channels, kernel, stride, padding, use_bias=False, kernel_initializer=weights()
        )(x)

    halvings = size.bit_length() - 4
    channels = [max(code >> n, 1) for n in reversed(range(halvings))]  # 256: 32, 64, 128, 256, 512
    x = leaky_relu(conv(images, channels[0], 3, 2))
    for maps in channels[1:]:
        x = leaky_relu(normalization(norm)(conv(x, maps, 3, 2)))
    # x is [N, 8, 8, 512]. At 64 and 128 pixels all heads use the reduced map; at 256 pixels only
    # the pair's head does.
    reduced = leaky_relu(normalization(norm)(conv(x, code, 5, padding="valid")))  # [N, 4, 4, 512]
    x = reduced if size < 256 else x
    text = leaky_relu(dense(embeddings, text_dim))
    tiled = layers.Reshape((4, 4, text_dim))(layers.RepeatVector(16)(text))
    pair = layers.Concatenate()([reduced, tiled])  # [N, 4, 4, 640]
    if extra_conv:
        pair = leaky_relu(normalization(norm)(conv(pair, code, 1)))

    def head(x, kernel):
        return layers.Conv2D(
            1, kernel, kernel_initializer=weights(), bias_initializer=pytorch_bias(x, kernel)
        )(x)

    heads = {
        "released": lambda: head(x, 4),
        "global": lambda: head(reduced, 4),
        "local": lambda: head(x, 1),
    }
    kinds = _image_heads(image_loss, size)
    logits = [layers.Flatten()(head(pair, 4)), *(heads[kind]() for kind in kinds)]
    return keras.Model([images, embeddings], logits, name=f"discriminator_{size}")


def _image_heads(image_loss: str | None, size: int) -> tuple[str, ...]:
    """Returns the kinds of heads that score the image alone; see `build_discriminator`."""
    if image_loss is None:
        return ()
    if size == 64:
        return ("global",)
    return ("global", "local") if image_loss == "both" else (image_loss,)


def pytorch_bias(x: Tensor, kernel: int) -> keras.initializers.Initializer:
    """Returns PyTorch's default initializer of the bias of a convolution.

    Args:
        x: Input of the convolution `[N, H, W, C]`.
        kernel: Side of the kernel.
    """
    bound = (x.shape[-1] * kernel * kernel) ** -0.5
    return initializers.RandomUniform(-bound, bound)
