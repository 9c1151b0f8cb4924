"""PlantVillage: 54,303 photographs of healthy and diseased leaves, from TensorFlow Datasets.

Reference:
    Hughes and Salathé, "An open access repository of images on plant health to enable the
    development of mobile disease diagnostics", arXiv 1511.08060.
"""

import os

import numpy as np

from kerasgan.datasets.tfds_arrays import tfds_squares
from kerasgan.images import from_uint8

# Source of the images for TensorFlow Datasets.
URL = (
    "https://data.mendeley.com/public-files/datasets/tywbtsjrjv/files/"
    "d5652a28-c1d8-4b76-97f3-72fb80f94efc/file_downloaded"
)
SPLITS = {"train": "train[:80%]", "test": "train[80%:]"}  # The source has a single split.
NAMES = ["healthy", "sick"]


def load_plants(
    split: str = "train",
    size: int = 64,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads the leaves of PlantVillage, each cropped to its central square.

    Args:
        split: `"train"` (first four fifths) or `"test"` (the rest).
        size: Height and width of the returned images in pixels.
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        download: If `True`, missing data are downloaded (830 MiB) and prepared.

    Returns:
        `(images, labels)`: float32 `[N, size, size, 3]` in [-1, 1], RGB, and int32 `[N]`, indices
        into `NAMES`.

    Raises:
        ValueError: The split is unknown.
        ImportError: tensorflow-datasets is not installed.
        OSError: The data are not prepared and cannot be downloaded.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; received {split!r}")

    def label(example, features):
        return 0 if features["label"].int2str(int(example["label"])).endswith("healthy") else 1

    images, labels = tfds_squares(
        "plant_village",
        "PlantVillage",
        SPLITS[split],
        URL,
        size,
        label,
        data_dir,
        download,
        otherwise="run on a machine with network access, or copy the folder plant_village from one",
    )
    return from_uint8(images), labels
