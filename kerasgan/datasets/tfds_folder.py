"""Folders of TensorFlow Datasets, opened so that their description imports nothing and names no
file elsewhere.
"""

from pathlib import Path

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
RULE = "a prepared data set must be whole, or be deleted and prepared again"
SIDES = 2**31  # of what a feature's description says


def builder_in(folder):
    """TensorFlow Datasets' builder of a prepared folder, whose features are of `FEATURES`.

    Raises:
        ValueError: one line that names the folder: a file of it is damaged, names another feature
            or a file elsewhere.
    """
    import tensorflow_datasets as tfds

    folder = Path(folder)
    for name in ("features.json", "dataset_info.json"):
        if (folder / name).is_file() and (folder / name).stat().st_size > 64 * MIB:
            raise ValueError(f"{RULE}; received {folder / name}, of more than 64 MiB")
    with reading(folder, RULE):
        _check_features(read_json(folder / "features.json", RULE, shape=dict), folder)
        read_json(folder / "dataset_info.json", RULE, shape=dict)
        try:
            builder = tfds.builder_from_directory(folder)
            for split in builder.info.splits.values():
                for path in split.filepaths:
                    if Path(path).resolve().parent != folder.resolve():
                        raise ValueError(f"it names a file elsewhere, {path}")
        except SystemExit as error:
            raise ValueError(str(error)) from None
        return builder


def _check_features(description, folder):
    for part in json_parts(description):
        if isinstance(part, dict):
            for key in ("pythonClassName", "type"):
                if isinstance(part.get(key), str) and part[key] not in FEATURES:
                    known = "plain features of TensorFlow Datasets"
                    raise ValueError(
                        f"{folder / 'features.json'} must name {known}; it names {part[key][:60]}"
                    )
            for side in part.get("dimensions", []):
                if not -1 <= int(side) < SIDES:
                    raise LimitExceededError(f"{folder / 'features.json'} has a side of {side}")
    if not isinstance(description.get("pythonClassName", description.get("type")), str):
        raise ValueError(f"{folder / 'features.json'} must name its features")
