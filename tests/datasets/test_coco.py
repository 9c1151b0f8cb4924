import collections
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.coco import coco_folder
from kerasgan.datasets.lazy_images import UnreadableImage

NAMES = [f"COCO_train2014_{number:012d}.jpg" for number in (9, 25, 30)]


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2014").mkdir()
    images = [{"id": 100 + number, "file_name": name} for number, name in enumerate(NAMES)]
    rows = [
        {"image_id": 100 + number % 3, "caption": f" Caption {number}\n"} for number in range(15)
    ]
    unsaid = {"id": 7, "file_name": "without.jpg"}
    (tmp_path / "annotations" / "captions_train2014.json").write_text(
        json.dumps({"images": [*images, unsaid], "annotations": rows})
    )
    for number, name in enumerate(NAMES):
        mode, colour = [("RGB", (0, 0, 255)), ("L", 200), ("CMYK", (0, 0, 0, 0))][number]
        Image.new(mode, (30, 20), colour).save(tmp_path / "train2014" / name)
    return tmp_path


def test_reads_annotations_and_images(coco):
    data = coco_folder(coco, "train", size=16)
    assert data.names == NAMES and data.embeddings is None
    assert data.captions[1] == [f"Caption {number}" for number in (1, 4, 7, 10, 13)]
    assert data.classes.tolist() == [0, 1, 2]
    assert data.images[0].shape == (16, 16, 3)
    assert [data.images[number][8, 8].tolist() for number in (1, 2)] == [[200] * 3, [255] * 3]


def test_reads_ready_embeddings(coco):
    vectors = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    (coco / "train").mkdir()
    (coco / "coco_official").mkdir()
    (coco / "train2014").rename(coco / "coco_official" / "train2014")

    def put(name, value):
        (coco / "train" / f"{name}.pickle").write_bytes(pickle.dumps(value, 2))

    put("filenames", [name.encode() for name in reversed(NAMES)])
    put("char-CNN-RNN-embeddings", list(vectors))
    data = coco_folder(coco, "train")
    assert (
        data.names == NAMES[::-1]
        and data.captions[0][0] == "Caption 2"
        and data.images[0].shape == (256, 256, 3)
    )
    np.testing.assert_array_equal(data.embeddings, vectors)
    put("captions", collections.OrderedDict((name, [f"of {name}"]) for name in NAMES))
    (coco / "annotations" / "captions_train2014.json").unlink()
    assert coco_folder(coco, "train").captions[0] == [f"of {NAMES[2]}"]
    assert coco_folder(coco, "train", embeddings=False).embeddings is None
    put("char-CNN-RNN-embeddings", list(vectors[:2]))
    with pytest.raises(
        ValueError, match="filenames.pickle has 3, char-CNN-RNN-embeddings.pickle has 2"
    ):
        coco_folder(coco, "train")
    put("char-CNN-RNN-embeddings", list(vectors))
    put("captions", {NAMES[0]: ["one"]})
    with pytest.raises(ValueError, match=f"needs captions; {NAMES[2]} has none"):
        coco_folder(coco, "train")


def test_what_is_missing_or_broken_is_named(coco):
    with pytest.raises(
        FileNotFoundError,
        match="captions_val2014.json is missing in .*annotations_trainval2014.zip",
    ):
        coco_folder(coco, "val")
    broken = coco / "train2014" / NAMES[1]
    broken.write_bytes(b"\xff\xd8 no image")
    with pytest.raises(UnreadableImage, match=NAMES[1]):
        coco_folder(coco, "train").images[1]
    broken.unlink()
    with pytest.raises(
        FileNotFoundError, match=f"1 of 3 .* are missing in .*train2014, the first {NAMES[1]}"
    ):
        coco_folder(coco, "train")
    (coco / "train2014").rename(coco / "images")
    with pytest.raises(FileNotFoundError, match="train2014/ is missing in .*train2014.zip"):
        coco_folder(coco, "train")
    file = coco / "annotations" / "captions_train2014.json"
    for content in (
        file.read_text()[:-30],
        '{"images": []}',
        "[]",
        '{"images": [{}], "annotations": []}',
    ):
        file.write_text(content)
        with pytest.raises(
            ValueError, match="captions_train2014.json must be a complete file of COCO captions: "
        ):
            coco_folder(coco, "train")
    file.write_text('{"images": [], "annotations": []}')
    with pytest.raises(ValueError, match="captions_train2014.json must contain captions"):
        coco_folder(coco, "train")
