"""Finds and decodes image files.

All readers of the package use `find_images` and `read_image`, so a file always yields the same
image:

- Folders are searched recursively, in the order of the paths. Links to folders are followed. Each
  folder is visited once, so cycles end.
- Hidden files and folders, system files of macOS and Windows, empty files and other formats are
  skipped and counted.
- Images are rotated according to their EXIF orientation. Transparent parts are composited over
  `BACKGROUND`. The first frame of an animation is read.
- Grayscale images of 16 bits (Pillow's modes I;16 and I) are divided by 257, so that white stays
  white. Color images of 16 bits keep their upper 8 bits. Floating-point images (mode F) are
  refused, because their range is unknown.
- Pillow may only use the formats in `FORMATS`. Otherwise it would choose the decoder by content,
  and a PostScript file named `x.png` would start Ghostscript.
"""

import dataclasses
import functools
import math
import os
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kerasgan.io.paths import user_path
from kerasgan.io.reading import one_line, short_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
KINDS = "PNG, JPEG, WebP, BMP, GIF or TIFF"
BACKGROUND = (255, 255, 255)  # Color behind transparent parts.
GREY_SCALES = {"L;2": 85, "L;4": 17}  # Pillow's raw modes -> factor to 8 bits.
MAX_PIXELS = 2**27 * 2 // 3  # 89,478,485, Pillow's own limit for decompression bombs.
# System files of macOS, Windows and Synology.
SYSTEM_FILES = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
LONGEST_NAME, LONGEST_PATH = 255, 2048  # Bytes, of one part and of all.
# Luminance table of quality 50, ITU-T T.81, table K.1, row by row.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_OPENING = threading.Lock()  # `warnings.catch_warnings` affects all threads.


ImageFile = str | os.PathLike | BinaryIO


class UnreadableImage(ValueError):
    """An image cannot be read. The message names it."""


# === The walker ===


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Result of `find_images`.

    Attributes:
        folder: Folder that was searched.
        files: Paths of the files, sorted by their parts relative to `folder`.
        folders: Paths of the sub-folders directly in `folder`, sorted by name.
        skipped: Dict from a reason to the number of files or folders that were left out.
    """

    folder: Path
    files: list[Path]
    folders: list[Path]
    skipped: dict[str, int]

    def __len__(self) -> int:
        return len(self.files)

    def __str__(self):
        left_out = ", ".join(
            f"{count:,} {reason}" for reason, count in sorted(self.skipped.items())
        )
        return f"{self.folder}: {len(self):,} files found" + (
            f"; skipped {left_out}" if left_out else ""
        )

    def report_skipped(self) -> "ImageFiles":
        """Prints one line about skipped files, once per folder. Returns `self`."""
        if self.skipped:
            _print_once(str(self))
        return self


@functools.lru_cache(1000)
def _print_once(line):
    print(line, file=sys.stderr)


def find_images(folder: str | os.PathLike, suffixes: Sequence[str] = SUFFIXES) -> ImageFiles:
    """Finds the image files in a folder and its sub-folders.

    Args:
        folder: Path of the folder.
        suffixes: Lower-case suffixes of the files to find.

    Raises:
        ValueError: `folder` is not a folder.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise ValueError(f"a folder of images must exist; received {folder}")
    files: list[Path] = []
    folders: list[Path] = []
    skipped: Counter[str] = Counter()
    # Folders come before links to folders, so a link to a folder that is in the tree anyway does
    # not take its place.
    visited: set[tuple[int, int]] = set()
    places = [folder]
    links: list[Path] = []
    while places or links:
        place = places.pop() if places else links.pop(0)
        about = place.stat()
        if (about.st_dev, about.st_ino) in visited:
            skipped["links to folders visited before"] += 1
            continue
        visited.add((about.st_dev, about.st_ino))
        found = []
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                kind = _kind(entry, suffixes)
                if kind == "folder":
                    found.append(place / entry.name)
                elif kind == "file":
                    files.append(place / entry.name)
                else:
                    skipped[kind] += 1
        places += [path for path in reversed(found) if not path.is_symlink()]
        links = sorted(links + [path for path in found if path.is_symlink()])
        if place == folder:
            folders = found
    files.sort(key=lambda file: file.relative_to(folder).parts)
    return ImageFiles(folder, files, folders, dict(skipped))


def _kind(entry, suffixes):
    """Returns "file", "folder", or the reason why the entry is skipped."""
    if entry.name.startswith("."):  # Also ._x.png, where macOS stores attributes of x.png.
        return "hidden files or folders"
    if entry.name.lower() in SYSTEM_FILES:
        return "system files or folders"
    try:
        if entry.is_dir():
            return "folder"
        if not entry.is_file():
            return "broken links" if entry.is_symlink() else "special files"
        if Path(entry.name).suffix.lower() not in suffixes:
            return "files of other formats"
        return "file" if entry.stat().st_size else "empty files"
    except OSError:  # A link to itself.
        return "broken links"


def check_name(name: str, where: object) -> str:
    """Normalizes the relative path of a file. Raises `ValueError` if it leads out of its folder.

    Args:
        name: Relative path, as a data set contains it.
        where: Source of the path, for the message.
    """
    parts = str(name).replace("\\", "/").split("/")
    good = isinstance(name, str) and name.strip(" ./\\") and "\0" not in name and ".." not in parts
    if (
        not good
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).drive
        or name.startswith("\\")
    ):
        raise ValueError(
            "a file name must be a path inside its folder, without '..'; "
            f"{short_path(where)} has {one_line(repr(name), 60)}"
        )
    if not _is_writable(parts):
        raise ValueError(
            f"each part of a file name must have at most {LONGEST_NAME} bytes of UTF-8, the whole "
            f"name {LONGEST_PATH}; {short_path(where)} has {one_line(repr(name), 60)}"
        )
    return PurePosixPath(name).as_posix()


