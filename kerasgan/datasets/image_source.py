"""Streams images from files, arrays, data sets or models as uint8 RGB batches for evaluation.

Images are not converted, cropped, resized or rounded by default, since each of these changes a
score. Differences from pytorch-fid, torch-fidelity and clean-fid:

- Grayscale and transparent images are refused unless `convert=True`. The other programs convert
  them silently.
- Images of different sizes are refused unless `mixed_sizes=True`.
"""

import dataclasses
import functools
import hashlib
import inspect
import itertools
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kerasgan.datasets.generated import GeneratedBlocks
from kerasgan.datasets.image_files import (
    KINDS,
    UnreadableImage,
    decoded_bytes,
    find_images,
    jpeg_quality,
    on_background,
    read_image,
)
from kerasgan.images import to_uint8
from kerasgan.io.arrays import Arrays, array_header, load_npy, load_npz
from kerasgan.io.hdf5 import Dataset, open_hdf5
from kerasgan.io.limits import FLOOR, MIB, LimitExceededError
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading

FILES = (".npz", ".npy", ".h5", ".hdf5")
BLOCK = 64  # Maximum number of images of an array per read.
AHEAD = 16  # Maximum number of files that are decoded in advance.
BYTES = 2**28  # Maximum memory of these files, and of a batch, unless one image takes more.
SAMPLES_PER_SEED = 500  # Changing this number would change the images of a model.
WHOLE = "{path} cannot be read"
KNOWN = (
    "a folder, a .npz, .npy or .h5 file, an array, captioned images, batches, a function that "
    "returns batches, or a model"
)


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Result of `image_source`. Iterating over it yields batches of 32 images.

    Attributes:
        name: Name of the source in messages and protocols.
        blocks: Function that returns an iterator over `(origin, images)`: the source of the images
            for error messages, such as a file, or `None`; and uint8 `[n, H, W, C]`.
        count: Number of images, or `None` if it is unknown.
        convert: See `image_source`.
        mixed_sizes: See `image_source`.
        content: Function that returns a fingerprint of all images, or `None`.
        jpeg_qualities: Number of JPEG files of each estimated quality among the files read so far.
        generated: `GeneratedBlocks` of the images, or `None` if they are read.
    """

    name: str
    blocks: Callable[[], Iterator[tuple[str | None, np.ndarray]]]
    count: int | None = None
    convert: bool = False
    mixed_sizes: bool = False
    content: Callable[[], str] | None = None
    jpeg_qualities: Counter[int] = dataclasses.field(default_factory=Counter)
    generated: GeneratedBlocks | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.batches()

    def batches(self, batch_size: int = 32) -> Iterator[np.ndarray]:
        """Yields batches, uint8 `[B, H, W, 3]` with B = `batch_size`.

        The last batch, and the last one before the size changes, may be smaller. If the images are
        so large that a batch takes more than `BYTES` of memory, batches are smaller.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; received {batch_size}")
        # Images of one size that are less than a batch.
        held: list[np.ndarray] = []
        size: tuple[int, ...] | None = None
        for where, block in self._checked():
            if size is not None and size != block.shape[1:3]:
                if not self.mixed_sizes:
                    one, other = (
                        f"{height} x {width}" for height, width in (size, block.shape[1:3])
                    )
                    raise ValueError(
                        f"images must have one size unless mixed_sizes=True; received {one} and "
                        f"{other} in {where}"
                    )
                if held:
                    yield np.concatenate(held)
                    held = []
            size = block.shape[1:3]
            most = min(batch_size, max(1, BYTES // (3 * size[0] * size[1])))
            while len(block):
                room = most - sum(map(len, held))
                held.append(block[:room])
                if len(block) < room:
                    break
                yield np.concatenate(held)
                held, block = [], block[room:]
        if held:
            yield np.concatenate(held)

    def share(self, index: int, count: int, batch_size: int = 32) -> Iterator[np.ndarray]:
        """Yields the part of process `index` of `count`, uint8 `[B, H, W, 3]`.

        With generated images, each process generates every `count`-th block. Other images are
        divided by batches, and each process reads all of them.
        """
        if count == 1 or self.generated is None:
            yield from itertools.islice(self.batches(batch_size), index, None, count)
            return
        size = self.generated.size
        for number in range(index, -(-(self.count or 0) // size), count):
            where = f"{self.name}, from image {number * size}"
            block = _rgb(self.generated[number], self.convert, where)
            yield block[: (self.count or 0) - number * size]

    def fingerprint(self) -> str | None:
        """Returns a checksum of the images, or `None` if they are generated."""
        return None if self.content is None else f"{self.content()} {self.count} {self.convert}"

    def _checked(self):
        done = 0
        for where, block in self.blocks():
            block = _rgb(block, self.convert, where or f"{self.name}, from image {done}")
            block = block[: None if self.count is None else self.count - done]
            if len(block):
                yield where or f"{self.name}, from image {done}", block
            done += len(block)
            if done == self.count:
                return
        if not done:
            raise ValueError(f"at least one image is needed; received none from {self.name}")
        if self.count is not None:
            raise ValueError(f"{self.name} must yield {self.count} images; it yielded {done}")


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
        found = _folder(path, convert) if path.is_dir() else _file(path, key)
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


# === Files ===


def _folder(path, convert):
    found = find_images(path).report_skipped()
    files, qualities = found.files, Counter()
    if not files:
        raise ValueError(f"the folder must contain images ({KINDS}); {path} has none")

    def blocks():
        qualities.clear()
        for file, (image, quality) in zip(
            files, _ahead(functools.partial(_read, convert=convert), files), strict=True
        ):
            if quality:
                qualities[quality] += 1
            yield str(file), image[None]  # [1, H, W, 3]

    return ImageSource(
        str(path),
        blocks,
        len(files),
        content=lambda: _checksum_of_files(path, files),
        jpeg_qualities=qualities,
    )


def _read(file, convert):
    """Returns an image, uint8 `[H, W, C]`, and the quality of a JPEG file or `None`."""
    stored = []

    def inspect(image):
        stored.append((image.mode, "transparency" in image.info, jpeg_quality(image)))

    image = read_image(file, inspect=inspect)
    ((mode, transparent, quality),) = stored
    if not convert and (mode != "RGB" or transparent):
        grey = mode in ("1", "L", "LA") or mode.startswith("I")
        kind = "grayscale" if grey else f"of Pillow's mode {mode}"
        kind += " with transparency" if mode == "RGB" else ""
        raise ValueError(f"images must be RGB unless convert=True; {file} is {kind}")
    return np.array(image), quality


def _ahead(function, files):
    """Maps a function over files on threads, a few files ahead. Pillow decodes without the GIL.

    The decoded files that wait take at most `BYTES` of memory, unless a single one takes more.
    """
    with ThreadPoolExecutor(4) as pool:
        waiting, held = deque(), 0
        for file in files:
            size = decoded_bytes(file)
            while waiting and (len(waiting) == AHEAD or held + size > BYTES):
                future, freed = waiting.popleft()
                held -= freed
                yield future.result()
                del future  # Frees the pixels.
            waiting.append((pool.submit(function, file), size))
            held += size
        while waiting:
            yield waiting.popleft()[0].result()


def _file(path, key):
    if path.suffix.lower() not in FILES or not path.is_file():
        raise ValueError(
            f"images must be an existing folder or {', '.join(FILES)} file; received {path}"
        )
    kind = {".npz": _npz, ".npy": _npy}.get(path.suffix.lower(), _h5)
    with reading(path, WHOLE, UnreadableImage, others=(ValueError,)):
        key, count, read = kind(path, key)

    def blocks():
        with reading(path, WHOLE, UnreadableImage):
            for block in read():
                yield None, block

    name = f"{path}, {key}" if key else str(path)
    return ImageSource(
        name, blocks, count, content=lambda: f"{key} {_checksum_of_files(path.parent, [path])}"
    )


def _npy(path, key):
    size = path.stat().st_size
    return None, *_rows(path, lambda: (open(path, "rb"), size), lambda: load_npy(path))


def _h5(path, key):
    with open_hdf5(path) as file:
        if str(file.attrs.get("format")) == "kerasgan":
            raise ValueError(f"{path} must contain images; it contains the weights of a network")
        key = _key(path, [name for name in file if isinstance(file[name], Dataset)], key)
        shape, dtype = file[key].shape, file[key].dtype
        if dtype is None:
            raise ValueError(f"images must be uint8; received text in {path}, {key}")
        _array(np.broadcast_to(np.zeros((), dtype), shape), f"{path}, {key}")
        rows = _rows_at_once(shape)

    def read():
        with open_hdf5(path) as file:
            images = file[key]
            if images.shape != shape:
                raise ValueError("it changed while it was read")
            for start in range(0, shape[0], rows):
                yield images.rows(start, start + rows)

    return key, shape[0], read


def _npz(path, key):
    with open(path, "rb") as file:
        key = _key(path, list(Arrays(file).members), key)

    def open_member():
        return Arrays(path).open(key)

    return key, *_rows(f"{path}, {key}", open_member, lambda: load_npz(path, (key,))[key])


def _rows_at_once(shape):
    """Returns the number of images per read: `BLOCK`, or fewer if they are large."""
    size = math.prod(shape[1:])
    if size > FLOOR:
        raise LimitExceededError(f"an image must have at most {FLOOR:,} bytes; received {size:,}")
    return max(1, min(BLOCK, 64 * MIB // max(1, size)))


def _rows(where, open_file, load):
    """Returns the length of an array in NumPy's format, and a function that reads it in blocks."""
    file, size = open_file()
    with file:
        shape, fortran, dtype = array_header(file, size)
    _array(np.broadcast_to(np.zeros((), dtype), shape), where)
    rows = _rows_at_once(shape)

    def read():
        if fortran:
            yield from _slices(load())
            return
        file, size = open_file()
        with file:
            if array_header(file, size)[0] != shape:
                raise ValueError("it changed while it was read")
            row = math.prod(shape[1:])
            for start in range(0, shape[0], rows):
                count = min(rows, shape[0] - start)
                data = file.read(count * row)
                if len(data) < count * row:
                    raise EOFError("it is truncated")
                yield np.frombuffer(data, dtype).reshape(count, *shape[1:])
            file.read(1)  # At the end of a zip member, this verifies its checksum.

    return shape[0], read


def _key(path, names, key):
    """Selects the array of images among the names in a file."""
    if key is None:
        sized = sorted(
            (name for name in names if re.fullmatch(r"output_\d+", name)),
            key=lambda name: -int(name[7:]),
        )
        key = next((name for name in ("images", *sized, "arr_0") if name in names), None)
    if key not in names:
        rule = key or "images, output_<size> or arr_0 unless a key is given"
        raise ValueError(f"{path} must contain {rule}; it contains {', '.join(names) or 'nothing'}")
    return key


def _checksum_of_files(folder, files):
    digest = hashlib.sha256()
    for file in files:
        line = f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n"
        digest.update(line.encode(errors="surrogateescape"))  # Names need not be UTF-8.
        with open(file, "rb") as content:
            while part := content.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


# === Arrays, sequences, iterators and models ===


def _array(array, where):
    """Returns the array if its shape and dtype are those of images. Reads no pixels."""
    if len(array.shape) != 4:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(array.shape)} in {where}")
    if array.shape[0]:
        _rgb(np.zeros((1, *array.shape[1:]), array.dtype), True, where)
    return array


def _slices(array):
    return (np.asarray(array[start : start + BLOCK]) for start in range(0, array.shape[0], BLOCK))


def _held(images, name):
    """Makes a source of an array or a sequence of images, batches, or tuples of batches."""
    if hasattr(images, "shape"):
        _array(images, name)

        def blocks():
            return ((None, block) for block in _slices(images))
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


def _rgb(block, convert, where):
    """Converts a block to uint8 `[n, H, W, 3]`. Raises `ValueError` if that is not possible."""
    block = np.asarray(block)
    if block.dtype != np.uint8:
        raise ValueError(
            "images must be uint8 (kerasgan.images.to_uint8 converts those in [-1, 1]); received "
            f"{block.dtype} in {where}"
        )
    if block.ndim != 4 or block.shape[3] not in (1, 3, 4) or 0 in block.shape[1:3]:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(block.shape)} in {where}")
    if block.shape[3] != 3 and not convert:
        kind = "grayscale" if block.shape[3] == 1 else "RGBA"
        raise ValueError(f"images must be RGB unless convert=True; received {kind} in {where}")
    if block.shape[3] == 1:
        return np.repeat(block, 3, axis=3)
    return block if block.shape[3] == 3 else on_background(block)
