"""Attribute classifier with supervised attention to the parts of an object, such as the bill.

A GAN can use it as a frozen auxiliary classifier, whose loss trains the generator to show the
attributes of the caption (Odena et al., "Conditional Image Synthesis With Auxiliary Classifier
GANs", arXiv 1610.09585). Such a classifier must recognize small parts, and textures without meaning
must not change its output:

- Attention maps are trained to cover the parts, whose positions are known in training. The features
  of a part are the averages of the feature map, weighted by its attention map. With this
  supervision, the classifier learns the shape of a bill in 400 updates. Without it, a similar
  network was at chance after 300 (`docs/reproduction/text_gan_arms.md`).
- The classifier is trained on noisy images with one-step L2 adversarial perturbations, like the
  robust image encoder (`kerasgan.encoders.robust_image_encoder`).

A second network predicts from the embedding of a caption which attributes the caption names. Both
are joined to a network from images and caption embeddings to the cross-entropy of the attributes
that the caption names, one value for each image. A GAN that uses it needs no labels.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.encoders.part_encoder import noisy_images
from kerasgan.encoders.robust_image_encoder import one_step_perturbation
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel
from kerasgan.types import Shape, Tensor

REDUCTION = 4  # Ratio of the side of the images to the side of the attention maps.


# === Networks ===


def _conv(x, filters, kernel=3, strides=1):
    x = layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return layers.ReLU(negative_slope=0.1)(BatchNormalization(momentum=0.95)(x))


@keras.saving.register_keras_serializable("kerasgan")
class AttentionPooling(layers.Layer):
    """Averages a feature map with the weights of several attention maps.

    Input: feature map `[N, H, W, C]`. Outputs: features `[N, K * C]` and attention `[N, H * W, K]`.
    Each of the K attention maps sums to 1.

    Args:
        maps: Number K of attention maps.
        **arguments: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, maps: int, **arguments: Any):
        super().__init__(**arguments)
        self.maps = maps

    def build(self, input_shape: Shape) -> None:
        self.score = layers.Dense(self.maps, name="score", dtype=self.dtype_policy)
        self.score.build(input_shape)
        self.built = True

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, height, width, channels = x.shape
        scores = ops.reshape(self.score(x), (-1, height * width, self.maps))
        attention = ops.softmax(scores, axis=1)  # [N, H * W, K]
        flat = ops.reshape(x, (-1, height * width, channels))
        features = ops.matmul(ops.transpose(attention, (0, 2, 1)), flat)  # [N, K, C]
        return ops.reshape(features, (-1, self.maps * channels)), attention

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        count, height, width, channels = input_shape
        return (count, self.maps * channels), (count, height * width, self.maps)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"maps": self.maps}


def build_part_classifier(
    parts: int, classes: int, size: int = 128, width: int = 16
) -> keras.Model:
    """Builds the network that classifies images.

    Args:
        parts: Number of parts, each with an attention map.
        classes: Number of values of all attributes together.
        size: Side of the images in pixels, a multiple of 16.
        width: Channels of the feature map at half the image size.

    Returns:
        Model of images `[N, size, size, 3]` in [-1, 1] to logits `[N, classes]` and attention `[N,
        (size / 4)², parts]`.
    """
    images = keras.Input((size, size, 3), name="images")
    x = _conv(_conv(images, width, 4, 2), 2 * width, 4, 2)
    x = _conv(_conv(x, 2 * width), 3 * width)  # [N, size / 4, size / 4, 3 width]
    of_parts, attention = AttentionPooling(parts, name="parts")(x)
    y = _conv(_conv(x, 4 * width, 4, 2), 4 * width, 4, 2)  # [N, size / 16, size / 16, 4 width]
    of_image, _ = AttentionPooling(8, name="image")(y)
    joined = layers.Dense(8 * width)(layers.Concatenate()([of_parts, of_image]))
    logits = layers.Dense(classes, name="logits")(layers.ReLU(negative_slope=0.1)(joined))
    return keras.Model(images, [logits, attention], name="part_classifier")


def build_caption_classifier(
    label_sizes: Sequence[int], embedding_dim: int = 1024, width: int = 128
) -> keras.Model:
    """Builds the network that predicts which attributes a caption names.

    Args:
        label_sizes: Number of values of each of the L attributes.
        embedding_dim: Dimension of the caption embeddings.
        width: Units of the hidden layer.

    Returns:
        Model of embeddings `[N, embedding_dim]` to logits `[N, sum(label_sizes) + L]`. The last
        logit of each attribute stands for "the caption does not name it".
    """
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    x = layers.ReLU(negative_slope=0.1)(layers.Dense(width)(embeddings))
    logits = layers.Dense(sum(label_sizes) + len(label_sizes), name="caption_logits")(x)
    return keras.Model(embeddings, logits, name="caption_classifier")


