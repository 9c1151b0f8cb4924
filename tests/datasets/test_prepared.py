import dataclasses
import fcntl
import os
import shutil

import numpy as np
import pytest

from kerasgan.datasets import prepared
from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.lazy_images import LazyImages, UnreadableImage

tfds = pytest.importorskip("tensorflow_datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow Datasets' own
RANDOM = np.random.default_rng(0)


def captioned(count, size=6):
    return CaptionedImages(
        images=RANDOM.integers(0, 256, (count, size, size, 3)).astype("uint8"),
        classes=np.arange(count, dtype="int32") // 2,
        captions=[
            [f"caption {k} of {index}: é" for k in range(index % 3)] for index in range(count)
        ],
        names=[f"class/{index}" for index in range(count)],
        embeddings=RANDOM.normal(size=(count, 5, 4)).astype("float32"),
        attributes=RANDOM.integers(-1, 5, (count, 7)).astype("int8"),
    )


def same(one, other):
    assert (one.names, one.captions) == (other.names, other.captions)
    for key in ("images", "classes", "embeddings", "attributes"):
        if getattr(one, key) is None:
            assert getattr(other, key) is None
        else:
            found = np.asarray(getattr(one, key))
            np.testing.assert_array_equal(found, getattr(other, key))
            assert found.dtype == getattr(other, key).dtype


def files(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if "downloads" not in path.parts
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, splits = tmp_path_factory.mktemp("data"), {"train": captioned(25), "test": captioned(1)}
    assert prepared.prepare("some_birds", splits, {"source": "here"}, folder) == []
    return folder, splits


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_is_loaded_is_what_was_written(written, in_memory):
    folder, splits = written
    for split, data in splits.items():
        found = prepared.load_prepared("some_birds", split, folder, in_memory)
        assert (
            isinstance(found.images, np.ndarray) == in_memory and found.images[0].dtype == "uint8"
        )
        same(found, data)
    assert prepared.read_origin(prepared.prepared_folder("some_birds", folder)) == {
        "source": "here"
    }


def test_tfds_loads_it_too(written):
    folder, splits = written
    rows = list(tfds.as_numpy(tfds.load("kerasgan_some_birds", split="train", data_dir=folder)))
    assert [row["name"].decode() for row in rows] == splits["train"].names
    np.testing.assert_array_equal(rows[7]["embeddings"], splits["train"].embeddings[7])


def test_what_was_not_given_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE", 0
    )  # as gigabytes are written
    data = dataclasses.replace(captioned(40), embeddings=None, attributes=None)
    prepared.prepare("plain", {"train": data}, {}, tmp_path)
    same(prepared.load_prepared("plain", "train", tmp_path), data)


def test_unreadable_images_stop_or_are_named_and_left_out(tmp_path):
    def read(index):
        if index in (0, 3):
            raise OSError("cut short")
        return data.images[index]

    data = captioned(5)
    lazy = dataclasses.replace(data, images=LazyImages(range(5), read))
    with pytest.raises(UnreadableImage, match="must be a readable image; 0: cut short"):
        prepared.prepare("lazy", {"train": lazy}, {}, tmp_path)
    assert files(tmp_path) == ["kerasgan_lazy"]
    left_out = prepared.prepare("lazy", {"train": lazy}, {}, tmp_path, corrupt="skip")
    assert left_out == [
        f"each file must be a readable image; {index}: cut short" for index in (0, 3)
    ]
    kept = [1, 2, 4]
    arrays = {
        key: getattr(data, key)[kept] for key in ("images", "classes", "embeddings", "attributes")
    }
    lists = {key: [getattr(data, key)[index] for index in kept] for key in ("captions", "names")}
    same(prepared.load_prepared("lazy", "train", tmp_path), CaptionedImages(**arrays, **lists))
    nothing = dataclasses.replace(data, images=LazyImages([0] * 5, read))
    with pytest.raises(
        ValueError, match="train must have a readable image; none of the 5 images is: .*cut short"
    ):
        prepared.prepare("nothing", {"train": nothing}, {}, tmp_path, corrupt="skip")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("No space left on device")])
