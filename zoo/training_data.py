"""Training batches of the recipes that train one network: warped digits, degraded birds, crops.

All randomness depends on (seed, epoch, index) only. This module imports Keras; recipes import it
lazily.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from PIL import Image

from kerasgan.datasets.batches import Batches
from kerasgan.datasets.epochs import EpochDataset
from kerasgan.datasets.synthetic_birds import ATTRIBUTES
from kerasgan.encoders.char_cnn_rnn import CaptionedPairs
from kerasgan.images import from_uint8, to_uint8
from kerasgan.metrics.protocols.bird_attributes import resized

# === Digits ===


class WarpedBatches(Batches):
    """Batches of digits that are randomly rotated, scaled, sheared and shifted.

    Args:
        warping: Object with `degrees`, `zoom`, `shear` and `shift`, see
            `zoo.digit_classifier.Settings`.
        *args: Arguments of `Batches`.
        **options: Arguments of `Batches`.
    """

    def __init__(self, warping: Any, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.warping = warping

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        random = np.random.default_rng((self.seed, self.epoch, index))
        return warp(images, self.warping, random), labels


def warp(images: np.ndarray, warping: Any, random: np.random.Generator) -> np.ndarray:
    """Applies one random affine map per image around its center. Background (-1) fills the borders.

    Args:
        images: Images `[B, H, W, C]` in [-1, 1].
        warping: Object with `degrees`, `zoom`, `shear` and `shift` (pixels), the largest values.
        random: Random number generator.
    """
    count, center = len(images), (np.array(images.shape[1:3]) - 1) / 2
    angle, sx, sy, slant, dx, dy = random.uniform(-1, 1, (6, count))
    angle, slant = np.radians(warping.degrees) * angle, warping.shear * slant
    factors = np.array([1 + warping.zoom * sx, 1 + warping.zoom * sy])  # [2, B]
    rotation = [[np.cos(angle), slant - np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix = np.array(rotation) * factors  # [2, 2, B]
    moved = np.einsum("ijb,j->ib", matrix, center[::-1])
    offset = center[::-1, None] - moved + warping.shift * np.array([dx, dy])
    # Rows map output coordinates (x, y, 1) to input x and y.
    rows = np.concatenate([matrix, offset[:, None]], axis=1).reshape(6, count)
    transforms = np.concatenate([rows, np.zeros((2, count))]).T.astype("float32")  # [B, 8]
    warped = ops.image.affine_transform(
        images, transforms, "bilinear", "constant", -1.0, data_format="channels_last"
    )
    return ops.convert_to_numpy(warped)


# === Synthetic birds ===


class DegradedBirds(CaptionedPairs):
    """Random crops of birds, blurred, noisy and in varied light, and attributes `[B, 7]`.

    Args:
        settings: Settings of `zoo.bird_attribute_classifier`.
        data: `CaptionedImages` with attributes.
        size: Side of the crops in pixels.
    """

    def __init__(self, settings: Any, data: Any, size: int):
        super().__init__(data, settings.batch_size, size, seed=settings.seed)
        self.settings = settings

    def __getitem__(self, index):
        chosen = self.batch_indices(index)
        random = np.random.default_rng((self.seed, self.epoch, index))
        crops = np.stack([self._crop(self.data.images[int(i)], random) for i in chosen])
        return degrade(crops, self.settings, random), self.data.attributes[chosen].astype("int32")


def degrade(images: np.ndarray, settings: Any, random: np.random.Generator) -> np.ndarray:
    """Blurs half of the images, adds noise to half of them, and varies the light of all images.

    Args:
        images: uint8 images `[B, S, S, 3]`.
        settings: Object with `smallest`, `noise` and `light`, see
            `zoo.bird_attribute_classifier.Settings`.
        random: Random number generator.

    Returns:
        Float32 images in [-1, 1].
    """
    count, size = images.shape[:2]
    each = (count, 1, 1, 1)
    small = random.random(count) < 0.5
    sides = np.where(small, size, random.integers(settings.smallest, size + 1, count))
    blurred = [
        resized(resized(image[None], side), size) for image, side in zip(images, sides, strict=True)
    ]
    contrast = random.uniform(1 - settings.light, 1 + settings.light, each)
    level = random.uniform(-settings.light, settings.light, (count, 1, 1, 3))
    deviation = random.uniform(0, settings.noise, each) * (random.random(each) < 0.5)
    noise = deviation * random.standard_normal(images.shape, "float32")
    degraded = from_uint8(np.concatenate(blurred)) * contrast + level + noise
    return degraded.clip(-1, 1).astype("float32")


class AttributeBatches(CaptionedPairs):
    """The images of image-caption pairs with their attributes: `(images, {name: int32 [B]})`."""

    def __getitem__(self, index):
        columns = self.data.attributes[self.batch_indices(index)].T.astype("int32")
        return super().__getitem__(index)[0], dict(zip(ATTRIBUTES, columns, strict=True))


class EmbeddingBatches(CaptionedPairs):
    """Batches for `RobustImageEncoder.fit`: images, attributes, and one caption embedding each.

    Images without attributes have one attribute of unknown value, -1.
    """

    def __getitem__(self, index):
        chosen = self.batch_indices(index)
        random = np.random.default_rng((self.seed, self.epoch, index, 1))
        captions = random.integers(self.data.embeddings.shape[1], size=len(chosen))
        attributes = np.full((len(chosen), 1), -1, "int32")
        if self.data.attributes is not None:
            attributes = self.data.attributes[chosen].astype("int32")
        return super().__getitem__(index)[0], attributes, self.data.embeddings[chosen, captions]


class PartBatches(EpochDataset):
    """Batches for `PartEncoder.fit`: random crops, half of them mirrored, parts and attributes.

    Args:
        images: uint8 `[N, H, W, 3]`.
        parts: uint8 `[N, H, W]`, the part at each pixel.
        attributes: Integers `[N, L]`.
        batch_size: Number of images in a batch.
        size: Side of the crops.
        seed: Integer seed of the order, the crops and the mirroring.
    """

    def __init__(
        self,
        images: np.ndarray,
        parts: np.ndarray,
        attributes: np.ndarray,
        batch_size: int,
        size: int,
        seed: int = 0,
    ):
        super().__init__()
        self.images, self.parts, self.attributes = images, parts, attributes.astype("int32")
        self.batch_size, self.size, self.seed = batch_size, size, seed

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch."""
        return len(self.images) // self.batch_size

    def __getitem__(self, index):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        random = np.random.default_rng((self.seed, self.epoch, index))
        top, left = random.integers(self.images.shape[1] - self.size + 1, size=2)
        window = np.s_[:, top : top + self.size, left : left + self.size]
        images, parts = self.images[chosen][window], self.parts[chosen][window]
        mirrored = random.random(len(chosen)) < 0.5
        images[mirrored], parts[mirrored] = images[mirrored, :, ::-1], parts[mirrored, :, ::-1]
        return from_uint8(images), parts.astype("int32"), self.attributes[chosen]


