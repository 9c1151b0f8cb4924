"""Char-CNN-RNN text encoder and its joint embedding with images.

Reed, Akata, Lee and Schiele, 2016, "Learning Deep Representations of Fine-Grained Visual
Descriptions", https://arxiv.org/abs/1605.05395.

The characters of a caption pass through three temporal convolutions and a recurrent layer. The mean
of the recurrent states gives the embedding of the caption. Training makes the inner product of the
embeddings of an image and its own caption larger, by a margin, than the inner products of the image
with other captions and of the caption with other images.

**Differences from the paper and its code**

- Captions are converted to lower case. In the code, capitals are unknown characters.
- The recurrent layers are Keras layers: one bias instead of two, and orthogonal initialization of
  the recurrent weights.
- The image encoder is a small convolutional network, trained jointly with the text encoder or
  before it (then frozen with `trainable = False`, as in `zoo/text_encoder.py`). The paper uses
  fixed features of a GoogLeNet trained on ImageNet, which is not part of this package.
- Negatives are determined by labels: images and captions of other classes, as in the paper, or
  (`match="instance"`) of all images with other attributes, so that embeddings also represent the
  variation within a class.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan import backend
from kerasgan.data_spec import DataSpec, Images, Labels, Numbers
from kerasgan.datasets.text_files import read_text
from kerasgan.encoders.char_cnn_rnn_data import (
    ALPHABET as ALPHABET,
    INDICES,
    LENGTH as LENGTH,
    VOCABULARY as VOCABULARY,
    CaptionedPairs as CaptionedPairs,
    characters as characters,
    save_vocabulary as save_vocabulary,
    words as words,
)
from kerasgan.encoders.clip import PREFIX, ClipTextEncoder
from kerasgan.images import check_images
from kerasgan.io import checkpoints, presets
from kerasgan.io.export import ExportFunction
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

# === Networks ===


def build_text_encoder(recurrent: str = "rnn", width: float = 1.0, dim: int = 1024) -> keras.Model:
    """Builds the text encoder from characters int32 `[N, 201]` to embeddings `[N, dim]`.

    Args:
        recurrent: Recurrent layer: `"rnn"` (paper; 8 steps of 256 units, 1.8 million parameters at
            full width) or `"gru"` as in "Generative Adversarial Text to Image Synthesis" (18 steps
            of 512 units, 4.0 million parameters), whose bird embeddings later GANs used.
        width: Factor of the number of channels of all layers but the last.
        dim: Dimension of the embeddings. 1024 in the paper.

    Returns:
        The text encoder.

    Raises:
        ValueError: If `recurrent` is unknown.
    """
    if recurrent not in ("rnn", "gru"):
        raise ValueError(f"recurrent must be rnn or gru; received {recurrent!r}")
    units = round(width * (256 if recurrent == "rnn" else 512))
    indices = keras.Input((LENGTH,), dtype="int32", name="characters")
    x = ops.one_hot(indices, len(ALPHABET))  # [N, 201, 70]
    x = layers.Conv1D(round(384 * width), 4, activation="relu")(x)  # [N, 198, 384]
    x = layers.MaxPooling1D(3)(x)  # [N, 66, 384]
    x = layers.Conv1D(round(512 * width), 4, activation="relu")(x)  # [N, 63, 512]
    x = layers.MaxPooling1D(3)(x)  # [N, 21, 512]
    x = layers.Conv1D(units, 4, activation="relu")(x)  # [N, 18, units]
    if recurrent == "rnn":
        x = layers.MaxPooling1D(3, 2)(x)  # [N, 8, units]
        rnn = layers.SimpleRNN(units, activation="relu", return_sequences=True, unroll=True)
        x = rnn(x)  # [N, 8, units]
    else:
        gru = layers.GRU(units, return_sequences=True, reset_after=False, unroll=True)
        x = gru(x)  # [N, 18, units]
    x = layers.GlobalAveragePooling1D()(x)  # [N, units]
    return keras.Model(indices, layers.Dense(dim, name="embedding")(x), name="text_encoder")


def build_image_encoder(size: int = 64, width: int = 16, dim: int = 1024) -> keras.Model:
    """Builds the image encoder from images `[N, size, size, 3]` in [-1, 1] to `[N, dim]`.

    Args:
        size: Image size, a multiple of 16.
        width: Channels of the first convolution.
        dim: Dimension of the embeddings.

    Returns:
        The image encoder.
    """
    images = x = keras.Input((size, size, 3), name="images")
    for channels in (width, 2 * width, 4 * width, 8 * width):
        x = layers.MaxPooling2D()(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        x = layers.ReLU()(BatchNormalization(momentum=0.9)(x))
    # x is [N, size / 16, size / 16, 8 * width].
    x = layers.Flatten()(layers.Conv2D(2 * width, 1)(x))  # [N, (size / 16)² * 2 * width]
    return keras.Model(images, layers.Dense(dim, name="embedding")(x), name="image_encoder")


# === Training ===


def joint_embedding_loss(
    images: Tensor, texts: Tensor, labels: Tensor, margin: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Symmetric structured joint embedding loss (section 3 of the paper).

    For each image i and each text j of another label, the loss is
    max(0, margin + <image i, text j> - <image i, text i>). The same loss for each text over images
    of other labels is added. The sum is averaged over all B^2 pairs.

    Args:
        images: Embeddings of images, `[B, D]`.
        texts: Embeddings of texts, `[B, D]`. Text i belongs to image i.
        labels: int `[B]`. Pairs with equal labels are not negatives.
        margin: Margin of the hinge loss. 1 in the paper.

    Returns:
        `(loss, accuracy)`, scalars. The accuracy is the share of images whose own text has the
        largest inner product.
    """
    scores = ops.matmul(images, ops.transpose(texts))  # [B, B], image i with text j
    own = ops.sum(images * texts, axis=1)  # [B]
    negatives = ops.cast(ops.not_equal(labels[:, None], labels[None, :]), scores.dtype)
    hinges = ops.relu(margin + scores - own[:, None]) + ops.relu(margin + scores - own[None, :])
    first = ops.cast(ops.equal(ops.max(scores, axis=1), ops.diagonal(scores)), "float32")
    return ops.mean(negatives * hinges), ops.mean(first)


