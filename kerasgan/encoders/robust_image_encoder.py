"""An image encoder that can lead a generator: trained on pictures that are moved against it.

A generator that learns from an ordinary classifier's gradients soon draws what moves the classifier and nobody else.
A network trained on the worst pictures within a small distance (Madry et al., arXiv 1706.06083) has gradients along
which things take shape: with nothing else one can draw (Santurkar et al., "Image Synthesis with a Single (Robust)
Classifier", arXiv 1906.09453). The worst picture is looked for in one step from a chance start, which is enough (Wong,
Rice and Kolter, "Fast is better than free", arXiv 2001.03994).
"""

import keras
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.losses.matching import damsm_loss
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel

STEP = 1.25  # of the radius, as in "Fast is better than free"


@keras.saving.register_keras_serializable("kerasgan")
class RobustImageEncoder(AdversarialModel):
    """An image encoder that learns from labels, and to agree with captions' vectors, within a distance of each picture.

    Data: `(images [B, H, W, 3] in [-1, 1], labels int32 [B, L], vectors [B, D])`. A label of -1 teaches nothing.
    `vectors` are of the images' captions, from a text encoder that stays as it is.

    Args:
        labels: number of the values of each label.
        image_encoder: images -> vectors [B, D].
        radius: of the pictures moved against it, the square root of a sum of squares over an image; 0 is none.
        seed: of where they start.

    Raises:
        ValueError: a radius below 0.

    Example:
        guide = RobustImageEncoder(labels=(8, 3))
        guide.compile(encoder=keras.optimizers.Adam(1e-3))
        guide.fit(batches, epochs=16)
        HDGAN(generator, discriminators, image_encoder=guide.image_encoder)
    """

    players = ("encoder",)
    reports = ("encoder_loss", "label_loss", "match_loss")

    def __init__(self, labels, image_encoder=None, radius=1.0, seed=0, name=None):
        super().__init__(name=name)
        if radius < 0:
            raise ValueError(f"radius must be at least 0; received {radius}")
        self.image_encoder = image_encoder or build_image_encoder()
        self.labels, self.radius = tuple(labels), radius
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.heads = keras.layers.Dense(
            sum(self.labels), name="heads"
        )  # one label's values after another's
        self.heads.build(self.image_encoder.output_shape)
        self.built = True

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.image_encoder)
        names = ("labels", "radius", "seed", "name")
        return {"image_encoder": encoder} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["image_encoder"])
        return cls(**config | {"image_encoder": encoder})

    def checkpoint_networks(self):
        return {"R": self.image_encoder}

    def player_layers(self, player):
        return [self.image_encoder, self.heads]

    def data_spec(self):
        shape, dim = (
            tuple(side[1:])
            for side in (self.image_encoder.input_shape, self.image_encoder.output_shape)
        )
        most = tuple(values - 1 for values in self.labels)
        labels = Numbers((len(most),), "labels", integer=True, minimum=-1, maximum=most)
        return DataSpec((Images(shape), labels, Numbers(dim, "vectors")))

    def loss_of(self, images, labels, vectors, training=False):
        """The loss and its parts: cross-entropies of the labels, each a mean over the images that have it, and DAMSM's
        loss of the images with their captions (`losses.matching.damsm_loss`)."""
        seen, said, start = full_precision(self.image_encoder(images, training=training)), 0.0, 0
        logits = full_precision(self.heads(seen))
        for column, values in enumerate(self.labels):
            told = labels[:, column]
            known = ops.cast(told >= 0, "float32")
            entropy = ops.sparse_categorical_crossentropy(
                ops.maximum(told, 0), logits[:, start : start + values], from_logits=True
            )
            said += ops.sum(known * entropy) / ops.maximum(ops.sum(known), 1.0)
            start += values
        match = damsm_loss(seen, vectors)
        return said + match, (said, match)

    def against(self, images, labels, vectors):
        """The images moved by up to `radius`, each to where its loss is larger."""
        if not self.radius:
            return images
        direction = keras.random.normal(ops.shape(images), seed=self.seeds)
        length = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=self.seeds)
        start = self.radius * length * _unit(direction)
        slope = self.input_gradient(
            lambda x: self.loss_of(x, labels, vectors)[0], images + start, "encoder"
        )
        move = start + STEP * self.radius * _unit(slope)
        return ops.stop_gradient(images + move * ops.minimum(1.0, self.radius / _length(move)))

    def train_step(self, data):
        images, labels, vectors = data
        worst = self.against(images, labels, vectors)
        loss, (said, match) = self.minimize(
            "encoder", lambda: self.loss_of(worst, labels, vectors, training=True)
        )
        return self.report(encoder_loss=loss, label_loss=said, match_loss=match)

    def test_step(self, data):
        loss, (said, match) = self.loss_of(*data)
        return self.report(encoder_loss=loss, label_loss=said, match_loss=match)


def _length(x):
    return ops.sqrt(ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True) + 1e-24)


def _unit(x):
    return x / _length(x)
