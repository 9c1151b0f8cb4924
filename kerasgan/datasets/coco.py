"""COCO images with captions.

    coco/annotations/    captions_train2014.json and captions_val2014.json (or those of 2017)
    coco/train2014/      Images; also found in coco/coco_official/train2014/
    coco/val2014/        Images; also found in coco/coco_official/val2014/
    coco/train/          Optional: filenames.pickle, char-CNN-RNN-embeddings.pickle, and
    coco/val/            captions.pickle ({file name: captions}), which replaces the annotations

Download: https://cocodataset.org/#download

Reference:
    Lin et al., "Microsoft COCO: Common Objects in Context", arXiv 1405.0312.
"""

import os

import numpy as np

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import check_name
from kerasgan.datasets.lazy_images import LazyImages, open_rgb, resized
from kerasgan.datasets.pickles import load_pickle
from kerasgan.datasets.stackgan import EMBEDDINGS, NAMES, check_counts, read_embeddings, read_names
from kerasgan.datasets.text_files import decode
from kerasgan.io.paths import user_path
from kerasgan.io.reading import read_json, reading


def coco_folder(
    path: str | os.PathLike, split: str = "train", size: int = 256, embeddings: bool = True
) -> CaptionedImages:
    """Reads one split of COCO. Images are read when they are indexed, and stretched to a square.

    Args:
        path: Path of the folder described above.
        split: `"train"` or `"val"`.
        size: Height and width of the images in pixels. HDGAN's code uses 256 without cropping.
        embeddings: If `True`, stored embeddings are read. Use `False` with another text encoder.

    Returns:
        `CaptionedImages`. Each image is a class of its own, so any other image may serve as its
        mismatched image.

    Raises:
        FileNotFoundError: A file is missing. The message names its source.
        ValueError: Files are invalid or do not fit each other.
    """
    path = user_path(path)
    ready = path / split
    captions = _captions(path, split)
    names, vectors = list(captions), None
    if embeddings and (ready / EMBEDDINGS).is_file():
        names, vectors = read_names(ready / NAMES), read_embeddings(ready / EMBEDDINGS)
        check_counts(ready, {NAMES: names, EMBEDDINGS: vectors})
        unknown = [name for name in names if name not in captions]
        if unknown:
            raise ValueError(f"each image in {ready / NAMES} needs captions; {unknown[0]} has none")
    files = _files(path, split, names)
    images = LazyImages(files, lambda file: resized(open_rgb(file), size))
    return CaptionedImages(
        images,
        np.arange(len(names), dtype="int32"),
        [captions[name] for name in names],
        names,
        vectors,
    )


def _captions(path, split):
    """Returns a dictionary from file name to captions, in the order of the image list."""
    pickled, annotations = (
        path / split / "captions.pickle",
        sorted(path.glob(f"annotations/captions_{split}20*.json")),
    )
    if pickled.is_file():
        found = load_pickle(pickled, dict)
        if not all(
            isinstance(name, (str, bytes)) and isinstance(lines, list)
            for name, lines in found.items()
        ):
            raise ValueError(
                f"captions must be a list for each file name; received other content in {pickled}"
            )
        return {
            check_name(decode(name, pickled), pickled): [decode(line, pickled) for line in lines]
            for name, lines in found.items()
        }
    if not annotations:
        raise FileNotFoundError(
            f"annotations/captions_{split}2014.json is missing in {path}; "
            "it comes in annotations_trainval2014.zip (https://cocodataset.org/#download)"
        )
    rule = "{path} must be a complete file of COCO captions"
    # 2014, which the paper uses, comes before 2017.
    content = read_json(annotations[0], rule, shape=dict)
    with reading(annotations[0], rule):
        names = {
            image["id"]: check_name(image["file_name"], annotations[0])
            for image in content["images"]
        }
        captions = {name: [] for name in names.values()}
        for row in content["annotations"]:
            caption = decode(row["caption"], annotations[0]).strip()
            if caption:
                captions[names[row["image_id"]]].append(caption)
    captions = {name: lines for name, lines in captions.items() if lines}
    if not captions:
        raise ValueError(f"{annotations[0]} must contain captions; received none")
    return captions


def _files(path, split, names):
    folders = [
        folder
        for folder in sorted(path.glob(f"{split}20*"))
        + sorted(path.glob(f"coco_official/{split}20*"))
        if folder.is_dir()
    ]
    if not folders:
        raise FileNotFoundError(
            f"{split}2014/ is missing in {path}; it comes in {split}2014.zip "
            "(https://cocodataset.org/#download)"
        )
    folder = next((folder for folder in folders if (folder / names[0]).is_file()), folders[0])
    there = {file.name for file in folder.iterdir()}  # One listing instead of 100,000 look-ups.
    missing = [name for name in names if name not in there]
    if missing:
        raise FileNotFoundError(
            f"{len(missing):,} of {len(names):,} captioned images are missing in {folder}, "
            f"the first {missing[0]}"
        )
    return [folder / name for name in names]
