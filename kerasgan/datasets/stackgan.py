"""Birds (CUB) and flowers (Oxford-102) in the folder format of StackGAN and HDGAN.

    birds/train/, birds/test/   filenames.pickle, class_info.pickle, 304images.pickle,
                                char-CNN-RNN-embeddings.pickle
    birds/text_c10/             001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.txt
    birds/CUB_200_2011/         Instead of 304images.pickle: images/, images.txt,
                                bounding_boxes.txt
    flowers/text_c10/           class_00001/image_00001.txt
    flowers/jpg/                Instead of 304images.pickle: image_00001.jpg

Difference from StackGAN's preprocessing: it resizes with `scipy.misc.imresize`, which stretches the
contrast of each crop to 0..255. Here the contrast is kept.

Reference:
    Zhang et al., "StackGAN", arXiv 1612.03242 (the folder format).
    Reed et al., "Learning Deep Representations of Fine-grained Visual Descriptions", arXiv
    1605.05395 (captions and embeddings).
    Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset".
    Nilsback and Zisserman, "Automated flower classification over a large number of classes".
"""

import os
from collections.abc import Mapping, Sequence, Sized

import numpy as np
from PIL import Image

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import check_name
from kerasgan.datasets.lazy_images import LazyImages, open_rgb, resized
from kerasgan.datasets.pickles import load_pickle
from kerasgan.datasets.text_files import decode, read_lines
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading

NAMES, CLASSES, EMBEDDINGS = (
    "filenames.pickle",
    "class_info.pickle",
    "char-CNN-RNN-embeddings.pickle",
)
STACKGAN = "https://github.com/hanzhanggit/StackGAN#data"


def stackgan_folder(
    path: str | os.PathLike, split: str = "train", size: int = 304, embeddings: bool = True
) -> CaptionedImages:
    """Reads one split of a StackGAN folder.

    Images come from `<size>images.pickle`. If it is missing, they are made from the photographs
    when they are indexed: cropped around the bounding box (birds only) and resized, as in StackGAN.

    Args:
        path: Path of the folder of birds or flowers.
        split: `"train"` or `"test"`. The splits have different classes.
        size: Height and width of the images in pixels: 304 (to crop 256) or 76 (to crop 64).
        embeddings: If `True`, stored embeddings are read. Use `False` with another text encoder.

    Returns:
        `CaptionedImages`. The classes are those of `class_info.pickle`, counted from 0 instead of
        1. Without a folder of captions, captions are empty.

    Raises:
        FileNotFoundError: Files are missing. The message names their source and place.
        ValueError: A file is damaged or does not fit the others.
    """
    path = user_path(path)
    folder = path / split
    needed = [NAMES, CLASSES] + [EMBEDDINGS] * embeddings
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} missing in {folder}; StackGAN's char-CNN-RNN embeddings contain "
            f"them ({STACKGAN})"
        )
    names = read_names(folder / NAMES)
    found = {NAMES: names, CLASSES: _read_classes(folder / CLASSES)}
    if embeddings:
        found[EMBEDDINGS] = read_embeddings(folder / EMBEDDINGS)
    images = f"{size}images.pickle"
    found[images] = (
        _pickled(folder / images, size)
        if (folder / images).is_file()
        else _photographs(path, names, size)
    )
    check_counts(folder, found)
    captions = _captions(path, names, found[CLASSES])
    return CaptionedImages(
        found[images], _from_zero(found[CLASSES]), captions, names, found.get(EMBEDDINGS)
    )


def read_names(path: str | os.PathLike) -> list[str]:
    """Reads the pickled list of image names, at least one."""
    # The names are bytes in some files.
    names = [check_name(decode(name, path), path) for name in load_pickle(path, list)]
    if not names:
        raise ValueError(f"a split must have an image; {path} is empty")
    return names


def _read_classes(path):
    """Reads a pickled list of one number or text per image. Returns an array `[N]`."""
    classes = load_pickle(path, list)
    if not all(isinstance(number, (int, float, str, bytes, np.generic)) for number in classes):
        raise ValueError(f"classes must be one number per image; {path} has other content")
    with reading(path, "classes must be one number per image"):
        return np.asarray(classes)


def check_counts(folder: str | os.PathLike, found: Mapping[str, Sized]) -> None:
    """Raises `ValueError` if the files of a split have different numbers of entries."""
    if len({len(values) for values in found.values()}) > 1:
        counts = ", ".join(f"{name} has {len(values)}" for name, values in found.items())
        raise ValueError(
            f"the files of a split must have one entry per image; in {folder}, {counts}"
        )


