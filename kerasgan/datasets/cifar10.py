"""CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes, from TensorFlow Datasets.

Reference:
    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.
"""

import os

import numpy as np

from kerasgan.datasets.tfds_arrays import tfds_arrays
from kerasgan.images import from_uint8

# Source of the images for TensorFlow Datasets.
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def load_cifar10(
    split: str = "train", data_dir: str | os.PathLike | None = None, download: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Loads CIFAR-10 in the order of TensorFlow Datasets.

    Args:
        split: `"train"` (50,000 images) or `"test"` (10,000).
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        download: If `True`, missing data are downloaded (162 MiB) and prepared.

    Returns:
        `(images, labels)`: float32 `[N, 32, 32, 3]` in [-1, 1], RGB, and int32 `[N]`.

    Raises:
        ValueError: The split is unknown.
        ImportError: tensorflow-datasets is not installed.
        OSError: The data are not prepared and cannot be downloaded.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be one of train, test; received {split!r}")
    elsewhere = "run on a machine with network access, or copy the folder cifar10 from one"
    images, labels = tfds_arrays(
        "cifar10", "CIFAR-10", split, URL, data_dir, download, otherwise=elsewhere
    )
    return from_uint8(images), labels.astype("int32")
