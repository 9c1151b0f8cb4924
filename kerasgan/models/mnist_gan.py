"""The conditional MNIST GAN with minibatch discrimination, from training notes on Salimans et al., Improved Techniques
for Training GANs (arXiv 1606.03498).

A generator of transposed convolutions draws the digit it is asked for; a deliberately weak discriminator of 11 classes
(ten digits and "fake") judges it by its features and by how close it is to the rest of its batch.

Differences from the notes (`MnistGAN(as_noted=True)` keeps them all):
- minibatch discrimination sees the whole batch and no sample compares with itself, as in the paper; there, groups of
  16;
- feature matching reaches the generator; there, the features are cut off and the term has no gradient;
- both sides of feature matching, and the generator's phase, use one discriminator on its batch statistics; there, the
  real side is from before the update and the fake side in inference mode, with averages over reals and fakes alike;
- one-sided smoothing is the paper's, 0.1 of the real label to "fake"; there, 0.9 times the fakes' loss;
- the discriminator sees the last row and column; there, a stride of 2 over 27 pixels drops them, and they stay bright;
- the same fakes serve both phases, for one forward of the generator in place of two;
- images are in [-1, 1]; there in [0, 1].
"""

import keras
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.ema import ema_copy
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization
from kerasgan.layers.conv_transpose import SmallConv2DTranspose
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses import adversarial
from kerasgan.losses import classes as class_losses
from kerasgan.losses.features import feature_matching
from kerasgan.losses.penalties import r1_penalty
from kerasgan.ops.augment import translate
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel, Critic

# === Networks ===


def _norm():
    return BatchNormalization(momentum=0.9, epsilon=1e-5)  # torch's defaults, in Keras' terms


