"""Networks of `ProjectedTextGAN`: generator, discriminators and posterior.

References: see `kerasgan.models.projected_text_gan`.
"""

from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from kerasgan.dtype_policies import with_dtype_policy
from kerasgan.layers.conditional_affine import ConditionalAffine
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.frozen_features import build_frozen_features
from kerasgan.layers.image_conv import ImageConv2D
from kerasgan.layers.latent_flow import LatentFlow
from kerasgan.layers.mirror import Mirror
from kerasgan.layers.spectral_norm import spectral

LATENT_DIM = 64
# Channels at each size, as a multiple of `width`. Large maps take most of the time.
CHANNELS = {4: 8, 8: 8, 16: 6, 32: 2, 64: 1, 128: 0.75, 256: 0.5, 512: 0.25}


def _leaky(x, name=None):
    return layers.LeakyReLU(0.2, name=name)(x)


def _channels(size, width):
    return max(int(CHANNELS[size] * width), 4)


def _conv(x, filters, name, kernel=3):
    """He's initialization; 3 x 3 by the kernel that is fastest on the backend."""
    arguments = {"padding": "same", "kernel_initializer": "he_normal", "name": name}
    return (
        Conv3x3(filters, **arguments)(x)
        if kernel == 3
        else layers.Conv2D(filters, kernel, **arguments)(x)
    )


def _modulated(x, condition, name):
    # Names that are unique in a generator that a later process extends.
    return _leaky(ConditionalAffine(name=f"{name}_affine")([x, condition]), f"{name}_leaky")


def _stage(x, condition, image, size, width):
    """Doubles a map, then one residual convolution; adds this scale's image to the enlarged smaller
    one."""
    channels, name = _channels(size, width), f"block_{size}"
    if x.shape[1] < size:
        x = _conv(_modulated(x, condition, f"{name}_in"), channels, f"{name}_in")
        x = layers.UpSampling2D(interpolation="bilinear", name=f"{name}_up")(x)
    y = _conv(_modulated(x, condition, f"{name}_out"), channels, f"{name}_out")
    x = layers.Add(name=f"features_{size}")([x, y])  # [N, size, size, channels]
    if size < 16:
        return x, None
    small = initializers.VarianceScaling(0.01)  # larger ones saturate tanh
    rgb = layers.Conv2D(
        3, 3 if size >= 64 else 1, padding="same", kernel_initializer=small, name=f"rgb_{size}"
    )(_leaky(x, f"rgb_{size}_leaky"))
    if image is not None:
        larger = layers.UpSampling2D(interpolation="bilinear", name=f"enlarged_{size}")(image)
        rgb = layers.Add(name=f"image_{size}")([larger, rgb])
    return x, rgb


def build_generator(
    size: int = 64,
    width: int = 16,
    *,
    embedding_dim: int = 1024,
    latent_dim: int = LATENT_DIM,
    condition_dim: int = 128,
    mirror: bool = False,
    latent_flow: LatentFlow | None = None,
) -> keras.Model:
    """Builds a generator with affine text conditioning before every convolution.

    Args:
        size: Side of the images: 64, 128, 256 or 512.
        width: Multiplier of the channels: 8 times this at 4 x 4, once this at 64 x 64.
        embedding_dim: Dimension of the caption embeddings.
        latent_dim: Number of latent values.
        condition_dim: Units of the sentence code and of the layer that joins it with the latents.
        mirror: If `True`, the latents have one more value; images with a negative one are mirrored.
        latent_flow: Trained layer that moves the latents to those of a learned prior, see
            `kerasgan.latents.prior`. It is frozen.

    Returns:
        Model of embeddings `[N, embedding_dim]` and latents `[N, latent_dim]` to images `[N, size,
        size, 3]`.

    Raises:
        ValueError: `size` is none of the above.
    """
    if size not in CHANNELS or size < 64:
        raise ValueError(f"size must be 64, 128, 256 or 512; received {size}")
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    latents = keras.Input((latent_dim + mirror,), name="latents")
    codes = latents[:, :latent_dim]
    if latent_flow is not None:
        latent_flow.trainable = False
        codes = latent_flow([codes, embeddings])
    sentence = layers.Dense(condition_dim, name="sentence")(embeddings)
    joined = layers.Concatenate(name="latents_and_sentence")([codes, _leaky(sentence)])
    mixed = _leaky(
        layers.Dense(condition_dim, kernel_initializer="he_normal", name="mixed")(joined)
    )
    condition = layers.Concatenate(name="condition")([joined, mixed])
    first = _channels(4, width)
    x = layers.Reshape((4, 4, first))(layers.Dense(16 * first, name="start")(joined))
    image, scale = None, 4
    while scale <= size:
        x, image = _stage(x, condition, image, scale, width)
        scale *= 2
    return _generator([embeddings, latents], image, mirror)


