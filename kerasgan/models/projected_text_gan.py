"""Text-to-image GAN that trains fast on a small budget: affine text conditioning and a
frozen-feature discriminator.

Tao et al., "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis" (arXiv
2008.05865); Sauer et al., "Projected GANs Converge Faster" (arXiv 2111.01007); Huang et al., "The
GAN is dead; long live the GAN! A Modern Baseline GAN" (arXiv 2501.05441); Sauer et al.,
"StyleGAN-XL" (arXiv 2202.00273) for the stages of growing size; Odena et al., "Conditional Image
Synthesis With Auxiliary Classifier GANs" (arXiv 1610.09585) for the auxiliary classifier;
"Fréchet-distance post-training" (arXiv 2604.28190) for the Fréchet loss of its features.

Differences from the papers:

- One affine transformation before each convolution, not two (DF-GAN): on the largest maps, one of
  them takes half the time of a convolution on a CPU.
- Convolutions that reduce the number of channels run before the upsampling, which needs a quarter
  of the arithmetic.
- The output is a sum of one image at each scale, as in StyleGAN2 (arXiv 1912.04958), so that a
  larger stage starts from the enlarged image of the smaller one.
- The frozen encoder is trained on the task's own images, not on ImageNet. Fixed random 1 x 1
  convolutions mix its channels; its scales are not mixed.
- Text conditions the discriminator by projection (arXiv 1802.05637), so every image of a batch is
  scored with every caption at the cost of one matrix product. All mismatched pairs are negatives.
- The auxiliary classifier is frozen, and its targets are predicted from the caption's embedding.
- Spectral normalization is applied once after each update and not in each forward pass
  (`layers.spectral_norm`).
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.ema import ema_copy
from kerasgan.io.deferred import is_deferred
from kerasgan.layers.spectral_norm import project
from kerasgan.losses.damsm import damsm_loss
from kerasgan.losses.frechet import FrechetLoss
from kerasgan.losses.paired import (
    contrastive_matching_loss,
    matching_hinge_loss,
    relativistic_loss,
    relativistic_matching_loss,
)
from kerasgan.losses.penalties import squared_gradient_norm
from kerasgan.losses.variational import normal_kl_divergence
from kerasgan.models.projected_text_gan_networks import (
    build_feature_discriminator as build_feature_discriminator,
    build_generator as build_generator,
    build_generator_like as build_generator_like,
    build_pixel_discriminator as build_pixel_discriminator,
    build_posterior as build_posterior,
    extend_generator as extend_generator,
    frozen_maps as frozen_maps,
    has_latent_flow as has_latent_flow,
    has_mirror as has_mirror,
    with_latent_flow as with_latent_flow,
)
from kerasgan.models.text_to_image import TextToImageModel
from kerasgan.ops import replicas
from kerasgan.ops.augment import random_shifts, shift
from kerasgan.ops.precision import full_precision
from kerasgan.types import Tensor


def _pairs(head):
    """Logits of every image with every caption [N, N], from one head's four outputs."""
    _, code, bias, text = map(replicas.gather, head)
    return bias + ops.matmul(code, ops.transpose(text)) * code.shape[-1] ** -0.5


