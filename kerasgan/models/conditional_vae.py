"""Conditional variational autoencoder (CVAE) for small images with class labels.

Kingma and Welling, 2014, "Auto-Encoding Variational Bayes" (https://arxiv.org/abs/1312.6114), and
Sohn, Lee and Yan, 2015, "Learning Structured Output Representation using Deep Conditional
Generative Models" (NIPS). The training notes list two common errors: the ELBO must be maximized,
and the encoder's log variance is that of sigma squared.

**Differences from the papers**

- The networks are convolutional. The first paper has one dense layer; convolutions give better
  images in the same time.
- The prior of the latents is N(0, 1) for every class, as in the first paper. In the second paper it
  may depend on the class.
- Gray values are used as probabilities of ink. The second paper binarizes the digits.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.images import check_images
from kerasgan.losses.variational import (
    bernoulli_log_likelihood,
    negative_elbo,
    normal_kl_divergence,
)
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.sampling import predict
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

# === Networks ===


def build_encoder(
    latent_dim: int = 16, classes: int = 10, width: int = 32, size: int = 28, channels: int = 1
) -> keras.Model:
    """Builds the encoder.

    Inputs: images `[N, size, size, channels]` in [-1, 1] and integer labels `[N]`.
    Outputs: mean and log variance of the latents, each `[N, latent_dim]`.

    Args:
        latent_dim: Number of latent dimensions.
        classes: Number of classes.
        width: Channels of the first convolution. The second one has twice as many.
        size: Side of the images in pixels, a multiple of 4.
        channels: Number of image channels.
    """
    images, labels, one_hot = _inputs((size, size, channels), "images", classes)
    x = images
    for maps in (width, 2 * width):  # [N, 14, 14, 32], [N, 7, 7, 64]
        x = layers.Conv2D(maps, 4, 2, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Concatenate()([layers.Flatten()(x), one_hot])
    x = layers.Dense(8 * width, activation="relu", kernel_initializer="he_normal")(x)
    outputs = [layers.Dense(latent_dim, name=name)(x) for name in ("mean", "log_variance")]
    return keras.Model([images, labels], outputs, name="encoder")


def build_decoder(
    latent_dim: int = 16, classes: int = 10, width: int = 32, size: int = 28, channels: int = 1
) -> keras.Model:
    """Builds the decoder.

    Inputs: latents `[N, latent_dim]` and integer labels `[N]`.
    Output: logits of the ink probability, `[N, size, size, channels]`.

    Args:
        latent_dim: Number of latent dimensions.
        classes: Number of classes.
        width: Channels of the last feature map. The first one has twice as many.
        size: Side of the images in pixels, a multiple of 4.
        channels: Number of image channels.

    Raises:
        ValueError: If `size` is not a multiple of 4.
    """
    if size % 4:
        raise ValueError(f"size must be a multiple of 4; received {size}")
    latents, labels, one_hot = _inputs((latent_dim,), "latents", classes)
    x = layers.Concatenate()([latents, one_hot])
    for units in (8 * width, size // 4 * (size // 4) * 2 * width):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Reshape((size // 4, size // 4, 2 * width))(x)  # [N, 7, 7, 64]
    x = layers.Conv2DTranspose(
        width, 4, 2, "same", activation="relu", kernel_initializer="he_normal"
    )(x)
    logits = layers.Conv2DTranspose(channels, 4, 2, "same")(x)
    return keras.Model([latents, labels], logits, name="decoder")


def _inputs(shape, name, classes):
    labels = keras.Input((), dtype="int32", name="labels")
    return (
        keras.Input(shape, name=name),
        labels,
        layers.CategoryEncoding(classes, "one_hot")(labels),
    )


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class ConditionalVAE(AdversarialModel):
    """Conditional variational autoencoder. Encoder and decoder are two players with a common loss.

    Training data: `(images, labels)`, float images `[N, H, W, C]` in [-1, 1] and integers `[N]`.

    The metrics `elbo`, `log_likelihood` and `divergence` are means over images in nats. They do not
    depend on the arguments `divergence` and `objective`.

    Args:
        encoder: Model `[images, labels] -> [mean, log_variance]`. Defaults to `build_encoder()`.
        decoder: Model `[latents, labels] -> logits`. Defaults to `build_decoder()`.
        divergence: Callable `(mean, log_variance) -> [N]`, the divergence in the loss.
        objective: Callable `(log_likelihood [N], divergence [N]) -> scalar`, the loss.
        classes: Number of classes.
        seed: Integer seed of the latents in training.

    Example:
        ```python
        vae = ConditionalVAE()
        vae.compile(encoder=keras.optimizers.Adam(1e-3), decoder=keras.optimizers.Adam(1e-3))
        vae.fit(Batches(*load_digits("train"), batch_size=64), epochs=40)
        images = vae.sample(labels=[3, 1, 4], seed=0)  # [3, 28, 28, 1]
        ```

    Reference:
        Kingma and Welling, 2014, "Auto-Encoding Variational Bayes",
        https://arxiv.org/abs/1312.6114
    """

    conditioning = "labels"
    players = ("encoder", "decoder")
    reports = ("elbo", "log_likelihood", "divergence")
    higher_is_better = ("elbo", "log_likelihood")
    _objects = ("encoder", "decoder", "divergence", "objective")

    def __init__(
        self,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        *,
        divergence: Callable = normal_kl_divergence,
        objective: Callable = negative_elbo,
        classes: int = 10,
        seed: int | None = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.encoder = encoder or build_encoder(classes=classes)
        self.decoder = decoder or build_decoder(classes=classes)
        self.divergence, self.objective, self.classes = divergence, objective, classes
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.latent_dim = self.decoder.inputs[0].shape[-1]
        self.image_shape = tuple(self.decoder.outputs[0].shape[1:])
        is_digits = self.image_shape == (28, 28, 1) and classes == 10
        self.evaluation_protocol = "digits" if is_digits else None
        self.built = True

    def get_config(self) -> dict:
        config = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self._objects
        }
        return config | {name: getattr(self, name) for name in ("classes", "seed", "name")}

    @classmethod
    def from_config(cls, config: dict) -> "ConditionalVAE":
        nested = keras.saving.deserialize_keras_object
        objects = {name: nested(config[name]) for name in cls._objects if name in config}
        return cls(**(config | objects))

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"generator": self.decoder, "encoder": self.encoder}

    # === Training ===

    def encode(
        self, images: Tensor, labels: Tensor, training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Samples a latent vector for each image.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            labels: Integers `[N]`.
            training: If `True`, the encoder runs in training mode.

        Returns:
            Latents, means and log variances, each `[N, latent_dim]`.
        """
        mean, log_variance = full_precision(self.encoder([images, labels], training=training))
        noise = replicas.normal(ops.shape(mean), self.seeds)
        deviation = ops.exp(log_variance / 2)
        return mean + deviation * ops.cast(noise, mean.dtype), mean, log_variance

    def _pass(
        self, images: Tensor, labels: Tensor, training: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss and the values to report."""
        latents, mean, log_variance = self.encode(images, labels, training)
        likelihood = bernoulli_log_likelihood(
            images, self.decoder([latents, labels], training=training)
        )
        loss = self.objective(likelihood, self.divergence(mean, log_variance))
        divergence = normal_kl_divergence(mean, log_variance)
        report = {
            "elbo": -negative_elbo(likelihood, divergence),
            "log_likelihood": ops.mean(likelihood),
        }
        return loss, report | {"divergence": ops.mean(divergence)}

    def train_step(self, data: tuple) -> dict:
        images, labels = data
        _, report = self.minimize(self.players, lambda: self._pass(images, labels, training=True))
        return self.report(**report)

    def test_step(self, data: tuple) -> dict:
        images, labels = data
        return self.report(**self._pass(images, labels, training=False)[1])

    # === Inference ===

    def call(self, inputs: list, training: bool = False) -> Tensor:
        """Generates images from `[latents, labels]`, as `sample` does."""
        return _to_images(self.decoder(inputs, training=training))

    def call_inputs(self) -> list[keras.KerasTensor]:
        return self.decoder.inputs

    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        seed: int | None = None,
        batch_size: int = 250,
        *,
        latents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generates images from latents of the prior. A pixel is the mean of its distribution.

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
        return self._decode(self.latents_to_sample(len(labels), seed, latents), labels, batch_size)

    def reconstruct(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int = 250
    ) -> np.ndarray:
        """Reconstructs images from the means of their latents.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            labels: Integers `[N]`.
            batch_size: Number of images per forward pass.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1].
        """
        images, labels = check_images(images, self.image_shape), np.asarray(labels)
        self.check_labels(labels)
        inputs = [images, labels.astype("int32")]
        mean, _ = predict(self.encoder, inputs, batch_size)
        return self._decode(mean, labels, batch_size)

    def _decode(self, latents, labels, batch_size):
        inputs = [latents, labels.astype("int32")]
        logits = predict(self.decoder, inputs, batch_size)
        return np.array(ops.convert_to_numpy(_to_images(logits)))

    def data_spec(self) -> DataSpec:
        return DataSpec((Images(self.image_shape), Labels(self.classes)))


def _to_images(logits):
    """Converts logits to images: the ink probability, scaled from [0, 1] to [-1, 1]."""
    return ops.tanh(ops.cast(logits, "float32") / 2)