def _generator(inputs, image, mirror):
    images = layers.Activation("tanh", name="images")(image)
    if mirror:
        images = Mirror(name="mirror")([images, inputs[1]])
    return keras.Model(inputs, images, name="generator")


def has_mirror(generator: keras.Model) -> bool:
    """Returns `True` if the last latent value of a generator mirrors its images."""
    return any(isinstance(layer, Mirror) for layer in generator.layers)


def has_latent_flow(generator: keras.Model) -> bool:
    """Returns `True` if the latents of a generator pass through a `LatentFlow`."""
    return any(isinstance(layer, LatentFlow) for layer in generator.layers)


def with_latent_flow(generator: keras.Model, latent_flow: LatentFlow) -> keras.Model:
    """Builds a copy of a generator whose latents first pass through a trained flow.

    Args:
        generator: Model built by `build_generator` or `extend_generator`, without a flow.
        latent_flow: Layer of a trained `kerasgan.latents.prior.LatentPrior`.

    Returns:
        Trainable model with the same inputs. The flow is frozen.
    """
    embeddings, latents = generator.inputs
    mirror = has_mirror(generator)
    copy = build_generator(
        generator.output.shape[1],
        generator.get_layer("features_4").output.shape[-1] // CHANNELS[4],
        embedding_dim=embeddings.shape[-1],
        latent_dim=latents.shape[-1] - mirror,
        condition_dim=generator.get_layer("sentence").units,
        mirror=mirror,
        latent_flow=latent_flow,
    )
    for layer in generator.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def extend_generator(generator: keras.Model, width: int = 16, frozen: bool = True) -> keras.Model:
    """Builds a generator of twice the size on top of a trained one, whose layers it shares.

    Its initial images are the enlarged images of the smaller generator, because the image that the
    new scale adds starts at zero.

    Args:
        generator: Model built by `build_generator` or this function.
        width: Multiplier of the new layers' channels.
        frozen: If `True`, the shared layers are not trained further (StyleGAN-XL).

    Returns:
        Model of the same inputs to images of twice the side.
    """
    small = generator.output.shape[1]
    size = 2 * small
    if size not in CHANNELS:
        raise ValueError(
            f"a generator can be extended to at most {max(CHANNELS)} pixels; "
            f"received one of {small}"
        )
    x, condition = (generator.get_layer(name).output for name in (f"features_{small}", "condition"))
    image = generator.get_layer("images").input
    _, image = _stage(x, condition, image, size, width)
    network = _generator(generator.inputs, image, has_mirror(generator))
    rgb = network.get_layer(f"rgb_{size}")
    for variable in rgb.variables:
        variable.assign(np.zeros(variable.shape))
    if frozen:
        for layer in generator.layers:
            layer.trainable = False
    return network


def build_generator_like(generator: keras.Model) -> keras.Model:
    """Builds a trainable copy of a generator, with its weights. A latent flow stays frozen.

    The copy has the current dtype policy instead of the generator's.
    """
    config = with_dtype_policy(generator.get_config(), keras.config.dtype_policy().name)
    copy = keras.Model.from_config(config | {"name": "generator"})
    copy.set_weights(generator.get_weights())
    copy.trainable = True
    for layer in copy.layers:
        if isinstance(layer, LatentFlow):
            layer.trainable = False
    return copy


def _projection(x, embeddings, text_dim, wrap, image_logits):
    """Outputs of a head: image logits [N, P], image code [N, text_dim], bias [N, 1], text code."""
    both = wrap(layers.Conv2D(text_dim + 1, x.shape[1]))(x)
    code, bias = ops.split(layers.Flatten()(both), [text_dim], axis=-1)
    text = wrap(layers.Dense(text_dim))(embeddings)
    return [layers.Flatten()(image_logits(x)), code, bias, text]