def _split(head, count):
    """Splits one head's outputs for `count` real images followed by fakes of the same captions."""
    return [part[:count] for part in head], [part[count:] for part in head]


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
        mismatch_weight: Weight of mismatched pairs in the loss of the negative pairs, between 0
            and 1. Generated images have the weight `1 - mismatch_weight`.
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
            pixels, times 4, and of each frozen map of the whole images and of the crops.
        kl_weight: Weight of the divergence of inferred latents from N(0, 1).
        auxiliary_classifier: Frozen network from images `[N, A, A, 3]` and embeddings `[N, D]` to
            values `[N]` that the generator minimizes, such as the cross-entropy of the attributes
            that the caption names (AC-GAN, arXiv 1610.09585; see
            `kerasgan.encoders.part_classifier`). A second output, features `[N, F]`, is needed for
            the Fréchet loss. Images of another size are resized. Like the encoder, it is not part
            of the configuration.
        auxiliary_weight: Weight of the auxiliary classifier's value. 0 disables it.
        frechet_weight: Weight of the Fréchet distance between the auxiliary classifier's features
            of real and generated images, divided by the variance of the real ones. 0 disables it.
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
        "auxiliary_loss",
        "frechet_loss",
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
        auxiliary_classifier: keras.Model | None = None,
        auxiliary_weight: float = 0.0,
        frechet_weight: float = 0.0,
        ema_decay: float = 0.999,
        text_encoder: str | Callable[[list[str]], np.ndarray] | None = None,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator = generator or build_generator()
        # The copy of a deferred generator is read in its place. The copy of another one is made
        # below, after the default discriminators, so that a seed gives the same initial weights as
        # in earlier versions. It is an attribute below in both cases: the order of the attributes
        # is that of the variables in files.
        average = ema_copy(self.generator) if is_deferred(self.generator) else None
        self.size = (average or self.generator).output.shape[1]
        self.sizes, self.mirror = (self.size,), has_mirror(average or self.generator)
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
        if posterior is not None and has_latent_flow(average or self.generator):
            raise ValueError(
                "a generator with a latent flow must have no posterior, whose latents would pass "
                "through the flow; received one"
            )
        if encoder is not None:
            self._check_encoder()
        self.auxiliary_classifier: Any = auxiliary_classifier
        self.auxiliary_weight, self.frechet_weight = auxiliary_weight, frechet_weight
        self._check_auxiliary()
        self.feature_distance: Any = None
        if frechet_weight and auxiliary_classifier is not None:
            self.feature_distance = FrechetLoss(auxiliary_classifier.outputs[1].shape[-1])
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
        self.ema_generator = average or ema_copy(self.generator)
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

    def _check_auxiliary(self):
        for name in ("auxiliary_weight", "frechet_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0; received {getattr(self, name)}")
        if self.auxiliary_classifier is None:
            return
        self.auxiliary_classifier.trainable = False
        if self.frechet_weight and len(self.auxiliary_classifier.outputs) < 2:
            raise ValueError(
                "a frechet_weight needs an auxiliary classifier with two outputs, values and "
                f"features; received one with outputs {self.auxiliary_classifier.output_names}"
            )

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
            "auxiliary_weight",
            "frechet_weight",
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

    def places(self, images: Tensor) -> dict[str, Any]:
        """Samples the random places of `views` for images `[N, S, S, 3]`.

        There is one sample per step, because reconstructions are compared with real images at the
        same places.

        Returns:
            Dict with `"corner"`, the row and column of the crops, if the images are larger than
            the encoder's, and the shifts of each view, `"shifts"` and `"crop_shifts"`, if
            `translation` is not 0.
        """
        side, found = self.features.input_shape[1], dict[str, Any]()
        names = [""]
        if images.shape[1] > side:
            last = images.shape[1] - side
            found["corner"] = keras.random.randint((2,), 0, last + 1, seed=self.seeds)
            names.append("crop_")
        if self.translation:
            count = ops.shape(images)[0]
            for name in names:
                found[f"{name}shifts"] = random_shifts(count, self.seeds, self.translation)
        return found

    def views(self, images: Tensor, places: dict[str, Any]) -> dict[str, Tensor]:
        """Returns the inputs of the discriminators.

        Whole images are reduced to the input size of the frozen encoder. If they are larger than
        this size, a crop of this size is added.

        Args:
            images: Images `[N, S, S, 3]`.
            places: Result of `places`.

        Returns:
            Dict from `""` (whole) and `"crop_"` to images `[N, s, s, 3]`.
        """
        side = self.features.input_shape[1]
        factor = images.shape[1] // side
        seen = {"": images}
        if factor > 1:
            seen[""] = ops.average_pool(images, factor, factor, data_format="channels_last")
            corner = places["corner"]
            zero = ops.zeros((), corner.dtype)
            start = ops.stack([zero, corner[0], corner[1], zero])
            seen["crop_"] = ops.slice(images, start, (ops.shape(images)[0], side, side, 3))
        if self.translation:
            seen = {name: shift(x, places[f"{name}shifts"], fill=0.0) for name, x in seen.items()}
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

    def auxiliary_outputs(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor | None]:
        """The auxiliary classifier's values `[N]` and features `[N, F]`, if it has any.

        Args:
            images: Images `[N, S, S, 3]` of any size S.
            embeddings: Embeddings of their captions, `[N, D]`.
        """
        side = self.auxiliary_classifier.inputs[0].shape[1]
        factor = images.shape[1] // side
        if factor > 1:
            images = ops.average_pool(images, factor, factor, data_format="channels_last")
        elif not factor:
            images = ops.image.resize(images, (side, side), data_format="channels_last")
        outputs = self.auxiliary_classifier([images, embeddings], training=False)
        outputs = full_precision(outputs)
        return tuple(outputs[:2]) if isinstance(outputs, (list, tuple)) else (outputs, None)

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
        classified = self.auxiliary_weight or self.frechet_weight
        if classified and self.auxiliary_classifier is None:
            raise ValueError(
                "training with an auxiliary_weight or frechet_weight needs the auxiliary "
                "classifier: pass it to the constructor; received a model without one"
            )
        real, embeddings = data
        places = self.places(real)
        real_views = self.views(real, places)
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
            losses = self.train_discriminators(
                real_views, real_maps, self.views(fake, places), embeddings
            )

        def generator_objective(inputs):
            fake, mean, log_variance = inputs
            seen = self.views(fake, places)
            maps = self.maps(seen)
            loss, damsm, reconstruction, kl, auxiliary, frechet = (ops.zeros(()) for _ in range(6))
            features = None
            if self.discriminators:
                feature, pixel, match = self.generator_losses(real_views, seen, embeddings, maps)
                loss = feature + self.pixel_weight * pixel + self.contrastive_weight * match
            if self.damsm_weight:
                damsm = damsm_loss(self.encoder(seen[""], training=False), embeddings)
                loss += self.damsm_weight * damsm
            if self.posterior:
                pairs = [(fake, real)]
                for name, those in maps.items():
                    pairs.extend(zip(those, real_maps[name], strict=True))
                errors = [ops.mean(ops.abs(x[:inferred] - y[:inferred])) for x, y in pairs]
                reconstruction = 4.0 * errors[0] + sum(errors[1:])
                kl = ops.mean(normal_kl_divergence(mean, log_variance))
                loss += self.reconstruction_weight * reconstruction + self.kl_weight * kl
            if classified:
                values, features = self.auxiliary_outputs(fake, embeddings)
                auxiliary = ops.mean(values)
                loss += self.auxiliary_weight * auxiliary
            if self.frechet_weight:
                frechet = self.feature_distance(features)
                loss += self.frechet_weight * frechet
            return loss, (features, damsm, reconstruction, kl, auxiliary, frechet)

        (g_loss, (features, *parts)), gradient = self.value_and_input_gradient(
            generator_objective, [fake, mean, log_variance], "generator"
        )
        self.apply_gradients("generator", pull(tuple(gradient)))
        self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        if self.frechet_weight:
            self.feature_distance.update(self.auxiliary_outputs(real, embeddings)[1], features)
        zero = ops.zeros(())
        return self.report(
            generator_loss=g_loss,
            **{name: losses.get(name, zero) for name in self.reports[1:6]},
            **dict(zip(self.reports[6:], parts, strict=True)),
        )

    def train_discriminators(
        self,
        real_views: dict[str, Tensor],
        real_maps: dict[str, list[Tensor]],
        fake_views: dict[str, Tensor],
        embeddings: Tensor,
    ) -> dict[str, Any]:
        """Updates the discriminators. Returns their losses, arguments of `report`."""
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


def _mean(losses):
    return sum(losses) / len(losses) if losses else ops.zeros(())
