"""Your own images with captions: `captions.jsonl` in their folder, or x.txt beside x.jpg.

    {"file": "a/x.jpg", "captions": ["a red bird", "a bird on a branch"], "class": "finch"}

An image may have several such lines; all their captions are the image's. In x.txt each line is a caption, of x.jpg and
x.png alike where both are there: they are two images. A class, there, is the sub-folder an image is in. Images without
classes are each a class of their own: any other image is a wrong one. Text is UTF-8, or UTF-16 with a byte order mark.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import SUFFIXES, check_name, find_images
from kerasgan.datasets.lazy_images import LazyImages, open_rgb
from kerasgan.datasets.text_files import read_json_lines, read_lines
from kerasgan.io.reading import parse_json, reading

RULE = '{"file": "x.jpg", "captions": ["..."]}, with "class" in every line or in none'


def caption_folder(path, size=304):
    """Read a folder of images and captions; images are cropped to their central square and resized when asked for.

    Args:
        path: the folder; sub-folders will do.
        size: side of the images: 304 lets training crop 256 from it.

    Returns:
        `CaptionedImages` without embeddings, in the order of `captions.jsonl`, or of the names.

    Raises:
        FileNotFoundError: no such folder, captions without their image, or the reverse.
        ValueError: a line that is not as above, a name that leads out of the folder, another encoding, no image at
            all, no caption for one.
    """
    path = Path(path).expanduser()
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
    if missing:
        raise FileNotFoundError(
            f"captions need their images; {len(missing):,} are missing, the first {missing[0]}"
        )
    kinds = [kind for _, _, kind in rows]
    classes = (
        np.unique(kinds, return_inverse=True)[1] if None not in kinds else np.arange(len(rows))
    )
    images = LazyImages(
        files, lambda file: np.asarray(ImageOps.fit(open_rgb(file), (size, size), Image.BICUBIC))
    )
    return CaptionedImages(
        images,
        classes.astype("int32"),
        [captions for _, captions, _ in rows],
        [name for name, _, _ in rows],
    )


def _from_lines(file):
    rows = {}  # name -> (captions, class)
    for number, line in enumerate(read_json_lines(file), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            name, captions, kind = row["file"], row["captions"], row.get("class")
            good = isinstance(name, str) and isinstance(captions, list) and captions
            good = good and all(
                isinstance(caption, str) and caption.strip() for caption in captions
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
                f"an image must be of one class; {file}, line {number}: {name[:60]} is of {known[:30]} and {kind[:30]}"
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
                f"images and captions come in pairs; {alone[0]} has no {what} ({len(alone):,} so)"
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
