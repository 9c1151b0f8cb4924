"""Class-conditional GAN for small images of any data set with class labels.

The defaults combine a generator with class-conditional batch normalization, a projection
discriminator (Miyato and Koyama, 2018, "cGANs with Projection Discriminator",
https://arxiv.org/abs/1802.05637), the non-saturating logistic loss, lazy R1 regularization,
differentiable augmentation (https://arxiv.org/abs/2006.10738) and an exponential moving average of
the generator.

**Differences from the projection discriminator paper**

- The networks are small DCGAN-like convolutions instead of residual blocks, so that they train in
  minutes on a CPU.
- The discriminator has no spectral normalization. R1 regularization takes its place.
- The loss is logistic. The paper uses the hinge loss, which is available as
  `losses.adversarial.hinge_discriminator_loss`.
"""

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.arguments import check_count, check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.ema import ema_copy
from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.losses import adversarial
from kerasgan.losses.features import feature_matching
from kerasgan.losses.penalties import r1_penalty
from kerasgan.ops import replicas
from kerasgan.ops.augment import translate
from kerasgan.ops.precision import full_precision
from kerasgan.sampling import predict
from kerasgan.training import AdversarialModel, Critic
from kerasgan.types import Tensor

# === Networks ===


def build_generator(
    latent_dim: int = 64, classes: int = 10, width: int = 32, size: int = 28, channels: int = 1
) -> keras.Model:
    """Builds a generator with class-conditional batch normalization.

    Inputs: latents `[N, latent_dim]` and integer labels `[N]`.
    Output: images `[N, size, size, channels]` in [-1, 1].

    Args:
        latent_dim: Number of latent dimensions.
        classes: Number of classes.
        width: Channels of the last feature map. The earlier ones have 2 and 4 times as many.
        size: Side of the images in pixels, a multiple of 4.
        channels: Number of image channels.

    Raises:
        ValueError: If `size` is not a multiple of 4.
    """
    if size % 4:
        raise ValueError(f"size must be a multiple of 4; received {size}")
    latents = keras.Input((latent_dim,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    one_hot = layers.CategoryEncoding(classes, "one_hot")(labels)
    start = size // 4
    x = layers.Dense(start * start * 4 * width, kernel_initializer="he_normal")(
        layers.Concatenate()([latents, one_hot])
    )
    x = layers.Reshape((start, start, 4 * width))(x)  # [N, 7, 7, 128]
    x = layers.ReLU()(ConditionalBatchNormalization()([x, one_hot]))
    for maps in (2 * width, width):  # [N, 14, 14, 64], [N, 28, 28, 32]
        x = layers.Conv2DTranspose(
            maps, 4, 2, padding="same", use_bias=False, kernel_initializer="he_normal"
        )(x)
        x = layers.ReLU()(ConditionalBatchNormalization()([x, one_hot]))
    images = layers.Conv2D(channels, 3, padding="same", activation="tanh")(x)
    return keras.Model([latents, labels], images, name="generator")


def build_discriminator(
    classes: int = 10, width: int = 32, size: int = 28, channels: int = 1
) -> keras.Model:
    """Builds a projection discriminator without normalization (arXiv 1802.05637, equation 3).

    Inputs: images `[N, size, size, channels]` in [-1, 1] and integer labels `[N]`.
    Outputs: logits `[N, 1]` and features `[N, F]`.

    Args:
        classes: Number of classes.
        width: Channels of the first convolution. The others have 2 and 4 times as many.
        size: Side of the images in pixels.
        channels: Number of image channels.
    """
    images = keras.Input((size, size, channels), name="images")
    labels = keras.Input((), dtype="int32", name="labels")
    x = images
    # [N, 14, 14, 32], [N, 7, 7, 64], [N, 4, 4, 128]
    for maps, kernel in ((width, 4), (2 * width, 4), (4 * width, 3)):
        x = layers.Conv2D(maps, kernel, 2, padding="same", kernel_initializer="he_normal")(x)
        x = layers.LeakyReLU(0.2)(x)
    features = MinibatchDeviation()(layers.Flatten()(x))
    one_hot = layers.CategoryEncoding(classes, "one_hot")(labels)
    direction = layers.Dense(features.shape[-1], use_bias=False, name="class_direction")(one_hot)
    logits = layers.Add()([layers.Dense(1)(features), layers.Dot(1)([features, direction])])
    return keras.Model([images, labels], [logits, features], name="discriminator")


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
def normal_latents(shape: tuple, seed: Any) -> Tensor:
    """Returns latents of the given shape from the standard normal distribution.

    Args:
        shape: Shape of the latents, `(N, latent_dim)`.
        seed: Integer or `keras.random.SeedGenerator`.
    """
    return keras.random.normal(shape, seed=seed)


# Discriminator -> network with the same layers that ends at the features. As attributes of a model,
# these networks would be saved a second time.
_feature_networks: weakref.WeakKeyDictionary[keras.Model, keras.Model] = weakref.WeakKeyDictionary()


def _features_of(discriminator):
    if discriminator not in _feature_networks:
        _, features = discriminator.outputs
        _feature_networks[discriminator] = keras.Model(discriminator.input, features)
    return _feature_networks[discriminator]


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalGAN(AdversarialModel):
    """Class-conditional GAN that trains on any small images with class labels.

    Training data: `(images, labels)`, float images `[N, H, W, C]` in [-1, 1] and integers `[N]`.
    The fakes of a training step have the same labels as its real images.

    Compile both players with `Adam(1e-3, beta_1=0.0, beta_2=0.99)`. The defaults of
    `gradient_penalty_weight`, `ema_decay` and `augment` were chosen on MNIST digits at 1,000 to
    2,000 training steps.

    Args:
        generator: Model `[latents, labels] -> images`. Defaults to `build_generator()`, for
            28 x 28 x 1 images.
        discriminator: Model `[images, labels] -> [logits, features]` or
            `images -> [logits, features]`. Defaults to `build_discriminator()`.
        discriminator_loss: Callable `(real_logits, fake_logits, labels) -> scalar`.
        generator_loss: Callable `(fake_logits, labels) -> scalar`.
        feature_matching_weight: Weight of the feature matching loss in the generator loss.
        gradient_penalty: Callable `(critic, real, fake, seed) -> scalar`, such as `r1_penalty` or
            `wgan_gp_penalty` of `kerasgan.losses.penalties`.
        gradient_penalty_weight: Weight of the gradient penalty. 0 disables it.
        gradient_penalty_every: Number of discriminator updates between gradient penalties, which
            are then multiplied by this number (lazy regularization,
            https://arxiv.org/abs/1912.04958, appendix B).
        discriminator_steps: Number of discriminator updates per generator update. Each batch is
            divided into as many parts, and the generator update uses the last one. WGAN uses 5.
        augment: Callable `(images, seed) -> images`, applied to all discriminator inputs in
            training. `None` disables augmentation.
        ema_decay: Decay of the generator's exponential moving average, which `sample` uses. `None`
            disables it.
        sample_latents: Callable `(shape, seed) -> latents`, the latent distribution.
        classes: Number of classes.
        seed: Integer seed of the training noise.

    Raises:
        ValueError: If `discriminator_steps` is less than 1.

    Example:
        ```python
        gan = ConditionalGAN()
        adam = lambda: keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(Batches(*load_digits("train"), batch_size=64), epochs=60)
        images = gan.sample(labels=[3, 1, 4], seed=0)  # [3, 28, 28, 1]
        ```

    Reference:
        Miyato and Koyama, 2018, "cGANs with Projection Discriminator",
        https://arxiv.org/abs/1802.05637
    """

    conditioning = "labels"
    reports = (
        "generator_loss",
        "discriminator_loss",
        "feature_matching",
        "penalty",
        "real_accuracy",
        "fake_accuracy",
        "generator_accuracy",
    )
    ema_networks = {"ema_generator": "generator"}
    renamed_arguments = {
        "average": "ema_decay",
        "feature_matching": "feature_matching_weight",
        "latents": "sample_latents",
        "penalty": "gradient_penalty_weight",
        "penalty_every": "gradient_penalty_every",
    }
    # Constructor arguments that get_config stores as serialized objects, and as plain values.
    _objects = (
        "generator",
        "discriminator",
        "discriminator_loss",
        "generator_loss",
        "gradient_penalty",
        "augment",
        "sample_latents",
    )
    _values: tuple[str, ...] = (
        "feature_matching_weight",
        "gradient_penalty_weight",
        "gradient_penalty_every",
        "discriminator_steps",
        "ema_decay",
        "classes",
        "seed",
        "name",
    )

    def __init__(
        self,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        *,
        discriminator_loss: Callable = adversarial.logistic_discriminator_loss,
        generator_loss: Callable = adversarial.nonsaturating_generator_loss,
        feature_matching_weight: float = 0.0,
        gradient_penalty: Callable = r1_penalty,
        gradient_penalty_weight: float = 1.0,
        gradient_penalty_every: int = 8,
        discriminator_steps: int = 1,
        augment: Callable | None = translate,
        ema_decay: float | None = 0.998,
        sample_latents: Callable = normal_latents,
        classes: int = 10,
        seed: int | None = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if discriminator_steps < 1:
            raise ValueError(
                f"discriminator_steps must be at least 1; received {discriminator_steps}"
            )
        self.generator = generator or build_generator(classes=classes)
        self.discriminator = discriminator or build_discriminator(classes=classes)
        self.discriminator_loss, self.generator_loss = discriminator_loss, generator_loss
        self.feature_matching_weight = feature_matching_weight
        self.gradient_penalty = gradient_penalty
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_every = gradient_penalty_every
        self.discriminator_steps = discriminator_steps
        self.augment, self.sample_latents = augment, sample_latents
        self.ema_decay = ema_decay
        self.ema_generator = ema_copy(self.generator) if ema_decay else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        # A deferred generator is built when it is trained, see `kerasgan.io.deferred`.
        self.latent_dim = self.sampling_generator.inputs[0].shape[-1]
        self.image_shape = tuple(self.sampling_generator.outputs[0].shape[1:])
        self.classes = classes
        is_digits = self.image_shape == (28, 28, 1) and classes == 10
        self.evaluation_protocol = "digits" if is_digits else None
        self.built = True

    @classmethod
    def for_images(
        cls, classes: int = 10, size: int = 28, channels: int = 1, width: int = 32, **arguments: Any
    ) -> "ConditionalGAN":
        """Returns a model whose networks fit images of one size.

        Args:
            classes: Number of classes.
            size: Side of the images in pixels, a multiple of 4.
            channels: Number of image channels, 1 or 3.
            width: Channels of the generator's last feature map.
            **arguments: Further arguments of `ConditionalGAN`.

        Example:
            ```python
            gan = ConditionalGAN.for_images(classes=5, size=64, channels=3)
            ```
        """
        shape = {"classes": classes, "size": size, "channels": channels}
        return cls(
            build_generator(width=width, **shape),
            build_discriminator(**shape),
            classes=classes,
            **arguments,
        )

    def get_config(self) -> dict:
        nested = keras.saving.serialize_keras_object
        config = {name: nested(getattr(self, name)) for name in self._objects}
        return config | {name: getattr(self, name) for name in self._values}

    @classmethod
    def from_config(cls, config: dict) -> "ConditionalGAN":
        nested = keras.saving.deserialize_keras_object
        objects = {name: nested(config[name]) for name in cls._objects if name in config}
        return cls(**(config | objects))

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        generator = self.sampling_generator
        return {"generator": generator, "discriminator": self.discriminator}

    # === Training ===

    def discriminate(self, images: Tensor, labels: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Applies the discriminator, after augmentation if `training`.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            labels: Integers `[N]`.
            training: If `True`, augments the images and uses batch statistics.

        Returns:
            Logits `[N, 1]` (or `[N, classes + 1]`, see `MnistGAN`) and features `[N, F]`.
        """
        return self._discriminate(self.discriminator, images, labels, training)

    def features(self, images: Tensor, labels: Tensor, training: bool) -> Tensor:
        """Returns the features of `discriminate` without computing logits.

        The layers that only logits need, such as minibatch discrimination, are left out.
        """
        if type(self).discriminate is not ConditionalGAN.discriminate:  # A subclass has its own.
            return self.discriminate(images, labels, training)[1]
        network = _features_of(self.discriminator)
        return self._discriminate(network, images, labels, training)

    def _discriminate(self, network, images, labels, training):
        if self.augment and training:
            images = self.augment(images, self.seeds)
        conditional = len(self.discriminator.inputs) == 2
        return full_precision(
            network([images, labels] if conditional else images, training=training)
        )

    def generate(self, labels: Tensor, training: bool) -> Tensor:
        """Generates images `[N, H, W, C]` of the labels `[N]` from new latents."""
        count = ops.shape(labels)[0] * replicas.count()
        latents = replicas.own(self.sample_latents((count, self.latent_dim), seed=self.seeds))
        return full_precision(self.generator([latents, labels], training=training))

    def train_step(self, data: tuple) -> dict:
        *others, (real, labels) = self._split_batch(*data)
        for part_real, part_labels in others:
            fake = self.generate(part_labels, training=True)
            self._update_discriminator(part_real, part_labels, fake)
        # Both players use the same fakes, so the generator runs forward only once per step.
        fake, vjp_fn = self.vjp("generator", lambda: self.generate(labels, training=True))

        def generator_objective(fake):
            def logits_and_matching():
                logits, features = self.discriminate(fake, labels, training=True)
                if not self.feature_matching_weight:
                    return logits, 0.0
                real_features = self.features(real, labels, training=True)
                return logits, feature_matching(real_features, features)

            logits, matching = self.frozen_moving_statistics(logits_and_matching)
            loss = self.generator_loss(logits, labels) + self.feature_matching_weight * matching
            return loss, (logits, matching)

        d_loss, penalty, real_logits, fake_logits = self._update_discriminator(real, labels, fake)
        (g_loss, (logits, matching)), gradient = self.value_and_input_gradient(
            generator_objective, fake, "generator"
        )
        self.apply_gradients("generator", vjp_fn(gradient))
        if self.ema_decay:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        report = {"generator_loss": g_loss, "discriminator_loss": d_loss}
        if self.feature_matching_weight:
            report["feature_matching"] = matching
        if self.gradient_penalty_weight:
            report["penalty"] = penalty
        return self.report(**report, **self.accuracies(real_logits, fake_logits, logits, labels))

    def _split_batch(self, real, labels):
        """Divides a batch into one part for each discriminator update."""
        steps = self.discriminator_steps
        if steps == 1:
            return [(real, labels)]
        size = ops.shape(labels)[0] // steps
        return [
            (real[i * size : (i + 1) * size], labels[i * size : (i + 1) * size])
            for i in range(steps)
        ]

    def _update_discriminator(self, real, labels, fake):
        """Updates the discriminator once.

        Returns:
            The loss, the weighted gradient penalty with whether it was computed, and the logits of
            real images and fakes. The logits are those before the update.
        """
        every = self.gradient_penalty_every
        due = self.regularization_due(every, "discriminator")

        def gradient_penalty():
            critic = Critic(
                self, "discriminator", lambda x: self.discriminate(x, labels, training=True)[0]
            )
            value = self.gradient_penalty(critic, real, fake, self.seeds)
            return value * (every * self.gradient_penalty_weight)

        def objective():
            real_logits, _ = self.discriminate(real, labels, training=True)
            fake_logits, _ = self.discriminate(fake, labels, training=True)
            loss = self.discriminator_loss(real_logits, fake_logits, labels)
            penalty = 0.0
            if self.gradient_penalty_weight:
                penalty = self.lazy_regularization(every, "discriminator", gradient_penalty)
            return loss + penalty, (loss, penalty, real_logits, fake_logits)

        loss, penalty, *logits = self.minimize("discriminator", objective)[1]
        return loss, (penalty / every, due), *logits

    def test_step(self, data: tuple) -> dict:
        real, labels = data
        fake = self.generate(labels, training=False)
        fake_logits, _ = self.discriminate(fake, labels, training=False)
        real_logits, _ = self.discriminate(real, labels, training=False)
        return self.report(
            generator_loss=self.generator_loss(fake_logits, labels),
            discriminator_loss=self.discriminator_loss(real_logits, fake_logits, labels),
            **self.accuracies(real_logits, fake_logits, fake_logits, labels),
        )

    def accuracies(
        self, real_logits: Tensor, fake_logits: Tensor, generator_logits: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Returns the accuracies of both players.

        Args:
            real_logits: Logits `[N, 1]` or `[N, classes + 1]` of real images.
            fake_logits: Logits of fakes before the discriminator update.
            generator_logits: Logits of fakes after the discriminator update.
            labels: Integers `[N]`.

        Returns:
            Dict of scalars: `real_accuracy` and `fake_accuracy`, the fractions of images that the
            discriminator classifies correctly, and `generator_accuracy`, the fraction of fakes that
            it classifies as real. With `classes + 1` logits, a real image must get its own class,
            and a fake counts for the generator if it gets the class of its label.
        """
        if real_logits.shape[-1] == 1:
            correct = (real_logits > 0, fake_logits <= 0, generator_logits > 0)
        else:
            real_class, fake_class, generator_class = (
                ops.argmax(x, axis=-1) for x in (real_logits, fake_logits, generator_logits)
            )
            labels = ops.cast(labels, real_class.dtype)
            correct = (
                real_class == labels,
                fake_class == self.classes,
                generator_class == labels,
            )
        names = ("real_accuracy", "fake_accuracy", "generator_accuracy")
        return {
            name: ops.mean(ops.cast(each, "float32"))
            for name, each in zip(names, correct, strict=True)
        }

    # === Inference ===

    def call(self, inputs: list, training: bool = False) -> Tensor:
        """Generates images from `[latents, labels]` with the network that `sample` uses."""
        return self.sampling_generator(inputs, training=training)

    def call_inputs(self) -> list[keras.KerasTensor]:
        return self.sampling_generator.inputs

    def random_latents(self, n: int, seed: int | None = None) -> np.ndarray:
        shape = (check_count(n), self.latent_dim)
        return np.array(ops.convert_to_numpy(self.sample_latents(shape, seed=check_seed(seed))))

    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        seed: int | None = None,
        batch_size: int = 250,
        *,
        latents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generates images in inference mode, with the moving average of the generator if any.

        Args:
            n: Number of images. Their labels cycle through the classes.
            labels: Integers `[N]` instead of `n`.
            seed: Integer seed. The same seed gives the same images on the same backend. `None`
                gives new images at each call.
            batch_size: Number of images per forward pass. It does not change the images.
            latents: Latents `[N, latent_dim]` instead of random ones from `seed`; see
                `random_latents`.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1].

        Raises:
            ValueError: If both `n` and `labels` are given, or neither of `n`, `labels` and
                `latents`, if a label is not a class, or if `latents` have another shape.
        """
        labels = self.labels_to_sample(n, labels, latents)
        latents = self.latents_to_sample(len(labels), seed, latents)
        network = self.sampling_generator
        inputs = [latents, labels.astype("int32")]
        return predict(network, inputs, batch_size).astype("float32")

    def data_spec(self) -> DataSpec:
        steps = self.discriminator_steps
        if steps > 1:
            reason = f"{steps} discriminator steps need at least 2 images each"
        else:
            reason = "batch normalization needs at least 2 images"
        return DataSpec(
            (Images(self.image_shape), Labels(self.classes)), smallest=2 * steps, reason=reason
        )
