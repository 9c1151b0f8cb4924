"""Images and labels of a data set of TensorFlow Datasets as arrays, or soon a line that says what
is missing.
"""

import urllib.request

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.prepared import data_folder
from kerasgan.datasets.tfds_folder import RULE, builder_in
from kerasgan.io.reading import reading


def tfds_arrays(name, title, split, url, data_dir=None, download=False, *, otherwise):
    """Load all of a split whose images have one size.

    Args:
        name, title: of the data set, as TensorFlow Datasets has it and as people do.
        split: as TensorFlow Datasets has it.
        url: where it downloads from: looked at first, since it retries for minutes where there is
            no network.
        data_dir: its folder; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: whether it may download and prepare the data where they are missing.
        otherwise: what to do without the data, for the errors.

    Returns:
        images uint8 [N, H, W, C]; labels int [N].

    Raises:
        FileNotFoundError, OSError: the data are not prepared and may not, or cannot, be downloaded.
        ImportError: tensorflow-datasets is not installed.
    """
    tfds, builder = _builder(name, title, url, data_dir, download, otherwise)
    with reading(builder.data_dir, RULE):
        data = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
        return data["image"], data["label"]


def tfds_squares(name, title, split, url, size, label, data_dir=None, download=False, *, otherwise):
    """Load all of a split of photographs of any size, each cropped to its central square and
    resized to `size` with Pillow's antialiased bicubic filter, one after the other.

    Args:
        label: `(example, its features' description) -> int`.
        others: as `tfds_arrays` takes them, and raises what it raises.

    Returns:
        images uint8 [N, size, size, 3]; labels int32 [N].
    """
    tfds, builder = _builder(name, title, url, data_dir, download, otherwise)
    images, labels = [], []
    for example in _examples(tfds, builder, split):
        image = Image.fromarray(example["image"])
        images.append(np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)))
        labels.append(label(example, builder.info.features))
    return np.stack(images), np.array(labels, "int32")


def _examples(tfds, builder, split):
    with reading(builder.data_dir, RULE):
        yield from tfds.as_numpy(builder.as_dataset(split=split))


def _builder(name, title, url, data_dir, download, otherwise):
    """TensorFlow Datasets, and its builder of prepared data."""
    folder = data_folder(data_dir)
    prepared = sorted(folder.glob(f"{name}/*/dataset_info.json"))
    if not prepared and not download:
        raise FileNotFoundError(
            f"no prepared {title} in {folder}; pass download=True, or {otherwise}"
        )
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise ImportError(
            f"{title} needs the package tensorflow-datasets: pip install it"
        ) from None
    if prepared:
        return tfds, builder_in(prepared[-1].parent)
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
    except OSError as error:
        raise OSError(
            f"{title} cannot be downloaded ({error}), and {folder} has none; {otherwise}"
        ) from None
    builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    builder.download_and_prepare()
    return tfds, builder
