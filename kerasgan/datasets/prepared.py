"""Prepared captioned images: records of TensorFlow Datasets that load fast.

`prepare` writes `<data_dir>/kerasgan_<name>/1.0.0`, which `tfds.load("kerasgan_<name>",
data_dir=...)` can read too. `load_prepared` returns the images in the order of their source,
without starting TensorFlow.
"""

import contextlib
import functools
import io
import mmap
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import UnreadableImage, read_image, stored_size
from kerasgan.datasets.tfds_folder import RULE, builder_in
from kerasgan.io.dataset_names import with_current_names
from kerasgan.io.paths import user_path
from kerasgan.io.reading import read_json, reading, short_path

VERSION = "1.0.0"
FORMATS = ("tfrecord", "array_record")


def data_folder(data_dir: str | os.PathLike | None = None) -> Path:
    """Returns `data_dir`, or the default: `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`."""
    return user_path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def prepared_folder(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Returns the folder of the prepared data set of that name."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            "the name of a data set must consist of lower-case letters, digits and underscores; "
            f"received {name!r}"
        )
    return data_folder(data_dir) / f"kerasgan_{name}" / VERSION


def read_origin(folder: Path) -> dict[str, Any]:
    """Returns the `origin` that was passed to `prepare`."""
    return with_current_names(read_json(folder / "metadata.json", RULE, shape=dict))


def prepare(
    name: str,
    splits: Mapping[str, CaptionedImages],
    origin: dict[str, Any],
    data_dir: str | os.PathLike | None = None,
    corrupt: str = "refuse",
    file_format: str = "tfrecord",
) -> list[str]:
    """Writes a data set of captioned images. Deletes leftovers of killed runs.

    The data set is written to a temporary folder, which is renamed when it is complete.

    Args:
        name: Name of the data set: lower-case letters, digits and underscores.
        splits: Dict from the name of a split to its images. An image may be the bytes of a PNG
            file, which are stored as they are: encoding takes most of the time.
        origin: Dict of JSON values that describes the source. It is stored with the data set.
        data_dir: Folder of TensorFlow Datasets, see `data_folder`.
        corrupt: Treatment of unreadable images: `"refuse"` raises, `"skip"` leaves them out.
        file_format: `"tfrecord"` or `"array_record"`, which `grain` and `tfds.data_source` read at
            random positions.

    Returns:
        Messages that name the images that were left out.

    Raises:
        UnreadableImage: An image cannot be read, and `corrupt` is `"refuse"`.
        ValueError: An argument is not valid, or a split has no readable image.
        OSError: The data set exists, or its folder cannot be written (a full disk, another
            process).
    """
    if corrupt not in ("refuse", "skip"):
        raise ValueError(f"corrupt must be refuse or skip; received {corrupt!r}")
    if file_format not in FORMATS:
        raise ValueError(f"file_format must be {' or '.join(FORMATS)}; received {file_format!r}")
    folder = prepared_folder(name, data_dir)
    if folder.exists():
        raise FileExistsError(
            f"{folder} already exists; delete it to prepare it again, or use another name"
        )
    import tensorflow as tf

    with _alone(folder.parent):
        try:
            return _write(folder, splits, origin, corrupt, file_format)
        # A full disk raises any of these, depending on the file being written.
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())
            raise OSError(f"{folder} could not be written and was removed: {reason}") from None


@contextlib.contextmanager
def _alone(folder):
    import fcntl  # Not available on Windows.

    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob("incomplete.*"):
            shutil.rmtree(left)
        yield
    except BlockingIOError:
        raise OSError(
            f"{folder} is being prepared by another run; wait for it or stop it"
        ) from None
    finally:
        os.close(lock)