def build_generator(latent_dim=100, classes=10, width=64, kernels=(5, 4, 4), last_kernel=1):
    """The notes' generator: latents [N, latent_dim] and labels [N] -> images [N, 28, 28, 1] in [-1, 1].

    Args:
        latent_dim: numbers drawn for an image (the notes do not say; 100).
        width: channels of the last map; the others are 2, 2 and 4 times as many (64 in the notes).
        kernels: sizes of the three transposed convolutions, the last two of stride 2. The maps are cut to 28 pixels
            around the middle, so larger ones are possible.
        last_kernel: of the convolution to the image. The notes: larger than 1 leaves patterns.
    """
    latents = keras.Input((latent_dim,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    x = layers.Concatenate()([latents, layers.CategoryEncoding(classes, "one_hot")(labels)])
    x = layers.Dense(2 * 2 * 4 * width, activation="relu")(x)
    x = layers.Reshape((2, 2, 4 * width))(x)  # [N, 2, 2, 256]
    kinds = (SmallConv2DTranspose, layers.Conv2DTranspose, layers.Conv2DTranspose)
    for kind, channels, kernel, stride in zip(
        kinds, (2 * width, 2 * width, width), kernels, (1, 2, 2), strict=True
    ):
        x = kind(channels, kernel, stride)(x)  # [N, 6, 6, 128], [N, 14, 14, 128], [N, 30, 30, 64]
        x = layers.ReLU()(_norm()(x))
    x = layers.Conv2D(1, last_kernel, padding="same", activation="tanh")(x)  # [N, 30, 30, 1]
    # Cut last: the gradient of cutting 64 channels costs a fifth of the step on TensorFlow.
    margin = x.shape[1] - 28
    images = layers.Cropping2D(((margin // 2, margin - margin // 2),) * 2)(x)  # [N, 28, 28, 1]
    return keras.Model([latents, labels], images, name="generator")


def build_discriminator(
    classes=10, width=32, kernels=100, dims=4, *, group=None, dropout=0.0, slope=0.2, as_noted=False
):
    """The notes' discriminator: images [N, 28, 28, 1] in [-1, 1] -> logits [N, classes + 1] and features [N, F].

    Args:
        width: channels of the first convolution; the second has 2 (more is too strong, say the notes).
        kernels, dims: B and C of minibatch discrimination; `kernels=0` leaves it out.
        group: samples that minibatch discrimination compares; None is the whole batch.
        dropout: share of features dropped after each convolution (commented out in the notes).
        slope: of the leaky ReLUs.
        as_noted: groups of 16 that include the sample itself, unjudged last row and column, images as [0, 1].
    """
    images = keras.Input((28, 28, 1), name="images")
    x = layers.Rescaling(0.5, 0.5)(images) if as_noted else images
    x = layers.Conv2D(width, 2, padding="valid" if as_noted else "same")(
        x
    )  # [N, 28, 28, 32] (noted: 27)
    x = layers.SpatialDropout2D(dropout, seed=1)(x) if dropout else x
    x = layers.LeakyReLU(slope)(x)
    x = _norm()(layers.Conv2D(2, 2, 2)(x))  # [N, 14, 14, 2] (noted: 13)
    x = layers.SpatialDropout2D(dropout, seed=2)(x) if dropout else x
    features = layers.Flatten()(layers.LeakyReLU(slope)(x))  # [N, 392] (noted: 338)
    x = features
    if kernels:
        closeness = MinibatchDiscrimination(
            kernels,
            dims,
            batch=group or (16 if as_noted else None),
            include_self=as_noted,
            use_bias=as_noted,
        )(features)
        x = layers.Concatenate()([features, closeness])  # [N, 492] (noted: 438)
    return keras.Model(images, [layers.Dense(classes + 1)(x), features], name="discriminator")


def build_conditional_generator(latent_dim=64, classes=10, width=32, size=28, channels=1):
    """A generator with class-conditional batch norm: latents and labels -> images [N, size, size, channels] in [-1, 1].

    Args:
        latent_dim: numbers drawn for an image.
        width: channels of the last map; the others have 2 and 4 times as many.
        size: side in pixels, a multiple of 4.
        channels: of the images.
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


def build_projection_discriminator(classes=10, width=32, size=28, channels=1):
    """A projection discriminator without normalisation (Miyato & Koyama, arXiv 1802.05637, equation 3).

    Images [N, size, size, channels] and labels [N] -> logits [N, 1] and features [N, F].
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
def normal_latents(shape, seed):
    """z ~ N(0, 1): the notes' first and most important line."""
    return keras.random.normal(shape, seed=seed)


@keras.saving.register_keras_serializable("kerasgan")
class MnistGAN(AdversarialModel):
    """A class-conditional GAN on small images.

    Data: `(images [N, H, W, C] float in [-1, 1], labels [N] integers)`; the fakes of a step get its labels.

    Args:
        generator: `[latents, labels] -> images`. The notes' by default.
        discriminator: `images` or `[images, labels] -> [logits, features]`. The notes' by default.
        as_noted: the notes' network and training, defects and all (module docstring).
        discriminator_loss: `(real_logits, fake_logits, labels) -> scalar`; by default K + 1 classes with one-sided
            smoothing, or what the notes have in its place.
        generator_loss: `(fake_logits, labels) -> scalar`.
        feature_matching: weight of `losses.features.feature_matching` in the generator's loss (1 in the notes).
        penalty: weight of the gradient penalty, gamma of R1 (arXiv 1801.04406); 0 is none.
        gradient_penalty: `(critic, real, fake, seed) -> scalar`, see `losses.penalties`.
        penalty_every: discriminator updates from one penalty to the next, which weighs as much as all of them
            (lazy regularisation, arXiv 1912.04958, appendix B).
        discriminator_steps: discriminator updates to one of the generator (5 in WGAN, arXiv 1701.07875). A batch is cut
            into as many parts, the generator's step uses the last one.
        augment: `(images, seed) -> images`, for all that the discriminator sees, such as `ops.augment.translate`.
        average: decay of the generator's exponential moving average, which `sample` then uses; None is none.
        latents: `(shape, seed) -> latents`.
        classes: number of labels.
        seed: of all noise in training.

    Example:
        gan = MnistGAN()
        adam = lambda: keras.optimizers.Adam(2e-4, beta_1=0.5)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(Batches(*load_digits("train"), batch_size=128), epochs=100)
        gan.sample(labels=[3, 1, 4])
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
    _objects = (
        "generator",
        "discriminator",
        "discriminator_loss",
        "generator_loss",
        "gradient_penalty",
        "augment",
        "latents",
    )

    def __init__(
        self,
        generator=None,
        discriminator=None,
        *,
        as_noted=False,
        discriminator_loss=None,
        generator_loss=class_losses.class_generator_loss,
        feature_matching=1.0,
        penalty=0.0,
        gradient_penalty=r1_penalty,
        penalty_every=8,
        discriminator_steps=1,
        augment=None,
        average=None,
        latents=normal_latents,
        classes=10,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        if as_noted and (penalty or augment or average):
            raise ValueError(
                "as_noted must come without penalty, augment and average, which the notes do not have; received "
                f"penalty={penalty}, augment={augment}, average={average}"
            )
        if discriminator_steps < 1 or (as_noted and discriminator_steps > 1):
            raise ValueError(
                f"discriminator_steps must be at least 1, as_noted 1; received {discriminator_steps}"
            )
        if discriminator_loss is None:
            mended = class_losses.smoothed_class_discriminator_loss
            discriminator_loss = class_losses.noted_class_discriminator_loss if as_noted else mended
        self.generator = generator or build_generator()
        self.discriminator = discriminator or build_discriminator(as_noted=as_noted)
        self.as_noted = as_noted
        self.discriminator_loss, self.generator_loss = discriminator_loss, generator_loss
        self.feature_matching, self.penalty, self.penalty_every = (
            feature_matching,
            penalty,
            penalty_every,
        )
        self.gradient_penalty, self.discriminator_steps = gradient_penalty, discriminator_steps
        self.augment, self.ema_decay, self.latents = augment, average, latents
        self.ema_generator = ema_copy(self.generator) if average else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.latent_dim = self.generator.inputs[0].shape[-1]
        self.image_shape = tuple(self.generator.outputs[0].shape[1:])
        self.classes = classes
        self.built = True

    def get_config(self):
        config = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self._objects
        }
        plain = (
            "as_noted",
            "feature_matching",
            "penalty",
            "penalty_every",
            "discriminator_steps",
            "classes",
            "seed",
            "name",
        )
        return config | {name: getattr(self, name) for name in plain} | {"average": self.ema_decay}

    @classmethod
    def from_config(cls, config):
        read = keras.saving.deserialize_keras_object
        return cls(
            **{key: read(value) if key in cls._objects else value for key, value in config.items()}
        )

    def checkpoint_networks(self):
        return {"G": self.ema_generator or self.generator, "D": self.discriminator}

    # === Training ===

    def discriminate(self, images, labels, training):
        """The discriminator's logits and features, of augmented images if the model augments."""
        if self.augment and training:
            images = self.augment(images, self.seeds)
        conditional = len(self.discriminator.inputs) == 2
        return full_precision(
            self.discriminator([images, labels] if conditional else images, training=training)
        )

    def draw(self, labels, training):
        """Fakes [N, H, W, C] of the labels [N] from fresh latents."""
        latents = self.latents((ops.shape(labels)[0], self.latent_dim), seed=self.seeds)
        return full_precision(self.generator([latents, labels], training=training))

    def train_step(self, data):
        real, labels = data
        if self.as_noted:
            return self._noted_step(real, labels)
        *others, (real, labels) = self._parts(real, labels)
        for part in others:
            self._move_discriminator(*part, self.draw(part[1], training=True))
        fake, pull = self.vjp("generator", lambda: self.draw(labels, training=True))

        def generator_objective(fake):
            def judged():
                logits, features = self.discriminate(fake, labels, training=True)
                if not self.feature_matching:
                    return logits, 0.0
                return logits, feature_matching(
                    self.discriminate(real, labels, training=True)[1], features
                )

            logits, matching = self.frozen_moving_statistics(judged)
            return self.generator_loss(logits, labels) + self.feature_matching * matching, (
                logits,
                matching,
            )

        d_loss, penalty, real_logits, fake_logits = self._move_discriminator(real, labels, fake)
        (g_loss, (logits, matching)), slope = self.value_and_input_gradient(
            generator_objective, fake, "generator"
        )
        self.apply_gradients("generator", pull(slope))
        if self.ema_generator:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        report = {"generator_loss": g_loss, "discriminator_loss": d_loss}
        if self.feature_matching:
            report["feature_matching"] = matching
        if self.penalty:
            report["penalty"] = penalty
        return self.report(**report, **self.accuracies(real_logits, fake_logits, logits, labels))

    def _parts(self, real, labels):
        """The batch, cut into one part for each discriminator step."""
        steps = self.discriminator_steps
        if steps == 1:
            return [(real, labels)]
        size = ops.shape(labels)[0] // steps
        return [
            (real[i * size : (i + 1) * size], labels[i * size : (i + 1) * size])
            for i in range(steps)
        ]

    def _move_discriminator(self, real, labels, fake):
        """One step of the discriminator. Returns its loss, the penalty, and the logits of both sides before it."""

        def gradient_penalty():
            critic = Critic(
                self, "discriminator", lambda x: self.discriminate(x, labels, training=True)[0]
            )
            value = self.gradient_penalty(critic, real, fake, self.seeds)
            return value * (self.penalty_every * self.penalty)

        def objective():
            real_logits, _ = self.discriminate(real, labels, training=True)
            fake_logits, _ = self.discriminate(fake, labels, training=True)
            loss = self.discriminator_loss(real_logits, fake_logits, labels)
            penalty = (
                self.lazy_regularization(self.penalty_every, "discriminator", gradient_penalty)
                if self.penalty
                else 0.0
            )
            return loss + penalty, (loss, penalty, real_logits, fake_logits)

        return self.minimize("discriminator", objective)[1]

    def _noted_step(self, real, labels):
        whole = (
            ops.shape(labels)[0] // 16 * 16
        )  # the notes drop what does not fill a group of minibatch discrimination
        real, labels = real[:whole], labels[:whole]
        fake = self.draw(labels, training=True)

        def discriminator_objective():
            real_logits, features = self.discriminate(real, labels, training=True)
            fake_logits, _ = self.discriminate(fake, labels, training=True)
            return self.discriminator_loss(real_logits, fake_logits, labels), (
                real_logits,
                fake_logits,
                features,
            )

        def generator_objective():
            logits, features = self.discriminate(
                self.draw(labels, training=True), labels, training=False
            )
            matching = feature_matching(
                real_features, ops.stop_gradient(features)
            )  # cut off: it moves nothing
            return self.generator_loss(logits, labels) + self.feature_matching * matching, (
                logits,
                matching,
            )

        d_loss, (real_logits, fake_logits, real_features) = self.minimize(
            "discriminator", discriminator_objective
        )
        g_loss, (logits, matching) = self.minimize("generator", generator_objective)
        accuracies = self.accuracies(real_logits, fake_logits, logits, labels)
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            feature_matching=matching,
            **accuracies,
        )

    def test_step(self, data):
        real, labels = data
        fake_logits, _ = self.discriminate(
            self.draw(labels, training=False), labels, training=False
        )
        real_logits, _ = self.discriminate(real, labels, training=False)
        return self.report(
            generator_loss=self.generator_loss(fake_logits, labels),
            discriminator_loss=self.discriminator_loss(real_logits, fake_logits, labels),
            **self.accuracies(real_logits, fake_logits, fake_logits, labels),
        )

    def accuracies(self, real_logits, fake_logits, logits, labels):
        """Shares of reals taken for real (of K + 1 classes: for their class), of fakes taken for fake, and, after the
        discriminator's step, of fakes taken for real (for their class)."""
        if real_logits.shape[-1] == 1:
            right = (real_logits > 0, fake_logits <= 0, logits > 0)
        else:
            real_class, fake_class, asked = (
                ops.argmax(x, axis=-1) for x in (real_logits, fake_logits, logits)
            )
            labels = ops.cast(labels, real_class.dtype)
            right = (real_class == labels, fake_class == self.classes, asked == labels)
        names = ("real_accuracy", "fake_accuracy", "generator_accuracy")
        return {
            name: ops.mean(ops.cast(r, "float32")) for name, r in zip(names, right, strict=True)
        }

    # === Use ===

    def call(self, inputs, training=False):
        """Images of `[latents, labels]`, by the network that `sample` uses."""
        return (self.ema_generator or self.generator)(inputs, training=training)

    def call_inputs(self):
        return self.generator.inputs

    def sample(self, n=None, labels=None, seed=None, batch_size=250):
        """Draws images, in inference mode, from the averaged generator if there is one.

        Args:
            n: number of images; their labels go round the classes. Or give `labels`, a list of integers [N].
            seed: an integer; the same seed gives the same images on the same backend. None draws new ones.
            batch_size: images computed at a time; it does not change them.

        Returns:
            float32 array [N, H, W, C] in [-1, 1].

        Raises:
            ValueError: neither or both of `n` and `labels`, or a label that is not a class.
        """
        labels = self.labels_to_sample(n, labels)
        latents = self.latents((len(labels), self.latent_dim), seed=check_seed(seed))
        network = self.ema_generator or self.generator
        inputs = [ops.convert_to_numpy(latents), labels.astype("int32")]
        return network.predict(inputs, batch_size=batch_size, verbose=0).astype("float32")

    @property
    def evaluation_protocol(self) -> str | None:
        return "digits" if self.image_shape == (28, 28, 1) and self.classes == 10 else None

    def data_spec(self):
        smallest = 16 if self.as_noted else 2 * self.discriminator_steps
        noted = "the notes' minibatch discrimination compares groups of 16"
        steps = f"{self.discriminator_steps} discriminator steps, 2 images or more for each"
        one = "batch norm has no statistics of one image"
        reason = noted if self.as_noted else steps if self.discriminator_steps > 1 else one
        return DataSpec(
            (Images(self.image_shape), Labels(self.classes)), smallest=smallest, reason=reason
        )


def build_best(classes=10, size=28, channels=1, width=32, seed=0, **changes):
    """The strongest `MnistGAN` we know, for images [N, size, size, channels]: what the field has learnt since 2016.

    Class-conditional batch norm and a projection discriminator, the logistic loss with lazy R1, shifted images on both
    sides, an averaged generator. To be compiled with Adam(1e-3, beta_1=0, beta_2=0.99) for both players; scores in the
    README. gamma, decay and shift were chosen on the digits, at 1,000 to 2,000 steps. `changes` are other arguments of
    `MnistGAN`, such as `PLAIN`.
    """
    arguments = {
        "generator": build_conditional_generator(
            classes=classes, width=width, size=size, channels=channels
        ),
        "discriminator": build_projection_discriminator(
            classes=classes, size=size, channels=channels
        ),
        "discriminator_loss": adversarial.logistic_discriminator_loss,
        "generator_loss": adversarial.nonsaturating_generator_loss,
        "feature_matching": 0.0,
        "penalty": 1.0,
        "augment": translate,
        "average": 0.998,
        "classes": classes,
        "seed": seed,
    }
    return MnistGAN(**dict(arguments, **changes))


# What makes `build_best` plain: one trick at a time is then compared with none.
PLAIN = {"penalty": 0.0, "augment": None, "average": None}
