"""PlantVillage and CelebA, with small images in place of the photographs."""

import sys

import numpy as np
import pytest

from kerasgan.datasets.celeba import load_celeba
from kerasgan.datasets.plants import load_plants
from kerasgan.images import to_uint8

LEAVES = ["Apple___scab", "Apple___healthy"]


@pytest.fixture
def prepared(tmp_path):
    """Ten photographs of 20 x 12 pixels, each of one colour in its middle: PlantVillage's and
    CelebA's.
    """
    tfds = pytest.importorskip("tensorflow_datasets")
    images = np.zeros((10, 20, 12, 3), "uint8")
    images[:, 4:16] = (20 * np.arange(10, dtype="uint8"))[:, None, None, None]

    def prepare(name, features, splits, example):
        def info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features(tfds.features))
            )

        def examples(self, start, stop):
            for index in range(start, stop):
                yield index, {"image": images[index], **example(index)}

        def parts(self, manager):
            return {split: self._generate_examples(*ends) for split, ends in splits.items()}

        made = {"_info": info, "_split_generators": parts, "_generate_examples": examples}
        made |= {"VERSION": tfds.core.Version("1.0.0"), "__module__": __name__}
        type(name, (tfds.core.GeneratorBasedBuilder,), made)(
            data_dir=tmp_path
        ).download_and_prepare()

    prepare(
        "PlantVillage",
        lambda f: {"image": f.Image(encoding_format="png"), "label": f.ClassLabel(names=LEAVES)},
        {"train": (0, 10)},
        lambda index: {"label": index % 2},
    )
    prepare(
        "CelebA",
        lambda f: {"image": f.Image(encoding_format="png"), "attributes": {"Young": np.bool_}},
        {"train": (0, 6), "test": (6, 10)},
        lambda index: {"attributes": {"Young": index > 7}},
    )
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # TensorFlow Datasets' own
def test_what_is_prepared_is_read(prepared):
    splits = [load_plants(split, 8, prepared) for split in ("train", "test")]
    assert [len(images) for images, _ in splits] == [8, 2]
    for images, labels in splits:
        middle = images[:, 4:5, 4:5]
        assert (
            images.shape[1:] == (8, 8, 3) and np.abs(images - middle).max() < 0.2
        )  # the middle, without the bars
        np.testing.assert_array_equal(
            labels, 1 - to_uint8(middle)[:, 0, 0, 0] // 20 % 2
        )  # healthy is 0
    images, labels = load_celeba("test", 8, "Young", prepared)
    shades = to_uint8(images)[:, 4, 4, 0] // 20
    assert sorted(shades.tolist()) == [6, 7, 8, 9] and labels.tolist() == (shades > 7).tolist()
    with pytest.raises(ValueError, match="attribute must be one of Young; received 'Old'"):
        load_celeba("test", 8, "Old", prepared)


@pytest.mark.parametrize(
    ("load", "title"), [(load_plants, "PlantVillage"), (load_celeba, "CelebA")]
)
def test_what_is_missing_is_told(load, title, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="split must be one of train, test; received 'dev'"):
        load("dev")
    with pytest.raises(
        FileNotFoundError,
        match=f"{title} is not prepared in .*; pass download=True, or run on a machine",
    ):
        load(data_dir=tmp_path)
    with (
        monkeypatch.context() as patched,
        pytest.raises(ImportError, match=f"{title} needs the package tensor"),
    ):
        patched.setitem(sys.modules, "tensorflow_datasets", None)
        load(data_dir=tmp_path, download=True)
    monkeypatch.setattr(f"{load.__module__}.URL", "http://127.0.0.1:9/none")
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(
        OSError,
        match=f"{title} is not prepared .* cannot be downloaded .*; run on a machine",
    ):
        load(data_dir=tmp_path, download=True)
