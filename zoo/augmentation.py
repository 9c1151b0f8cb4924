"""Augmentation of training images with keras-cv: random flips, random cutout and RandAugment.

keras-cv is imported only when an augmentation is used. Its layers run on TensorFlow with every
Keras backend; the augmented batches are NumPy arrays.

Reference:
    Cubuk et al., 2019, "RandAugment: Practical automated data augmentation with a reduced search
    space", https://arxiv.org/abs/1909.13719
"""

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

NAMES = ("flip", "cutout", "randaugment")


def check_augmentations(text: str) -> tuple[str, ...]:
    """Returns the names in a value of `--augment`, such as `"flip,cutout"`; `()` for `"none"`.

    Raises:
        ValueError: If a name is unknown.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"augment must be none or of {', '.join(NAMES)}; received {unknown[0]!r}")
    return names


def build_augmentations(names: Sequence[str]) -> list:
    """Returns the keras-cv layers of some names, for images in [0, 255].

    Cutouts are rectangles of up to half the side in mid-gray. RandAugment applies 2 operations of
    magnitude 0.3.

    Raises:
        ImportError: If keras-cv is not installed.
    """
    try:
        from keras_cv import layers
    except ImportError as error:
        raise ImportError(
            f"--augment needs the package keras-cv: pip install keras-cv ({error})"
        ) from None
    made = {
        "flip": lambda: layers.RandomFlip("horizontal"),
        "cutout": lambda: layers.RandomCutout(0.5, 0.5, fill_mode="constant", fill_value=127.5),
        "randaugment": lambda: layers.RandAugment(
            (0, 255), augmentations_per_image=2, magnitude=0.3
        ),
    }
    return [made[name]() for name in names]


class AugmentedBatches(keras.utils.PyDataset):
    """Batches of another data set with augmented images.

    The augmentation of a batch depends on (seed, epoch, index) only, so that a resumed training
    uses the same images.

    Args:
        batches: `PyDataset` of tuples whose first element is images `[B, H, W, C]` in [-1, 1]. It
            has `num_batches` and `epoch`.
        augment: Names of augmentations, such as `"flip,cutout"`.
        seed: Integer seed.
    """

    def __init__(self, batches: Any, augment: str, seed: int = 0):
        super().__init__()  # One worker: the layers share a random generator.
        self.batches, self.seed = batches, seed
        self.layers = build_augmentations(check_augmentations(augment))

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch."""
        return self.batches.num_batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        images, *targets = self.batches[index]
        generator = np.random.default_rng((self.seed, self.batches.epoch, index, 2))
        return augment_images(images, self.layers, int(generator.integers(2**31))), *targets

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def augment_images(images: np.ndarray, layers: Sequence, seed: int) -> np.ndarray:
    """Applies keras-cv layers to images `[B, H, W, C]` in [-1, 1], reproducibly by seed."""
    colored = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    x = ((colored + 1.0) * 127.5).astype("float32")
    if any(type(layer).__name__ != "RandomFlip" for layer in layers):
        _seed_tensorflow(seed)
    for place, layer in enumerate(layers):
        # Layers without a seed of their own share TensorFlow's global generator.
        layer._random_generator.reset_from_seed(seed + place)
        x = layer(x, training=True)
    x = np.clip(np.asarray(keras.ops.convert_to_numpy(x)) / 127.5 - 1.0, -1.0, 1.0)
    x = x.mean(axis=-1, keepdims=True) if images.shape[-1] == 1 else x
    return x.astype("float32")


def _seed_tensorflow(seed):
    """Sets TensorFlow's global seed, which RandomCutout and RandAugment use.

    This clears TensorFlow's kernel cache and takes milliseconds. RandomFlip does not need it.
    """
    states = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    random.setstate(states[0])
    np.random.set_state(states[1])