@keras.saving.register_keras_serializable("kerasgan")
class JointEmbedding(AdversarialModel):
    """Text encoder and image encoder trained jointly.

    One optimizer, `encoders`, updates both.

    Training data: `(images, characters, labels)` as from `CaptionedPairs`: float images
    `[B, H, W, 3]` in [-1, 1], int32 `[B, 201]` and int32 `[B]`.

    Args:
        text_encoder: Model from characters to embeddings `[B, D]`. Defaults to the paper's.
        image_encoder: Model from images to embeddings `[B, D]`.
        margin: Margin of the loss.

    Example:
        ```python
        model = JointEmbedding()
        model.compile(encoders=keras.optimizers.Adam(7e-4))
        model.fit(CaptionedPairs(synthetic_birds("train", size=76), batch_size=64), epochs=20)
        TextEncoder(model.text_encoder)(["a small red bird"])  # [1, 1024]
        ```

    Reference:
        Reed, Akata, Lee and Schiele, 2016, "Learning Deep Representations of Fine-Grained Visual
        Descriptions", https://arxiv.org/abs/1605.05395
    """

    players = ("encoders",)
    reports = ("encoders_loss", "accuracy")

    def __init__(
        self,
        text_encoder: keras.Model | None = None,
        image_encoder: keras.Model | None = None,
        margin: float = 1.0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.text_encoder = text_encoder or build_text_encoder()
        self.image_encoder = image_encoder or build_image_encoder()
        dims = self.text_encoder.output_shape[-1], self.image_encoder.output_shape[-1]
        if dims[0] != dims[1]:
            raise ValueError(
                "text_encoder and image_encoder must have the same output dimension; "
                f"received {dims[0]} and {dims[1]}"
            )
        self.margin = margin
        self.built = True

    def get_config(self) -> dict:
        networks = {
            n: keras.saving.serialize_keras_object(getattr(self, n))
            for n in ("text_encoder", "image_encoder")
        }
        return networks | {"margin": self.margin, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> "JointEmbedding":
        networks = ("text_encoder", "image_encoder")
        return cls(
            **{
                k: keras.saving.deserialize_keras_object(v) if k in networks else v
                for k, v in config.items()
            }
        )

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"text_encoder": self.text_encoder, "image_encoder": self.image_encoder}

    def save_to_preset(
        self, folder: str | os.PathLike, captions: Iterable[str] | None = None
    ) -> None:
        """Writes both encoders in half precision to a preset folder.

        Args:
            folder: Folder of the preset, created if necessary.
            captions: Training captions, whose words are saved as the vocabulary. `None` saves none.
        """
        presets.save(self, folder, networks=("text_encoder", "image_encoder"))
        if captions is not None:
            save_vocabulary(folder, captions)

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.text_encoder, self.image_encoder]

    def data_spec(self) -> DataSpec:
        shape, most = tuple(self.image_encoder.input_shape[1:]), len(ALPHABET) - 1
        characters = Numbers((LENGTH,), "characters", integer=True, minimum=-1, maximum=most)
        return DataSpec((Images(shape), characters, Labels()))

    def _loss(self, data, training):
        images, indices, labels = data
        images = self.image_encoder(images, training=training)
        texts = self.text_encoder(indices, training=training)
        images, texts, labels = map(replicas.gather, (*full_precision((images, texts)), labels))
        return joint_embedding_loss(images, texts, labels, self.margin)

    def train_step(self, data: tuple) -> dict:
        loss, accuracy = self.minimize("encoders", lambda: self._loss(data, training=True))
        return self.report(encoders_loss=loss, accuracy=accuracy)

    def test_step(self, data: tuple) -> dict:
        loss, accuracy = self._loss(data, training=False)
        return self.report(encoders_loss=loss, accuracy=accuracy)

    def standardize(self, captions: Sequence[str]) -> None:
        """Scales the last layers so that embeddings of `captions` have mean 0 and variance 1.

        Models trained on the embeddings then receive inputs of a common magnitude. The mean is
        removed per dimension; the variance is taken over all dimensions. The ranking of captions
        for an image does not change: the image encoder is scaled inversely, and the shift is the
        same for all captions.

        Args:
            captions: List of captions.
        """
        embeddings = TextEncoder(self.text_encoder)(captions)  # [N, D]
        mean, scale = embeddings.mean(axis=0), np.sqrt(embeddings.var(axis=0).mean())
        for network, shift, factor in (
            (self.text_encoder, mean, 1 / scale),
            (self.image_encoder, 0, scale),
        ):
            kernel, bias = network.get_layer("embedding").get_weights()
            network.get_layer("embedding").set_weights([kernel * factor, (bias - shift) * factor])


