"""Image encoder that finds the parts of objects at every scale, as the frozen encoder of a GAN.

A discriminator on frozen features detects only errors that change the features. The features of a
classifier may ignore small parts, such as bills and eyes. This encoder learns to segment the parts,
to denoise the image and to predict its attributes. Its maps therefore hold outlines, colors and
small parts. The network is a U-Net (Ronneberger et al., arXiv 1505.04597). Its outputs are the maps
of the expanding path at 1/2, 1/4 and 1/8 of the image's size, and the smallest map.

It trains on noisy images, so that its features also describe images that a generator has not
finished.
"""

from collections.abc import Sequence

import keras
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor


def _conv(x, filters, kernel=3, strides=1):
    x = layers.Conv2D(
        filters,
        kernel,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.ReLU(negative_slope=0.1)(BatchNormalization(momentum=0.95)(x))


def _merge(small, skip, filters):
    """Enlarges a map and adds the larger one of the contracting path."""
    larger = layers.UpSampling2D()(layers.Conv2D(filters, 1)(small))
    return _conv(layers.Add()([larger, layers.Conv2D(filters, 1)(skip)]), filters)


def build_part_encoder(size: int = 64, width: int = 16) -> keras.Model:
    """Builds the encoder, a U-Net without its last layers.

    Args:
        size: Side of the images, a multiple of 16.
        width: Channels at half the size.

    Returns:
        Model of images `[N, size, size, 3]` in [-1, 1] to four maps, at 1/2, 1/4, 1/8 and 1/16 of
        the size.
    """
    images = keras.Input((size, size, 3), name="images")
    half = _conv(images, width, 4, 2)
    quarter = _conv(_conv(half, 2 * width, 4, 2), 2 * width)
    eighth = _conv(_conv(quarter, 4 * width, 4, 2), 4 * width)
    smallest = _conv(_conv(eighth, 6 * width, 4, 2), 6 * width)
    x8 = _merge(smallest, eighth, 3 * width)
    x4 = _merge(x8, quarter, 2 * width)
    x2 = _merge(x4, half, 3 * width // 2)
    return keras.Model(images, [x2, x4, x8, smallest], name="part_encoder")


def _to_full_size(x):
    """`[N, H, W, 4 * C]` to `[N, 2 * H, 2 * W, C]`."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
    return ops.reshape(
        ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * height, 2 * width, channels // 4)
    )


@keras.saving.register_keras_serializable("kerasgan")
class PartEncoder(AdversarialModel):
    """Trains an encoder to mark parts, to remove noise and to name attributes.

    Training data: `(images, parts, labels)`: float images `[N, S, S, 3]` in [-1, 1], int32 parts
    `[N, S, S]` and int32 labels `[N, L]` of L attributes.

    Args:
        part_weights: Weight of each part's pixels in the cross-entropy. Small parts need more.
        label_sizes: Number of values of each of the L attributes.
        encoder: Model that `build_part_encoder` builds.
        noise: Largest deviation of the noise of an image; fine and coarse noise are added.
        label_weight: Weight of the labels' cross-entropy.
        seed: Integer seed of the noise.

    Example:
        ```python
        model = PartEncoder((0.5, 2.0, 4.0), (8, 3))
        model.compile(encoder=keras.optimizers.Adam(2e-3))
        model.fit(batches, epochs=20)
        ProjectedTextGAN(generator, encoder=model.encoder)
        ```
    """

    players = ("encoder",)
    reports = ("encoder_loss", "part_loss", "noise_loss", "label_loss")

    def __init__(
        self,
        part_weights: Sequence[float],
        label_sizes: Sequence[int],
        encoder: keras.Model | None = None,
        noise: float = 0.4,
        label_weight: float = 0.2,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        for argument, value in (("noise", noise), ("label_weight", label_weight)):
            if value < 0:
                raise ValueError(f"{argument} must be at least 0; received {value}")
        self.encoder = encoder or build_part_encoder()
        self.part_weights, self.label_sizes = tuple(part_weights), tuple(label_sizes)
        self.noise, self.label_weight, self.seed = noise, label_weight, check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        large, small = self.encoder.outputs[0], self.encoder.outputs[-1]
        self.part_head = layers.Conv2D(4 * len(self.part_weights), 1, name="parts")
        self.image_head = layers.Conv2D(12, 1, name="clean_images")
        label_input = keras.Input(small.shape[1:])
        code = layers.Flatten()(layers.Conv2D(32, 1)(label_input))
        logits = layers.Dense(sum(self.label_sizes))(code)
        self.label_head = keras.Model(label_input, logits, name="labels")
        self.part_head.build(large.shape)
        self.image_head.build(large.shape)
        self.built = True

    def get_config(self) -> dict:
        names = ("part_weights", "label_sizes", "noise", "label_weight", "seed", "name")
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {"encoder": encoder} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict) -> "PartEncoder":
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config | {"encoder": encoder})

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"part_encoder": self.encoder}

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.encoder, self.part_head, self.image_head, self.label_head]

    def data_spec(self) -> DataSpec:
        shape = tuple(self.encoder.input_shape[1:])
        most = tuple(values - 1 for values in self.label_sizes)
        parts = Numbers(
            shape[:2], "parts", integer=True, minimum=0, maximum=len(self.part_weights) - 1
        )
        labels = Numbers((len(most),), "labels", integer=True, minimum=0, maximum=most)
        return DataSpec((Images(shape), parts, labels))

    def predict_parts(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of parts `[N, S, S, P]`, clean images `[N, S, S, 3]` and logits of labels."""
        return self._heads(self.encoder(images, training=False))

    def _heads(self, maps):
        return (
            full_precision(_to_full_size(self.part_head(maps[0]))),
            full_precision(_to_full_size(self.image_head(maps[0]))),
            full_precision(self.label_head(maps[-1])),
        )

    def train_step(self, data: tuple) -> dict:
        images, parts, labels = data
        noisy = noisy_images(images, self.noise, self.seeds)
        weights = ops.take(ops.convert_to_tensor(self.part_weights, "float32"), parts)

        def objective():
            part_logits, clean, logits = self._heads(self.encoder(noisy, training=True))
            entropy = ops.sparse_categorical_crossentropy(parts, part_logits, from_logits=True)
            part_loss = ops.mean(weights * entropy)
            noise_loss = ops.mean(ops.abs(clean - images))
            label_loss, start = 0.0, 0
            for column, size in enumerate(self.label_sizes):
                label_loss += ops.mean(
                    ops.sparse_categorical_crossentropy(
                        labels[:, column], logits[:, start : start + size], from_logits=True
                    )
                )
                start += size
            loss = 2.0 * part_loss + noise_loss + self.label_weight * label_loss
            return loss, (part_loss, noise_loss, label_loss)

        loss, (part_loss, noise_loss, label_loss) = self.minimize("encoder", objective)
        return self.report(
            encoder_loss=loss, part_loss=part_loss, noise_loss=noise_loss, label_loss=label_loss
        )


def noisy_images(images: Tensor, noise: float, seeds: keras.random.SeedGenerator) -> Tensor:
    """Adds fine noise and noise of 1/4 of the resolution, of random strengths.

    Args:
        images: Images `[N, H, W, C]`.
        noise: Largest standard deviation of each noise.
        seeds: Random number generator.

    Returns:
        Images `[N, H, W, C]`.
    """
    count = ops.shape(images)[0]
    height, width, channels = images.shape[1:]
    strengths = noise * ops.square(replicas.uniform((2, count, 1, 1, 1), seeds, axis=1))
    fine = replicas.normal((count, height, width, channels), seeds)
    coarse = replicas.normal((count, height // 4, width // 4, channels), seeds)
    coarse = ops.image.resize(coarse, (height, width), data_format="channels_last")
    return images + strengths[0] * fine + strengths[1] * coarse
