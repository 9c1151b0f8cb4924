"""The char-CNN-RNN text encoder and its joint embedding with images, of Reed, Akata, Lee and Schiele, "Learning Deep
Representations of Fine-Grained Visual Descriptions" (arXiv 1605.05395).

A caption's characters go through three convolutions in time, a recurrent layer reads what is left, and the mean of its
states becomes the caption's vector. It is trained so that an image's vector has a larger product with the vector of its
own caption than with those of others, by a margin, and the other way round.

Differences from the paper and its code:
- captions are lower-cased; there, capitals are unknown characters;
- the recurrent layers are Keras': one bias where theirs have two, and the recurrent weights begin orthogonal;
- the image encoder is a small convolutional network that learns with the text's, or before it and then stands still
  (`trainable = False`, as in zoo/text_encoder.py); there, the fixed features of a GoogLeNet
  trained on ImageNet, which is not in this package;
- what a caption must be told from is a matter of labels: other classes' images and captions, as in the paper, or
  (`match="instance"`) all that do not show the same, so that the vectors hold what varies within a class.
"""

import pathlib

import keras
import numpy as np
from keras import layers, ops

from kerasgan.data_spec import DataSpec, Images, Labels, Numbers
from kerasgan.datasets.epochs import EpochDataset
from kerasgan.images import check_images, from_uint8
from kerasgan.io import checkpoints, presets
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "  # 70, of which "-" twice
LENGTH = 201  # characters of a caption
_PLACES = {
    character: place for place, character in enumerate(ALPHABET)
}  # the second "-", as in the paper's code

# === Characters ===


def characters(captions):
    """Captions as places in the alphabet: int32 [N, 201], -1 where there is none.

    Text is lower-cased. A character that the alphabet lacks becomes -1, which the network sees as a row of zeros; what
    comes after 201 characters is cut off.

    Raises:
        ValueError: `captions` is no list of strings, or one of them has no known character but blanks.
    """
    if isinstance(captions, str) or not all(isinstance(caption, str) for caption in captions):
        raise ValueError(f"captions must be a list of strings; received {captions!r:.60}")
    places = np.full((len(captions), LENGTH), -1, "int32")
    for row, caption in zip(places, captions, strict=True):
        known = [_PLACES.get(character, -1) for character in caption.lower()[:LENGTH]]
        if not set(known) - {-1, _PLACES[" "]}:
            raise ValueError(
                f"a caption must have a letter, digit or mark of the alphabet; received {caption!r:.60}"
            )
        row[: len(known)] = known
    return places


# === Networks ===


def build_text_encoder(recurrent="rnn", width=1.0, dim=1024):
    """Build the encoder of characters int32 [N, 201] into vectors [N, dim].

    Args:
        recurrent: "rnn", the paper's (8 steps of 256 units; 1.8 million parameters at full width), or "gru", that of
            "Generative Adversarial Text to Image Synthesis" (18 steps of 512; 4.0 million), whose vectors of birds
            the GANs after it trained on.
        width: factor of all channels but the last.
        dim: numbers a caption; 1024 in the paper.
    """
    if recurrent not in ("rnn", "gru"):
        raise ValueError(f"recurrent must be rnn or gru; received {recurrent!r}")
    units = round(width * (256 if recurrent == "rnn" else 512))
    places = keras.Input((LENGTH,), dtype="int32", name="characters")
    x = ops.one_hot(places, len(ALPHABET))  # [N, 201, 70]
    x = layers.Conv1D(round(384 * width), 4, activation="relu")(x)  # [N, 198, 384]
    x = layers.MaxPooling1D(3)(x)  # [N, 66, 384]
    x = layers.Conv1D(round(512 * width), 4, activation="relu")(x)  # [N, 63, 512]
    x = layers.MaxPooling1D(3)(x)  # [N, 21, 512]
    x = layers.Conv1D(units, 4, activation="relu")(x)  # [N, 18, units]
    if recurrent == "rnn":
        x = layers.MaxPooling1D(3, 2)(x)  # [N, 8, units]
        x = layers.SimpleRNN(units, activation="relu", return_sequences=True, unroll=True)(
            x
        )  # [N, 8, units]
    else:
        x = layers.GRU(units, return_sequences=True, reset_after=False, unroll=True)(
            x
        )  # [N, 18, units]
    x = layers.GlobalAveragePooling1D()(x)  # [N, units]
    return keras.Model(places, layers.Dense(dim, name="embedding")(x), name="text_encoder")


