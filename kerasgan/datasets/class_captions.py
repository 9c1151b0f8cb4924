"""Birds and flowers of TensorFlow Datasets, with captions made from the names of their classes.

Sources: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset"; Nilsback and Zisserman, "Automated
flower classification over a large number of classes". These captions are one a class, "a bird,
laysan albatross": not what people wrote, and the splits hold the same classes, so no score on them
may stand beside the papers'.
"""

import dataclasses
import urllib.request

import numpy as np
from PIL import Image

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.lazy_images import LazyImages, resized
from kerasgan.datasets.prepared import Records, data_folder
from kerasgan.datasets.stackgan import crop_bird
from kerasgan.datasets.tfds_folder import RULE
from kerasgan.io.reading import reading


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set of TFDS, what its images show, and where TFDS gets it."""

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


def class_captions(source, split="train", size=304, data_dir=None):
    """Load one split with captions made from class names; TFDS downloads and prepares what is not
    there.

    Args:
        source: "cub_tfds" (birds, cropped around their bounding box) or "flowers_tfds".
        split: "train" or "test", as TFDS splits them.
        size: side of the images.
        data_dir: folder of TensorFlow Datasets.

    Returns:
        `CaptionedImages` without embeddings, their images read when asked for.

    Raises:
        ValueError: unknown source or split.
        OSError: the data are neither there nor to be had.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; received {source!r}")
    about = SOURCES[source]
    records = Records(_folder(about, data_folder(data_dir)), split)
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


def _folder(about, folder):
    # TensorFlow Datasets retries for minutes where there is no network: look first, and ask the
    # network ourselves.
    def prepared():
        return sorted(file.parent for file in folder.glob(f"{about.dataset}/*/dataset_info.json"))

    if not prepared():
        try:
            urllib.request.urlopen(
                urllib.request.Request(about.url, method="HEAD"), timeout=8
            ).close()
        except OSError as error:
            raise OSError(
                f"{about.dataset} is not in {folder} and cannot be downloaded ({error}); drawn "
                "birds need no network"
            ) from None
        import tensorflow_datasets as tfds

        tfds.builder(about.dataset, data_dir=folder, try_gcs=False).download_and_prepare()
    return prepared()[-1]