# === Inference ===


@keras.saving.register_keras_serializable("kerasgan")
class TextEncoder:
    """Callable from N captions to embeddings, float32 `[N, dim]`.

    Text is converted to lower case and truncated to 201 characters, and unknown characters are
    ignored. A call raises the errors of `characters`. With a vocabulary, it gives one warning that
    names up to 10 words that the encoder was not trained on.

    Args:
        network: Model built by `build_text_encoder`.
        vocabulary: Words of the training captions. `None` disables the warning.

    Attributes:
        dim: Dimension of the embeddings.

    Raises:
        ValueError: If the network does not take characters `[N, 201]`.
    """

    def __init__(self, network: keras.Model, vocabulary: Iterable[str] | None = None):
        if network.input_shape != (None, LENGTH):
            raise ValueError(
                f"a text encoder must take characters [N, {LENGTH}]; received {network.input_shape}"
            )
        self.network, self.dim = network, network.output_shape[-1]
        self.vocabulary = None if vocabulary is None else frozenset(vocabulary)

    def __call__(self, captions: Sequence[str], batch_size: int = 256) -> np.ndarray:
        indices = characters(captions)
        unknown = self.unknown_words(captions)
        if unknown:
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            warnings.warn(
                f"the text encoder was not trained on the words {', '.join(unknown[:10])}{more}; "
                "images of these captions may be unrelated to them",
                stacklevel=2,
            )
        return _in_batches(self.network, indices, batch_size)

    def unknown_words(self, captions: Sequence[str]) -> list[str]:
        """Words of captions that are not in the vocabulary, in order of occurrence."""
        if self.vocabulary is None:
            return []
        found = dict.fromkeys(word for caption in captions for word in words(caption))
        return [word for word in found if word not in self.vocabulary]

    def export_function(self) -> ExportFunction:
        """Returns the network as a function that can be exported, from characters to embeddings.

        Its metadata holds the alphabet and the vocabulary.
        """
        facts: dict[str, Any] = {"alphabet": INDICES}
        if self.vocabulary is not None:
            facts["vocabulary"] = sorted(self.vocabulary)
        shape = (None, LENGTH)
        return ExportFunction(
            {"characters": keras.InputSpec(shape=shape, dtype="int32", name="characters")},
            lambda inputs: {"embeddings": self.network(inputs["characters"], training=False)},
            [self.network],
            {"embeddings": "caption embeddings, the input of the generator"},
            facts,
        )

    def get_config(self) -> dict:
        vocabulary = None if self.vocabulary is None else sorted(self.vocabulary)
        network = keras.saving.serialize_keras_object(self.network)
        return {"network": network, "vocabulary": vocabulary}

    @classmethod
    def from_config(cls, config: dict) -> "TextEncoder":
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(network, config["vocabulary"])


