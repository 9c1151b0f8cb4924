"""Progressive growing of the conditional digits GAN, from 7 to 14 and 28 pixels.

Reference:
    Karras, Aila, Laine and Lehtinen, 2018, "Progressive Growing of GANs for Improved Quality,
    Stability, and Variation", section 2, https://arxiv.org/abs/1710.10196

Differences from the paper:
- All sizes are always computed, as in the "linear" form of the authors' code, so an epoch takes the
  same time at any size.
- Images always have 28 pixels: smaller ones are upsampled, and the discriminator downsamples its
  input.
- Conditional batch norm, tanh output and no equalized learning rate, as in the model that does not
  grow, so that growing is the only difference.
"""

from typing import Any

import keras
from keras import layers, ops

from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("benchmarks")
class Fade(layers.Layer):
    """Interpolates between the coarse and the fine path of a growing network.

    Inputs are `[coarse, fine]`; the output is `coarse + share * (fine - coarse)`. The share is a
    weight that `Grow` sets. It is initially 1, the fine path alone.
    """

    def build(self, input_shape: Any) -> None:
        self.share = self.add_weight((), "ones", trainable=False, name="share")

    def call(self, inputs: list[Tensor]) -> Tensor:
        coarse, fine = inputs
        return coarse + self.share * (fine - coarse)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return input_shape[0]


def build_growing(
    latent_dim: int = 64, classes: int = 10, width: int = 32
) -> tuple[keras.Model, keras.Model]:
    """Build the networks of the best model with paths for 7, 14 and 28 pixels.

    Args:
        latent_dim: Dimension of the latents.
        classes: Number of classes.
        width: Number of channels at 28 pixels.

    Returns:
        `(generator, discriminator)`.
    """
    latents, labels = (
        keras.Input((latent_dim,), name="latents"),
        keras.Input((), dtype="int32", name="labels"),
    )
    one_hot = layers.CategoryEncoding(classes, "one_hot")(labels)

    def activated(x):
        return layers.ReLU()(ConditionalBatchNormalization()([x, one_hot]))

    def to_image(x):
        return layers.Conv2D(1, 3, padding="same", activation="tanh")(x)

    x = layers.Dense(7 * 7 * 4 * width, kernel_initializer="he_normal")(
        layers.Concatenate()([latents, one_hot])
    )
    x = activated(layers.Reshape((7, 7, 4 * width))(x))
    image = to_image(x)  # [N, 7, 7, 1]
    for size, maps in ((14, 2 * width), (28, width)):
        up = layers.Conv2DTranspose(
            maps, 4, 2, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        x = activated(up(x))
        image = Fade(name=f"fade_{size}")([layers.UpSampling2D(2)(image), to_image(x)])
    generator = keras.Model([latents, labels], image, name="generator")

    def convolution(x, maps, kernel, stride):
        x = layers.Conv2D(maps, kernel, stride, padding="same", kernel_initializer="he_normal")(x)
        return layers.LeakyReLU(0.2)(x)

    downsampled = images = keras.Input((28, 28, 1), name="images")
    x = convolution(images, width // 2, 1, 1)
    for size, maps in ((28, width), (14, 2 * width)):  # [N, 14, 14, 32], [N, 7, 7, 64]
        downsampled = layers.AveragePooling2D(2)(downsampled)
        coarse = convolution(downsampled, maps, 1, 1)
        x = Fade(name=f"fade_{size}")([coarse, convolution(x, maps, 4, 2)])
    features = MinibatchDeviation()(layers.Flatten()(convolution(x, 4 * width, 3, 2)))
    direction = layers.Dense(features.shape[-1], use_bias=False)(one_hot)
    logit = layers.Add()([layers.Dense(1)(features), layers.Dot(-1)([features, direction])])
    return generator, keras.Model([images, labels], [logit, features], name="discriminator")


class Grow(keras.callbacks.Callback):
    """Grows the networks of `build_growing` from size to size.

    The first half of a size's epochs fades it in. When a size begins, the optimizers' state is
    reset, as in the authors' code, because it has no statistics of the new layers.

    Args:
        epochs: Number of epochs of each size except the last one.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        size, within = divmod(epoch, self.epochs)
        for network in (self.model.generator, self.model.discriminator, self.model.ema_generator):
            for index, pixels in enumerate((14, 28) if network else (), start=1):
                grown = (
                    min(2 * (within + 1) / self.epochs, 1.0)
                    if size == index
                    else float(size > index)
                )
                network.get_layer(f"fade_{pixels}").share.assign(grown)
        if within == 0 and 1 <= size <= 2:
            for player in self.model.players:
                optimizer = self.model.optimizer[player]
                for variable in optimizer.variables:
                    if variable is not optimizer._learning_rate:
                        variable.assign(ops.zeros_like(variable))
