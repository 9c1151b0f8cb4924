"""Conditional MNIST GAN with minibatch discrimination, from the training notes.

The training notes implement parts of Salimans et al., 2016, "Improved Techniques for Training
GANs" (https://arxiv.org/abs/1606.03498). The generator consists of transposed convolutions. The
discriminator is deliberately small. It has K + 1 classes (ten digits and "fake"), and minibatch
discrimination compares the images of a batch.

**Differences from the training notes** (`MnistGAN(reproduce_training_notes=True)` has none of them)

- Minibatch discrimination compares the whole batch and no sample with itself, as in the paper. The
  training notes compare groups of 16.
- Feature matching has a gradient. In the training notes the features are detached, so the term has
  no effect.
- Real and fake features come from the same discriminator with batch statistics. In the training
  notes the real features precede the discriminator update, the fake ones use inference mode, and
  the moving averages mix real images and fakes.
- One-sided label smoothing follows the paper: 0.1 of the real label moves to "fake". The training
  notes multiply the fake loss by 0.9 instead.
- The discriminator covers all pixels. In the training notes a stride of 2 over 27 pixels drops the
  last row and column, and these stay bright in generated images.
- Both players use the same fakes, which saves one forward pass of the generator.
- Images are in [-1, 1]. In the training notes they are in [0, 1].
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.convolution import conv2d_transpose
from kerasgan.layers.dropout import SpatialDropout2D
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses import classes as class_losses
from kerasgan.losses.features import feature_matching
from kerasgan.models.conditional_gan import ConditionalGAN

GROUP = 16  # Samples that minibatch discrimination compares in the training notes.

# === Networks ===


def _norm():
    return BatchNormalization(momentum=0.9, epsilon=1e-5)  # PyTorch's defaults in Keras' terms.


def build_generator(
    latent_dim: int = 100,
    classes: int = 10,
    width: int = 64,
    kernels: tuple[int, int, int] = (5, 4, 4),
    last_kernel: int = 1,
) -> keras.Model:
    """Builds the generator of the training notes.

    Inputs: latents `[N, latent_dim]` and integer labels `[N]`.
    Output: images `[N, 28, 28, 1]` in [-1, 1].

    Args:
        latent_dim: Number of latent dimensions. The training notes do not state theirs.
        classes: Number of classes.
        width: Channels of the last feature map, 64 in the training notes. The earlier maps have 2,
            2 and 4 times as many.
        kernels: Kernel sizes of the three transposed convolutions. The last two have a stride of 2.
            The output is cropped to the central 28 pixels, so larger kernels are possible.
        last_kernel: Kernel size of the convolution that produces the image. According to the
            training notes, sizes above 1 cause patterns.
    """
    latents = keras.Input((latent_dim,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    x = layers.Concatenate()([latents, layers.CategoryEncoding(classes, "one_hot")(labels)])
    x = layers.Dense(2 * 2 * 4 * width, activation="relu")(x)
    x = layers.Reshape((2, 2, 4 * width))(x)  # [N, 2, 2, 256]
    for channels, kernel, stride in zip(
        (2 * width, 2 * width, width), kernels, (1, 2, 2), strict=True
    ):
        # [N, 6, 6, 128], [N, 14, 14, 128], [N, 30, 30, 64]
        x = conv2d_transpose(x, channels, kernel, stride)
        x = layers.ReLU()(_norm()(x))
    x = layers.Conv2D(1, last_kernel, padding="same", activation="tanh")(x)  # [N, 30, 30, 1]
    # Crop after the last convolution: cropping 64 channels costs 20 % of the step on TensorFlow.
    margin = x.shape[1] - 28
    images = layers.Cropping2D(((margin // 2, margin - margin // 2),) * 2)(x)  # [N, 28, 28, 1]
    return keras.Model([latents, labels], images, name="generator")


def build_discriminator(
    classes: int = 10,
    width: int = 32,
    kernels: int = 100,
    dims: int = 4,
    *,
    group: int | None = None,
    dropout: float = 0.0,
    negative_slope: float = 0.2,
    reproduce_training_notes: bool = False,
) -> keras.Model:
    """Builds the discriminator of the training notes.

    Input: images `[N, 28, 28, 1]` in [-1, 1].
    Outputs: logits `[N, classes + 1]`, the last of which means "fake", and features `[N, F]`.

    Args:
        classes: Number of classes.
        width: Channels of the first convolution. The second one has only 2, because the generator
            does not learn against a stronger discriminator, according to the training notes.
        kernels: Number of kernels of minibatch discrimination, B in the paper. 0 omits it.
        dims: Dimensions of each kernel, C in the paper.
        group: Number of samples that minibatch discrimination compares. `None` is the whole batch.
        dropout: Fraction of the feature maps dropped after each convolution. The training notes
            have this layer commented out.
        negative_slope: Negative slope of the leaky ReLUs.
        reproduce_training_notes: If `True`, minibatch discrimination compares groups of 16 and
            each sample also with itself, the first convolution has no padding, and images are
            rescaled to [0, 1].
    """
    as_in_notes = reproduce_training_notes
    images = keras.Input((28, 28, 1), name="images")
    x = layers.Rescaling(0.5, 0.5)(images) if as_in_notes else images
    # [N, 28, 28, width]. Without padding, as in the training notes: [N, 27, 27, width]. The next
    # shapes of this second case are given in parentheses.
    x = layers.Conv2D(width, 2, padding="valid" if as_in_notes else "same")(x)
    x = SpatialDropout2D(dropout, seed=1)(x) if dropout else x
    x = layers.LeakyReLU(negative_slope)(x)
    x = _norm()(layers.Conv2D(2, 2, 2)(x))  # [N, 14, 14, 2] (13 x 13)
    x = SpatialDropout2D(dropout, seed=2)(x) if dropout else x
    features = layers.Flatten()(layers.LeakyReLU(negative_slope)(x))  # [N, 392] (338)
    x = features
    if kernels:
        closeness = MinibatchDiscrimination(
            kernels,
            dims,
            batch=group or (GROUP if as_in_notes else None),
            include_self=as_in_notes,
            use_bias=as_in_notes,
        )(features)
        x = layers.Concatenate()([features, closeness])  # [N, 492] (438)
    return keras.Model(images, [layers.Dense(classes + 1)(x), features], name="discriminator")


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class MnistGAN(ConditionalGAN):
    """Conditional GAN of the training notes, with their errors corrected or reproduced.

    The discriminator classifies images into the real classes and "fake". For better images, and for
    other images than digits, use `ConditionalGAN`.

    Training data: `(images, labels)`, float images `[N, 28, 28, 1]` in [-1, 1] and integers `[N]`.

    Args:
        generator: Model `[latents, labels] -> images`. Defaults to `build_generator()`.
        discriminator: Model `images -> [logits, features]`. Defaults to `build_discriminator()`.
        reproduce_training_notes: If `True`, uses the network and the training step of the training
            notes with all their errors; see the module docstring.
        discriminator_loss: Callable `(real_logits, fake_logits, labels) -> scalar`. Defaults to
            cross-entropy over K + 1 classes with one-sided label smoothing.
        generator_loss: Callable `(fake_logits, labels) -> scalar`.
        feature_matching_weight: Weight of the feature matching loss, 1 in the training notes.
        gradient_penalty_weight: Weight of the gradient penalty. 0 (training notes) disables it.
        augment: Callable `(images, seed) -> images`, applied to all discriminator inputs.
        ema_decay: Decay of the generator's exponential moving average.
        classes: Number of classes.
        **arguments: Further arguments of `ConditionalGAN`.

    Raises:
        ValueError: If `reproduce_training_notes` is combined with an option that the training notes
            do not have.

    Example:
        ```python
        gan = MnistGAN()
        adam = lambda: keras.optimizers.Adam(2e-4, beta_1=0.5)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(Batches(*load_digits("train"), batch_size=128), epochs=100)
        images = gan.sample(labels=[3, 1, 4], seed=0)  # [3, 28, 28, 1]
        ```

    Reference:
        Salimans et al., 2016, "Improved Techniques for Training GANs",
        https://arxiv.org/abs/1606.03498
    """

    renamed_arguments = ConditionalGAN.renamed_arguments | {"as_noted": "reproduce_training_notes"}
    _values = ("reproduce_training_notes", *ConditionalGAN._values)

    def __init__(
        self,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        *,
        reproduce_training_notes: bool = False,
        discriminator_loss: Callable | None = None,
        generator_loss: Callable = class_losses.class_generator_loss,
        feature_matching_weight: float = 1.0,
        gradient_penalty_weight: float = 0.0,
        augment: Callable | None = None,
        ema_decay: float | None = None,
        discriminator_steps: int = 1,
        classes: int = 10,
        **arguments: Any,
    ):
        if reproduce_training_notes and (gradient_penalty_weight or augment or ema_decay):
            raise ValueError(
                "reproduce_training_notes does not allow gradient_penalty_weight, augment or "
                f"ema_decay; received gradient_penalty_weight={gradient_penalty_weight}, "
                f"augment={augment}, ema_decay={ema_decay}"
            )
        if reproduce_training_notes and discriminator_steps > 1:
            raise ValueError(
                "discriminator_steps must be 1 with reproduce_training_notes; "
                f"received {discriminator_steps}"
            )
        if discriminator_loss is None:
            discriminator_loss = (
                class_losses.fake_weighted_class_discriminator_loss
                if reproduce_training_notes
                else class_losses.smoothed_class_discriminator_loss
            )
        super().__init__(
            generator or build_generator(classes=classes),
            discriminator
            or build_discriminator(classes, reproduce_training_notes=reproduce_training_notes),
            discriminator_loss=discriminator_loss,
            generator_loss=generator_loss,
            feature_matching_weight=feature_matching_weight,
            gradient_penalty_weight=gradient_penalty_weight,
            augment=augment,
            ema_decay=ema_decay,
            discriminator_steps=discriminator_steps,
            classes=classes,
            **arguments,
        )
        self.reproduce_training_notes = reproduce_training_notes

    def train_step(self, data: tuple) -> dict:
        if self.reproduce_training_notes:
            return self._step_of_training_notes(*data)
        return super().train_step(data)

    def _step_of_training_notes(self, real, labels):
        # The training notes drop the images that do not fill a group.
        count = ops.shape(labels)[0] // GROUP * GROUP
        real, labels = real[:count], labels[:count]
        fake = self.generate(labels, training=True)

        def discriminator_objective():
            real_logits, features = self.discriminate(real, labels, training=True)
            fake_logits, _ = self.discriminate(fake, labels, training=True)
            loss = self.discriminator_loss(real_logits, fake_logits, labels)
            return loss, (real_logits, fake_logits, features)

        def generator_objective():
            fake = self.generate(labels, training=True)
            logits, features = self.discriminate(fake, labels, training=False)
            # Detached features, as in the training notes: this term has no gradient.
            matching = feature_matching(real_features, ops.stop_gradient(features))
            loss = self.generator_loss(logits, labels) + self.feature_matching_weight * matching
            return loss, (logits, matching)

        d_loss, (real_logits, fake_logits, real_features) = self.minimize(
            "discriminator", discriminator_objective
        )
        g_loss, (logits, matching) = self.minimize("generator", generator_objective)
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            feature_matching=matching,
            **self.accuracies(real_logits, fake_logits, logits, labels),
        )

    def data_spec(self) -> DataSpec:
        if not self.reproduce_training_notes:
            return super().data_spec()
        return DataSpec(
            (Images(self.image_shape), Labels(self.classes)),
            smallest=GROUP,
            reason="minibatch discrimination of the training notes compares groups of 16",
        )
