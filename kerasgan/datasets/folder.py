"""Your own images: a folder with one sub-folder of images a class, or a folder of images where no class is needed."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.image_files import KINDS, find_images, read_image
from kerasgan.images import from_uint8


def count_folder(path):
    """Number of images in a folder and below it, without reading them; None if there is no such folder."""
    path = Path(path).expanduser()
    return len(find_images(path)) if path.is_dir() else None


def load_folder(path, size=28, channels=1, need_classes=True):
    """Read the images of a folder into memory.

    Each image is cropped to its central square and resized to `size` with Pillow's antialiased bicubic filter.
    `kerasgan.datasets.image_files` says which files are read, and how.

    Args:
        path: folder whose sub-folders, in the order of their names, are the classes. Deeper sub-folders belong to the
            class they are in.
        size: height and width of the images returned, in pixels.
        channels: 1 (grey) or 3 (RGB).
        need_classes: False also admits images beside or without class sub-folders; all images are then one class.

    Returns:
        images float32 [N, size, size, channels] in [-1, 1]; labels int32 [N]; class_names, a list.

    Raises:
        ValueError: no such folder, no class sub-folder, a class without images, or a file that is no image.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB); received {channels}")
    if size < 1:
        raise ValueError(f"size must be at least 1; received {size}")
    files, labels, names = class_files(path, need_classes)
    images = np.empty((len(files), size, size, channels), "uint8")
    for image, file in zip(images, files, strict=True):
        square = ImageOps.fit(read_image(file, channels), (size, size), Image.Resampling.BICUBIC)
        image[:] = np.asarray(square).reshape(size, size, channels)
    return from_uint8(images), labels, names


def class_files(path, need_classes=True):
    """The image files of a folder with one sub-folder a class, and their classes.

    Args:
        path, need_classes: as of `load_folder`.

    Returns:
        files, a list of paths; labels int32 [N]; class_names, a list.

    Raises:
        ValueError: no such folder, no class sub-folder, or a class without images.
    """
    path = Path(path).expanduser()
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
            f"path must hold one sub-folder of images a class; {path} has no sub-folder"
        )
    if loose:  # nothing says of which class
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
