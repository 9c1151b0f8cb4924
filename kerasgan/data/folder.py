"""Your own images: a folder with one sub-folder of PNG or JPEG files a class."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kerasgan.images import from_uint8

SUFFIXES = (".png", ".jpg", ".jpeg")


def count_folder(path):
    """Number of images in a folder and below it, without reading them; None if there is no such folder."""
    path = Path(path).expanduser()
    return sum(file.suffix.lower() in SUFFIXES for file in path.rglob("*")) if path.is_dir() else None


def load_folder(path, size=28, channels=1):
    """Read class sub-folders of images into memory.

    Each image is cropped to its central square and resized to `size` with Pillow's antialiased bicubic filter.

    Args:
        path: folder whose sub-folders, in the order of their names, are the classes.
        size: height and width of the images returned, in pixels.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        images float32 [N, size, size, channels] in [-1, 1]; labels int32 [N]; class_names, a list.

    Raises:
        ValueError: no such folder, no class sub-folder, a class without images, or a file that is no image.
    """
    path = Path(path)
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB); received {channels}")
    if not path.is_dir():
        raise ValueError(f"path must be a folder of class sub-folders; received {path}")
    classes = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not classes:
        raise ValueError(f"path must hold one sub-folder of images a class; {path} has no sub-folder")
    images, labels = [], []
    for label, folder in enumerate(classes):
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f"each class needs at least one PNG or JPEG file; {folder} has none")
        images += [_read(file, size, channels) for file in files]
        labels += [label] * len(files)
    return from_uint8(np.stack(images)), np.array(labels, "int32"), [folder.name for folder in classes]


def _read(file, size, channels):
    try:
        with Image.open(file) as image:
            image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a broken file depends on its format
        raise ValueError(f"each file must be a readable PNG or JPEG image; {file}: {error}") from None
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, channels)  # [size, size, channels]
