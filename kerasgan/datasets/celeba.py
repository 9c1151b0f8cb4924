"""CelebA: 202,599 photographs of faces with forty yes-or-no attributes, through TensorFlow Datasets.

Source: Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", arXiv 1411.7766.
"""

from kerasgan.datasets.tfds_arrays import tfds_squares
from kerasgan.images import from_uint8

URL = "https://drive.google.com/uc?export=download&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM"  # where TFDS gets it


def load_celeba(split="train", size=64, attribute="Male", data_dir=None, download=False):
    """Load CelebA's faces, each cropped to its central square.

    Args:
        split: "train" (162,770 faces) or "test" (19,962).
        size: height and width of the images returned, in pixels.
        attribute: whose labels to return, such as "Male", "Young" or "Smiling".
        data_dir: folder of TensorFlow Datasets; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: whether it may download (1.4 GiB) and prepare the data where they are missing.

    Returns:
        images float32 [N, size, size, 3] in [-1, 1], RGB; labels int32 [N], 1 where the face has the attribute.

    Raises:
        ValueError: unknown split or attribute.
        ImportError: tensorflow-datasets is not installed.
        OSError: the data are neither prepared nor to be had.
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

    elsewhere = "run where there is a network, or copy the folder celeb_a from such a place"
    images, labels = tfds_squares(
        "celeb_a", "CelebA", split, URL, size, label, data_dir, download, otherwise=elsewhere
    )
    return from_uint8(images), labels