class ImageEncoder:
    """Callable from images to embeddings, float32 `[N, dim]`.

    Images are float `[N, S, S, 3]` in [-1, 1]. S is the input size of the network or a multiple of
    it. Larger images are average-pooled.

    Args:
        network: Model built by `build_image_encoder`.

    Attributes:
        dim: Dimension of the embeddings.
    """

    def __init__(self, network: keras.Model):
        self.network, self.dim = network, network.output_shape[-1]

    def __call__(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        images, size = check_images(images), self.network.input_shape[1]
        count, height, width, channels = images.shape
        if height != width or height % size or channels != 3:
            raise ValueError(
                f"images must be [N, S, S, 3] with S a multiple of {size}; "
                f"received {list(images.shape)}"
            )
        factor = height // size
        blocks = images.reshape(count, size, factor, size, factor, 3)
        return _in_batches(self.network, blocks.mean(axis=(2, 4)), batch_size)


def _in_batches(network, inputs, batch_size):
    starts = range(0, len(inputs), batch_size)
    with backend.inference():
        parts = [network(inputs[start : start + batch_size], training=False) for start in starts]
    parts = [ops.convert_to_numpy(part).astype("float32") for part in parts]
    return np.concatenate(parts) if parts else np.zeros((0, network.output_shape[-1]), "float32")


def text_encoder(
    name_or_file: str | os.PathLike = "synthetic_birds_text",
) -> TextEncoder | ClipTextEncoder:
    """Loads a trained text encoder, with its vocabulary if there is one.

    Args:
        name_or_file: Name, folder or address of a preset, or a checkpoint file
            `..._T_epoch_n.h5`. A file `vocabulary.txt` beside the network file holds the
            vocabulary. `"clip:FOLDER"` loads a preset of keras-hub's CLIP.
    """
    if str(name_or_file).startswith(PREFIX):
        return ClipTextEncoder(str(name_or_file).removeprefix(PREFIX))
    path = presets.network_file(name_or_file, "T")
    vocabulary = path.with_name(VOCABULARY)
    known = read_text(vocabulary).split() if vocabulary.is_file() else None
    return TextEncoder(_load_network(path, "T"), known)


def image_encoder(name_or_file: str | os.PathLike = "synthetic_birds_text") -> ImageEncoder:
    """Loads the image encoder that was trained jointly with a text encoder.

    Args:
        name_or_file: Name or folder of a preset of the text encoder, or a checkpoint file
            `..._V_epoch_n.h5`.
    """
    return ImageEncoder(_load_network(presets.network_file(name_or_file, "V"), "V"))


def _load_network(path, letter):
    network, info = checkpoints.load_network(path)
    if info["letter"] != letter:
        raise checkpoints.CheckpointError(
            f"{path} must hold the network {letter}; it holds {info['letter']}"
        )
    return network
