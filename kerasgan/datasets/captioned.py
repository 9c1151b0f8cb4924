"""Images with captions, as text-conditioned models train on them: real and wrong images beside averaged embeddings.

Sources: the loader of Zhang, Xie and Yang, "Photographic Text-to-Image Synthesis with a Hierarchically-nested
Adversarial Network" (arXiv 1802.09178); wrong images: Reed et al., "Generative Adversarial Text to Image Synthesis"
(arXiv 1605.05396).

Differences from the authors' loader:
- a wrong image is drawn evenly from the images of all other classes; there, one of the same class was moved on by 100
  to 200 places, one offset a batch, and not looked at again;
- an epoch shows every image once; there, each batch after the first epoch is the head of a fresh shuffle;
- the smaller real images are made by the model, antialiased, from the same crop; there, `scipy.misc.imresize` stretched
  the contrast of each image of 64 and 128 pixels, and not of 256.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np

from kerasgan.images import from_uint8


@dataclasses.dataclass
class CaptionedImages:
    """Captioned images of one split.

    Attributes:
        images: uint8 [N, H, W, 3], or a sequence whose `[i]` is uint8 [H, W, 3], read when asked for.
        classes: int32 [N], from 0.
        captions: N lists of str.
        embeddings: float32 [N, C, D], a vector a caption; None before a text encoder has seen them.
        names: N different names; two equal ones are refused.
        attributes: int8 [N, A] where the data know what they show (drawn birds), else None.
    """

    images: Sequence
    classes: np.ndarray
    captions: list
    names: list
    embeddings: np.ndarray | None = None
    attributes: np.ndarray | None = None

    def __post_init__(self):
        counts = {
            f.name: len(v)
            for f in dataclasses.fields(self)
            if (v := getattr(self, f.name)) is not None
        }
        if len(set(counts.values())) > 1:
            received = ", ".join(f"{n} {name}" for name, n in counts.items())
            raise ValueError(
                f"images, classes, captions and the rest must be one an image; received {received}"
            )
        if not len(self):
            raise ValueError("captioned images must be at least one; received none")
        if len(set(self.names)) < len(self.names):
            name = next(name for name, count in Counter(self.names).items() if count > 1)
            raise ValueError(
                f"names must be different, one an image; received {name[:100]!r} more than once"
            )

    def __len__(self):
        return len(self.names)

    def embed(self, encoder, batch_size=256):
        """These images with the `encoder`'s embeddings of all captions, as many an image as every image has."""
        count = min(len(captions) for captions in self.captions)
        if not count:
            raise ValueError(
                f"every image needs a caption; received none for {self.names[self._without_caption()]}"
            )
        texts = [caption for captions in self.captions for caption in captions[:count]]
        different, places = np.unique(texts, return_inverse=True)  # many images may share a caption
        vectors = [
            encoder(different[i : i + batch_size].tolist())
            for i in range(0, len(different), batch_size)
        ]
        embeddings = np.concatenate(vectors).astype("float32")[places].reshape(len(self), count, -1)
        return dataclasses.replace(self, embeddings=embeddings)

    def _without_caption(self):
        return next(i for i, captions in enumerate(self.captions) if not captions)


