"""Birds and flowers of TensorFlow Datasets, with captions made from the names of their classes.

There is one caption per class, such as "a bird, laysan albatross", and the splits contain the same
classes. Scores on this data must therefore not be compared with those of papers that use the
captions and the split of Reed et al.

Reference:
    Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset".
    Nilsback and Zisserman, "Automated flower classification over a large number of classes".
"""

import dataclasses
import os

import numpy as np
from PIL import Image

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.lazy_images import LazyImages, resized
from kerasgan.datasets.prepared import Records, data_folder
from kerasgan.datasets.stackgan import crop_bird
from kerasgan.datasets.tfds_folder import RULE, find_or_prepare
from kerasgan.io.reading import reading


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set of TensorFlow Datasets.

    Attributes:
        dataset: Name of the data set.
        shows: Object that its images show, as a word for captions.
        url: Source of the data for TensorFlow Datasets.
    """

    dataset: str
    shows: str
    url: str


SOURCES = {
    "cub_tfds": Source(
        "caltech_birds2011",
        "bird",
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
    ),
    "flowers_tfds": Source(
        "oxford_flowers102",
        "flower",
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz",
    ),
}


def class_captions(
    source: str, split: str = "train", size: int = 304, data_dir: str | os.PathLike | None = None
) -> CaptionedImages:
    """Loads one split with captions made from class names. Missing data are downloaded.

    Args:
        source: `"cub_tfds"` (birds, cropped around their bounding box) or `"flowers_tfds"`.
        split: `"train"` or `"test"`, the splits of TensorFlow Datasets.
        size: Height and width of the images in pixels.
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.

    Returns:
        `CaptionedImages` without embeddings. Images are read when they are indexed.

    Raises:
        ValueError: The source or split is unknown, or a file is damaged.
        OSError: The data are not prepared and cannot be downloaded.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; received {source!r}")
    about = SOURCES[source]
    otherwise = "use the synthetic birds, which need no network"
    folder = find_or_prepare(
        about.dataset, about.dataset, about.url, data_folder(data_dir), otherwise, download=True
    )
    records = Records(folder, split)
    rows = [records.row(index) for index in range(len(records))]
    with reading(records.folder, RULE):
        names = [
            row.get("label_name", b"").decode() or records.features["label"].int2str(row["label"])
            for row in rows
        ]
        files = [row.get("image/filename", row.get("file_name", b"")).decode() for row in rows]

    def read(index):
        image = Image.fromarray(records[index])
        if "bbox" not in rows[index]:
            return resized(image, size)
        top, left, bottom, right = rows[index]["bbox"] * np.array([image.height, image.width] * 2)
        return crop_bird(image, (left, top, right - left, bottom - top), size)

    return CaptionedImages(
        images=LazyImages(range(len(records)), read),
        classes=np.array([row["label"] for row in rows], "int32"),
        captions=[[f"a {about.shows}, {name.replace('_', ' ').lower()}"] for name in names],
        names=[f"{split}/{index:05d}/{file}" for index, file in enumerate(files)],
    )