class PartClassifierBatches(PartBatches):
    """Batches for `PartClassifier.fit`: random crops, half of them mirrored, the cells that parts
    cover, attributes, and one caption with the attributes that it names.

    A batch is `((images, embeddings), (masks, labels, named))`, see `PartClassifier`. 60 % of the
    images are blurred: reduced to half their size and enlarged again.

    Args:
        birds: Images, parts and attributes, see `PartBatches`.
        chosen: Indices of the P parts.
        embeddings: Caption embeddings `[N, C, D]`.
        named: Attributes that the captions name, integers `[N, C, L]`.
        batch_size: Number of images in a batch.
        size: Side of the crops.
        seed: Integer seed of all choices.
    """

    def __init__(
        self,
        birds: tuple[np.ndarray, np.ndarray, np.ndarray],
        chosen: Sequence[int],
        embeddings: np.ndarray,
        named: np.ndarray,
        batch_size: int,
        size: int,
        seed: int = 0,
    ):
        super().__init__(*birds, batch_size, size, seed)
        self.chosen, self.embeddings = tuple(chosen), embeddings
        self.named = named.astype("int32")

    def __getitem__(self, index):
        images, parts, attributes = super().__getitem__(index)
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
        birds = order[index * self.batch_size : (index + 1) * self.batch_size]
        random = np.random.default_rng((self.seed, self.epoch, index, 1))
        halved = random.random(len(images)) < 0.6
        images[halved] = reduced(to_uint8(images[halved]), self.size // 2, self.size)
        caption = random.integers(self.named.shape[1], size=len(birds))
        cells = parts.reshape(len(parts), self.size // 4, 4, self.size // 4, 4)
        masks = [(cells == part).mean(axis=(2, 4), dtype="float32") for part in self.chosen]
        masks = np.stack(masks, axis=-1).reshape(len(parts), -1, len(self.chosen))
        embeddings, named = self.embeddings[birds, caption], self.named[birds, caption]
        return (images, embeddings), (masks, attributes, named)


def reduced(images: np.ndarray, size: int, shown: int | None = None) -> np.ndarray:
    """Reduces uint8 images `[N, S, S, 3]` to `size` pixels, then enlarges them to `shown`, by
    default S, with bilinear filters. Returns floats in [-1, 1]."""
    if not len(images):
        return from_uint8(images)
    return from_uint8(resized(resized(images, size), shown or images.shape[1]))


# === Crops for Inception ===


class Crops(EpochDataset):
    """Batches of random crops `[B, size, size, 3]`, half of them mirrored, and one-hot labels.

    Args:
        images: Sequence of uint8 images `[H, W, 3]`.
        labels: int `[N]`, from 0 without gaps.
        places: Indices of the images to use.
        settings: Settings of `zoo.inception`.
    """

    def __init__(self, images: Sequence, labels: np.ndarray, places: np.ndarray, settings: Any):
        super().__init__()
        if not 2 <= settings.batch_size <= len(places):
            raise ValueError(
                f"batch_size must be between 2 and the {len(places)} training images; "
                f"received {settings.batch_size}"
            )
        self.images, self.labels, self.places, self.settings = images, labels, places, settings
        self.one_hot = np.eye(labels.max() + 1, dtype="float32")

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch."""
        return len(self.places) // self.settings.batch_size

    def __getitem__(self, index):
        count, seed = self.settings.batch_size, self.settings.seed
        order = np.random.default_rng((seed, self.epoch)).permutation(self.places)
        chosen = order[index * count : (index + 1) * count]
        random = np.random.default_rng((seed, self.epoch, index))
        crops = np.stack([self._crop(self.images[int(place)], random) for place in chosen])
        return from_uint8(crops), self.one_hot[self.labels[chosen]]

    def _crop(self, image, random):
        side = np.array(image.shape[1::-1])  # width, height
        shown = side * random.uniform(self.settings.smallest, 1)
        corner = random.uniform(0, 1, 2) * (side - shown)
        size, box = (self.settings.size,) * 2, (*corner, *(corner + shown))
        crop = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box))
        return crop[:, ::-1] if random.random() < 0.5 else crop