@keras.saving.register_keras_serializable("kerasgan")
class CaptionMismatch(layers.Layer):
    """Cross-entropy of the attributes of an image and those that its caption names.

    Inputs: logits of images `[N, sum(label_sizes)]` and of captions `[N, sum(label_sizes) + L]`,
    see `build_caption_classifier`. Output: `[N]`, the sum over attributes. The targets are the
    predicted probabilities of the caption, without gradients, so an attribute that the caption
    probably does not name adds little.

    Args:
        label_sizes: Number of values of each of the L attributes.
        **arguments: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, label_sizes: Sequence[int], **arguments: Any):
        super().__init__(**arguments)
        self.label_sizes = tuple(label_sizes)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        image_logits, caption_logits = map(full_precision, inputs)
        total, start = 0.0, 0
        for column, size in enumerate(self.label_sizes):
            own = image_logits[:, start : start + size]
            named = caption_logits[:, start + column : start + column + size + 1]
            asked = ops.stop_gradient(ops.softmax(named, axis=-1)[:, :size])
            total -= ops.sum(asked * ops.log_softmax(own, axis=-1), axis=-1)
            start += size
        return total

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (input_shape[0][0],)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_sizes": self.label_sizes}


def build_caption_mismatch(
    part_classifier: keras.Model, caption_classifier: keras.Model, label_sizes: Sequence[int]
) -> keras.Model:
    """Joins the classifiers of images and of captions to one network.

    Args:
        part_classifier: Model that `build_part_classifier` builds.
        caption_classifier: Model that `build_caption_classifier` builds.
        label_sizes: Number of values of each of the L attributes.

    Returns:
        Model of images `[N, S, S, 3]` and embeddings `[N, D]` to `CaptionMismatch`, `[N]`, and
        features of the images `[N, F]`: those of the parts, and those that the logits are computed
        from.
    """
    images = keras.Input(part_classifier.input_shape[1:], name="images")
    embeddings = keras.Input(caption_classifier.input_shape[1:], name="embeddings")
    of_parts = part_classifier.get_layer("parts").output[0]
    hidden = part_classifier.get_layer("logits").input
    features = layers.Concatenate(dtype="float32")([of_parts, hidden])
    seen = keras.Model(part_classifier.input, [part_classifier.output[0], features], name="seen")
    logits, features = seen(images)
    value = CaptionMismatch(label_sizes, name="mismatch", dtype="float32")(
        [logits, caption_classifier(embeddings)]
    )
    return keras.Model([images, embeddings], [value, features], name="caption_mismatch")


# === Training ===


@keras.saving.register_keras_serializable("kerasgan")
class PartClassifier(AdversarialModel):
    """Trains the classifiers of images and of captions.

    Training data: `((images, embeddings), (masks, labels, named))`

    - images: float `[N, S, S, 3]` in [-1, 1].
    - embeddings: Caption embeddings, float `[N, D]`.
    - masks: float `[N, (S / 4)², P]`, the fraction of each cell that a part covers.
    - labels: int32 `[N, L]`, the attributes of the images.
    - named: int32 `[N, L]`, the labels that the caption names, or -1 for those that it does not.

    Args:
        label_sizes: Number of values of each of the L attributes.
        label_weights: Weight of each attribute's cross-entropy. Defaults to 1.
        part_classifier: Model that `build_part_classifier` builds. Defaults to one part.
        caption_classifier: Model that `build_caption_classifier` builds. Defaults to embeddings of
            1,024 values.
        radius: Maximum L2 norm of the adversarial perturbation of an image. 0 disables it.
        noise: Largest standard deviation of the fine noise, and of the coarse noise, that is added
            to an image.
        attention_weight: Weight of the attention loss, the negative logarithm of the attention
            inside each visible part.
        seed: Integer seed of the noise and the random starts of the perturbations.

    Raises:
        ValueError: A radius, noise or weight is negative, or the number of label weights is not
            that of the attributes.

    Example:
        ```python
        model = PartClassifier((3, 2), part_classifier=build_part_classifier(4, 5))
        model.compile(classifier=keras.optimizers.Adam(3e-3))
        model.fit(batches, epochs=4)
        ProjectedTextGAN(
            generator, encoder, auxiliary_classifier=model.mismatch, auxiliary_weight=1.0
        )
        ```
    """

    players = ("classifier",)
    reports = ("classifier_loss", "label_loss", "attention_loss", "caption_loss", "accuracy")

    def __init__(
        self,
        label_sizes: Sequence[int],
        label_weights: Sequence[float] | None = None,
        part_classifier: keras.Model | None = None,
        caption_classifier: keras.Model | None = None,
        radius: float = 1.0,
        noise: float = 0.3,
        attention_weight: float = 1.0,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        for argument, value in (
            ("radius", radius),
            ("noise", noise),
            ("attention_weight", attention_weight),
        ):
            if value < 0:
                raise ValueError(f"{argument} must be at least 0; received {value}")
        self.label_sizes = tuple(label_sizes)
        self.label_weights = tuple(label_weights or [1.0] * len(self.label_sizes))
        if len(self.label_weights) != len(self.label_sizes):
            raise ValueError(
                f"label_weights must be {len(self.label_sizes)}, one per attribute; "
                f"received {len(self.label_weights)}"
            )
        self.part_classifier = part_classifier or build_part_classifier(1, sum(self.label_sizes))
        self.caption_classifier = caption_classifier or build_caption_classifier(self.label_sizes)
        self.mismatch = build_caption_mismatch(
            self.part_classifier, self.caption_classifier, self.label_sizes
        )
        self.radius, self.noise, self.attention_weight = radius, noise, attention_weight
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.built = True

    def get_config(self) -> dict:
        nested = keras.saving.serialize_keras_object
        names = (
            "label_sizes",
            "label_weights",
            "radius",
            "noise",
            "attention_weight",
            "seed",
            "name",
        )
        networks = ("part_classifier", "caption_classifier")
        return {name: getattr(self, name) for name in names} | {
            name: nested(getattr(self, name)) for name in networks
        }

    @classmethod
    def from_config(cls, config: dict) -> "PartClassifier":
        nested = keras.saving.deserialize_keras_object
        networks = ("part_classifier", "caption_classifier")
        return cls(**config | {name: nested(config[name]) for name in networks})

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"mismatch": self.mismatch}

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.part_classifier, self.caption_classifier]

    def data_spec(self) -> DataSpec:
        shape = tuple(self.part_classifier.input_shape[1:])
        attention = tuple(self.part_classifier.outputs[1].shape[1:])
        most = tuple(values - 1 for values in self.label_sizes)
        return DataSpec(
            (
                Images(shape),
                Numbers(tuple(self.caption_classifier.input_shape[1:]), "embeddings"),
                Numbers(attention, "masks"),
                Numbers((len(most),), "labels", integer=True, minimum=0, maximum=most),
                Numbers((len(most),), "named labels", integer=True, minimum=-1, maximum=most),
            )
        )

    def label_loss(
        self, images: Tensor, labels: Tensor, training: bool = False
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Returns the weighted cross-entropy of the labels.

        Returns:
            The loss, and a tuple of the accuracy and the attention maps.
        """
        logits, attention = self.part_classifier(images, training=training)
        logits, attention = full_precision(logits), full_precision(attention)
        loss, right, start = 0.0, 0.0, 0
        for column, (size, weight) in enumerate(
            zip(self.label_sizes, self.label_weights, strict=True)
        ):
            own, label = logits[:, start : start + size], labels[:, column]
            entropy = ops.sparse_categorical_crossentropy(label, own, from_logits=True)
            loss += weight * ops.mean(entropy)
            right += ops.mean(ops.cast(ops.equal(ops.argmax(own, axis=-1), label), "float32"))
            start += size
        return loss, (right / len(self.label_sizes), attention)

    def caption_loss(self, embeddings: Tensor, named: Tensor) -> Tensor:
        """Returns the cross-entropy of the labels that captions name, including "not named"."""
        logits = full_precision(self.caption_classifier(embeddings))
        loss, start = 0.0, 0
        for column, size in enumerate(self.label_sizes):
            label = ops.where(named[:, column] < 0, size, named[:, column])
            own = logits[:, start : start + size + 1]
            loss += ops.mean(ops.sparse_categorical_crossentropy(label, own, from_logits=True))
            start += size + 1
        return loss

    def train_step(self, data: tuple) -> dict:
        (images, embeddings), (masks, labels, named) = data
        examples = noisy_images(images, self.noise, self.seeds)
        if self.radius:
            examples += one_step_perturbation(
                lambda x: self.input_gradient(
                    lambda y: self.label_loss(y, labels)[0], x, "classifier"
                ),
                examples,
                self.radius,
                self.seeds,
            )
        visible = ops.cast(ops.max(masks, axis=1) > 0, "float32")  # [N, P]

        def objective():
            label_loss, (accuracy, attention) = self.label_loss(examples, labels, training=True)
            inside = ops.sum(masks * attention, axis=1)  # [N, P]
            attention_loss = -ops.mean(visible * ops.log(inside + 1e-6))
            caption_loss = self.caption_loss(embeddings, named)
            loss = label_loss + self.attention_weight * attention_loss + caption_loss
            return loss, (label_loss, attention_loss, caption_loss, accuracy)

        loss, parts = self.minimize("classifier", objective)
        return self.report(**dict(zip(self.reports, (loss, *parts), strict=True)))
