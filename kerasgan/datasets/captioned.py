"""Captioned images, and the batches on which text-conditioned models are trained.

Differences from HDGAN's data loader:

- A mismatched image is sampled uniformly from all images of other classes. HDGAN's loader shifts
  an image of the same class by 100 to 200 positions, with one offset per batch, and does not check
  the class of the result.
- An epoch contains every image once. In HDGAN's loader, each batch after the first epoch is the
  head of a new shuffle.
- The model makes the smaller real images from the same crop, antialiased. HDGAN's loader uses
  `scipy.misc.imresize`, which stretches the contrast of the images of 64 and 128 pixels.

Reference:
    Zhang, Xie and Yang, "Photographic Text-to-Image Synthesis with a Hierarchically-nested
    Adversarial Network", arXiv 1802.09178.
    Reed et al., "Generative Adversarial Text to Image Synthesis", arXiv 1605.05396 (mismatched
    images).
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from kerasgan.datasets.epochs import EpochDataset, Rows
from kerasgan.datasets.lazy_images import LazyImages
from kerasgan.images import from_uint8


@dataclasses.dataclass
class CaptionedImages:
    """Captioned images of one split.

    Attributes:
        images: uint8 `[N, H, W, 3]`, or a sequence of uint8 `[H, W, 3]` images that are read when
            they are indexed.
        classes: int32 `[N]`, counted from 0.
        captions: List of N lists of captions.
        names: List of N distinct names.
        embeddings: float32 `[N, C, D]`, one vector per caption, or `None` (see `embed`).
        attributes: int8 `[N, A]`, ground-truth attributes (synthetic birds), or `None`.
    """

    images: Sequence | np.ndarray
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
                "images, classes, captions and the rest must have equal lengths; "
                f"received {received}"
            )
        if not len(self):
            raise ValueError("captioned images must be at least one; received none")
        if len(set(self.names)) < len(self.names):
            name = next(name for name, count in Counter(self.names).items() if count > 1)
            raise ValueError(f"names must be different; received {name[:100]!r} more than once")

    def __len__(self) -> int:
        return len(self.names)

    def embed(
        self, encoder: Callable[[list[str]], np.ndarray], batch_size: int = 256
    ) -> "CaptionedImages":
        """Returns a copy with embeddings of the captions.

        If images have different numbers of captions, the smallest number C is used for all.

        Args:
            encoder: Callable that maps a list of captions to an array `[captions, D]`.
            batch_size: Number of captions per call.
        """
        count = min(len(captions) for captions in self.captions)
        if not count:
            raise ValueError(
                "every image needs a caption; received none for "
                f"{self.names[self._without_caption()]}"
            )
        texts = [caption for captions in self.captions for caption in captions[:count]]
        # Many images may share a caption: encode each distinct caption once.
        distinct, places = np.unique(texts, return_inverse=True)
        vectors = [
            encoder(distinct[i : i + batch_size].tolist())
            for i in range(0, len(distinct), batch_size)
        ]
        embeddings = np.concatenate(vectors).astype("float32")[places].reshape(len(self), count, -1)
        return dataclasses.replace(self, embeddings=embeddings)

    def _without_caption(self):
        return next(i for i, captions in enumerate(self.captions) if not captions)

    def subset(self, indices: np.ndarray) -> "CaptionedImages":
        """Returns the images of some indices, int `[M]`, with all that belongs to them."""
        indices = np.asarray(indices)

        def chosen(values):
            if values is None or isinstance(values, np.ndarray):
                return None if values is None else values[indices]
            return [values[int(i)] for i in indices]

        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        images = fields.pop("images")
        parts = {name: chosen(values) for name, values in fields.items()}
        if isinstance(images, LazyImages):
            parts["images"] = LazyImages(chosen(images.items), images.read)
        else:
            parts["images"] = chosen(images)
        return CaptionedImages(**parts)

    def in_memory(self) -> "CaptionedImages":
        """Returns a copy whose images are one array, uint8 `[N, H, W, 3]`."""
        images = np.stack([self.images[i] for i in range(len(self))])
        return dataclasses.replace(self, images=images)


def caption_classes(captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Groups images into classes, so that captions of other classes are mismatched.

    Images that share a caption belong to one class. If this puts all images into one class, for
    example because every image has the same caption, a class consists of the images whose captions
    are all the same.

    Args:
        captions: List of N lists of captions.

    Returns:
        int32 `[N]`, classes counted from 0.
    """
    texts = [sorted({" ".join(text.lower().split()) for text in each}) for each in captions]
    parent = list(range(len(texts)))

    def root(i):
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[str, int] = {}
    for i, each in enumerate(texts):
        for text in each:
            parent[root(i)] = root(first.setdefault(text, i))
    groups = [root(i) for i in range(len(texts))]
    if len(set(groups)) == 1:
        groups = [texts.index(each) for each in texts]
    return np.unique(groups, return_inverse=True)[1].reshape(-1).astype("int32")


