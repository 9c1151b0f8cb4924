"""Text-to-image GAN that trains fast on a small budget: affine text conditioning and a
frozen-feature discriminator.

Tao et al., "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis" (arXiv
2008.05865); Sauer et al., "Projected GANs Converge Faster" (arXiv 2111.01007); Huang et al., "The
GAN is dead; long live the GAN! A Modern Baseline GAN" (arXiv 2501.05441); Sauer et al.,
"StyleGAN-XL" (arXiv 2202.00273) for the stages of growing size.

Differences from the papers:

- One affine transformation before each convolution, not two (DF-GAN): on the largest maps, one of
  them takes half the time of a convolution on a CPU.
- Convolutions that reduce channels run before the upsampling. This needs a quarter of the
  arithmetic.
- The output is a sum of one image at each scale, as in StyleGAN2 (arXiv 1912.04958), so that a
  larger stage starts from the enlarged image of the smaller one.
- The frozen encoder is one trained on the task's own images, not on ImageNet; its channels are
  mixed by fixed random 1 x 1 convolutions, its scales are not mixed.
- Text joins by projection (arXiv 1802.05637), so every image of a batch is scored with every
  caption at the price of one matrix product, and all mismatched pairs serve as negatives.
- Spectral normalization is applied once after each update and not in each forward pass
  (`layers.spectral_norm`).
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.ema import ema_copy
from kerasgan.layers.conditional_affine import ConditionalAffine
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.frozen_features import build_frozen_features
from kerasgan.layers.image_conv import ImageConv2D
from kerasgan.layers.mirror import Mirror
from kerasgan.layers.spectral_norm import project, spectral
from kerasgan.losses.damsm import damsm_loss
from kerasgan.losses.paired import (
    contrastive_matching_loss,
    matching_hinge_loss,
    relativistic_loss,
    relativistic_matching_loss,
)
from kerasgan.losses.penalties import squared_gradient_norm
from kerasgan.losses.variational import normal_kl_divergence
from kerasgan.models.text_to_image import TextToImageModel
from kerasgan.ops import replicas
from kerasgan.ops.augment import translate
from kerasgan.ops.precision import full_precision
from kerasgan.types import Tensor

LATENT_DIM = 64
# Channels at each size, as a multiple of `width`. Large maps take most of the time.
CHANNELS = {4: 8, 8: 8, 16: 6, 32: 2, 64: 1, 128: 0.75, 256: 0.5, 512: 0.25}

# === Networks ===


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
) -> keras.Model:
    """Builds a generator with affine text conditioning before every convolution.

    Args:
        size: Side of the images: 64, 128, 256 or 512.
        width: Multiplier of the channels: 8 times this at 4 x 4, once this at 64 x 64.
        embedding_dim: Dimension of the caption embeddings.
        latent_dim: Number of latent values.
        condition_dim: Units of the sentence code and of the layer that joins it with the latents.

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
    sentence = layers.Dense(condition_dim, name="sentence")(embeddings)
    joined = layers.Concatenate(name="latents_and_sentence")(
        [latents[:, :latent_dim], _leaky(sentence)]
    )
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
    """Builds a trainable copy of a generator, with its weights."""
    copy = keras.Model.from_config(generator.get_config() | {"name": "generator"})
    copy.set_weights(generator.get_weights())
    copy.trainable = True
    return copy


def _projection(x, embeddings, text_dim, image_logits):
    """Outputs of a head: image logits [N, P], image code [N, text_dim], bias [N, 1], text code.

    The codes have no spectral normalization: it would limit the range of their inner product, and
    thus how well the head tells similar captions apart.
    """
    both = layers.Conv2D(text_dim + 1, x.shape[1])(x)
    code, bias = ops.split(layers.Flatten()(both), [text_dim], axis=-1)
    text = layers.Dense(text_dim)(embeddings)
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
        spectral_norm: If `True`, the convolutions use spectral normalization.
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
        outputs += _projection(x, embeddings, text_dim, logits)
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
    outputs = _projection(x, embeddings, text_dim, layers.Conv2D(1, 4))
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


def _pairs(head):
    """Logits of every image with every caption [N, N], from one head's four outputs."""
    _, code, bias, text = map(replicas.gather, head)
    return bias + ops.matmul(code, ops.transpose(text)) * code.shape[-1] ** -0.5


