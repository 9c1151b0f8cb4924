"""StylEx: a StyleGAN2 with an encoder, trained to explain an image classifier.

Lang et al., 2021, "Explaining in Style: Training a GAN to explain a classifier in StyleSpace",
https://arxiv.org/abs/2104.13369.

An encoder maps an image to a style w. The generator reconstructs the image from w and from the
classifier's output, such that the classifier's prediction is preserved. The attributes that the
classifier uses then correspond to single coordinates of the generator's style vectors (S space),
which `kerasgan.models.attfind` finds. The authors did not publish their training code. This module
follows the paper, the authors' answers in the training notes, and the code of the reproduction (the
FACT study, "Explaining in Style: A Reproducibility Study").

**Differences from the paper**

- The networks are those of `stylegan2`, as in the reproduction. The default perceptual distance
  uses the features of the classifier, because the weights of LPIPS cannot be shipped.
- The discriminator receives the classifier's probabilities, as in the reproduction.

**Differences from the reproduction**, whose trainers have errors

- Each batch contains both latents and encoded images (`alternation="micro"`), or they alternate by
  training step. In the reproduction, they alternate within a step of several micro-batches, and the
  encoder never trains if a step has one micro-batch.
- A reconstruction in the discriminator phase updates the networks. The reproduction discards its
  gradient.
- The discriminator receives the classifier's probabilities of the same real image. In the
  reproduction, they belong to another image.
- Reconstructions use w = E(x). The reproduction uses a point between E(x) and the mean w of the
  mapping network.
- Both updates share one batch of generated images, which saves one generator pass. Style mixing is
  decided per sample.
- The moving average of the generator, which generates the samples, includes the encoder, because
  both are used together. It is updated at each step. The reproduction updates it at every 10th
  step from step 20,000 on, so the same decay averages over ten times as many steps.
- Images are in [-1, 1] instead of [0, 1]. Pixel distances are halved, so that weights have the
  same meaning.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan import backend
from kerasgan.data_spec import DataSpec, Ignored, Images
from kerasgan.ema import ema_copy
from kerasgan.images import check_images
from kerasgan.losses import distributions
from kerasgan.losses.distributions import class_divergence
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.models.stylegan2 import StyleGAN2, deserialized
from kerasgan.models.stylegan2_networks import Generator, build_discriminator
from kerasgan.models.stylex_networks import (
    build_encoder as build_encoder,
    check_classifier as check_classifier,
)
from kerasgan.models.stylex_reconstruction import StylExReconstruction
from kerasgan.models.stylex_settings import (
    AUTHORS as AUTHORS,
    CHOICES as CHOICES,
    RATES as RATES,
    REPRODUCTION as REPRODUCTION,
    adams as adams,
    check_choices as check_choices,
)
from kerasgan.types import Tensor

W_DISTANCES = {"moments": distributions.moment_distance, "mmd": distributions.kernel_distance}
# Values that measure a reconstruction.
TERMS = ("pixel", "perceptual", "w", "kl", "agreement")
# Number of half batches generated from latents. The others are generated from encoded images.
LATENTS, BOTH, ENCODED = 2, 1, 0


def build(
    classifier: keras.Model,
    *,
    settings: dict[str, Any] = REPRODUCTION,
    capacity: int = 16,
    max_channels: int = 512,
    latent_dim: int = 512,
    depth: int = 8,
    mapping_form: str = "reproduction",
    encoder_gain: float = 1.0,
    perceptual: Callable | None = None,
    augment: Callable | None = None,
    seed: int = 0,
    schedule: Callable | None = None,
    **compile_arguments: Any,
) -> "StylEx":
    """Builds and compiles a `StylEx` with Adam optimizers.

    Args:
        classifier: Classifier to explain; see `StylEx`.
        settings: Dict with the keys of `REPRODUCTION`, such as
            `AUTHORS | {"alternation": "step"}`. `learning_rate` belongs to the generator;
            `encoder_rate` and `discriminator_rate` are multiples of it. `accumulate` is the number
            of batches whose gradients are summed before an optimizer step, which needs less memory
            than one large batch.
        capacity, max_channels, latent_dim, depth, mapping_form, encoder_gain, perceptual, augment,
        seed: Arguments of `StylEx`.
        schedule: Function `(learning_rate, updates)` that returns a learning rate or a learning
            rate schedule. `updates` is the mean number of optimizer updates of a player per batch.
        **compile_arguments: Arguments of `compile`, such as `jit_compile`.

    Returns:
        The compiled model.

    Raises:
        ValueError: If the settings have other keys than `REPRODUCTION`.
    """
    if set(settings) != set(REPRODUCTION):
        wrong = sorted(set(settings) ^ set(REPRODUCTION))
        raise ValueError(
            f"settings must have exactly the keys of REPRODUCTION; missing or unknown: {wrong}"
        )
    model = StylEx(
        classifier,
        capacity=capacity,
        max_channels=max_channels,
        latent_dim=latent_dim,
        depth=depth,
        mapping_form=mapping_form,
        encoder_gain=encoder_gain,
        perceptual=perceptual,
        augment=augment,
        seed=seed,
        **{k: v for k, v in settings.items() if k not in RATES},
    )
    model.compile(**adams(settings, schedule), **compile_arguments)
    return model


# === Parts of the loss ===


def stretch_contrast(images: Tensor) -> Tensor:
    """Scales each image `[N, H, W, C]` to the range [-1, 1]. Constant images are not changed."""
    low = ops.amin(images, axis=(1, 2, 3), keepdims=True)
    high = ops.amax(images, axis=(1, 2, 3), keepdims=True)
    span = high - low
    varied = span > 1e-6
    return ops.where(varied, 2.0 * (images - low) / ops.where(varied, span, 1.0) - 1.0, images)


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class StylEx(StylExReconstruction, StyleGAN2):
    """StyleGAN2 with an encoder whose reconstructions preserve a classifier's predictions.

    Training data: float images `[N, H, W, C]` in [-1, 1], or `(images, labels)`. The labels are
    ignored: the model learns from the classifier's outputs.

    Args:
        classifier: Built Keras model from images `[N, H, W, C]` in [-1, 1] to logits `[N, K]`. It
            is used in inference mode and never trained.
        generator: `stylegan2.Generator(..., conditions=K)`. `None` builds it for the classifier.
        encoder: Model built by `build_encoder`. `None` builds it for the classifier.
        discriminator: Model built by `stylegan2.build_discriminator(..., conditions=K)`. `None`
            builds it for the classifier.
        capacity, max_channels, latent_dim, depth, mapping_form: Sizes of the networks that are
            built; see `stylegan2.Generator`. The defaults are the reproduction's: 37 M
            parameters at 32 pixels. On CPUs, use `capacity=3, max_channels=96, latent_dim=256`
            (1.9 M), as `zoo.stylex` does.
        encoder_gain: Scale of the initial weights of the encoder's last layer, and so of w; see
            `build_encoder`.
        condition_on: Condition of the generator: the classifier's `"probabilities"` or its
            `"logits"` (the reproduction's older trainer). The discriminator always receives
            probabilities.
        alternation: Source of w in a batch. `"none"`: the encoder. `"step"`: latents and encoder in
            alternating steps. `"micro"`: one half of each batch each.
        rec_in_discriminator_phase: If not `None`, each batch of encoded images is split into two
            halves, for the discriminator phase and the generator phase, so use twice the batch
            size. `"accumulate"` adds the gradient of the first half's reconstruction loss to the
            generator update. `"extra_step"` applies it in an update of its own. `"second_step"`,
            for comparison, also applies the adversarial loss in that update. The path length
            penalty belongs to the first update of a batch. `path_every` counts all updates, so it
            should be even.
        rec_weight: Weight of the reconstruction loss, the sum of the next three terms. If latents
            and encoder alternate by step, it and the KL divergence are doubled.
        perceptual_weight: Weight of the perceptual distance of x and its reconstruction x'.
        w_weight: Weight of the mean absolute difference of E(x) and E(x').
        pixel_weight: Weight of the mean absolute difference of x and x', halved to the units of
            [0, 1] in the paper.
        kl_weight: Weight of the KL divergence of the classifier's distributions.
        reverse_kl: If `True`, uses KL(C(x') || C(x)) instead of KL(C(x) || C(x')).
        perceptual: Function from two batches of images to distances `[N]`, such as
            `losses.perceptual.LPIPS`. `None` means `ClassifierDistance(classifier)`.
        stretch: If `True` (reproduction), scales each image to [-1, 1] before `perceptual`.
        path_source: Source of w for the path length penalty: `"z"`, `"encoder"` or `"both"`.
        w_match: Experimental distance between the w of encoded images and of latents, minimized by
            the encoder: `"moments"` (means and deviations), `"mmd"`, or `None`.
        w_match_weight: Weight of this distance.
        ema_decay: Decay of the moving averages of generator and encoder, which generate all images.
            `None` disables them.
        **gan: Further arguments of `StyleGAN2`: losses, penalties, `mixing`, `augment`, `seed`,
            `name`.

    Attributes:
        noise: Noise map `[1, H, W, 1]` of all reconstructions.

    Example:
        ```python
        model = StylEx(classifier, capacity=3, max_channels=96, latent_dim=256)
        model.fit(images, batch_size=32, epochs=100)  # `compile` is optional; see `fit`.
        model.reconstruct(images[:8])
        ```

    Reference:
        Lang et al., 2021, "Explaining in Style: Training a GAN to explain a classifier in
        StyleSpace", https://arxiv.org/abs/2104.13369
    """

    ema_networks = StyleGAN2.ema_networks | {"ema_encoder": "encoder"}
    players = ("generator", "encoder", "discriminator")
    sampling_networks = ("generator", "encoder", "classifier")
    # Means over the steps of an epoch in which they are computed. pixel: mean absolute difference
    # of x and x' in units of [0, 1]. w: mean absolute difference of E(x) and E(x'). agreement:
    # share of x' that the classifier assigns to the class of x. reconstruction: the weighted
    # reconstruction loss.
    reports = (*StyleGAN2.reports, "reconstruction", *TERMS)
    higher_is_better = ("agreement",)

    def __init__(
        self,
        classifier: keras.Model,
        generator: Generator | None = None,
        encoder: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        *,
        capacity: int = 16,
        max_channels: int = 512,
        latent_dim: int = 512,
        depth: int = 8,
        mapping_form: str = "reproduction",
        encoder_gain: float = 1.0,
        condition_on: str = "probabilities",
        alternation: str = "micro",
        rec_in_discriminator_phase: str | None = None,
        rec_weight: float = 1.0,
        perceptual_weight: float = 0.1,
        w_weight: float = 0.1,
        pixel_weight: float = 1.0,
        kl_weight: float = 1.0,
        reverse_kl: bool = False,
        perceptual: Callable | None = None,
        stretch: bool = False,
        path_source: str = "both",
        w_match: str | None = None,
        w_match_weight: float = 1.0,
        ema_decay: float | None = 0.998,
        **gan: Any,
    ):
        (size, _, channels), classes = check_classifier(classifier)
        widths: dict[str, Any] = {"capacity": capacity, "max_channels": max_channels}
        latent_dim = latent_dim if generator is None else generator.latent_dim
        super().__init__(
            generator
            or Generator(
                size,
                channels,
                latent_dim=latent_dim,
                depth=depth,
                mapping_form=mapping_form,
                conditions=classes,
                **widths,
            ),
            discriminator or build_discriminator(size, channels, conditions=classes, **widths),
            ema_decay=ema_decay,
            **gan,
        )
        self.classifier = classifier
        self.encoder = encoder or build_encoder(
            size, channels, latent_dim=latent_dim, gain=encoder_gain, **widths
        )
        self.ema_encoder = ema_copy(self.encoder) if ema_decay else None
        self.condition_on, self.alternation = condition_on, alternation
        self.path_source, self.rec_in_discriminator_phase = path_source, rec_in_discriminator_phase
        self.rec_weight, self.perceptual_weight = rec_weight, perceptual_weight
        self.w_weight, self.pixel_weight = w_weight, pixel_weight
        self.kl_weight, self.reverse_kl, self.stretch = kl_weight, reverse_kl, stretch
        self.w_match, self.w_match_weight = w_match, w_match_weight
        self.given_perceptual = perceptual
        self.perceptual = perceptual or (
            ClassifierDistance(classifier) if perceptual_weight else None
        )
        self.noise = np.random.default_rng(0).random((1, size, size, 1), "float32")
        # Source of the next batch if sources alternate by step: 0 is latents, 1 is the encoder.
        self.next_source = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="next_source"
        )
        self._check_networks((size, size, channels), classes)

    def _check_networks(self, shape, classes):
        if self.image_shape != shape or self.conditions != classes:
            raise ValueError(
                f"generator must match the classifier, with images {shape} and {classes} "
                f"conditions; received {self.image_shape} and {self.conditions}"
            )
        ends = tuple(self.encoder.inputs[0].shape[1:]), tuple(self.encoder.outputs[0].shape[1:])
        if ends != (shape, (self.latent_dim,)):
            raise ValueError(
                f"encoder must map {shape} to ({self.latent_dim},); received one that maps "
                f"{ends[0]} to {ends[1]}"
            )
        check_choices({name: getattr(self, name) for name in CHOICES})

    def get_config(self) -> dict:
        own = (
            "condition_on",
            "alternation",
            "rec_in_discriminator_phase",
            "rec_weight",
            "perceptual_weight",
            "w_weight",
            "pixel_weight",
            "kl_weight",
            "reverse_kl",
            "stretch",
            "path_source",
            "w_match",
            "w_match_weight",
        )
        perceptual: Any = self.given_perceptual
        if isinstance(perceptual, ClassifierDistance) and perceptual.classifier is self.classifier:
            # A nested copy of the classifier would lack weights: files hold the classifier once.
            perceptual = {"layers": list(perceptual.maps)}
        nested = {"classifier": self.classifier, "encoder": self.encoder, "perceptual": perceptual}
        nested = {
            name: keras.saving.serialize_keras_object(value) for name, value in nested.items()
        }
        return super().get_config() | {name: getattr(self, name) for name in own} | nested

    @classmethod
    def from_config(cls, config: dict) -> "StylEx":
        config = deserialized(config)
        if isinstance(config["perceptual"], dict):
            config["perceptual"] = ClassifierDistance(config["classifier"], **config["perceptual"])
        return cls(**config)

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return super().checkpoint_networks() | {
            "encoder": self.ema_encoder or self.encoder,
            "classifier": self.classifier,
        }

    # === Training ===

    def logits(self, images: Tensor) -> Tensor:
        """Classifier logits `[N, K]` of images."""
        return ops.cast(self.classifier(images, training=False), "float32")

    def condition(self, logits: Tensor) -> Tensor:
        """Condition `[N, K]` of the generator for classifier logits `[N, K]`."""
        return logits if self.condition_on == "logits" else ops.softmax(logits, axis=-1)

    def label_conditions(self, labels: Tensor) -> Tensor:
        """Condition `[N, K]` of the generator for integer labels `[N]`.

        With `condition_on="logits"`, these are the logits of a probability of about 0.99.
        """
        one_hot = ops.one_hot(ops.cast(labels, "int32"), self.conditions)
        if self.condition_on == "probabilities":
            return one_hot
        return ops.log(0.99 * one_hot + 0.01 / self.classes)

    def batch_styles(
        self, real: Tensor, latent_halves: int, conditions: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Samples w for the first part of a batch from latents and encodes the rest.

        Args:
            real: Images `[N, H, W, C]`.
            latent_halves: Number of half batches from latents: `LATENTS`, `BOTH` or `ENCODED`.
            conditions: Conditions `[N, K]`.

        Returns:
            `(w, encoded)`: w `[N, blocks, style_dim]`, and the encoder's output `[M, latent_dim]`
            for the last M images, or `None`.
        """
        first = ops.shape(real)[0] * latent_halves // 2
        w = [self.random_styles(first)] if latent_halves else []
        encoded = self.encoder(real[first:], training=True) if latent_halves < 2 else None
        if encoded is not None:
            w.append(ops.repeat(encoded[:, None], self.generator.blocks, axis=1))
        return self.with_conditions(ops.concatenate(w), conditions), encoded

    def reconstruction_terms(
        self, real: Tensor, fake: Tensor, logits: Tensor, encoded: Tensor
    ) -> dict[str, Tensor]:
        """Distances of reconstructions from images, without weights.

        Distances that need a network pass are not computed if their weight is 0.

        Args:
            real: Images x, `[N, H, W, C]`.
            fake: Reconstructions x', `[N, H, W, C]`.
            logits: Classifier logits of x, `[N, K]`.
            encoded: Encoder output of x, `[N, latent_dim]`.

        Returns:
            Dict from the names in `TERMS` to scalars.
        """
        real, fake = ops.cast(real, "float32"), ops.cast(fake, "float32")
        fake_logits, zero = self.logits(fake), ops.zeros((), "float32")
        pair = (stretch_contrast(real), stretch_contrast(fake)) if self.stretch else (real, fake)
        same = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(fake_logits, axis=-1))
        w = perceptual = zero
        if self.perceptual is not None and self.perceptual_weight:
            perceptual = ops.mean(self.perceptual(*pair))
        if self.w_weight:
            difference = encoded - self.encoder(fake, training=True)
            w = ops.mean(ops.abs(ops.cast(difference, "float32")))
        order = (fake_logits, logits) if self.reverse_kl else (logits, fake_logits)
        return {
            "pixel": ops.mean(ops.abs(real - fake)) / 2.0,
            "perceptual": perceptual,
            "w": w,
            "kl": ops.mean(class_divergence(*order)),
            "agreement": ops.mean(ops.cast(same, "float32")),
        }

    def reconstruction_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the pixel, perceptual and w distances in `terms`."""
        weighted = {
            name: getattr(self, f"{name}_weight") * terms[name]
            for name in ("pixel", "perceptual", "w")
        }
        return self.rec_weight * sum(weighted.values())

    def generate_batch(
        self, real: Tensor, logits: Tensor, latent_halves: int, path: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Generates a batch and computes the losses that do not need the discriminator.

        Args:
            real: Images `[N, H, W, C]`.
            logits: Classifier logits of the images, `[N, K]`.
            latent_halves: Number of half batches from latents; see `batch_styles`.
            path: If `True`, includes the path length penalty.

        Returns:
            `(fake, loss, values)`: images `[N, H, W, C]`, a scalar, and a vector without gradients
            with the path length penalty and, if images were encoded, the values of `TERMS`.
        """
        conditions, noise = self.condition(logits), self.random_noise(ops.shape(real)[0])
        w, encoded = self.batch_styles(real, latent_halves, conditions)
        fake = self.generator([w, noise], training=True)
        loss, values = ops.zeros((), "float32"), []
        if path:
            source = {"z": LATENTS, "both": BOTH, "encoder": ENCODED}[self.path_source]

            def styles():
                return (
                    w if source == latent_halves else self.batch_styles(real, source, conditions)[0]
                )

            loss = self.lazy_path_penalty(styles, noise) * (self.path_weight * self.path_every)
        values.append(loss)
        if encoded is not None:
            first = ops.shape(real)[0] * latent_halves // 2
            terms = self.reconstruction_terms(real[first:], fake[first:], logits[first:], encoded)
            # By step, only every second batch is encoded.
            scale = 2.0 if self.alternation == "step" else 1.0
            reconstruction = self.reconstruction_loss(terms)
            loss = loss + scale * (reconstruction + self.kl_weight * terms["kl"])
            if self.w_match:
                target = ops.stop_gradient(
                    self.generator.mapping(self.training_latents(ops.shape(encoded)[0]))
                )
                pair = ops.cast(encoded, "float32"), ops.cast(target, "float32")
                loss = loss + scale * self.w_match_weight * W_DISTANCES[self.w_match](*pair)
            values += [terms[name] for name in TERMS]
        return fake, loss, ops.stop_gradient(ops.stack(values))

    def update_players(self, real: Tensor, latent_halves: int) -> None:
        """Updates all players with one batch.

        Args:
            real: Images `[N, H, W, C]`.
            latent_halves: Number of half batches from latents; see `batch_styles`.
        """
        players = ("generator", "encoder") if latent_halves < 2 else "generator"
        phase = self.rec_in_discriminator_phase if latent_halves < 2 else None
        count = ops.shape(real)[0]
        # With an odd number of images the halves overlap by one, so one image is enough.
        first, second = (real[: (count + 1) // 2], real[count // 2 :]) if phase else (real, None)

        def forward(images, path=True):
            logits = self.logits(images)
            outputs, vjp_fn = self.vjp(
                players, lambda: self.generate_batch(images, logits, latent_halves, path)
            )
            return ops.softmax(logits, axis=-1), outputs, vjp_fn

        def gradients(batch, with_adversarial=True):
            conditions, outputs, vjp_fn = batch
            fake, loss, values = outputs
            g_loss, gradient = None, ops.zeros_like(fake)
            if with_adversarial:

                def objective(fake):
                    return self.generator_loss(self.discriminate(fake, conditions), None)

                g_loss, gradient = self.value_and_input_gradient(objective, fake, "generator")
            return g_loss, vjp_fn((gradient, ops.ones_like(loss), ops.zeros_like(values)))

        path_due = self.path_penalty_due()
        batch = forward(first)
        path_penalty = batch[1][2][0] / self.path_every
        discriminator_values = self.update_discriminator(first, batch[1][0], batch[0])
        if phase:
            _, before = gradients(batch, with_adversarial=phase == "second_step")
            if phase != "accumulate":
                self.apply_gradients(players, before)
            # One path length penalty per batch: an extra update has already been counted.
            batch = forward(second, path=False)
        g_loss, found = gradients(batch)
        if phase == "accumulate":
            found = [one + other for one, other in zip(before, found, strict=True)]
        self.apply_gradients(players, found)
        if self.ema_decay:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
            self.update_ema(self.ema_encoder, self.encoder, self.ema_decay)
        names = ("path_penalty", *TERMS)
        values = ops.unstack(batch[1][2], len(names) if latent_halves < 2 else 1)
        values = dict(zip(names, values, strict=False))
        values["path_penalty"] = path_penalty, path_due
        if latent_halves < 2:
            values["reconstruction"] = self.reconstruction_loss(values)
        self.report(
            generator_loss=g_loss, path_length=self.path_mean, **values, **discriminator_values
        )

    def train_step(self, data: Any) -> dict:
        real = data[0] if isinstance(data, tuple) else data

        def update(latent_halves):
            self.update_players(real, latent_halves)
            return ops.zeros((), "float32")

        if self.alternation == "step":
            from_latents = ops.equal(self.next_source, 0)
            backend.cond(from_latents, lambda: update(LATENTS), lambda: update(ENCODED))
            self.next_source.assign(1 - self.next_source)
        else:
            update(BOTH if self.alternation == "micro" else ENCODED)
        return {name: mean.result() for name, mean in self._reported.items()}

    def test_step(self, data: Any) -> dict:
        real = data[0] if isinstance(data, tuple) else data
        logits = self.logits(real)
        fake, _, values = self.generate_batch(real, logits, ENCODED, path=False)
        conditions = ops.softmax(logits, axis=-1)
        real_logits, fake_logits = (
            self.discriminate(each, conditions, training=False) for each in (real, fake)
        )
        terms = dict(zip(TERMS, ops.unstack(values, 1 + len(TERMS))[1:], strict=True))
        return self.report(
            generator_loss=self.generator_loss(fake_logits, None),
            discriminator_loss=self.discriminator_loss(real_logits, fake_logits, None),
            reconstruction=self.reconstruction_loss(terms),
            **terms,
            **self.accuracies(real_logits, fake_logits),
        )

    def fit(self, x: Any = None, y: Any = None, **arguments: Any) -> keras.callbacks.History:
        """Trains the model; see `AdversarialModel.fit`.

        A model that is not compiled is compiled first, with the optimizers of the reproduction
        (`adams()`).
        """
        if not self.compiled:
            self.compile(**adams(REPRODUCTION | {"alternation": self.alternation}))
        return super().fit(x, y, **arguments)

    def data_spec(self) -> DataSpec:
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)

    def check_arrays(self, x: np.ndarray, y: Any, batch_size: int | None) -> None:
        """Checks training images.

        Raises:
            ValueError: If the shape or range of the images is wrong, if an image is constant, or if
                the classifier assigns no image to one of its classes.
        """
        images = check_images(x, self.image_shape)
        constant = np.flatnonzero(images.min(axis=(1, 2, 3)) == images.max(axis=(1, 2, 3)))
        if len(constant):
            raise ValueError(
                "images must not be constant, since a constant image contains nothing to explain; "
                f"received {len(constant)} constant images, the first at index {constant[0]}"
            )
        missing = set(range(self.classes))
        for start in range(0, len(images), 500):
            logits = self._predict_batches(self.classifier, images[start : start + 500])
            missing -= set(logits.argmax(axis=1).tolist())
            if not missing:
                return
        raise ValueError(
            f"images must include each of the {self.classes} classes of the classifier; it assigns "
            f"none to class {min(missing)}"
        )