def build_feature_discriminator(
    features: keras.Model,
    *,
    embedding_dim: int = 1024,
    width: int = 48,
    text_dim: int = 64,
    spectral_norm: bool = True,
    mixing_seed: int = 0,
    name: str = "feature_discriminator",
) -> keras.Model:
    """Builds one projection head on each map of a frozen encoder.

    Args:
        features: From `build_frozen_features`; only the shapes of its maps are used.
        embedding_dim: Dimension of the caption embeddings.
        width: Channels of the heads.
        text_dim: Dimension of the codes whose inner product scores image-caption pairs.
        spectral_norm: If `True`, the layers use spectral normalization.
        mixing_seed: Seed of the fixed random 1 x 1 convolutions.
        name: Name of the network.

    Returns:
        Model of the maps and embeddings to four outputs for each head: image logits `[N, P]` of P
        patches, image codes `[N, text_dim]`, biases `[N, 1]` and text codes `[N, text_dim]`.
    """
    wrap = spectral if spectral_norm else lambda layer: layer
    maps = [keras.Input(x.shape[1:], name=f"map_{x.shape[1]}") for x in features.outputs]
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    outputs = []
    for index, x in enumerate(maps):
        mixing = initializers.HeNormal(seed=mixing_seed + index)
        x = layers.Conv2D(
            width,
            1,
            use_bias=False,
            kernel_initializer=mixing,
            trainable=False,
            name=f"mix_{index}",
        )(x)
        if x.shape[1] <= 8:
            x = _leaky(wrap(layers.Conv2D(width, 3, padding="same"))(x))
        while x.shape[1] > 4:
            x = _leaky(wrap(layers.Conv2D(width, 4, 2, padding="same"))(x))
        logits = wrap(layers.Conv2D(1, 3, padding="same"))
        outputs += _projection(x, embeddings, text_dim, wrap, logits)
    return keras.Model([*maps, embeddings], outputs, name=name)


def build_pixel_discriminator(
    size: int = 64,
    width: int = 16,
    *,
    embedding_dim: int = 1024,
    text_dim: int = 64,
    name: str = "pixel_discriminator",
) -> keras.Model:
    """Builds a narrow discriminator on pixels, without normalization.

    It detects errors that do not change the features of the frozen encoder.

    Args:
        size: Side of the input images in pixels, a power of two of at least 16.
        width: Channels of the feature map at half the size. Each smaller map has twice as many, up
            to `8 * width`.
        embedding_dim: Dimension of the caption embeddings.
        text_dim: Dimension of the codes whose inner product scores image-caption pairs.
        name: Name of the network.

    Returns:
        Model of images `[N, size, size, 3]` and embeddings to the four outputs of
        `build_feature_discriminator`'s heads.
    """
    images = keras.Input((size, size, 3), name="images")
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    start: dict[str, Any] = {"kernel_initializer": "he_normal", "padding": "same"}
    x, channels = _leaky(ImageConv2D(width, 4, 2, **start)(images)), width
    while x.shape[1] > 4:
        y = _leaky(Conv3x3(channels, **start)(x))
        x = layers.Add()([x, y])
        channels = min(2 * channels, 8 * width)
        x = _leaky(layers.Conv2D(channels, 4, 2, **start)(x))
    outputs = _projection(x, embeddings, text_dim, lambda layer: layer, layers.Conv2D(1, 4))
    return keras.Model([images, embeddings], outputs, name=name)


def build_posterior(
    features: keras.Model,
    *,
    embedding_dim: int = 1024,
    latent_dim: int = LATENT_DIM,
    width: int = 64,
    name: str = "posterior",
) -> keras.Model:
    """Builds the network that infers an image's latents from its frozen features and its caption.

    Args:
        features: Frozen encoder; its maps of at most 8 x 8 are used.
        embedding_dim: Dimension of the caption embeddings.
        latent_dim: Number of latent values.
        width: Channels of the convolutions.
        name: Name of the network.

    Returns:
        Model of the maps and embeddings to means and log variances, `[N, 2 * latent_dim]`.
    """
    maps = [keras.Input(x.shape[1:], name=f"map_{x.shape[1]}") for x in features.outputs]
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    codes = []
    for x in (x for x in maps if x.shape[1] <= 8):
        while x.shape[1] > 4:
            x = _leaky(layers.Conv2D(width, 4, 2, padding="same")(x))
        codes.append(x)
    x = layers.Concatenate()(codes) if len(codes) > 1 else codes[0]
    x = layers.Flatten()(_leaky(_conv(x, width, "joined")))
    x = layers.Concatenate()([x, _leaky(layers.Dense(width)(embeddings))])
    x = _leaky(layers.Dense(4 * width)(x))
    return keras.Model([*maps, embeddings], layers.Dense(2 * latent_dim)(x), name=name)


def frozen_maps(encoder: keras.Model, antialias: bool = True) -> keras.Model:
    """Returns a frozen network of feature maps.

    An encoder with several outputs is this network. From any other, `build_frozen_features` builds
    it.
    """
    if len(encoder.outputs) == 1:
        return build_frozen_features(encoder, antialias)
    encoder.trainable = False
    return encoder
