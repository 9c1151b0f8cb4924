"""Data of the char-CNN-RNN: captions as characters and words, and batches of images and captions.

See `kerasgan.encoders.char_cnn_rnn`.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kerasgan.datasets.epochs import EpochDataset
from kerasgan.images import from_uint8
from kerasgan.io import files

# 70 characters; "-" occurs twice.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
LENGTH = 201  # Characters per caption.
VOCABULARY = "vocabulary.txt"  # File beside a text encoder: the words of its training captions.
# Index of each character. "-" has the index of its second occurrence, as in the paper's code.
INDICES = {character: index for index, character in enumerate(ALPHABET)}


def characters(captions: Sequence[str]) -> np.ndarray:
    """Converts captions to alphabet indices.

    Text is converted to lower case and truncated to 201 characters. Unknown characters and padding
    have the index -1, which the network maps to a row of zeros.

    Args:
        captions: List of N strings.

    Returns:
        int32 `[N, 201]`.

    Raises:
        ValueError: If `captions` is not a list of strings, or a caption has no known character
            other than spaces.
    """
    if isinstance(captions, str) or not all(isinstance(caption, str) for caption in captions):
        raise ValueError(f"captions must be a list of strings; received {captions!r:.60}")
    indices = np.full((len(captions), LENGTH), -1, "int32")
    for row, caption in zip(indices, captions, strict=True):
        known = [INDICES.get(character, -1) for character in caption.lower()[:LENGTH]]
        if not set(known) - {-1, INDICES[" "]}:
            raise ValueError(
                "a caption must contain a letter, digit or punctuation mark of the alphabet; "
                f"received {caption!r:.60}"
            )
        row[: len(known)] = known
    return indices


def words(caption: str) -> list[str]:
    """Words of a caption in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", caption.lower())


def save_vocabulary(folder: str | os.PathLike, captions: Iterable[str]) -> None:
    """Writes the words of the training captions to `vocabulary.txt`, one word per line.

    `text_encoder` reads this file beside a network file. The encoder then warns of captions with
    other words.

    Args:
        folder: Folder of the text encoder's file.
        captions: Training captions.
    """
    found = sorted({word for caption in captions for word in words(caption)})
    text = "".join(f"{word}\n" for word in found)
    files.write_atomically(pathlib.Path(folder) / VOCABULARY, text)


class CaptionedPairs(EpochDataset):
    """Batches of images, captions and labels for `JointEmbedding.fit`.

    A batch is `(images, characters, labels)`: float images `[B, size, size, 3]` in [-1, 1], int32
    `[B, 201]` and int32 `[B]`. Each image occurs once per epoch with a random crop, a random
    horizontal flip and one of its captions. All random numbers are functions of
    (seed, epoch, index).

    Args:
        data: `CaptionedImages` of at least `size` x `size` pixels.
        batch_size: Pairs per batch, at least 2.
        size: Size of the random crops.
        match: Images that a caption belongs to: `"class"` (paper), all images of its class, or
            `"instance"`, the images of the same class with the same attributes. Without attributes,
            `"instance"` means its own image only.
        seed: Integer seed.
        workers: Number of workers of the `PyDataset`.
        flip: If `True`, images are mirrored with probability 1/2.

    Raises:
        ValueError: If `match` is unknown, the images are smaller than `size`, or `batch_size` is
            below 2 or above the number of images.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        size: int = 64,
        match: str = "instance",
        seed: int = 0,
        workers: int = 1,
        flip: bool = True,
    ):
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
        self.flip = flip
        self.labels = np.asarray(data.classes) if match == "class" else np.arange(len(data))
        if match == "instance" and data.attributes is not None:
            rows = np.concatenate([np.asarray(data.classes)[:, None], data.attributes], axis=1)
            self.labels = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def num_batches(self) -> int:
        return len(self.data) // self.batch_size

    def batch_indices(self, index: int) -> np.ndarray:
        """Indices of the images in batch `index` of the current epoch, int `[B]`."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.data))
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        indices = self.batch_indices(index)
        random = np.random.default_rng((self.seed, self.epoch, index))
        images = from_uint8(
            np.stack([self._crop(self.data.images[int(i)], random) for i in indices])
        )
        captions = [
            self.data.captions[i][random.integers(len(self.data.captions[i]))] for i in indices
        ]
        return images, characters(captions), self.labels[indices].astype("int32")

    def _crop(self, image, random):
        top, left = random.integers(0, np.array(image.shape[:2]) - self.size + 1)
        crop = image[top : top + self.size, left : left + self.size]
        return crop[:, ::-1] if random.random() < 0.5 and self.flip else crop
