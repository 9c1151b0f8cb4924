"""Streams images from files, arrays, data sets or models as uint8 RGB batches for evaluation.

Images are not converted, cropped, resized or rounded by default, since each of these changes a
score. Differences from pytorch-fid, torch-fidelity and clean-fid:

- Grayscale and transparent images are refused unless `convert=True`. The other programs convert
  them silently.
- Images of different sizes are refused unless `mixed_sizes=True`.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasgan.datasets.generated import GeneratedBlocks
from kerasgan.datasets.image_source_files import FILES as FILES, file_source, folder_source
from kerasgan.datasets.image_stream import (
    BLOCK as BLOCK,
    BYTES as BYTES,
    ImageSource as ImageSource,
    check_array,
    slices,
)
from kerasgan.images import to_uint8
from kerasgan.io.paths import user_path

SAMPLES_PER_SEED = 500  # Changing this number would change the images of a model.
KNOWN = (
    "a folder, a .npz, .npy or .h5 file, an array, captioned images, batches, a function that "
    "returns batches, or a model"
)


def image_source(
    images: Any,
    *,
    count: int | None = None,
    key: str | None = None,
    convert: bool = False,
    mixed_sizes: bool = False,
    seed: int = 0,
    fingerprint: str | None = None,
) -> ImageSource:
    """Prepares images for streaming.

    Args:
        images: One of

            - a folder: its images and those of its sub-folders, see
            `kerasgan.datasets.image_files`;
            - an `.npz`, `.npy` or `.h5` file with uint8 `[N, H, W, 3]`;
            - a uint8 array `[N, H, W, 3]`, or an object that is sliced like one (`np.memmap`,
              `h5py.Dataset`);
            - `CaptionedImages`, or another sequence of uint8 images `[H, W, 3]`;
            - batches, uint8 `[B, H, W, 3]`, or tuples that start with them: an iterable
              (`tf.data.Dataset`), an iterator, which can be read once, or a function without
              arguments that returns either;
            - `GeneratedBlocks`;
            - a model with a method `sample(n=..., seed=...)` that returns images in [-1, 1], which
              are rounded to 8 bits;
            - an `ImageSource`, of which only `count` may be changed.
        count: Number of images to use, from the first. Required for a model.
        key: Name of the array in an `.npz` or `.h5` file. Defaults to `images`, else the largest of
            `output_64`, `output_128` and so on (`zoo.sample`), else `arr_0`.
        convert: If `True`, grayscale images become RGB, transparent images are composited over
            white, and Pillow converts other modes. If `False`, such images are refused.
        mixed_sizes: If `True`, images of different sizes are accepted. Each batch has one size.
        seed: Integer seed of a model's samples.
        fingerprint: Text that identifies generated images in the feature cache. Files and arrays
            are identified by their content.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: The input has another type, does not exist, or has no images or fewer than
            `count`. While streaming: a file cannot be read (`UnreadableImage`, a `ValueError`), or
            an image has another dtype, number of channels or size. The message is one line that
            names the file or array.
    """
    if isinstance(images, ImageSource):
        found = images  # Only `count` may change.
    elif isinstance(images, (str, Path)):
        path = user_path(images)
        found = folder_source(path, convert) if path.is_dir() else file_source(path, key)
    elif isinstance(images, GeneratedBlocks):
        found = _generated(images, "the generated images")
    elif hasattr(images, "sample"):
        found = _model(images, count, seed)
    elif hasattr(images, "captions") and hasattr(images, "images"):
        found = _held(images.images, "captioned images")
    elif hasattr(images, "dtype") and hasattr(images, "shape"):
        # Tensors of a framework become NumPy arrays.
        array = images if isinstance(images.dtype, np.dtype) else np.asarray(images)
        found = _held(array, f"the {type(images).__name__}")
    elif (
        hasattr(images, "__getitem__")
        and hasattr(images, "__len__")
        and not isinstance(images, Mapping)
    ):
        found = _held(images, f"the {type(images).__name__}")
    elif callable(images):
        found = ImageSource("the function's batches", lambda: _batches(images()))
    elif isinstance(images, Iterator):
        found = ImageSource("the iterator's batches", _once(images))
    elif hasattr(images, "__iter__"):
        found = ImageSource(f"the {type(images).__name__}'s batches", lambda: _batches(images))
    else:
        raise ValueError(f"images must be {KNOWN}; received {type(images).__name__}")
    if found.count == 0:
        raise ValueError(f"at least one image is needed; received none in {found.name}")
    if count is not None and not 1 <= count <= (found.count or count):
        there = "" if found.count is None else f" and at most the {found.count} of {found.name}"
        raise ValueError(f"count must be at least 1{there}; received {count}")
    return dataclasses.replace(
        found,
        count=found.count if count is None else count,
        convert=found.convert if found is images else convert,
        mixed_sizes=found.mixed_sizes if found is images else mixed_sizes,
        content=found.content if fingerprint is None else lambda: str(fingerprint),
    )


# === Arrays, sequences, iterators and models ===


def _held(images, name):
    """Makes a source of an array or a sequence of images, batches, or tuples of batches."""
    if hasattr(images, "shape"):
        check_array(images, name)

        def blocks():
            return ((None, block) for block in slices(images))
    else:

        def blocks():
            return _batches(images[index] for index in range(len(images)))

    def content():
        digest = hashlib.sha256()
        for _, block in blocks():
            digest.update(f"{block.dtype} {block.shape[1:]}\n".encode())
            digest.update(np.ascontiguousarray(block))
        return digest.hexdigest()

    single = hasattr(images, "shape") or not len(images) or np.ndim(_first(images[0])) == 3
    return ImageSource(name, blocks, len(images) if single else None, content=content)


def _first(batch):
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def _batches(batches):
    for batch in batches:
        block = np.asarray(_first(batch))
        yield None, block[None] if block.ndim == 3 else block


def _once(iterator):
    used = []

    def blocks():
        if used:
            raise ValueError("an iterator can be read once; pass a function that returns a new one")
        used.append(True)
        return _batches(iterator)

    return blocks


def _model(model, count, seed):
    if count is None:
        raise ValueError(
            "count must be the number of images to sample from the model; received None"
        )
    if "n" not in inspect.signature(model.sample).parameters:
        raise ValueError(
            "a model must have a method sample(n=…, seed=…), or a function must return its "
            f"batches; received {type(model).__name__}"
        )

    def generate(start, stop):
        # Adjacent seeds share no images.
        random = np.random.default_rng((seed, start // SAMPLES_PER_SEED))
        own = int(random.integers(2**31 - 1))
        # Always sample a whole block, so that the first images do not depend on `count`.
        return to_uint8(model.sample(n=SAMPLES_PER_SEED, seed=own))[: stop - start]

    blocks = GeneratedBlocks(generate, count, SAMPLES_PER_SEED)
    return _generated(blocks, f"{type(model).__name__}, seed {seed}")


def _generated(images, name):
    return ImageSource(name, lambda: _batches(images), images.total, generated=images)
