"""`~` in paths that are passed to the Python API, and names of data sets in files of earlier
versions.
"""

import json

import keras
import numpy as np
import pytest

from kerasgan import callbacks, images
from kerasgan.datasets.prepared import read_origin
from kerasgan.datasets.torch_file import load_torch_file
from kerasgan.io import checkpoints, files, locks, presets, side_files
from kerasgan.io.dataset_names import with_current_names
from kerasgan.io.keras_files import load_keras_file
from kerasgan.io.reading import read_json


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    yield tmp_path / "home"
    assert not (tmp_path / "~").exists()


def test_written_files(home):
    checkpoints.check_folder("~/run")
    files.write_atomically("~/run/x.txt", "x")
    files.copy("~/run/x.txt", "~/run/y.txt")
    files.write_json("~/run/x.json", {"a": 1})
    side_files.write("~/run/z.txt", "z")
    images.save_png("~/run/x.png", np.zeros((4, 4, 3), "uint8"))
    with locks.locked("~/run"):
        assert (home / "run" / ".lock").exists()
    found = sorted(path.name for path in (home / "run").iterdir())
    assert found == ["x.json", "x.png", "x.txt", "y.txt", "z.txt"]
    assert read_json("~/run/x.json", "rule") == side_files.json_object("~/run/x.json") == {"a": 1}


def test_checkpoints_and_presets(home):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    files.make_folder("~/run")
    path = f"~/run/{checkpoints.file_name('toy', 'dots', 2, 'G', 1)}"
    checkpoints.save_network(path, network, epoch=1)
    assert checkpoints.latest("~/run").parent == home / "run"
    assert checkpoints.read_info(path)["epoch"] == checkpoints.verify(path)["epoch"] == 1
    loaded, _ = checkpoints.load_network(path)
    assert np.array_equal(loaded.get_weights()[0], network.get_weights()[0])
    checkpoints.load_weights(path, network)
    (home / "run" / "G.h5").touch()
    assert presets.find("~/run") == home / "run"
    network.save(home / "x.keras")
    load_keras_file("~/x.keras")
    with pytest.raises(FileNotFoundError, match=str(home)):
        load_torch_file("~/x.pth")


def test_callbacks(home):
    assert callbacks.CSVLog("~/log.csv").path == home / "log.csv"
    for made in (
        callbacks.NonFiniteGuard("~/run"),
        callbacks.DropDetector("~/run"),
        callbacks.SampleGrid("~/run", lambda model: None),
        callbacks.Checkpoint("~/run", run="a", dataset="b", size=2),
    ):
        assert made.folder == home / "run"
    assert callbacks.ExplosionGuard("d", log="~/log.csv").log == home / "log.csv"


def test_old_names_of_data_sets(tmp_path):
    old = {"dataset": "drawn_birds", "data": "drawn_birds", "title": "drawn_birds", "size": 64}
    new = {**old, "dataset": "synthetic_birds", "data": "synthetic_birds"}
    assert with_current_names(old) == new and with_current_names({"data": ["a"]}) == {"data": ["a"]}
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    checkpoints.save_network(tmp_path / "G.h5", network, epoch=1, info={"dataset": "drawn_birds"})
    assert checkpoints.read_info(tmp_path / "G.h5")["dataset"] == "synthetic_birds"
    (tmp_path / "metadata.json").write_text(json.dumps({"source": "drawn_birds"}))
    assert read_origin(tmp_path) == {"source": "synthetic_birds"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_json(tmp_path, encoding):
    (tmp_path / "x.json").write_text('{"a": "\u00e9"}', encoding=encoding)
    assert read_json(tmp_path / "x.json", "rule") == {"a": "\u00e9"}
