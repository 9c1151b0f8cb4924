"""Images and labels of data sets of TensorFlow Datasets, as arrays."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kerasgan.datasets.prepared import data_folder
from kerasgan.datasets.tfds_folder import RULE, builder_in, find_or_prepare
from kerasgan.io.reading import reading


def tfds_arrays(
    name: str,
    title: str,
    split: str,
    url: str,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
    *,
    otherwise: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads one split of a data set whose images have one size.

    Args:
        name: Name of the data set in TensorFlow Datasets.
        title: Name of the data set in messages.
        split: Name of the split in TensorFlow Datasets.
        url: Source of the data for TensorFlow Datasets. It is tried first, since TensorFlow
            Datasets retries for minutes without a network.
        data_dir: Folder of TensorFlow Datasets. Defaults to `$TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        download: If `True`, missing data are downloaded and prepared.
        otherwise: Alternative for users without the data, for messages.

    Returns:
        `(images, labels)`: uint8 `[N, H, W, C]` and int `[N]`.

    Raises:
        OSError: The data are not prepared (`FileNotFoundError`) or cannot be downloaded.
        ImportError: tensorflow-datasets is not installed.
        ValueError: A prepared file is damaged.
    """
    builder = _builder(name, title, url, data_dir, download, otherwise)
    import tensorflow_datasets as tfds

    with reading(builder.data_dir, RULE):
        data = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
        return data["image"], data["label"]


def tfds_squares(
    name: str,
    title: str,
    split: str,
    url: str,
    size: int,
    label: Callable[[dict[str, Any], Any], int],
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
    *,
    otherwise: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Loads one split of a data set whose images have different sizes.

    Each image is cropped to its central square and resized with Pillow's antialiased bicubic
    filter.

    Args:
        name, title, split, url, data_dir, download, otherwise: See `tfds_arrays`.
        size: Height and width of the returned images in pixels.
        label: Function of an example and the features of the data set that returns the label.

    Returns:
        `(images, labels)`: uint8 `[N, size, size, 3]` and int32 `[N]`.

    Raises:
        OSError, ImportError, ValueError: See `tfds_arrays`.
    """
    builder = _builder(name, title, url, data_dir, download, otherwise)
    images, labels = [], []
    for example in _examples(builder, split):
        image = Image.fromarray(example["image"])
        images.append(np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)))
        labels.append(label(example, builder.info.features))
    return np.stack(images), np.array(labels, "int32")


def _examples(builder, split):
    import tensorflow_datasets as tfds

    with reading(builder.data_dir, RULE):
        yield from tfds.as_numpy(builder.as_dataset(split=split))


def _builder(name, title, url, data_dir, download, otherwise):
    folder = find_or_prepare(name, title, url, data_folder(data_dir), otherwise, download)
    return builder_in(folder)
