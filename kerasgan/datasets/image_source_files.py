"""Sources of images in folders, .npz, .npy and HDF5 files; see `image_source`."""

import functools
import hashlib
import math
import re
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kerasgan.datasets.image_files import (
    KINDS,
    UnreadableImage,
    decoded_bytes,
    find_images,
    jpeg_quality,
    read_image,
)
from kerasgan.datasets.image_stream import BLOCK, BYTES, ImageSource, check_array, slices
from kerasgan.io.arrays import Arrays, array_header, load_npy, load_npz
from kerasgan.io.hdf5 import Dataset, open_hdf5
from kerasgan.io.limits import FLOOR, MIB, LimitExceededError
from kerasgan.io.reading import reading

FILES = (".npz", ".npy", ".h5", ".hdf5")
AHEAD = 16  # Maximum number of files that are decoded in advance.
WHOLE = "{path} cannot be read"


def folder_source(path: Path, convert: bool) -> ImageSource:
    """Makes a source of the images in a folder, in the order of their names."""
    found = find_images(path).report_skipped()
    files, qualities = found.files, Counter[int]()
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


def file_source(path: Path, key: str | None) -> ImageSource:
    """Makes a source of an array in a file; see `FILES`."""
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
        check_array(np.broadcast_to(np.zeros((), dtype), shape), f"{path}, {key}")
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
    check_array(np.broadcast_to(np.zeros((), dtype), shape), where)
    rows = _rows_at_once(shape)

    def read():
        if fortran:
            yield from slices(load())
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
