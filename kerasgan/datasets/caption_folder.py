"""A user's own images with captions.

Captions are in `captions.jsonl` in the folder of the images, one JSON object per line:

    {"file": "a/x.jpg", "captions": ["a red bird", "a bird on a branch"], "class": "finch"}

An image may have several lines; their captions are combined. `"class"` is optional.

Without `captions.jsonl`, the captions of `x.jpg` are the lines of `x.txt`. If both `x.jpg` and
`x.png` exist, they are two images with the same captions. The class of an image is then the
sub-folder that contains it.

If there are no classes, each image is a class of its own, so any other image may serve as its
mismatched image. Text is UTF-8, or UTF-16 with a byte order mark.
"""

import os

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import SUFFIXES, check_name, find_images
from kerasgan.datasets.lazy_images import LazyImages, open_rgb
from kerasgan.datasets.text_files import is_unicode, read_json_lines, read_lines
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading

LEAST = 10  # Minimum number of training images.
RULE = '{"file": "x.jpg", "captions": ["..."]}, with "class" in every line or in none'


def caption_folder(path: str | os.PathLike, size: int = 304) -> CaptionedImages:
    """Reads a folder of images and captions.

    Images are read when they are indexed, cropped to their central square and resized.

    Args:
        path: Path of the folder. Sub-folders are searched too.
        size: Height and width of the images in pixels. 304 lets training crop 256 from it.

    Returns:
        `CaptionedImages` without embeddings, in the order of `captions.jsonl` or of the file names.

    Raises:
        FileNotFoundError: The folder does not exist, or an image or its captions are missing.
        ValueError: A line does not have the format above, a file name leads out of the folder, two
            names denote one file, the text is not UTF-8 or UTF-16, or there is no image.
    """
    path = user_path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"path must be a folder of images and captions; received {path}")
    rows = (
        _from_lines(path / "captions.jsonl")
        if (path / "captions.jsonl").exists()
        else _from_texts(path)
    )
    files = [path / name for name, _, _ in rows]
    with reading(path / "captions.jsonl", "captions must name files"):
        missing = [file for file in files if not file.is_file()]
        same = _first_repeated(files)
    if missing:
        raise FileNotFoundError(
            f"captions need their images; {len(missing):,} are missing, the first {missing[0]}"
        )
    if same:
        raise ValueError(
            f"captions must name each image once; in {path / 'captions.jsonl'}, "
            f"{same[0].name} and {same[1].name} are the same file"
        )
    kinds = [kind for _, _, kind in rows]
    classes = (
        np.unique(kinds, return_inverse=True)[1] if None not in kinds else np.arange(len(rows))
    )
    images = LazyImages(
        files,
        lambda file: np.asarray(
            ImageOps.fit(open_rgb(file), (size, size), Image.Resampling.BICUBIC)
        ),
    )
    return CaptionedImages(
        images,
        classes.astype("int32"),
        [captions for _, captions, _ in rows],
        [name for name, _, _ in rows],
    )


def caption_splits(
    path: str | os.PathLike, size: int = 304, seed: int = 0
) -> dict[str, CaptionedImages]:
    """Reads a folder of images and captions as the splits `"train"` and `"test"`.

    If the folder has sub-folders `train` and `test` and no `captions.jsonl` of its own, these are
    the splits. Otherwise test images are chosen at random: one in five of fewer than 500 images,
    one in ten of more.

    Args:
        path: Path of the folder.
        size: Height and width of the images in pixels.
        seed: Integer seed of the choice.

    Returns:
        Dict from split to `CaptionedImages` without embeddings.

    Raises:
        FileNotFoundError: As in `caption_folder`.
        ValueError: As in `caption_folder`, or if there are fewer than 10 images, or if all captions
            are the same.
    """
    path = user_path(path)
    given = {split: path / split for split in ("train", "test")}
    one = (path / "captions.jsonl").exists()
    if not one and all(part.is_dir() for part in given.values()):
        splits = {split: caption_folder(part, size) for split, part in given.items()}
    else:
        data = caption_folder(path, size)
        order = np.random.default_rng(seed).permutation(len(data))
        held = max(len(data) // (5 if len(data) < 500 else 10), 1)
        parts = {"train": np.sort(order[held:]), "test": np.sort(order[:held])}
        splits = {split: data.subset(part) for split, part in parts.items() if len(part)}
    count = sum(map(len, splits.values()))
    if count < LEAST:
        raise ValueError(
            f"training needs at least {LEAST} images with captions; {path} has {count}"
        )
    captions = {text for data in splits.values() for each in data.captions for text in each}
    if len(captions) < 2:
        raise ValueError(
            f"captions must differ between images; all {count} images of {path} have "
            f"{captions.pop()[:60]!r}"
        )
    return splits


def _first_repeated(files):
    """Returns the first two paths that denote one file, such as a link and its target."""
    seen = {}
    for file in files:
        if file.is_file():
            about = file.stat()
            other = seen.setdefault((about.st_dev, about.st_ino), file)
            if other is not file:
                return other, file
    return None


def _from_lines(file):
    rows = {}  # file name -> (captions, class)
    for number, line in enumerate(read_json_lines(file), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            name, captions, kind = row["file"], row["captions"], row.get("class")
            good = isinstance(name, str) and isinstance(captions, list) and captions
            good = good and all(
                isinstance(caption, str) and caption.strip() and is_unicode(caption)
                for caption in captions
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            good = False
        if not good or (rows and (kind is None) != (next(iter(rows.values()))[1] is None)):
            raise ValueError(
                f"a line of captions must be {RULE}; {file}, line {number}: {line.strip()[:80]}"
            )
        name, kind = check_name(name, f"{file}, line {number}"), None if kind is None else str(kind)
        before, known = rows.setdefault(name, ([], kind))
        if kind != known:
            raise ValueError(
                f"an image must have one class; {file}, line {number}: {name[:60]} has the classes "
                f"{known[:30]} and {kind[:30]}"
            )
        before.extend(captions)
    if not rows:
        raise ValueError(f"captions must be at least one line, {RULE}; {file} is empty")
    return [(name, captions, kind) for name, (captions, kind) in rows.items()]


def _from_texts(path):
    found = find_images(path, (*SUFFIXES, ".txt")).report_skipped()
    images = [file for file in found.files if file.suffix.lower() != ".txt"]
    texts = {file.with_suffix(""): file for file in found.files if file.suffix.lower() == ".txt"}
    if not images or not texts:
        raise ValueError(
            f"a folder must hold captions.jsonl, or x.txt beside x.jpg; {path} has neither"
        )
    stems = {file.with_suffix("") for file in images}
    for alone, what in (
        ([file for file in images if file.with_suffix("") not in texts], "captions"),
        ([file for stem, file in texts.items() if stem not in stems], "image"),
    ):
        if alone:
            raise FileNotFoundError(
                f"images and captions come in pairs; {alone[0]} has no {what} ({len(alone):,} "
                "such files)"
            )
    rows = []
    for file in images:
        text = texts[file.with_suffix("")]
        captions = [line.strip() for line in read_lines(text) if line.strip()]
        if not captions:
            raise ValueError(f"each image needs a caption; {text} is empty")
        kind = file.parent.relative_to(path).as_posix()
        rows.append((file.relative_to(path).as_posix(), captions, kind))
    return rows if len({kind for _, _, kind in rows}) > 1 else [(*row[:2], None) for row in rows]
