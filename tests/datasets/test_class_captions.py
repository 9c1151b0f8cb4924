import time

import numpy as np
import pytest

from kerasgan.datasets.class_captions import SOURCES, class_captions

tfds = pytest.importorskip("tensorflow_datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow Datasets' own
IMAGE = np.broadcast_to(np.arange(40, dtype="uint8")[None, :, None] * 5, (30, 40, 3))


def prepare(data_dir, dataset, features, examples):
    class Fake(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """A data set of TFDS, as its own builder leaves it."""

        name, VERSION = dataset, tfds.core.Version("0.1.1")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {
                "train": self._generate_examples(examples),
                "test": self._generate_examples(examples[:1]),
            }

        def _generate_examples(self, examples):
            yield from enumerate(examples)

    Fake(data_dir=data_dir).download_and_prepare()


def test_birds_are_cropped_and_told_by_their_class(tmp_path):
    box = tfds.features.BBox(ymin=6 / 30, xmin=4 / 40, ymax=11 / 30, xmax=24 / 40)
    bird = {
        "image": IMAGE,
        "image/filename": "a/b.jpg",
        "label": 1,
        "label_name": "laysan_albatross",
        "bbox": box,
        "segmentation_mask": IMAGE[..., :1],
    }
    prepare(
        tmp_path,
        "caltech_birds2011",
        {
            "image": tfds.features.Image(encoding_format="png"),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(num_classes=200),
            "label_name": tfds.features.Text(),
            "bbox": tfds.features.BBoxFeature(),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        },
        [bird, bird | {"label": 3}],
    )
    data = class_captions("cub_tfds", "train", size=29, data_dir=tmp_path)
    assert (
        sorted(data.classes.tolist()) == [1, 3]
        and data.captions == [["a bird, laysan albatross"]] * 2
    )
    assert data.names == ["train/00000/a/b.jpg", "train/00001/a/b.jpg"] and data.embeddings is None
    np.testing.assert_array_equal(
        data.images[0][0, :, 0], np.arange(29) * 5
    )  # as kerasgan.datasets.stackgan crops
    assert len(class_captions("cub_tfds", "test", data_dir=tmp_path)) == 1


def test_flowers_are_told_by_their_class(tmp_path):
    flower = {"image": IMAGE, "label": 1, "file_name": "image_1.jpg"}
    prepare(
        tmp_path,
        "oxford_flowers102",
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=["rose", "bee balm"]),
            "file_name": tfds.features.Text(),
        },
        [flower],
    )
    data = class_captions("flowers_tfds", "train", data_dir=tmp_path)
    assert data.captions == [["a flower, bee balm"]] and data.images[0].shape == (304, 304, 3)


@pytest.mark.parametrize("source", list(SOURCES))
def test_offline_it_fails_fast(tmp_path, monkeypatch, source):
    def refuse(request, timeout):
        assert timeout < 10 and request.full_url.startswith("https://")
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    start = time.perf_counter()
    with pytest.raises(
        OSError,
        match=f"{SOURCES[source].dataset} is not prepared .*downloaded .no network.; use the synth",
    ):
        class_captions(source, data_dir=tmp_path)
    assert time.perf_counter() - start < 5
    with pytest.raises(
        ValueError, match="source must be one of cub_tfds, flowers_tfds; received 'cub'"
    ):
        class_captions("cub")
