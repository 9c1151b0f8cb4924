"""The conditional variational autoencoder: an encoder and a decoder that are told the class.

Kingma and Welling, "Auto-Encoding Variational Bayes" (arXiv 1312.6114); Sohn, Lee and Yan, "Learning Structured Output
Representation using Deep Conditional Generative Models" (NIPS 2015). Training notes add what went wrong: the ELBO is
maximised, and the variance is sigma squared.

Differences from the papers:
- convolutions, where the first paper's digits had one dense layer: better pictures in as many minutes;
- the prior of the code is N(0, 1) whatever the class, as in the first paper; in the second it may depend on it;
- grey pixels are read as chances of ink: the second paper's digits were made black and white.
"""

import keras
import numpy as np
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.images import check_images
from kerasgan.losses.variational import bernoulli_log_likelihood, negative_elbo, normal_divergence
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel

# === Networks ===


def build_encoder(latent_dim=16, classes=10, width=32, size=28, channels=1):
    """Images [N, size, size, channels] in [-1, 1] and labels [N] -> mean and log variance of the code, each
    [N, latent_dim].

    Args:
        latent_dim: numbers of a code.
        width: channels of the first convolution, the second has twice as many.
        size: side in pixels, a multiple of 4.
    """
    images, labels, one_hot = _inputs((size, size, channels), "images", classes)
    x = images
    for maps in (width, 2 * width):  # [N, 14, 14, 32], [N, 7, 7, 64]
        x = layers.Conv2D(maps, 4, 2, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Concatenate()([layers.Flatten()(x), one_hot])
    x = layers.Dense(8 * width, activation="relu", kernel_initializer="he_normal")(x)
    outputs = [layers.Dense(latent_dim, name=name)(x) for name in ("mean", "log_variance")]
    return keras.Model([images, labels], outputs, name="encoder")


def build_decoder(latent_dim=16, classes=10, width=32, size=28, channels=1):
    """Codes [N, latent_dim] and labels [N] -> logits of ink [N, size, size, channels]. Arguments of `build_encoder`."""
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
    """A conditional variational autoencoder of small images: two players that share one loss.

    Data: `(images [N, H, W, C] float in [-1, 1], labels [N] integers)`.

    Whatever it is trained with, it reports the ELBO as it should be: `elbo`, `log_likelihood` and `divergence`, means
    over images, in nats.

    Args:
        encoder: `[images, labels] -> [mean, log variance]`; `build_encoder` by default.
        decoder: `[codes, labels] -> logits of ink`; `build_decoder` by default.
        divergence: `(mean, log_variance) -> [N]`, of the loss.
        objective: `(log_likelihood [N], divergence [N]) -> scalar`, the loss.
        classes: number of labels.
        seed: of the codes drawn in training.

    Example:
        vae = ConditionalVAE()
        vae.compile(encoder=keras.optimizers.Adam(1e-3), decoder=keras.optimizers.Adam(1e-3))
        vae.fit(Batches(*load_digits("train"), batch_size=64), epochs=40)
        vae.sample(labels=[3, 1, 4])
    """

    conditioning = "labels"
    players = ("encoder", "decoder")
    reports = ("elbo", "log_likelihood", "divergence")
    higher_is_better = ("elbo", "log_likelihood")
    _objects = ("encoder", "decoder", "divergence", "objective")

    def __init__(
        self,
        encoder=None,
        decoder=None,
        *,
        divergence=normal_divergence,
        objective=negative_elbo,
        classes=10,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.encoder, self.decoder = encoder or build_encoder(), decoder or build_decoder()
        self.divergence, self.objective, self.classes = divergence, objective, classes
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.latent_dim = self.decoder.inputs[0].shape[-1]
        self.image_shape = tuple(self.decoder.outputs[0].shape[1:])
        self.built = True

    def get_config(self):
        config = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self._objects
        }
        return config | {name: getattr(self, name) for name in ("classes", "seed", "name")}

    @classmethod
    def from_config(cls, config):
        read = keras.saving.deserialize_keras_object
        return cls(
            **{key: read(value) if key in cls._objects else value for key, value in config.items()}
        )

    def checkpoint_networks(self):
        return {"G": self.decoder, "E": self.encoder}

    # === Training ===

    def encode(self, images, labels, training=False):
        """A code [N, D] drawn for each image, and the mean and log variance that it was drawn with."""
        mean, log_variance = full_precision(self.encoder([images, labels], training=training))
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        deviation = ops.exp(log_variance / 2)  # sigma: the root of the variance
        return mean + deviation * ops.cast(noise, mean.dtype), mean, log_variance

    def _pass(self, images, labels, training):
        """The loss, and the numbers to report."""
        codes, mean, log_variance = self.encode(images, labels, training)
        likelihood = bernoulli_log_likelihood(
            images, self.decoder([codes, labels], training=training)
        )
        loss = self.objective(likelihood, self.divergence(mean, log_variance))
        divergence = normal_divergence(mean, log_variance)
        report = {
            "elbo": -negative_elbo(likelihood, divergence),
            "log_likelihood": ops.mean(likelihood),
        }
        return loss, report | {"divergence": ops.mean(divergence)}

    def train_step(self, data):
        images, labels = data
        _, report = self.minimize(self.players, lambda: self._pass(images, labels, training=True))
        return self.report(**report)

    def test_step(self, data):
        return self.report(**self._pass(*data, training=False)[1])

    # === Use ===

    def call(self, inputs, training=False):
        """Images of `[codes, labels]`, as `sample` draws them."""
        return _images(self.decoder(inputs, training=training))

    def call_inputs(self):
        return self.decoder.inputs

    def sample(self, n=None, labels=None, seed=None, batch_size=250):
        """Draws codes from the prior and returns each pixel's mean.

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
        codes = keras.random.normal((len(labels), self.latent_dim), seed=check_seed(seed))
        return self._decoded(codes, labels, batch_size)

    def reconstruct(self, images, labels, batch_size=250):
        """Images [N, H, W, C] in [-1, 1], drawn again from the means of their codes: float32, of the same shape."""
        images, labels = check_images(images, self.image_shape), np.asarray(labels)
        self.check_labels(labels)
        inputs = [images, labels.astype("int32")]
        mean, _ = self.encoder.predict(inputs, batch_size=batch_size, verbose=0)
        return self._decoded(mean, labels, batch_size)

    def _decoded(self, codes, labels, batch_size):
        inputs = [ops.convert_to_numpy(codes), labels.astype("int32")]
        logits = self.decoder.predict(inputs, batch_size=batch_size, verbose=0)
        return np.array(ops.convert_to_numpy(_images(logits)))

    @property
    def evaluation_protocol(self) -> str | None:
        return "digits" if self.image_shape == (28, 28, 1) and self.classes == 10 else None

    def data_spec(self):
        return DataSpec((Images(self.image_shape), Labels(self.classes)))


def _images(logits):
    """Logits of ink -> images: the chance of ink, from [0, 1] to [-1, 1]."""
    return ops.tanh(ops.cast(logits, "float32") / 2)
