"""CelebA: 202,599 photographs of faces with forty binary attributes, from TensorFlow Datasets.

Reference:
    Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", arXiv 1411.7766.
"""

import os

import numpy as np

from kerasgan.datasets.tfds_arrays import tfds_squares
from kerasgan.images import from_uint8

# Source of the images for TensorFlow Datasets.
URL = "https://drive.google.com/uc?export=download&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM"


def load_celeba(
    split: str = "train",
    size: int = 64,
    attribute: str = "Male",
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads the faces of CelebA, each cropped to its central square.

    Args:
        split: `"train"` (162,770 faces) or `"test"` (19,962).
        size: Height and width of the returned images in pixels.
        attribute: Attribute that defines the labels, such as `"Male"`, `"Young"` or `"Smiling"`.
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        download: If `True`, missing data are downloaded (1.4 GiB) and prepared.

    Returns:
        `(images, labels)`: float32 `[N, size, size, 3]` in [-1, 1], RGB, and int32 `[N]`, 1 if the
        face has the attribute.

    Raises:
        ValueError: The split or attribute is unknown.
        ImportError: tensorflow-datasets is not installed.
        OSError: The data are not prepared and cannot be downloaded.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be one of train, test; received {split!r}")

    def label(example, features):
        known = example["attributes"]
        if attribute not in known:
            raise ValueError(
                f"attribute must be one of {', '.join(sorted(known))}; received {attribute!r}"
            )
        return int(known[attribute])

    elsewhere = "run on a machine with network access, or copy the folder celeb_a from one"
    images, labels = tfds_squares(
        "celeb_a", "CelebA", split, URL, size, label, data_dir, download, otherwise=elsewhere
    )
    return from_uint8(images), labels