def build_image_encoder(size=64, width=16, dim=1024):
    """Build the encoder of images [N, size, size, 3] in [-1, 1] into vectors [N, dim]; `size` is a multiple of 16."""
    images = x = keras.Input((size, size, 3), name="images")
    for channels in (width, 2 * width, 4 * width, 8 * width):
        x = layers.MaxPooling2D()(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        x = layers.ReLU()(
            BatchNormalization(momentum=0.9)(x)
        )  # [N, size / 16, size / 16, 8 width] in the end
    x = layers.Flatten()(layers.Conv2D(2 * width, 1)(x))  # [N, (size / 16)² 2 width]
    return keras.Model(images, layers.Dense(dim, name="embedding")(x), name="image_encoder")


# === Training ===


class CaptionedPairs(EpochDataset):
    """Feeds `JointEmbedding.fit`: images [B, size, size, 3] in [-1, 1], characters int32 [B, 201], labels int32 [B].

    Each image comes once an epoch, cropped and mirrored by chance, with one of its captions. All chance depends on
    (seed, epoch, index) alone.

    Args:
        data: `CaptionedImages`, at least `size` pixels high and wide.
        batch_size: pairs a batch, at least 2.
        size: side of the square cropped from each image.
        match: what a caption belongs to: all images of its "class", as in the paper, or its "instance": images of the
            same class and attributes, or, where the data have no attributes, its own image only.
        seed: of all chance.
    """

    def __init__(self, data, batch_size, size=64, match="instance", seed=0, workers=1):
        super().__init__(workers=workers)
        if match not in ("class", "instance"):
            raise ValueError(f"match must be class or instance; received {match!r}")
        if not 2 <= batch_size <= len(data):
            raise ValueError(
                f"batch_size must be between 2 and the {len(data)} images; received {batch_size}"
            )
        if min(data.images[0].shape[:2]) < size:
            height, width = data.images[0].shape[:2]
            raise ValueError(
                f"images must be at least {size} pixels high and wide; received {height} x {width}"
            )
        self.data, self.batch_size, self.size, self.seed = data, batch_size, size, seed
        self.labels = np.asarray(data.classes) if match == "class" else np.arange(len(data))
        if match == "instance" and data.attributes is not None:
            shown = np.concatenate([np.asarray(data.classes)[:, None], data.attributes], axis=1)
            self.labels = np.unique(shown, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def num_batches(self):
        return len(self.data) // self.batch_size

    def chosen(self, index):
        """Which images make batch `index` of the current epoch: int [B]."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.data))
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def __getitem__(self, index):
        chosen = self.chosen(index)
        random = np.random.default_rng((self.seed, self.epoch, index))
        images = from_uint8(
            np.stack([self._crop(self.data.images[int(i)], random) for i in chosen])
        )
        captions = [
            self.data.captions[i][random.integers(len(self.data.captions[i]))] for i in chosen
        ]
        return images, characters(captions), self.labels[chosen].astype("int32")

    def _crop(self, image, random):
        top, left = random.integers(0, np.array(image.shape[:2]) - self.size + 1)
        crop = image[top : top + self.size, left : left + self.size]
        return crop[:, ::-1] if random.random() < 0.5 else crop


def joint_embedding_loss(images, texts, labels, margin=1.0):
    """The structured joint embedding's symmetric loss (section 3 of the paper; a margin of 1 there).

    For each image, the hinge of its product with every other label's text against that with its own; for each text, the
    same over images; both averaged over all pairs.

    Args:
        images, texts: vectors [B, D]; text i belongs to image i.
        labels: int [B]; pairs of equal labels are not told apart.

    Returns:
        The loss, and the share of images whose own text has the largest product: two scalars.
    """
    scores = ops.matmul(images, ops.transpose(texts))  # [B, B], image i with text j
    own = ops.sum(images * texts, axis=1)  # [B]
    others = ops.cast(ops.not_equal(labels[:, None], labels[None, :]), scores.dtype)
    hinges = ops.relu(margin + scores - own[:, None]) + ops.relu(margin + scores - own[None, :])
    first = ops.cast(ops.equal(ops.max(scores, axis=1), ops.diagonal(scores)), "float32")
    return ops.mean(others * hinges), ops.mean(first)


@keras.saving.register_keras_serializable("kerasgan")
class JointEmbedding(AdversarialModel):
    """A text encoder and an image encoder that learn to agree; one optimizer, `encoders`, moves both.

    Data: `(images [B, H, W, 3], characters int32 [B, 201], labels int32 [B])`, as from `CaptionedPairs`.

    Args:
        text_encoder: characters -> vectors [B, D]. The paper's by default.
        image_encoder: images -> vectors [B, D].
        margin: of the loss.

    Example:
        model = JointEmbedding()
        model.compile(encoders=keras.optimizers.Adam(7e-4))
        model.fit(CaptionedPairs(synthetic_birds("train", size=76), batch_size=64), epochs=20)
        TextEncoder(model.text_encoder)(["a small red bird"])
    """

    players = ("encoders",)
    reports = ("encoders_loss", "accuracy")

    def __init__(self, text_encoder=None, image_encoder=None, margin=1.0, name=None):
        super().__init__(name=name)
        self.text_encoder = text_encoder or build_text_encoder()
        self.image_encoder = image_encoder or build_image_encoder()
        dims = self.text_encoder.output_shape[-1], self.image_encoder.output_shape[-1]
        if dims[0] != dims[1]:
            raise ValueError(
                f"both encoders must give vectors of one length; received {dims[0]} and {dims[1]}"
            )
        self.margin = margin
        self.built = True

    def get_config(self):
        networks = {
            n: keras.saving.serialize_keras_object(getattr(self, n))
            for n in ("text_encoder", "image_encoder")
        }
        return networks | {"margin": self.margin, "name": self.name}

    @classmethod
    def from_config(cls, config):
        networks = ("text_encoder", "image_encoder")
        return cls(
            **{
                k: keras.saving.deserialize_keras_object(v) if k in networks else v
                for k, v in config.items()
            }
        )

    def checkpoint_networks(self):
        return {"T": self.text_encoder, "V": self.image_encoder}

    def save_to_preset(self, folder):
        """Writes both encoders (half precision) to `folder`."""
        presets.save(self, folder, letters=("T", "V"))

    def player_layers(self, player):
        return [self.text_encoder, self.image_encoder]

    def data_spec(self):
        shape, most = tuple(self.image_encoder.input_shape[1:]), len(ALPHABET) - 1
        characters = Numbers((LENGTH,), "characters", integer=True, minimum=-1, maximum=most)
        return DataSpec((Images(shape), characters, Labels()))

    def _loss(self, data, training):
        images, places, labels = data
        images, texts = (
            self.image_encoder(images, training=training),
            self.text_encoder(places, training=training),
        )
        images, texts = full_precision((images, texts))
        return joint_embedding_loss(images, texts, labels, self.margin)

    def train_step(self, data):
        loss, accuracy = self.minimize("encoders", lambda: self._loss(data, training=True))
        return self.report(encoders_loss=loss, accuracy=accuracy)

    def test_step(self, data):
        loss, accuracy = self._loss(data, training=False)
        return self.report(encoders_loss=loss, accuracy=accuracy)

    def standardise(self, captions):
        """Shifts and scales the last layers so that the vectors of these captions have mean 0 and variance 1 overall.

        Then what is built on them sees numbers of a usual size. Which caption suits an image best does not change:
        the image encoder is scaled the other way, and the shift is the same for all captions.
        """
        vectors = TextEncoder(self.text_encoder)(captions)  # [N, D]
        mean, scale = vectors.mean(axis=0), np.sqrt(vectors.var(axis=0).mean())
        for network, shift, factor in (
            (self.text_encoder, mean, 1 / scale),
            (self.image_encoder, 0, scale),
        ):
            kernel, bias = network.get_layer("embedding").get_weights()
            network.get_layer("embedding").set_weights([kernel * factor, (bias - shift) * factor])


# === Doors ===


class TextEncoder:
    """A callable of n captions that returns their vectors, float32 numpy [n, dim].

    Text is lower-cased, unknown characters count as nothing, and 201 characters are read (see `characters`, which says
    what raises a ValueError).

    Attributes:
        dim: numbers a caption.
    """

    def __init__(self, network):
        if network.input_shape != (None, LENGTH):
            raise ValueError(
                f"a text encoder must take characters [N, {LENGTH}]; received {network.input_shape}"
            )
        self.network, self.dim = network, network.output_shape[-1]

    def __call__(self, captions, batch_size=256):
        return _in_batches(self.network, characters(captions), batch_size)


class ImageEncoder:
    """A callable of images that returns their vectors, float32 numpy [N, dim], to be held against a text encoder's.

    Images are float [N, S, S, 3] in [-1, 1], S the network's size or a multiple of it; larger ones are averaged down.
    """

    def __init__(self, network):
        self.network, self.dim = network, network.output_shape[-1]

    def __call__(self, images, batch_size=256):
        images, size = check_images(images), self.network.input_shape[1]
        count, height, width, channels = images.shape
        if height != width or height % size or channels != 3:
            raise ValueError(
                f"images must be [N, S, S, 3], S a multiple of {size}; received {list(images.shape)}"
            )
        factor = height // size
        small = images.reshape(count, size, factor, size, factor, 3).mean(
            axis=(2, 4)
        )  # [N, size, size, 3]
        return _in_batches(self.network, small, batch_size)


def _in_batches(network, inputs, batch_size):
    starts = range(0, len(inputs), batch_size)
    vectors = [network(inputs[start : start + batch_size], training=False) for start in starts]
    vectors = [ops.convert_to_numpy(part).astype("float32") for part in vectors]
    return (
        np.concatenate(vectors) if vectors else np.zeros((0, network.output_shape[-1]), "float32")
    )


def text_encoder(name_or_file="synthetic_birds_text"):
    """The `TextEncoder` of a preset (a name or a folder) or of a checkpoint file `…_T_epoch_n.h5`."""
    return TextEncoder(_network(name_or_file, "T"))


def image_encoder(name_or_file="synthetic_birds_text"):
    """The `ImageEncoder` that learnt with the text encoder of a preset; or of a checkpoint file `…_V_epoch_n.h5`."""
    return ImageEncoder(_network(name_or_file, "V"))


def _network(name_or_file, letter):
    path = pathlib.Path(name_or_file)
    path = path if path.suffix == ".h5" else presets.find(name_or_file) / f"{letter}.h5"
    network, info = checkpoints.load_network(path)
    if info["letter"] != letter:
        raise checkpoints.CheckpointError(
            f"{path} must hold the network {letter}; it holds {info['letter']}"
        )
    return network