def _write(folder, splits, origin, corrupt, file_format):
    import tensorflow_datasets as tfds

    given, skipped = next(iter(splits.values())), []
    features = {
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        "class": tfds.features.Scalar(np.int32),
        "captions": tfds.features.Sequence(tfds.features.Text()),
        "name": tfds.features.Text(),
    }
    if given.embeddings is not None:
        shape = (None, given.embeddings.shape[2])
        features["embeddings"] = tfds.features.Tensor(
            shape=shape, dtype=np.float32, encoding="bytes"
        )
    if given.attributes is not None:
        shape = given.attributes.shape[1:]
        features["attributes"] = tfds.features.Tensor(shape=shape, dtype=np.int8, encoding="bytes")

    class Captioned(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Images with captions."""

        name, VERSION = folder.parent.name, tfds.core.Version(VERSION)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"Images with captions, made by kerasgan from {origin}",
                features=tfds.features.FeaturesDict(features),
                metadata=tfds.core.MetadataDict(origin),
                disable_shuffling=True,
            )

        def _split_generators(self, manager):
            return {split: self._generate_examples(split, data) for split, data in splits.items()}

        def _generate_examples(self, split, data):
            bar, before = (
                keras.utils.Progbar(len(data), unit_name=f"{split} image", interval=1),
                len(skipped),
            )
            for index in range(len(data)):
                bar.update(index + 1)
                try:
                    image = data.images[index]
                except UnreadableImage as error:
                    if corrupt == "refuse":
                        raise
                    skipped.append(str(error))
                    continue
                # TFDS stores bytes as they are.
                example = {"image": image if isinstance(image, bytes) else np.asarray(image)}
                example |= {"class": int(data.classes[index]), "captions": data.captions[index]}
                example |= {"name": data.names[index]}
                example |= {
                    key: getattr(data, key)[index]
                    for key in features
                    if key in ("embeddings", "attributes")
                }
                # TFDS sorts by 128-bit keys, in 1,000 buckets. Spread the keys over the range.
                yield (index << 128) // len(data), example
            if len(skipped) - before == len(data):
                raise ValueError(
                    f"{split} must have a readable image; none of the {len(data):,} images is: "
                    f"{skipped[before]}"
                )

        def _log_download_bytes(self):  # There is no download.
            pass

        def _log_download_done(self):
            pass

    builder = Captioned(data_dir=folder.parent.parent, file_format=file_format)
    tfds.disable_progress_bar()  # It shows no end.
    try:
        builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()
    return skipped


def load_prepared(
    name: str,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    in_memory: bool = True,
) -> CaptionedImages:
    """Loads one split of a prepared data set, in the order of its source.

    Args:
        name: Name of the data set, such as "birds".
        split: Name of the split, such as "train".
        data_dir: Folder of TensorFlow Datasets, see `data_folder`.
        in_memory: If `False`, images stay in their files and are decoded when they are indexed (2
            to 4 ms each).

    Raises:
        FileNotFoundError: The data set does not exist.
        ValueError: The split does not exist, or a file is damaged.
    """
    folder = prepared_folder(name, data_dir)
    if not (folder / "dataset_info.json").exists():
        raise FileNotFoundError(
            f"{name} is not prepared in {folder.parent.parent}; run python -m zoo.prepare"
        )
    records = Records(folder, split)
    with reading(folder, RULE):
        rows = []
        for index in range(len(records)):
            row = records.row(index)
            with records.reading(index):
                row["captions"] = [caption.decode() for caption in row["captions"]]
                row["name"] = row["name"].decode()
            rows.append(row)
        images: Sequence | np.ndarray = records
        if in_memory:
            # Check the headers before memory is allocated.
            sizes = {records.size(index) for index in range(len(records))}
            if len(sizes) != 1:
                raise ValueError(
                    f"its images must have one size; those of {split} have {len(sizes)} sizes"
                )
            images = np.empty((len(records), *records[0].shape), "uint8")
            with ThreadPoolExecutor() as pool:
                for place, image in zip(
                    images, pool.map(records.__getitem__, range(len(records))), strict=True
                ):
                    place[:] = image
        return CaptionedImages(
            images=images,
            classes=np.array([row["class"] for row in rows], "int32"),
            captions=[row["captions"] for row in rows],
            names=[row["name"] for row in rows],
            embeddings=np.stack([row["embeddings"] for row in rows])
            if "embeddings" in rows[0]
            else None,
            attributes=np.stack([row["attributes"] for row in rows])
            if "attributes" in rows[0]
            else None,
        )


def count_prepared(
    name: str, split: str = "train", data_dir: str | os.PathLike | None = None
) -> int | None:
    """Returns the number of images of a split without reading them, or `None` if there is none."""
    try:
        about = read_json(prepared_folder(name, data_dir) / "dataset_info.json", RULE)
        lengths = next(each["shardLengths"] for each in about["splits"] if each["name"] == split)
        return sum(map(int, lengths))
    # `load_prepared` reports the reason.
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


class Records(Sequence):
    """Sequence of the images of one split of a TFDS folder, uint8 `[H, W, 3]`, read on access."""

    def __init__(self, folder: Path, split: str):
        import tensorflow_datasets as tfds

        info = builder_in(folder).info
        if split not in info.splits:
            known = ", ".join(info.splits)[:100]
            raise ValueError(
                f"split must be one of {known}; received {split!r} of {short_path(folder)}"
            )
        self.folder, self.split, self.features = folder, split, info.features
        images = [
            key
            for key, feature in info.features.items()
            if isinstance(feature, tfds.features.Image)
        ]
        self.images = dict.fromkeys(images, tfds.decode.SkipDecoding())  # They stay encoded.
        paths = [str(path) for path in info.splits[split].filepaths]
        if info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
            self.stored = _array_records(paths)
        else:
            self.stored = _tf_records(paths, folder)
        if len(self.stored) != info.splits[split].num_examples:
            raise ValueError(
                f"{folder} must contain {info.splits[split].num_examples} images of {split}; "
                f"it contains {len(self.stored)}: delete it and prepare it again"
            )

    def __reduce__(self):  # Another process opens the files again.
        return Records, (self.folder, self.split)

    def __len__(self):
        return len(self.stored)

    def __getitem__(self, index):
        record = self._record(index)
        return np.asarray(
            read_image(io.BytesIO(record["image"]), name=f"image {index} of {self._path(index)}")
        )

    def reading(self, index: int) -> contextlib.AbstractContextManager[None]:
        """Context manager in which errors name the file of a record, see `io.reading.reading`."""
        return reading(self._path(index), RULE)

    def _path(self, index):
        return self.stored[index][0]

    def size(self, index: int) -> tuple[int, int]:
        """Returns width and height of an image from its header."""
        with self.reading(index):
            return stored_size(io.BytesIO(self._record(index)["image"]))

    def size_of(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image from its header."""
        return self.size(index)[::-1]

    def row(self, index: int) -> dict[str, Any]:
        """Returns all features of a record except its images."""
        return {key: value for key, value in self._record(index).items() if key not in self.images}

    def _record(self, index):
        _, read = self.stored[index]  # An `IndexError` ends an iteration.
        with self.reading(index):
            return self.features.deserialize_example_np(read(), decoders=self.images)


def _tf_records(paths, folder):
    """Returns (path, function that reads it) for each record of TFRecord files."""
    found = []
    for path in paths:
        with reading(path, RULE), open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 0
        # A TFRecord: 8 bytes of length, 4 of checksum, the record, 4 of checksum.
        while start < len(data):
            end = start + 12 + int.from_bytes(data[start : start + 8], "little")
            found.append((path, functools.partial(data.__getitem__, slice(start + 12, end))))
            start = end + 4
        if start != len(data):
            raise ValueError(f"{path} is truncated; delete {folder} and prepare it again")
    return found


def _array_records(paths):
    """Returns (path, function that reads it) for each record of ArrayRecord files."""
    from array_record.python import array_record_module

    found = []
    for path in paths:
        with reading(path, RULE):
            reader = array_record_module.ArrayRecordReader(path, "readahead_buffer_size:0")
            count = reader.num_records()
        found += [(path, functools.partial(_record_of, reader, index)) for index in range(count)]
    return found


def _record_of(reader, index):
    (record,) = reader.read([index])
    return record
