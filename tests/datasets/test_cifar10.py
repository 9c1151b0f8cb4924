import sys
import time

import numpy as np
import pytest

from kerasgan.datasets.cifar10 import load_cifar10
from kerasgan.images import to_uint8
from zoo import coopnet, recipe


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be one of train, test; received 'dev'"):
        load_cifar10("dev")


def test_what_is_missing_is_told_fast(tmp_path, monkeypatch):
    start = time.time()
    with pytest.raises(
        FileNotFoundError,
        match="CIFAR-10 is not prepared in .*; pass download=True, or run on a machine",
    ) as told:
        load_cifar10(data_dir=tmp_path)
    assert "\n" not in str(told.value)
    with (
        monkeypatch.context() as patched,
        pytest.raises(ImportError, match="CIFAR-10 needs the package tensor"),
    ):
        patched.setitem(sys.modules, "tensorflow_datasets", None)
        load_cifar10(data_dir=tmp_path, download=True)
    monkeypatch.setattr("kerasgan.datasets.cifar10.URL", "http://127.0.0.1:9/cifar10")
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(
        OSError,
        match="CIFAR-10 is not prepared in .* cannot be downloaded .*; run on a machine with",
    ):
        load_cifar10(data_dir=tmp_path, download=True)
    assert time.time() - start < 20


@pytest.mark.filterwarnings("ignore")  # TensorFlow Datasets' own
def test_what_is_prepared_is_read_and_coopnets_recipe_dry_runs_on_it(
    prepare_tfds, tmp_path, monkeypatch, capsys
):
    images = prepare_tfds("Cifar10", "3.0.2", (32, 32, 3))
    found, labels = load_cifar10("test", data_dir=tmp_path)
    assert sorted(labels.tolist()) == [4, 5] and found.dtype == "float32"
    np.testing.assert_array_equal(to_uint8(found), images[labels])  # RGB as it came
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    coopnet.load.cache_clear()
    settings = recipe.settings_of(coopnet.RECIPE, "cifar10", batch_size=2, chains=4, width=8)
    recipe.dry_run(coopnet.RECIPE, settings)
    coopnet.load.cache_clear()
    assert "25,000 per epoch" in capsys.readouterr().out