class CaptionedBatches(EpochDataset):
    """Feeds `fit` with `(real, mismatched, embeddings)`, or with `(real, embeddings)`.

    `real` and `mismatched` are float32 `[B, size, size, 3]` in [-1, 1]; `embeddings` are float32
    `[B, D]`. The mismatched image of a pair belongs to another class.

    The order, crops, flips, mismatched images and captions of a batch depend on
    (seed, epoch, index) only, see `EpochDataset`. On TensorFlow, Keras runs the data set as a
    prefetched `tf.data` pipeline; on other backends it uses threads.

    Args:
        data: `CaptionedImages` with embeddings.
        batch_size: Number of images per batch, at least 2.
        size: Height and width of the images in a batch. A random square is cropped whose side is
            the largest multiple of `size` that fits, and reduced by averaging. For example, for
            size 64, a crop of 256 of 304 pixels is reduced by 4.
        captions: Number of caption embeddings per image that are sampled without replacement and
            averaged. HDGAN's code uses 4.
        seed: Integer seed.
        flip: If `True`, images are mirrored with probability 1/2, also the mismatched ones.
        shuffle: If `False`, the order of the images is kept, crops are centered, nothing is
            mirrored and the first captions are used.
        workers: Number of threads that prepare batches.
        repeats: Number of passes over the images in one epoch, each in its own order.
        mismatched: If `True`, batches contain mismatched images, which `HDGAN` needs. If `False`,
            batches are `(real, embeddings)`, which `ProjectedTextGAN` needs.
        group: Number of consecutive images that stay together in a batch. Their captions are
            sampled at the same places.

    Raises:
        ValueError: The images are smaller than `size`, an image has fewer than `captions`
            embeddings, there is only one class (with `mismatched`), the batch size is below 2 or
            above the number of images, or `repeats` is below 1.
    """

    def __init__(
        self,
        data: CaptionedImages,
        batch_size: int,
        size: int = 256,
        captions: int = 4,
        seed: int = 0,
        flip: bool = True,
        shuffle: bool = True,
        workers: int = 1,
        repeats: int = 1,
        mismatched: bool = True,
        group: int = 1,
    ):
        super().__init__(workers=workers)
        if batch_size < 2:
            raise ValueError(
                "batch_size must be at least 2 (batch norm has no statistics of one image); "
                f"received {batch_size}"
            )
        if data.embeddings is None:
            raise ValueError(
                "training needs caption embeddings, data.embed(encoder); received data without"
            )
        there = data.embeddings.shape[1]
        if not 1 <= captions <= there:
            raise ValueError(
                f"captions must be between 1 and the {there} embeddings per image; "
                f"received {captions}"
            )
        if batch_size > len(data):
            raise ValueError(
                f"batch_size must be at most the {len(data)} images; received {batch_size}"
            )
        if mismatched and len(np.unique(data.classes)) < 2:
            raise ValueError(
                "mismatched images come from another class, so two classes are needed; received one"
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
        if group < 1 or batch_size % group or len(data) % group:
            raise ValueError(
                "batch_size and the number of images must be multiples of group; "
                f"received {batch_size}, {len(data)} and group {group}"
            )
        self.seed, self.flip, self.shuffle, self.repeats = seed, flip, shuffle, repeats
        self.group = group
        self.mismatched = mismatched
        # Sorted by class, the images of all other classes are everything outside one interval.
        self._by_class = np.argsort(data.classes, kind="stable")
        ordered = data.classes[self._by_class]
        self._first = np.searchsorted(ordered, data.classes, "left")
        self._last = np.searchsorted(ordered, data.classes, "right")

    @property
    def num_batches(self) -> int:
        return self.repeats * (len(self.data) // self.batch_size)

    def rows(self, index: int, own: Rows) -> tuple[np.ndarray, ...]:
        count = len(self.data)
        which, index = divmod(index, count // self.batch_size)
        number = self.epoch * self.repeats + which
        random = np.random.default_rng((self.seed, number, index))
        order = np.arange(count)
        if self.shuffle:
            groups = np.random.default_rng((self.seed, number)).permutation(count // self.group)
            order = (groups[:, None] * self.group + np.arange(self.group)).reshape(-1)
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        if not self.mismatched:
            return self._crops(chosen, random, own), own(self._embeddings(chosen, random))
        first, last = self._first[chosen], self._last[chosen]
        place = random.integers(0, count - (last - first))
        mismatched = self._by_class[place + (place >= first) * (last - first)]
        return (
            self._crops(chosen, random, own),
            self._crops(mismatched, random, own),
            own(self._embeddings(chosen, random)),
        )

    def _crops(self, chosen, random, own):
        side, windows = self.size * self.shrink, []
        for index in chosen:  # Random numbers of all rows: they do not depend on `own`.
            room = np.array(self._image_size(int(index))) - side
            top, left = random.integers(0, room + 1) if self.shuffle else room // 2
            mirrored = self.flip and self.shuffle and random.random() < 0.5
            windows.append((index, top, left, mirrored))
        windows = own(np.array(windows, "int64"))
        crops = np.empty((len(windows), side, side, 3), "uint8")
        for crop, (index, top, left, mirrored) in zip(crops, windows, strict=True):
            window = self.data.images[int(index)][top : top + side, left : left + side]
            crop[:] = window[:, ::-1] if mirrored else window
        crops = from_uint8(crops)
        if self.shrink == 1:
            return crops
        return crops.reshape(len(windows), self.size, self.shrink, self.size, self.shrink, 3).mean(
            axis=(2, 4)
        )

    def _image_size(self, index):
        """Returns height and width of an image. Images in files are not decoded for it."""
        images = self.data.images
        if hasattr(images, "size_of"):
            return images.size_of(index)
        return images[index].shape[:2]

    def _embeddings(self, chosen, random):
        vectors = self.data.embeddings[chosen]  # [B, C, D]
        if self.shuffle:
            places = np.tile(np.arange(vectors.shape[1]), (len(chosen) // self.group, 1))
            picked = random.permuted(places, axis=1).repeat(self.group, axis=0)
            vectors = np.take_along_axis(vectors, picked[:, : self.captions, None], axis=1)
        return vectors[:, : self.captions].mean(axis=1)