def test_a_stopped_preparation_leaves_nothing_and_is_begun_anew(tmp_path, error):
    def read(index):
        if index == 4:
            raise error
        return data.images[index]

    data = captioned(5)
    left = (
        tmp_path / "kerasgan_birds" / "incomplete.ABCDEF_1.0.0"
    )  # by one that was killed outright
    left.mkdir(parents=True)
    (left / "kerasgan_birds-train.tfrecord-00000-of-00001").write_bytes(b"half")
    lazy = dataclasses.replace(data, images=LazyImages(range(5), read))
    stopped = (
        pytest.raises(KeyboardInterrupt)
        if error is KeyboardInterrupt
        else pytest.raises(
            OSError, match="could not be written and was removed: No space left on device"
        )
    )
    with stopped:
        prepared.prepare("birds", {"test": data, "train": lazy}, {}, tmp_path)
    assert files(tmp_path) == ["kerasgan_birds"]
    with pytest.raises(
        FileNotFoundError, match="birds is not prepared in .*; run python -m zoo.prepare"
    ):
        prepared.load_prepared("birds", "test", tmp_path)
    prepared.prepare("birds", {"train": data}, {}, tmp_path)
    same(prepared.load_prepared("birds", "train", tmp_path), data)


def test_two_at_once(tmp_path):
    (tmp_path / "kerasgan_birds").mkdir()
    other = os.open(tmp_path / "kerasgan_birds", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="kerasgan_birds is being prepared by another run"):
        prepared.prepare("birds", {"train": captioned(2)}, {}, tmp_path)
    os.close(other)
    prepared.prepare("birds", {"train": captioned(2)}, {}, tmp_path)


def test_bad_input(written, tmp_path):
    folder, splits = written
    with pytest.raises(FileExistsError, match="some_birds.1.0.0 already exists"):
        prepared.prepare("some_birds", splits, {}, folder)
    with pytest.raises(
        ValueError, match="lower-case letters, digits and underscores; received '../x'"
    ):
        prepared.prepare("../x", splits, {}, tmp_path)
    with pytest.raises(ValueError, match="corrupt must be refuse or skip; received 'ignore'"):
        prepared.prepare("x", splits, {}, tmp_path, corrupt="ignore")
    with pytest.raises(ValueError, match="split must be one of .*; received 'val'"):
        prepared.load_prepared("some_birds", "val", folder)


def damage(path, way):
    content = path.read_bytes()
    if way == "missing":
        path.unlink()
        return
    made = {
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "one byte less": content[:-1],
        "zeros": bytes(len(content)),
        "text": b"not this format\n" * 20,
        "garbled": content[: len(content) // 3] + b"\xff" * 40 + content[len(content) // 3 + 40 :],
    }
    path.write_bytes(made[way])


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "tfrecord"])
def test_a_damaged_file_is_one_line_with_its_name(tmp_path, name, in_memory):
    prepared.prepare("birds", {"train": captioned(4)}, {}, tmp_path / "whole")
    for way in ("missing", "empty", "truncated", "one byte less", "zeros", "text", "garbled"):
        data_dir = tmp_path / way.replace(" ", "_")
        shutil.copytree(tmp_path / "whole", data_dir)
        (path,) = prepared.prepared_folder("birds", data_dir).glob(f"*{name}*")
        damage(path, way)
        with pytest.raises((ValueError, FileNotFoundError)) as raised:
            data = prepared.load_prepared("birds", "train", data_dir, in_memory=in_memory)
            for image in data.images:
                assert image.shape
        line = str(raised.value)
        assert "\n" not in line and len(line) <= 320, (way, line)
        missing_info = (name, way) == ("dataset_info.json", "missing")
        assert path.name in line or missing_info and "is not prepared" in line, (way, line)


def test_a_shard_without_its_last_records(tmp_path):
    prepared.prepare("birds", {"train": captioned(4)}, {}, tmp_path)
    (shard,) = prepared.prepared_folder("birds", tmp_path).glob("*.tfrecord*")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: 16 + int.from_bytes(whole[:8], "little")])
    with pytest.raises(ValueError, match="must contain 4 images of train; it contains 1"):
        prepared.load_prepared("birds", "train", tmp_path)
