"""Adversarially trained image encoder (one-step L2 attack).

The input gradients of an ordinary network contain patterns that change its output but mean nothing
to a person. A generator trained with them learns such patterns. A network trained on the worst
images within a small distance (Madry et al., 2017, https://arxiv.org/abs/1706.06083) has input
gradients that follow the shapes of objects, so that images can be synthesized from them alone
(Santurkar et al., 2019, "Image Synthesis with a Single (Robust) Classifier",
https://arxiv.org/abs/1906.09453). One gradient step from a random start is enough to find the
adversarial examples (Wong, Rice and Kolter, 2020, "Fast is better than free",
https://arxiv.org/abs/2001.03994).
"""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.losses.damsm import damsm_loss
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

STEP = 1.25  # Step size as a multiple of the radius, as in "Fast is better than free".


@keras.saving.register_keras_serializable("kerasgan")
class RobustImageEncoder(AdversarialModel):
    """Image encoder trained with one-step L2 adversarial examples.

    Its input gradients are useful to a generator, for example in the DAMSM loss of HDGAN. It is
    trained to classify attributes and to match the embeddings of captions.

    Training data: `(images, labels, embeddings)`: float images `[B, H, W, 3]` in [-1, 1], int32
    labels `[B, L]` of L attributes (-1 if unknown), and embeddings `[B, D]` of captions of the
    images, from a trained text encoder.

    Args:
        label_sizes: Number of values of each of the L attributes.
        image_encoder: Model from images to embeddings `[B, D]`.
        radius: Maximum L2 norm of the adversarial perturbation of an image. 0 disables it.
        seed: Integer seed of the random starts.

    Raises:
        ValueError: If the radius is negative.

    Example:
        ```python
        model = RobustImageEncoder(label_sizes=(8, 3))
        model.compile(encoder=keras.optimizers.Adam(1e-3))
        model.fit(batches, epochs=16)
        HDGAN(generator, discriminators, damsm_encoder=model.image_encoder)
        ```
    """

    players = ("encoder",)
    reports = ("encoder_loss", "label_loss", "match_loss")
    renamed_arguments = {"labels": "label_sizes"}

    def __init__(
        self,
        label_sizes: Sequence[int],
        image_encoder: keras.Model | None = None,
        radius: float = 1.0,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if radius < 0:
            raise ValueError(f"radius must be at least 0; received {radius}")
        self.image_encoder = image_encoder or build_image_encoder()
        self.label_sizes, self.radius = tuple(label_sizes), radius
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        # The logits of all attributes, concatenated.
        self.heads = keras.layers.Dense(sum(self.label_sizes), name="heads")
        self.heads.build(self.image_encoder.output_shape)
        self.built = True

    def get_config(self) -> dict:
        encoder = keras.saving.serialize_keras_object(self.image_encoder)
        names = ("label_sizes", "radius", "seed", "name")
        return {"image_encoder": encoder} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict) -> "RobustImageEncoder":
        encoder = keras.saving.deserialize_keras_object(config["image_encoder"])
        return cls(**config | {"image_encoder": encoder})

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"robust_image_encoder": self.image_encoder}

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.image_encoder, self.heads]

    def data_spec(self) -> DataSpec:
        shape, dim = (
            tuple(side[1:])
            for side in (self.image_encoder.input_shape, self.image_encoder.output_shape)
        )
        most = tuple(values - 1 for values in self.label_sizes)
        labels = Numbers((len(most),), "labels", integer=True, minimum=-1, maximum=most)
        return DataSpec((Images(shape), labels, Numbers(dim, "embeddings")))

    def losses_of(
        self, images: Tensor, labels: Tensor, embeddings: Tensor, training: bool = False
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes the loss of a batch.

        Args:
            images, labels, embeddings: See the training data.
            training: If `True`, batch norm uses the statistics of the batch.

        Returns:
            `(loss, (label_loss, match_loss))`, scalars. `label_loss` is the sum over attributes of
            the mean cross-entropy over the images with a known label. `match_loss` is the DAMSM
            loss of images and captions.
        """
        features = full_precision(self.image_encoder(images, training=training))
        logits = full_precision(self.heads(features))
        label_loss, start = 0.0, 0
        for column, size in enumerate(self.label_sizes):
            label = labels[:, column]
            known = ops.cast(label >= 0, "float32")
            entropy = ops.sparse_categorical_crossentropy(
                ops.maximum(label, 0), logits[:, start : start + size], from_logits=True
            )
            (total,) = replicas.mean([ops.sum(known)])
            label_loss += ops.sum(known * entropy) / ops.maximum(total, 1.0 / replicas.count())
            start += size
        match_loss = damsm_loss(features, embeddings)
        return label_loss + match_loss, (label_loss, match_loss)

    def adversarial_examples(self, images: Tensor, labels: Tensor, embeddings: Tensor) -> Tensor:
        """Perturbs each image by at most `radius` (L2 norm) to increase its loss.

        Args:
            images, labels, embeddings: See the training data.

        Returns:
            Perturbed images `[B, H, W, 3]`, without gradients.
        """
        if not self.radius:
            return images

        def gradient(x):
            return self.input_gradient(
                lambda x: self.losses_of(x, labels, embeddings)[0], x, "encoder"
            )

        change = one_step_perturbation(gradient, images, self.radius, self.seeds)
        return ops.stop_gradient(images + change)

    def train_step(self, data: tuple) -> dict:
        images, labels, embeddings = data
        examples = self.adversarial_examples(images, labels, embeddings)
        loss, (label_loss, match_loss) = self.minimize(
            "encoder", lambda: self.losses_of(examples, labels, embeddings, training=True)
        )
        return self.report(encoder_loss=loss, label_loss=label_loss, match_loss=match_loss)

    def test_step(self, data: tuple) -> dict:
        loss, (label_loss, match_loss) = self.losses_of(*data)
        return self.report(encoder_loss=loss, label_loss=label_loss, match_loss=match_loss)


def one_step_perturbation(
    gradient: Callable[[Tensor], Tensor],
    images: Tensor,
    radius: float,
    seeds: keras.random.SeedGenerator,
) -> Tensor:
    """Perturbation of each image that increases its loss, by one gradient step from a random start.

    Args:
        gradient: Function from images to the gradient of the loss with respect to them.
        images: Images `[B, H, W, C]`.
        radius: Maximum L2 norm of the perturbation of an image.
        seeds: Random number generator of the start.

    Returns:
        `[B, H, W, C]`, without gradients.
    """
    direction = replicas.normal(ops.shape(images), seeds)
    length = replicas.uniform((ops.shape(images)[0], 1, 1, 1), seeds)
    start = radius * length * _unit(direction)
    change = start + STEP * radius * _unit(gradient(images + start))
    return ops.stop_gradient(change * ops.minimum(1.0, radius / _norm(change)))


def _norm(x):
    return ops.sqrt(ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True) + 1e-24)


def _unit(x):
    return x / _norm(x)
