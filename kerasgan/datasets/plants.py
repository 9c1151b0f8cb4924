"""PlantVillage: 54,303 photographs of leaves, healthy or sick, through TensorFlow Datasets.

Source: Hughes and Salathé, "An open access repository of images on plant health to enable the development of mobile
disease diagnostics", arXiv 1511.08060.
"""

from kerasgan.datasets.tfds_arrays import tfds_squares
from kerasgan.images import from_uint8

URL = "https://data.mendeley.com/public-files/datasets/tywbtsjrjv/files/d5652a28-c1d8-4b76-97f3-72fb80f94efc/file_downloaded"  # noqa: E501
SPLITS = {"train": "train[:80%]", "test": "train[80%:]"}  # it has one
NAMES = ["healthy", "sick"]


def load_plants(split="train", size=64, data_dir=None, download=False):
    """Load PlantVillage's leaves.

    Args:
        split: "train" (four fifths) or "test" (the rest).
        size: height and width of the images returned, in pixels.
        data_dir: folder of TensorFlow Datasets; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: whether it may download (830 MiB) and prepare the data where they are missing.

    Returns:
        images float32 [N, size, size, 3] in [-1, 1], RGB; labels int32 [N], places in `NAMES`.

    Raises:
        ValueError: unknown split.
        ImportError: tensorflow-datasets is not installed.
        OSError: the data are neither prepared nor to be had.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; received {split!r}")

    def label(example, features):
        return 0 if features["label"].int2str(int(example["label"])).endswith("healthy") else 1

    elsewhere = "run where there is a network, or copy the folder plant_village from such a place"
    images, labels = tfds_squares(
        "plant_village",
        "PlantVillage",
        SPLITS[split],
        URL,
        size,
        label,
        data_dir,
        download,
        otherwise=elsewhere,
    )
    return from_uint8(images), labels
