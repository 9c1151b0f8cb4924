"""Augmentation of training images with keras-cv: random flips, random cutout and RandAugment.

keras-cv is imported only when an augmentation is used. Its layers run on TensorFlow with every
Keras backend; the augmented batches are NumPy arrays.

Reference:
    Cubuk et al., 2019, "RandAugment: Practical automated data augmentation with a reduced search
    space", https://arxiv.org/abs/1909.13719
"""

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


class Augmentations:
    """keras-cv layers that change images at random, reproducibly by seed, in one TensorFlow graph.

    All random numbers come from one generator. In a graph, RandAugment takes 0.3 ms per image;
    without one, it takes 36 ms, because keras-cv maps it over the images one by one.

    Args:
        names: Names of `NAMES`, applied in this order. Cutouts are rectangles of up to half the
            side in mid-gray. RandAugment applies 2 operations of magnitude 0.3.

    Raises:
        ImportError: If keras-cv is not installed.
    """

    def __init__(self, names: Sequence[str]):
        try:
            from keras_cv import layers
        except ImportError as error:
            raise ImportError(
                f"--augment needs the package keras-cv: pip install keras-cv ({error})"
            ) from None
        import tensorflow as tf

        makers = {
            "flip": lambda: layers.RandomFlip("horizontal"),
            "cutout": lambda: layers.RandomCutout(0.5, 0.5, fill_mode="constant", fill_value=127.5),
            "randaugment": lambda: layers.RandAugment(
                (0, 255), augmentations_per_image=2, magnitude=0.3
            ),
        }
        self.layers = [makers[name]() for name in names]
        self._generator = tf.random.Generator.from_seed(0)
        for layer in self.layers:
            _use_generator(layer, self._generator)
        self._apply = tf.function(self._in_graph, reduce_retracing=True)

    def __call__(self, images: np.ndarray, seed: int) -> np.ndarray:
        """Returns changed images.

        Args:
            images: `[B, H, W, 1 or 3]` in [-1, 1].
            seed: Integer seed of the changes.
        """
        colored = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        self._generator.reset_from_seed(seed)
        x = self._apply(((colored + 1.0) * 127.5).astype("float32"))
        x = np.clip(np.asarray(x) / 127.5 - 1.0, -1.0, 1.0)
        x = x.mean(axis=-1, keepdims=True) if images.shape[-1] == 1 else x
        return x.astype("float32")

    def _in_graph(self, images):
        for layer in self.layers:
            images = layer(images, training=True)
        return images


def _use_generator(layer, generator):
    """Makes a keras-cv layer and the layers in it draw all random numbers from one generator.

    By default, layers share TensorFlow's global generator, and the magnitudes come from
    `tf.random.uniform`, whose seed is fixed when a graph is traced.
    """
    import tensorflow as tf
    from keras_cv import core

    class Magnitudes(core.FactorSampler):
        def __init__(self, sampler):
            self.sampler = sampler

        def __call__(self, shape=(), dtype="float32"):
            sampler = self.sampler
            if isinstance(sampler, core.NormalFactorSampler):
                values = generator.normal(shape, sampler.mean, sampler.stddev, dtype)
                return tf.clip_by_value(values, sampler.min_value, sampler.max_value)
            if isinstance(sampler, core.UniformFactorSampler):
                return generator.uniform(shape, sampler.lower, sampler.upper, dtype)
            return sampler(shape, dtype)

    layer._random_generator = generator
    for name, value in list(vars(layer).items()):
        if isinstance(value, core.FactorSampler):
            setattr(layer, name, Magnitudes(value))
    for inner in [*getattr(layer, "layers", ()), getattr(layer, "_random_choice", None)]:
        if inner is not None:
            _use_generator(inner, generator)


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
        super().__init__()  # One worker: the augmentations have one random generator.
        self.batches, self.seed = batches, seed
        self.augment = Augmentations(check_augmentations(augment))

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch."""
        return self.batches.num_batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        images, *targets = self.batches[index]
        generator = np.random.default_rng((self.seed, self.batches.epoch, index, 2))
        return self.augment(images, int(generator.integers(2**31))), *targets

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()
