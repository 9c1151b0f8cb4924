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
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kerasgan.datasets.image_files import (
    KINDS,
    UnreadableImage,
    decoded_bytes,
    find_images,
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
BLOCK = 64  # images of an array at a time
AHEAD = 16  # files that are decoded before they are needed, at most
BYTES = 2**28  # that these and a batch may take, where one image does not take more
SAMPLES_PER_SEED = 500  # Images per seed. Changing it would change the images.
WHOLE = "{path} cannot be read"
WHAT = "a folder, a .npz, .npy or .h5 file, an array, captioned images, batches, a function that gives them, or a model"  # noqa: E501


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Result of `image_source`. Iterating over it yields batches of 32 images.

    Attributes:
        name: for messages and protocols.
        blocks: function without arguments that gives an iterator over (where, uint8 array [n, H, W,
            C]).
        count: number of images, or None where it is not known beforehand.
        convert, mixed_sizes: as in `image_source`.
        content: function without arguments that gives the fingerprint of all that is there; None
            where nothing does.
    """

    name: str
    blocks: Callable
    count: int | None = None
    convert: bool = False
    mixed_sizes: bool = False
    content: Callable | None = None

    def __iter__(self):
        return self.batches()

    def batches(self, batch_size=32):
        """Yields uint8 [B, H, W, 3] with B = `batch_size`, but for the last one, and where the size
        changes.

        Batches of images so large that `batch_size` of them take more than `BYTES` are smaller.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; received {batch_size}")
        held, size = [], None  # of one size, fewer than a batch
        for where, block in self._checked():
            if size not in (None, block.shape[1:3]):
                if not self.mixed_sizes:
                    one, other = (
                        f"{height} x {width}" for height, width in (size, block.shape[1:3])
                    )
                    raise ValueError(
                        f"images must be of one size, or mixed_sizes=True; received {one}, and "
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

    def fingerprint(self):
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
            raise ValueError(f"there must be images; received none from {self.name}")
        if self.count is not None:
            raise ValueError(f"{self.name} must give {self.count} images; it gave {done}")


def image_source(
    images, *, count=None, key=None, convert=False, mixed_sizes=False, seed=0, fingerprint=None
):
    """Prepares images for streaming.

    Args:
        images: one of
            a folder: its images, those of its sub-folders too, in the order of their paths, as
                `kerasgan.datasets.image_files` finds and reads them;
            a `.npz`, `.npy` or `.h5` file: uint8 [N, H, W, 3], in a .npz or .h5 under `key`;
            a uint8 array [N, H, W, 3], or what can be sliced like one (`np.memmap`,
            `h5py.Dataset`); `CaptionedImages`, or another sequence of uint8 images [H, W, 3];
            batches, uint8 [B, H, W, 3], or tuples whose first they are: an iterable
            (`tf.data.Dataset`), an iterator,
                which can be read once, or a function without arguments that returns either;
            a model with `sample(n=…, seed=…)` that gives images in [-1, 1]: rounded to 8 bits;
            an `ImageSource`, of which `count` may take fewer.
        count: take only so many, the first; a model needs it.
        key: of a file; by default `images`, else the largest of `output_64`, `output_128` ...
            (zoo.sample, and the notes' samples), else `arr_0`.
        convert: make grey images RGB, three equal channels, and put transparent files on white
            (also CMYK and palettes, by Pillow), as well as RGBA arrays. False refuses them.
        mixed_sizes: admit images of different sizes; each batch is of one.
        seed: of a model's latents.
        fingerprint: what names these images among all others, for the cache, where they are made on
            the go; files and arrays name themselves by their content.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: none of these, no such file, no image, or fewer than `count`; while streaming: a
            file that cannot be read (`UnreadableImage`, one of those), floats, other channels,
            other sizes. One line that names the place.
    """
    if isinstance(images, ImageSource):
        found = images  # `count` may be made smaller; the rest is what it was made with
    elif isinstance(images, (str, Path)):
        path = user_path(images)
        found = _folder(path, convert) if path.is_dir() else _file(path, key)
    elif hasattr(images, "sample"):
        found = _model(images, count, seed)
    elif hasattr(images, "captions") and hasattr(images, "images"):
        found = _held(images.images, "captioned images")
    elif hasattr(images, "dtype") and hasattr(images, "shape"):
        array = (
            images if isinstance(images.dtype, np.dtype) else np.asarray(images)
        )  # a framework's tensor
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
        raise ValueError(f"images must be {WHAT}; received {type(images).__name__}")
    if found.count == 0:
        raise ValueError(f"there must be images; received none in {found.name}")
    if count is not None and not 1 <= count <= (found.count or count):
        there = "" if found.count is None else f" and at most {found.count}, those of {found.name}"
        raise ValueError(f"count must be at least 1{there}; received {count}")
    return dataclasses.replace(
        found,
        count=found.count if count is None else count,
        **({} if found is images else {"convert": convert, "mixed_sizes": mixed_sizes}),
        content=found.content if fingerprint is None else lambda: str(fingerprint),
    )


# === Files ===


def _folder(path, convert):
    found = find_images(path).report_skipped()
    files = found.files
    if not files:
        raise ValueError(f"the folder must hold images ({KINDS}); received {path}, which has none")

    def blocks():
        for file, image in zip(
            files, _ahead(functools.partial(_read, convert=convert), files), strict=True
        ):
            yield str(file), image[None]  # [1, H, W, 3]

    return ImageSource(
        str(path), blocks, len(files), content=lambda: _checksum_of_files(path, files)
    )


def _read(file, convert):
    stored = []
    image = read_image(
        file, inspect=lambda image: stored.append((image.mode, "transparency" in image.info))
    )
    ((mode, transparent),) = stored
    if not convert and (mode != "RGB" or transparent):
        kind = (
            "grey"
            if mode in ("1", "L", "LA") or mode.startswith("I")
            else f"of Pillow's mode {mode}"
        )
        kind += " with transparency" if mode == "RGB" else ""
        raise ValueError(f"images must be RGB, or convert=True; {file} is {kind}")
    return np.array(image)


def _ahead(function, files):
    """`map(function, files)`, some files ahead, on threads: Pillow decodes without Python's lock.

    So few are held at a time that together they take at most `BYTES`, or one that takes more by
    itself.
    """
    with ThreadPoolExecutor(4) as pool:
        waiting, held = deque(), 0
        for file in files:
            size = decoded_bytes(file)
            while waiting and (len(waiting) == AHEAD or held + size > BYTES):
                future, freed = waiting.popleft()
                held -= freed
                yield future.result()
                del future  # and the pixels with it
            waiting.append((pool.submit(function, file), size))
            held += size
        while waiting:
            yield waiting.popleft()[0].result()


def _file(path, key):
    if path.suffix.lower() not in FILES or not path.is_file():
        raise ValueError(
            f"images must be in a folder or a file {', '.join(FILES)} that exists; received {path}"
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
            raise ValueError(f"{path} must hold images; it holds a network's weights")
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
        raise LimitExceededError(f"an image of {size:,} bytes is larger than {FLOOR:,}")
    return max(1, min(BLOCK, 64 * MIB // max(1, size)))


def _rows(where, open_file, load):
    """The number of rows of an array in numpy's format, and a function that reads them block by
    block.
    """
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
                    raise EOFError("it is cut off")
                yield np.frombuffer(data, dtype).reshape(count, *shape[1:])
            file.read(1)  # of a zip's member: its checksum is compared at the end

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
        rule = key or "images, output_<size> or arr_0, or a key must be given"
        raise ValueError(f"{path} must hold {rule}; it holds {', '.join(names) or 'nothing'}")
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


# === What is in memory, and what is made on the go ===


def _array(array, where):
    """The array, if its type and shape are those of images: said before anything is computed."""
    if len(array.shape) != 4:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(array.shape)} in {where}")
    if array.shape[0]:
        _rgb(np.zeros((1, *array.shape[1:]), array.dtype), True, where)
    return array


def _slices(array):
    return (np.asarray(array[start : start + BLOCK]) for start in range(0, array.shape[0], BLOCK))


def _held(images, name):
    """An array, or a sequence of images (or of batches, or of tuples whose first they are)."""
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
            raise ValueError("an iterator can be read once; give a function that returns a new one")
        used.append(True)
        return _batches(iterator)

    return blocks


def _model(model, count, seed):
    if count is None:
        raise ValueError(
            "count must be the number of images to sample from the model; received None"
        )
    if "n" not in inspect.signature(model.sample).parameters:
        what = type(model).__name__
        raise ValueError(
            "a model must draw by sample(n=…, seed=…), or a function give its batches; received "
            f"{what}"
        )

    def blocks():
        for index, start in enumerate(range(0, count, SAMPLES_PER_SEED)):
            own = int(
                np.random.default_rng((seed, index)).integers(2**31 - 1)
            )  # seeds 0 and 1 share no images
            # A whole block even where less is wanted, so that the first images do not depend on how
            # many there are.
            yield None, to_uint8(model.sample(n=SAMPLES_PER_SEED, seed=own))[: count - start]

    return ImageSource(f"{type(model).__name__}, seed {seed}", blocks, count)


def _rgb(block, convert, where):
    """uint8 [n, H, W, 3], or one line that says why not."""
    block = np.asarray(block)
    if block.dtype != np.uint8:
        raise ValueError(
            "images must be uint8; kerasgan.images.to_uint8 rounds those in [-1, 1]; received "
            f"{block.dtype} in {where}"
        )
    if block.ndim != 4 or block.shape[3] not in (1, 3, 4) or 0 in block.shape[1:3]:
        raise ValueError(f"images must be [N, H, W, 3]; received {list(block.shape)} in {where}")
    if block.shape[3] != 3 and not convert:
        kind = "grey" if block.shape[3] == 1 else "RGBA"
        raise ValueError(f"images must be RGB, or convert=True; received {kind} in {where}")
    if block.shape[3] == 1:
        return np.repeat(block, 3, axis=3)
    return block if block.shape[3] == 3 else on_background(block)