def _split(head, count):
    """One head's outputs for a batch of reals and then fakes, taken apart; both have the same
    captions."""
    return [part[:count] for part in head], [part[count:] for part in head]


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class ProjectedTextGAN(TextToImageModel):
    """Text-to-image GAN with discriminators on the features of a frozen encoder.

    Training data: `(images, embeddings)`, float images `[N, S, S, 3]` in [-1, 1] and embeddings
    `[N, D]` of their captions. N is at least 2, because mismatched pairs combine an image with the
    caption of another image of the batch.

    The inputs of the discriminators have the encoder's size: the whole image, average-pooled, and
    for larger generators a random crop as well. The heads for crops do not use the caption.

    Args:
        generator: Model built by `build_generator` or `extend_generator`.
        encoder: Frozen image encoder whose feature maps are discriminated: a chain of layers, or a
            model of several maps, such as `build_part_encoder` builds. It is not part of the
            configuration: a loaded model samples without it and needs it again to train.
        discriminators: Dict from name to network. `"features"` and `"pixels"` take the whole image,
            `"crop_features"` and `"crop_pixels"` a crop. Any may be missing. Defaults to all four
            if the generator's images are larger than the encoder's, otherwise to the first two.
        antialias: If `True`, `BlurMaxPooling2D` replaces the encoder's max pooling.
        translation: Largest random shift of the discriminators' inputs in pixels.
        mismatch_weight: Share of mismatched pairs among the negative pairs, between 0 and 1.
        contrastive_weight: Weight of `contrastive_matching_loss` of the heads, on real pairs for
            the discriminators and on fake pairs for the generator.
        pixel_weight: Weight of the pixel discriminators in the generator's loss.
        gradient_penalty_weight: Weight (gamma) of R1 and R2, the squared gradients of the pixel
            discriminators at reals and fakes.
        gradient_penalty_every: Number of discriminator updates between gradient penalties (lazy
            regularization).
        damsm_weight: Weight of the DAMSM loss of the encoder's embeddings. 0 disables it.
        posterior: Network that infers an image's latents, from `build_posterior`. With it, a share
            of the fakes must reconstruct the real images of their captions, as in a conditional
            variational autoencoder (arXiv 1512.09300). The generator then learns shapes in minutes
            and keeps using its latents. Without discriminators the model is such an autoencoder.
        posterior_share: Share of a batch whose latents are inferred, between 0 and 1. Without
            discriminators all latents are inferred.
        reconstruction_weight: Weight of the reconstruction loss: mean absolute differences of
            pixels, times 4, and of each frozen map.
        kl_weight: Weight of the divergence of inferred latents from N(0, 1).
        ema_decay: Decay of the generator's exponential moving average, which `sample` uses.
        text_encoder: Text encoder for `sample(captions=...)`: the name of a preset, a `TextEncoder`
            or another callable from a list of captions to embeddings. The configuration stores a
            name as it is and a `TextEncoder` with its network; other callables are not saved.
        seed: Integer seed of the training noise.

    Example:
        ```python
        encoder = zoo.robust_image_encoder.network()
        text_encoder = kerasgan.encoders.text_encoder("synthetic_birds_text")
        gan = ProjectedTextGAN(build_generator(64), encoder, text_encoder=text_encoder)
        adam = lambda: keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(FreshBirds(4500, 32, text_encoder), epochs=20)
        gan.sample(captions=["a small red bird with a yellow belly"], seed=0)  # [1, 64, 64, 3]
        ```
    """

    evaluation_protocol = "birds"
    ema_networks = {"ema_generator": "generator"}
    renamed_arguments = {
        "penalty_weight": "gradient_penalty_weight",
        "penalty_every": "gradient_penalty_every",
    }
    reports = (
        "generator_loss",
        "discriminator_loss",
        "feature_loss",
        "pixel_loss",
        "match_loss",
        "penalty",
        "damsm_loss",
        "reconstruction_loss",
        "kl",
    )

    def __init__(
        self,
        generator: keras.Model | None = None,
        encoder: keras.Model | None = None,
        discriminators: dict[str, keras.Model] | None = None,
        *,
        antialias: bool = True,
        translation: int = 0,
        mismatch_weight: float = 0.5,
        contrastive_weight: float = 0.0,
        pixel_weight: float = 1.0,
        gradient_penalty_weight: float = 0.5,
        gradient_penalty_every: int = 8,
        damsm_weight: float = 0.0,
        posterior: keras.Model | None = None,
        posterior_share: float = 0.5,
        reconstruction_weight: float = 1.0,
        kl_weight: float = 0.01,
        ema_decay: float = 0.999,
        text_encoder: str | Callable[[list[str]], np.ndarray] | None = None,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator = generator or build_generator()
        self.size = self.generator.output.shape[1]
        self.sizes, self.mirror = (self.size,), has_mirror(self.generator)
        if not 0 <= mismatch_weight <= 1:
            raise ValueError(f"mismatch_weight must be between 0 and 1; received {mismatch_weight}")
        self.encoder = encoder
        self.features: Any = None if encoder is None else frozen_maps(encoder, antialias)
        self.posterior: Any = posterior
        self.posterior_share, self.reconstruction_weight, self.kl_weight = (
            posterior_share,
            reconstruction_weight,
            kl_weight,
        )
        if encoder is not None:
            self._check_encoder()
        self.discriminators = (
            self._default_discriminators() if discriminators is None else dict(discriminators)
        )
        unknown = set(self.discriminators) - {"features", "pixels", "crop_features", "crop_pixels"}
        if unknown or not (self.discriminators or posterior):
            raise ValueError(
                "discriminators must be some of features, pixels, crop_features and crop_pixels; "
                f"received {sorted(self.discriminators)}"
            )
        self.antialias, self.translation = antialias, translation
        self.mismatch_weight, self.contrastive_weight = mismatch_weight, contrastive_weight
        self.pixel_weight = pixel_weight
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_every = gradient_penalty_every
        self.damsm_weight, self.ema_decay = damsm_weight, ema_decay
        self.ema_generator = ema_copy(self.generator)
        self.set_text_encoder(text_encoder)
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.built = True

    def _default_discriminators(self):
        if self.encoder is None:
            raise ValueError(
                "without discriminators, an encoder is needed to build them; received neither"
            )
        dim, side = self.generator.inputs[0].shape[-1], self.encoder.input_shape[1]
        prefixes = ("", "crop_") if self.size > side else ("",)
        networks = {}
        for prefix in prefixes:
            networks[f"{prefix}features"] = build_feature_discriminator(
                self.features, embedding_dim=dim, name=f"{prefix}feature_discriminator"
            )
            networks[f"{prefix}pixels"] = build_pixel_discriminator(
                side, embedding_dim=dim, name=f"{prefix}pixel_discriminator"
            )
        return networks

    def _check_encoder(self):
        side = self.encoder.input_shape[1]
        if not side or self.size % side:
            raise ValueError(
                f"encoder must take images whose side divides the generator's, {self.size}; "
                f"received one of side {side}"
            )

    def player_layers(self, player: str) -> list[keras.Layer]:
        if player == "discriminator":
            return list(self.discriminators.values())
        return [self.generator] + ([self.posterior] if self.posterior else [])

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        networks = {f"discriminator_{name}": x for name, x in self.discriminators.items()}
        if self.posterior:
            networks["posterior"] = self.posterior
        return {"generator": self.ema_generator} | networks | self.text_checkpoint_networks()

    def get_config(self) -> dict:
        nested = keras.saving.serialize_keras_object
        names = (
            "antialias",
            "translation",
            "mismatch_weight",
            "contrastive_weight",
            "pixel_weight",
            "gradient_penalty_weight",
            "gradient_penalty_every",
            "damsm_weight",
            "posterior_share",
            "reconstruction_weight",
            "kl_weight",
            "ema_decay",
            "seed",
            "name",
        )
        networks = {name: nested(network) for name, network in self.discriminators.items()}
        return {name: getattr(self, name) for name in names} | {
            "generator": nested(self.generator),
            "discriminators": networks,
            "posterior": nested(self.posterior),
            "text_encoder": self.text_encoder_config(),
        }

    @classmethod
    def from_config(cls, config: dict) -> "ProjectedTextGAN":
        nested = keras.saving.deserialize_keras_object
        networks = {name: nested(network) for name, network in config["discriminators"].items()}
        names = ("generator", "text_encoder", "posterior")
        parts = {name: nested(config.get(name)) for name in names}
        return cls(**config | parts | {"discriminators": networks})

    def start_from(self, other: "ProjectedTextGAN") -> None:
        """Takes over the weights of another model's networks of the same shapes, such as the
        posterior and the whole image's discriminators of the stage before.

        The generator's weights come through `extend_generator`.
        """
        pairs = [
            (network, other.discriminators.get(n)) for n, network in self.discriminators.items()
        ]
        if self.posterior:
            pairs.append((self.posterior, other.posterior))
        for network, theirs in pairs:
            if theirs is None or [v.shape for v in theirs.variables] != [
                v.shape for v in network.variables
            ]:
                continue
            network.set_weights(theirs.get_weights())
        if [v.shape for v in other.generator.variables] == [
            v.shape for v in self.generator.variables
        ]:
            for network in (self.generator, self.ema_generator):
                network.set_weights(other.ema_generator.get_weights())

    def data_spec(self) -> DataSpec:
        shape, dim = (self.size, self.size, 3), self.generator.inputs[0].shape[-1]
        return DataSpec(
            (Images(shape), Numbers((dim,), "embeddings")),
            smallest=2,
            reason="mismatched captions are those of other images in the batch",
        )

    # === Training ===

    def training_latents(self, n: int | Tensor) -> Tensor:
        """Latents for training, `[n, L]`. All images of a generator that mirrors face one way."""
        dim = self.generator.inputs[1].shape[-1] - self.mirror
        latents = replicas.normal((n, dim), self.seeds)
        return ops.concatenate([latents, ops.ones((n, 1))], axis=-1) if self.mirror else latents

    def views(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the inputs of the discriminators: whole images and, if larger, a random crop.

        Returns:
            Dict from `""` (whole) and `"crop_"` to images `[N, s, s, 3]`.
        """
        side = self.features.input_shape[1]
        factor = images.shape[1] // side
        seen = {"": images}
        if factor > 1:
            seen[""] = ops.average_pool(images, factor, factor, data_format="channels_last")
            starts = keras.random.randint((2,), 0, images.shape[1] - side + 1, seed=self.seeds)
            zero = ops.zeros((), starts.dtype)
            places = ops.stack([zero, starts[0], starts[1], zero])
            seen["crop_"] = ops.slice(images, places, (ops.shape(images)[0], side, side, 3))
        if self.translation:
            seen = {
                name: translate(x, self.seeds, self.translation, fill=0.0)
                for name, x in seen.items()
            }
        return seen

    def maps(self, views: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Frozen features of each view."""
        return {
            name: full_precision(self.features(images, training=False))
            for name, images in views.items()
        }

    def heads(
        self,
        views: dict[str, Tensor],
        embeddings: Tensor,
        kind: str,
        maps: dict[str, list[Tensor]] | None = None,
    ) -> list[tuple[bool, list[Tensor]]]:
        """Outputs of the `"features"` or `"pixels"` discriminators: list of `(whole image?, [four
        outputs])`."""
        found = []
        for prefix, images in views.items():
            network = self.discriminators.get(prefix + kind)
            if network is None:
                continue
            inputs = (
                [images]
                if kind == "pixels"
                else (maps[prefix] if maps else self.features(images, training=False))
            )
            outputs = full_precision(network([*inputs, embeddings], training=False))
            found += [(not prefix, outputs[i : i + 4]) for i in range(0, len(outputs), 4)]
        return found

    def discriminator_losses(
        self,
        real: dict[str, Tensor],
        fake: dict[str, Tensor],
        embeddings: Tensor,
        maps: dict[str, list[Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Feature, pixel and matching losses of reals and fakes: dicts from view to images."""
        count = ops.shape(embeddings)[0]
        both = {name: ops.concatenate([real[name], fake[name]], axis=0) for name in real}
        twice = ops.concatenate([embeddings, embeddings], axis=0)
        feature, pixel, match = [], [], []
        for whole, head in self.heads(both, twice, "features", maps):
            reals, fakes = _split(head, count)
            loss = ops.mean(ops.relu(1.0 - reals[0])) + ops.mean(ops.relu(1.0 + fakes[0]))
            if whole:
                pairs = _pairs(reals)
                loss += matching_hinge_loss(
                    pairs, ops.diagonal(_pairs(fakes)), self.mismatch_weight
                )
                match.append(contrastive_matching_loss(pairs))
            feature.append(loss)
        for whole, head in self.heads(both, twice, "pixels"):
            reals, fakes = _split(head, count)
            loss = relativistic_loss(reals[0], fakes[0])
            if whole:
                pairs = _pairs(reals)
                loss += relativistic_loss(ops.diagonal(pairs), ops.diagonal(_pairs(fakes)))
                loss += 2.0 * self.mismatch_weight * relativistic_matching_loss(pairs)
            pixel.append(loss)
        return _mean(feature), _mean(pixel), _mean(match)

    def penalty(
        self, real: dict[str, Tensor], fake: dict[str, Tensor], embeddings: Tensor
    ) -> Tensor:
        """R1 + R2 of the pixel discriminators, for as many updates as lie between two."""

        def score(names, images):
            views = dict(zip(names, images, strict=True))
            heads = self.heads(views, embeddings, "pixels")
            images = sum(ops.sum(head[0]) / head[0].shape[-1] for _, head in heads)
            return images + sum(
                ops.sum(replicas.own(ops.diagonal(_pairs(head)))) for whole, head in heads if whole
            )

        total = 0.0
        for views in (real, fake):
            gradients = self.input_gradient(
                functools.partial(score, list(views)), list(views.values()), "discriminator"
            )
            total += sum(map(squared_gradient_norm, gradients))
        return total * (self.gradient_penalty_every * self.gradient_penalty_weight / 2)

    def generator_losses(
        self,
        real: dict[str, Tensor],
        fake: dict[str, Tensor],
        embeddings: Tensor,
        maps: dict[str, list[Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Feature, pixel and matching losses that the generator minimizes."""
        feature, pixel, match = [], [], []
        for whole, head in self.heads(fake, embeddings, "features", maps):
            loss = -ops.mean(head[0])
            if whole:
                pairs = _pairs(head)
                loss -= ops.mean(ops.diagonal(pairs))
                match.append(contrastive_matching_loss(pairs))
            feature.append(loss)
        reals = [head for _, head in self.heads(real, embeddings, "pixels")]
        for (whole, head), other in zip(self.heads(fake, embeddings, "pixels"), reals, strict=True):
            loss = relativistic_loss(head[0], other[0])
            if whole:
                loss += relativistic_loss(ops.diagonal(_pairs(head)), ops.diagonal(_pairs(other)))
            pixel.append(loss)
        return _mean(feature), _mean(pixel), _mean(match)

    def infer(self, maps: list[Tensor], embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances of the latents of images, from their maps."""
        values = full_precision(self.posterior([*maps, embeddings], training=True))
        mean, log_variance = ops.split(values, 2, axis=-1)
        return mean, ops.clip(log_variance, -10.0, 4.0)

    def train_step(self, data: tuple) -> dict:
        if self.features is None:
            raise ValueError(
                "training needs the encoder: pass it to the constructor; "
                "received a model without one"
            )
        real, embeddings = data
        real_views = self.views(real)
        real_maps = self.maps(real_views)
        count = ops.shape(embeddings)[0]
        inferred = count  # images whose latents come from the posterior
        if self.discriminators:
            share = self.posterior_share
            static = isinstance(count, int)
            inferred = (
                int(count * share)
                if static
                else ops.cast(share * ops.cast(count, "float32"), "int32")
            )
            if static and self.posterior and replicas.count() > 1 and inferred != count * share:
                raise ValueError(
                    "batch_size * posterior_share must be a multiple of the number of devices; "
                    f"received {count * share} per device"
                )

        def images_of(latents):
            return full_precision(self.generator([embeddings, latents], training=True))

        def generated():
            latents, nothing = self.training_latents(count), ops.zeros(())
            if not self.posterior:
                return images_of(latents), nothing, nothing
            maps = [x[:inferred] for x in real_maps[""]]
            mean, log_variance = self.infer(maps, embeddings[:inferred])
            dim, own = mean.shape[-1], latents[:inferred]
            own = ops.concatenate(
                [mean + ops.exp(0.5 * log_variance) * own[:, :dim], own[:, dim:]], axis=-1
            )
            latents = ops.concatenate([own, latents[inferred:]], axis=0)
            return images_of(latents), mean, log_variance

        (fake, mean, log_variance), pull = self.vjp("generator", generated)
        losses = {}
        if self.discriminators:
            losses = self.train_discriminators(real_views, real_maps, fake, embeddings)

        def generator_objective(inputs):
            fake, mean, log_variance = inputs
            seen = self.views(fake)
            maps = self.maps(seen)
            loss, damsm, reconstruction, kl = (ops.zeros(()) for _ in range(4))
            if self.discriminators:
                feature, pixel, match = self.generator_losses(real_views, seen, embeddings, maps)
                loss = feature + self.pixel_weight * pixel + self.contrastive_weight * match
            if self.damsm_weight:
                damsm = damsm_loss(self.encoder(seen[""], training=False), embeddings)
                loss += self.damsm_weight * damsm
            if self.posterior:
                pairs = [(fake, real), *zip(maps[""], real_maps[""], strict=True)]
                errors = [ops.mean(ops.abs(x[:inferred] - y[:inferred])) for x, y in pairs]
                reconstruction = 4.0 * errors[0] + sum(errors[1:])
                kl = ops.mean(normal_kl_divergence(mean, log_variance))
                loss += self.reconstruction_weight * reconstruction + self.kl_weight * kl
            return loss, (damsm, reconstruction, kl)

        (g_loss, (damsm, reconstruction, kl)), gradient = self.value_and_input_gradient(
            generator_objective, [fake, mean, log_variance], "generator"
        )
        self.apply_gradients("generator", pull(tuple(gradient)))
        self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        zero = ops.zeros(())
        return self.report(
            generator_loss=g_loss,
            damsm_loss=damsm,
            reconstruction_loss=reconstruction,
            kl=kl,
            **{name: losses.get(name, zero) for name in self.reports[1:6]},
        )

    def train_discriminators(
        self,
        real_views: dict[str, Tensor],
        real_maps: dict[str, list[Tensor]],
        fake: Tensor,
        embeddings: Tensor,
    ) -> dict[str, Any]:
        """Updates the discriminators. Returns their losses, arguments of `report`."""
        fake_views = self.views(fake)
        maps = {
            name: [
                ops.concatenate(pair, axis=0) for pair in zip(real_maps[name], fakes, strict=True)
            ]
            for name, fakes in self.maps(fake_views).items()
        }
        pixels = any(name.endswith("pixels") for name in self.discriminators)
        every = self.gradient_penalty_every
        due = self.regularization_due(every, "discriminator")

        def objective():
            feature, pixel, match = self.discriminator_losses(
                real_views, fake_views, embeddings, maps
            )
            penalty = ops.zeros(())
            if pixels and self.gradient_penalty_weight:
                penalty = self.lazy_regularization(
                    every,
                    "discriminator",
                    lambda: self.penalty(real_views, fake_views, embeddings),
                )
            loss = feature + pixel + penalty + self.contrastive_weight * match
            return loss, (feature, pixel, match, penalty)

        loss, (*parts, penalty) = self.minimize("discriminator", objective)
        for network in self.discriminators.values():
            project(network)
        values = (loss, *parts, (penalty / every, due))
        return dict(zip(self.reports[1:6], values, strict=True))

    # === Use ===

    def call(self, inputs: list[Tensor], training: bool = False) -> Tensor:
        """Images of `[embeddings, latents]`, by the network that `sample` uses."""
        return self.ema_generator(inputs, training=training)


def frozen_maps(encoder: keras.Model, antialias: bool = True) -> keras.Model:
    """Returns a frozen network of feature maps.

    An encoder with several outputs is this network. From any other, `build_frozen_features` builds
    it.
    """
    if len(encoder.outputs) == 1:
        return build_frozen_features(encoder, antialias)
    encoder.trainable = False
    return encoder


def _mean(losses):
    return sum(losses) / len(losses) if losses else ops.zeros(())