def _is_writable(parts):
    """Returns `True` if a file system can hold a file of this name."""
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:  # Half of a surrogate pair, which JSON can contain.
        return False
    return max(sizes) <= LONGEST_NAME and sum(sizes) + len(sizes) <= LONGEST_PATH


# === The decoder ===


def read_image(
    file: ImageFile,
    channels: int = 3,
    inspect: Callable[[Image.Image], object] | None = None,
    name: object = None,
) -> Image.Image:
    """Reads an image file and converts it to grayscale or RGB, see the module documentation.

    Args:
        file: Path or binary file object.
        channels: 1 (grayscale, Pillow's mode L) or 3 (RGB).
        inspect: Function that is called with the opened, not yet decoded Pillow image.
        name: Name of the file in messages. Defaults to the path.

    Raises:
        UnreadableImage: The file is not a complete image, or has more than `MAX_PIXELS` pixels. The
            message is one line that names the file.
    """
    name = short_path(file if name is None else name)
    try:
        with _opened(file) as image:
            if inspect:
                inspect(image)
            raw_mode = _raw_mode(image)
            return _plain(ImageOps.exif_transpose(image), channels, raw_mode)
    except UnidentifiedImageError:
        reason = f"its content is not {KINDS}"
    except FileNotFoundError:
        reason = "there is no such file"
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error, IndexError, ...
        reason = one_line(error, 100) or type(error).__name__
    raise UnreadableImage(f"each file must be a readable image; {name}: {reason}")


def open_rgb(file: ImageFile) -> Image.Image:
    """`read_image` with three channels."""
    return read_image(file)


def stored_image(file: ImageFile) -> Image.Image:
    """Loads the first frame of an image without any conversion. Errors of Pillow are passed on."""
    with _opened(file) as image:
        image.load()
        return image.copy()


def open_frames(file: ImageFile) -> Image.Image:
    """Opens an animation without decoding it. Errors of Pillow are passed on."""
    return _opened(file)


def stored_size(file: ImageFile) -> tuple[int, int]:
    """Reads width and height from the header. Errors of Pillow are passed on."""
    with _opened(file) as image:
        return image.size


def jpeg_quality(image: Image.Image) -> int | None:
    """Estimates the quality with which a JPEG file was saved. `None` for other formats.

    Args:
        image: Opened Pillow image; it need not be decoded.

    Returns:
        Quality from 1 to 100 on libjpeg's scale, whose luminance table is closest to the file's.
    """
    tables = getattr(image, "quantization", None)
    if image.format != "JPEG" or not tables:
        return None
    table = np.asarray(next(iter(tables.values())), "int64")
    return 1 + int(np.abs(_luminance_tables() - table).sum(axis=1).argmin())


@functools.cache
def _luminance_tables():
    """Luminance tables of libjpeg for the qualities 1 to 100, `[100, 64]`."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((np.array(LUMINANCE) * scale + 50) // 100).clip(1, 255)


def decoded_bytes(file: ImageFile) -> int:
    """Estimates the memory that decoding takes. 0 if the header cannot be read."""
    try:
        return 8 * math.prod(stored_size(file))  # Up to 4 bytes in Pillow and 3 in NumPy.
    except Exception:
        return 0


def _opened(file):
    with _OPENING, warnings.catch_warnings():
        # `MAX_PIXELS` is checked below.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise ValueError(f"an image must have at most {MAX_PIXELS:,} pixels; received {size}")
    return image


def on_background(pixels: np.ndarray) -> np.ndarray:
    """Composites RGBA pixels over `BACKGROUND`, as files with transparency are read.

    Args:
        pixels: uint8 `[..., 4]`.

    Returns:
        uint8 `[..., 3]`.
    """
    alpha = pixels[..., 3:].astype("uint32")
    background = np.array(BACKGROUND, "uint32")
    mixed = pixels[..., :3] * alpha + background * (255 - alpha)
    return ((mixed + 127) // 255).astype("uint8")


def _raw_mode(image):
    """Pillow's name of the format of the stored pixels, such as `"L;4"`, before decoding."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else None
    return arguments[0] if isinstance(arguments, tuple) and arguments else arguments


def _plain(image, channels, raw_mode=None):
    """Converts a Pillow image of any mode to L or RGB, with transparent parts over `BACKGROUND`."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode == "F":
        raise ValueError("images must have 8 or 16 bits per channel; received floats")
    if image.mode.startswith("I"):
        values, clear, alpha = (
            np.asarray(image).astype("int64"),
            image.info.get("transparency"),
            None,
        )
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f"16-bit images must have values in 0..65535; received {values.min()} to "
                f"{values.max()}"
            )
        if isinstance(clear, int):
            alpha = Image.fromarray(np.where(values == clear, 0, 255).astype("uint8"))
        image = Image.fromarray(((values + 128) // 257).astype("uint8"))
        if alpha:
            image.putalpha(alpha)
    if image.mode == "L" and isinstance(image.info.get("transparency"), int):
        # Pillow scales the pixels of 2 and 4 bits to 8 bits, but not the transparent value.
        if factor := GREY_SCALES.get(raw_mode):
            image.info["transparency"] *= factor
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        premultiplied = {"La": "LA", "RGBa": "RGBA"}
        image = image.convert(premultiplied.get(image.mode, image.mode)).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    if image.mode == mode:
        image.load()
        return image.copy()  # The original is closed with its file.
    return (
        image.convert("RGB").convert(mode) if image.mode not in ("1", "L") else image.convert(mode)
    )
