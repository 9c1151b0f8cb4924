"""A user's own images: a folder with one sub-folder per class, or a folder of images."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.image_files import KINDS, find_images, read_image
from kerasgan.images import from_uint8
from kerasgan.io.paths import user_path


def count_folder(path: str | os.PathLike) -> int | None:
    """Counts the images in a folder and its sub-folders without reading them.

    Returns:
        The number of images, or `None` if there is no such folder.
    """
    path = user_path(path)
    return len(find_images(path)) if path.is_dir() else None


def class_names(path: str | os.PathLike) -> list[str]:
    """Returns the names of a folder's classes in the order of their labels. No image is read.

    Args:
        path: Path of the folder. Its sub-folders, sorted by name, are the classes.

    Returns:
        The names; empty if the folder contains images outside of sub-folders.
    """
    path = user_path(path)
    found = find_images(path)
    flat = any(file.parent == path for file in found.files)
    return [] if flat else [folder.name for folder in found.folders]


def load_folder(
    path: str | os.PathLike, size: int = 28, channels: int = 1, need_classes: bool = True
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Reads the images of a folder into memory.

    Each image is cropped to its central square and resized with Pillow's antialiased bicubic
    filter. `kerasgan.datasets.image_files` documents which files are read, and how.

    Args:
        path: Path of the folder. Its sub-folders, sorted by name, are the classes. Images in deeper
            sub-folders belong to the class that contains them.
        size: Height and width of the returned images in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        need_classes: If `False`, the folder may contain images outside of class sub-folders. All
            images then have the same class.

    Returns:
        `(images, labels, class_names)`: float32 `[N, size, size, channels]` in [-1, 1], int32 `[N]`
        and a list of names.

    Raises:
        ValueError: The folder or a class sub-folder is missing, a class has no images, or a file
            is not an image.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grayscale) or 3 (RGB); received {channels}")
    if size < 1:
        raise ValueError(f"size must be at least 1; received {size}")
    files, labels, names = class_files(path, need_classes)
    images = np.empty((len(files), size, size, channels), "uint8")
    for image, file in zip(images, files, strict=True):
        square = ImageOps.fit(read_image(file, channels), (size, size), Image.Resampling.BICUBIC)
        image[:] = np.asarray(square).reshape(size, size, channels)
    return from_uint8(images), labels, names


def class_files(
    path: str | os.PathLike, need_classes: bool = True
) -> tuple[list[Path], np.ndarray, list[str]]:
    """Lists the image files of a folder with one sub-folder per class.

    Args:
        path: See `load_folder`.
        need_classes: See `load_folder`.

    Returns:
        `(files, labels, class_names)`: list of paths, int32 `[N]` and list of names.

    Raises:
        ValueError: The folder or a class sub-folder is missing, or a class has no images.
    """
    path = user_path(path)
    if not path.is_dir():
        raise ValueError(f"path must be a folder of class sub-folders; received {path}")
    found = find_images(path)
    parts = [file.relative_to(path).parts for file in found.files]
    loose = [file for file, part in zip(found.files, parts, strict=True) if len(part) == 1]
    if loose and not need_classes:
        found.report_skipped()
        return found.files, np.zeros(len(found), "int32"), [path.name]
    if not found.folders:
        raise ValueError(
            f"path must contain one sub-folder of images per class; {path} has no sub-folder"
        )
    if loose:  # Their class is unknown.
        found.skipped["images beside the class folders"] = len(loose)
    found.report_skipped()
    names = [folder.name for folder in found.folders]
    places = {name: label for label, name in enumerate(names)}
    kept = [
        (file, places[part[0]])
        for file, part in zip(found.files, parts, strict=True)
        if len(part) > 1
    ]
    labels = np.array([label for _, label in kept], "int32")
    empty = [
        folder for label, folder in enumerate(found.folders) if label not in set(labels.tolist())
    ]
    if empty:
        why = ", ".join(
            f"{count:,} {reason}" for reason, count in sorted(find_images(empty[0]).skipped.items())
        )
        why = f" (skipped {why})" if why else ""
        raise ValueError(f"each class needs at least one {KINDS} file; {empty[0]} has none{why}")
    return [file for file, _ in kept], labels, names