def read_embeddings(path: str | os.PathLike) -> np.ndarray:
    """Reads a pickled list of N arrays `[C, D]`. Returns float32 `[N, C, D]`."""
    vectors = load_pickle(path, list)
    if not all(isinstance(vector, np.ndarray) and vector.dtype.kind in "fiu" for vector in vectors):
        raise ValueError(f"embeddings must be arrays [captions, D]; {path} has other content")
    shapes = {np.shape(vector) for vector in vectors}
    if len(shapes) != 1 or len(min(shapes)) != 2:
        raise ValueError(
            "embeddings must be arrays [captions, D] of one shape, one per image; "
            f"{path} has {_some(shapes)}"
        )
    return np.asarray(vectors, "float32")


def _pickled(path, size):
    images = load_pickle(path, list, encoding="bytes")  # The file has gigabytes.
    kinds = {
        f"{image.dtype} {list(image.shape)}"
        if isinstance(image, np.ndarray)
        else f"{type(image).__name__} []"
        for image in images
    }
    wrong = kinds - {f"uint8 {[size, size, 3]}"}
    if wrong:
        raise ValueError(f"images must be uint8 [{size}, {size}, 3]; {path} has {_some(wrong)}")
    return images


def _some(values):
    return ", ".join(sorted(map(str, values))[:3]) or "none"


def _photographs(path, names, size):
    flowers = names[0].startswith("jpg/")
    tables = (
        []
        if flowers
        else [path / "CUB_200_2011" / name for name in ("images.txt", "bounding_boxes.txt")]
    )
    files = [
        (path if flowers else path / "CUB_200_2011" / "images") / f"{name}.jpg" for name in names
    ]
    missing = [file for file in [*tables, *files] if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{size}images.pickle is missing, and so are {len(missing):,} files to make it from, "
            f"the first {missing[0]}; the photographs are those of "
            f"{'Oxford-102' if flowers else 'CUB-200-2011'} ({STACKGAN})"
        )
    if flowers:
        return LazyImages(files, lambda file: resized(open_rgb(file), size))
    rows = []
    for table in tables:
        with reading(table, "a table of CUB-200-2011 must have a number and a value in each line"):
            rows.append(dict(_row(line, table) for line in read_lines(table) if line.strip()))
    boxes = {name.strip(): rows[1].get(key) for key, name in rows[0].items()}
    unboxed = [name for name in names if boxes.get(f"{name}.jpg") is None]
    if unboxed:
        raise ValueError(
            f"each bird needs a row in images.txt and bounding_boxes.txt; {unboxed[0]} has none"
        )
    with reading(tables[1], "a bounding box must be four numbers"):
        box = {
            file: [float(value) for value in boxes[f"{name}.jpg"].split()]
            for file, name in zip(files, names, strict=True)
        }
        if not all(len(sides) == 4 and np.isfinite(sides).all() for sides in box.values()):
            raise ValueError("a row has other values")
    return LazyImages(files, lambda file: crop_bird(open_rgb(file), box[file], size))


def _row(line, table):
    number, _, rest = line.strip().partition(" ")
    if not rest:
        raise ValueError(f"each line must be a number and a value; {table} has {line[:80]!r}")
    return number, rest


def crop_bird(image: Image.Image, box: Sequence[float], size: int) -> np.ndarray:
    """Crops a square of 1.5 times the longer side of a bounding box and resizes it.

    Args:
        image: Pillow image of the whole photograph.
        box: Left, top, width and height in pixels.
        size: Height and width of the result. If the square extends beyond the photograph, the
            visible part is stretched.

    Returns:
        uint8 `[size, size, 3]`.
    """
    left, top, width, height = (int(value) for value in box)
    x, y, radius = int(left + width / 2), int(top + height / 2), int(max(width, height) * 0.75)
    window = (
        max(0, x - radius),
        max(0, y - radius),
        min(image.width, x + radius),
        min(image.height, y + radius),
    )
    return resized(image.crop(window), size)


def _captions(path, names, classes):
    folder = next((path / name for name in ("text_c10", "text") if (path / name).is_dir()), None)
    if folder is None:
        return [[] for _ in names]
    captions = []
    for name, number in zip(names, classes, strict=True):
        file = (
            folder
            / f"{name.replace('jpg/', f'class_{int(number):05d}/') if name.startswith('jpg/') else name}.txt"  # noqa: E501
        )
        if not file.is_file():
            raise FileNotFoundError(
                f"each image needs a file of captions, one per line; there is no {file}"
            )
        captions.append([line.strip() for line in read_lines(file) if line.strip()])
    return captions


def _from_zero(classes):
    counted = np.issubdtype(classes.dtype, np.integer) and classes.min(initial=1) >= 1
    return (classes - 1 if counted else np.unique(classes, return_inverse=True)[1]).astype("int32")