class CaptionedBatches(keras.utils.PyDataset):
    """Feeds `fit` with `(real, wrong, embeddings)`: [B, size, size, 3] twice, in [-1, 1], and [B, D].

    The order, crops, flips, wrong images and captions of a batch depend on (seed, epoch, index) alone, so a resumed run
    sees what an uninterrupted one would. On TensorFlow, Keras runs it as a prefetched `tf.data` pipeline; elsewhere, in
    threads.

    Args:
        data: `CaptionedImages` with embeddings.
        batch_size: images a batch, at least 2.
        size: side of what is fed. The square cropped from each image, by chance, is as many times larger as fits, and
            each pixel the mean of its part of it: for 64, 256 of 304 pixels by 4.
        captions: how many embeddings of an image are drawn, without repeats, and averaged (4 in the paper's code).
        seed: of all chance.
        flip: whether half of the images, real and wrong each for itself, are mirrored.
        shuffle: False keeps the order of the images, crops in the middle, flips nothing, and takes the first captions.
        repeats: passes over the images in one epoch, each in an order of its own.

    Raises:
        ValueError: images smaller than `size`, no embeddings, fewer captions than asked, one class only, batch 1.
    """

    def __init__(
        self,
        data,
        batch_size,
        size=256,
        captions=4,
        seed=0,
        flip=True,
        shuffle=True,
        workers=1,
        repeats=1,
    ):
        super().__init__(workers=workers)
        if batch_size < 2:
            raise ValueError(
                f"batch_size must be at least 2 (batch norm has no statistics of one image); received {batch_size}"
            )
        if data.embeddings is None:
            raise ValueError(
                "training needs the captions' embeddings, data.embed(encoder); received data without"
            )
        there = data.embeddings.shape[1]
        if not 1 <= captions <= there:
            raise ValueError(
                f"captions must be between 1 and the {there} embeddings an image; received {captions}"
            )
        if batch_size > len(data):
            raise ValueError(
                f"batch_size must be at most the {len(data)} images; received {batch_size}"
            )
        if len(np.unique(data.classes)) < 2:
            raise ValueError(
                "wrong images come from another class, so two classes are needed; received one"
            )
        height, width = data.images[0].shape[:2]
        if min(height, width) < size:
            raise ValueError(
                f"images must be at least {size} pixels high and wide; received {height} x {width}"
            )
        self.data, self.batch_size, self.size, self.captions = data, batch_size, size, captions
        self.shrink = min(height, width) // size
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1; received {repeats}")
        self.seed, self.flip, self.shuffle, self.repeats = seed, flip, shuffle, repeats
        # Images sorted by class: those of another class are all but one run of places.
        self._by_class = np.argsort(data.classes, kind="stable")
        ordered = data.classes[self._by_class]
        self._first = np.searchsorted(ordered, data.classes, "left")
        self._last = np.searchsorted(ordered, data.classes, "right")
        self.epoch, self._within_epoch = 0, False

    @property
    def num_batches(self):
        return self.repeats * (len(self.data) // self.batch_size)

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        count = len(self.data)
        which, index = divmod(index, count // self.batch_size)
        number = self.epoch * self.repeats + which
        random = np.random.default_rng((self.seed, number, index))
        order = (
            np.random.default_rng((self.seed, number)).permutation(count)
            if self.shuffle
            else np.arange(count)
        )
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        first, last = self._first[chosen], self._last[chosen]
        place = random.integers(0, count - (last - first))
        wrong = self._by_class[place + (place >= first) * (last - first)]
        return (
            self._crops(chosen, random),
            self._crops(wrong, random),
            self._embeddings(chosen, random),
        )

    def _crops(self, chosen, random):
        side = self.size * self.shrink
        crops = np.empty((len(chosen), side, side, 3), "uint8")
        for crop, index in zip(crops, chosen, strict=True):
            image = self.data.images[int(index)]
            room = np.array(image.shape[:2]) - side
            top, left = random.integers(0, room + 1) if self.shuffle else room // 2
            window = image[top : top + side, left : left + side]
            crop[:] = (
                window[:, ::-1] if self.flip and self.shuffle and random.random() < 0.5 else window
            )
        crops = from_uint8(crops)
        if self.shrink == 1:
            return crops
        return crops.reshape(len(chosen), self.size, self.shrink, self.size, self.shrink, 3).mean(
            axis=(2, 4)
        )

    def _embeddings(self, chosen, random):
        vectors = self.data.embeddings[chosen]  # [B, C, D]
        if self.shuffle:
            picked = random.permuted(np.tile(np.arange(vectors.shape[1]), (len(chosen), 1)), axis=1)
            vectors = np.take_along_axis(vectors, picked[:, : self.captions, None], axis=1)
        return vectors[:, : self.captions].mean(axis=1)

    def set_epoch(self, epoch):
        """`AdversarialModel.fit` calls this as an epoch begins, so a resumed run needs nothing more."""
        self.epoch = epoch

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):  # Keras also calls it before the first epoch
        self.epoch += self._within_epoch
        self._within_epoch = False
