"""Safe access to folders of TensorFlow Datasets.

Opening a folder imports no class that its description names, and reads no file outside of it.
"""

import os
import urllib.request
from pathlib import Path
from typing import Any

from kerasgan.io.limits import MIB, LimitExceededError
from kerasgan.io.reading import json_parts, read_json, reading

PLACE = "tensorflow_datasets.core.features."
FEATURES = {
    PLACE + name
    for name in (
        "features_dict.FeaturesDict",
        "sequence_feature.Sequence",
        "text_feature.Text",
        "scalar.Scalar",
        "tensor_feature.Tensor",
        "image_feature.Image",
        "class_label_feature.ClassLabel",
        "bounding_boxes.BBoxFeature",
        "labeled_image.LabeledImage",
    )
}
RULE = "a prepared data set must be complete; delete it and prepare it again"
SIDES = 2**31  # Upper limit of the sides of a feature.


def find_or_prepare(
    name: str, title: str, url: str, folder: Path, otherwise: str, download: bool = False
) -> Path:
    """Returns the folder of the newest prepared version of a data set.

    Args:
        name: Name of the data set in TensorFlow Datasets.
        title: Name of the data set in messages.
        url: Source of the data for TensorFlow Datasets. It is tried first, since TensorFlow
            Datasets retries for minutes without a network.
        folder: Folder of TensorFlow Datasets.
        otherwise: Alternative for users without the data, for messages.
        download: If `True`, missing data are downloaded and prepared.

    Raises:
        OSError: The data are not prepared (`FileNotFoundError`) or cannot be downloaded.
        ImportError: tensorflow-datasets is not installed.
    """

    def prepared():
        return sorted(file.parent for file in folder.glob(f"{name}/*/dataset_info.json"))

    if not prepared() and not download:
        raise FileNotFoundError(
            f"{title} is not prepared in {folder}; pass download=True, or {otherwise}"
        )
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise ImportError(f"{title} needs the package tensorflow-datasets") from None
    if not prepared():
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=8).close()
        except OSError as error:
            raise OSError(
                f"{title} is not prepared in {folder} and cannot be downloaded ({error}); "
                f"{otherwise}"
            ) from None
        tfds.builder(name, data_dir=folder, try_gcs=False).download_and_prepare()
    return prepared()[-1]


def builder_in(folder: str | os.PathLike) -> Any:
    """Returns the builder of TensorFlow Datasets for a prepared folder with features of `FEATURES`.

    Raises:
        ValueError: In one line that names the folder: a file is damaged, or refers to another
            feature class or to a file outside of the folder.
    """
    import tensorflow_datasets as tfds

    folder = Path(folder)
    for name in ("features.json", "dataset_info.json"):
        with reading(folder / name, RULE):
            if (folder / name).stat().st_size > 64 * MIB:
                raise LimitExceededError("it has more than 64 MiB")
            content = read_json(folder / name, RULE, shape=dict)
            if name == "features.json":
                _check_features(content, folder)
    with reading(folder, RULE):
        try:
            builder = tfds.builder_from_directory(folder)
            for split in builder.info.splits.values():
                for path in split.filepaths:
                    if Path(path).resolve().parent != folder.resolve():
                        raise ValueError(f"it refers to a file outside of its folder, {path}")
        except SystemExit as error:
            raise ValueError(str(error)) from None
        return builder


def _check_features(description, folder):
    for part in json_parts(description):
        if isinstance(part, dict):
            for key in ("pythonClassName", "type"):
                if isinstance(part.get(key), str) and part[key] not in FEATURES:
                    raise ValueError(
                        f"{folder / 'features.json'} may contain plain features of TensorFlow "
                        f"Datasets only; it contains {part[key][:60]}"
                    )
            for side in part.get("dimensions", []):
                if not -1 <= int(side) < SIDES:
                    raise LimitExceededError(f"{folder / 'features.json'} has a side of {side}")
    if not isinstance(description.get("pythonClassName", description.get("type")), str):
        raise ValueError(f"{folder / 'features.json'} must contain the class of its features")
