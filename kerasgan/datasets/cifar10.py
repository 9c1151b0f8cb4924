"""CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes, through TensorFlow Datasets.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.
"""

from kerasgan.datasets.tfds_arrays import tfds_arrays
from kerasgan.images import from_uint8

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"  # where TFDS gets it


def load_cifar10(split="train", data_dir=None, download=False):
    """Load CIFAR-10, in the order of TensorFlow Datasets.

    Args:
        split: "train" (50,000 images) or "test" (10,000).
        data_dir: folder of TensorFlow Datasets; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: whether it may download (162 MiB) and prepare the data where they are missing.

    Returns:
        images float32 [N, 32, 32, 3] in [-1, 1], RGB; labels int32 [N].

    Raises:
        ValueError: unknown split.
        ImportError: tensorflow-datasets is not installed.
        OSError: the data are neither prepared nor to be had.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be one of train, test; received {split!r}")
    elsewhere = "run where there is a network, or copy the folder cifar10 from such a place"
    images, labels = tfds_arrays(
        "cifar10", "CIFAR-10", split, URL, data_dir, download, otherwise=elsewhere
    )
    return from_uint8(images), labels.astype("int32")
