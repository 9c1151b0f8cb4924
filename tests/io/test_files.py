"""Files are written completely or not at all, and errors are one line with their name."""

import errno
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from kerasgan import images
from kerasgan.io import checkpoint_networks, checkpoints, files
from kerasgan.metrics.frechet import Statistics, save_statistics


def hdf5(file):
    file["x"] = np.arange(200_000)


def parts(file):
    for name in "abc":
        file[name] = np.arange(100_000)
        yield


NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), "uint8")
WRITERS = {
    "a.bin": lambda path: files.write_atomically(path, b"x" * 100_000),
    "a.txt": lambda path: files.write_atomically(path, "é" * 100_000),
    "a.json": lambda path: files.write_json(path, list(range(30_000))),
    "a.npz": lambda path: files.write_npz(path, {"x": np.arange(30_000)}),
    "a.h5": lambda path: files.write_hdf5(path, hdf5),
    "b.h5": lambda path: files.stream_hdf5(path, parts),
    "a.png": lambda path: images.save_png(path, NOISE),
    "a.gif": lambda path: images.save_gif(path, [NOISE, 255 - NOISE]),
    "s.npz": lambda path: save_statistics(path, Statistics(np.zeros(200), np.eye(200), 9)),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failing_write_leaves_what_was_there(tmp_path, monkeypatch, name, number):
    path = tmp_path / name
    path.write_bytes(b"before")

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) as caught:
        WRITERS[name](path)
    assert str(caught.value) == f"{path} could not be written: {os.strerror(number)}"
    assert os.listdir(tmp_path) == [name] and path.read_bytes() == b"before"
    monkeypatch.undo()
    WRITERS[name](path)
    assert os.listdir(tmp_path) == [name] and path.stat().st_size > 1000


FULL = """
import resource, sys, os
sys.path.insert(0, "tests/io")
from test_files import WRITERS
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name, write in WRITERS.items():
    for path in (sys.argv[1] + "/" + name, "/dev/full"):
        try:
            if path != "/dev/full" or not name.startswith("s."):
                write(path)
                print("no error", name, path)
        except OSError as error:
            print(error)
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_and_a_limit_of_sizes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    wanted = []
    for name in WRITERS:
        wanted.append(f"{tmp_path / name} could not be written: File too large")
        wanted += ["/dev/full could not be written: No space left on device"] * (
            not name.startswith("s.")
        )
    assert done.stdout.splitlines() == wanted
    assert os.listdir(tmp_path) == []


def test_hdf5_of_both_ways_holds_what_was_written(tmp_path):
    files.write_hdf5(tmp_path / "a.h5", hdf5)
    files.stream_hdf5(tmp_path / "b.h5", parts)
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(tmp_path / "b.h5") as other:
        assert one["x"][-1] == 199_999 and sorted(other) == ["a", "b", "c"] and other["c"][7] == 7


@pytest.mark.parametrize("where", ["absent/a", "file/a", "folder"])
def test_places_that_no_file_can_have(tmp_path, where):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(files.WriteError, match=f"{where} could not be written: "):
        files.write_json(tmp_path / where, 1)
    if where == "file/a":
        with pytest.raises(files.WriteError, match="could not be written: Not a directory"):
            files.make_folder(tmp_path / where)


def test_copy_and_interrupts_and_leftovers(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": 1})
    files.copy(tmp_path / "a.json", tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == {"a": 1}

    def stop(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(tmp_path / "a.json", stop)
    (tmp_path / ".a.json.1-0.tmp").write_text("of a killed process")
    (tmp_path / ".mine.tmp").write_text("of somebody else")
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".mine.tmp", "a.json", "b.json"]


def test_a_checkpoint_that_cannot_be_written_names_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_networks, "_serialized", lambda *arguments: "")

    class Network:
        built, name, variables = True, "n", []

    monkeypatch.setattr(
        checkpoint_networks,
        "stored_values",
        lambda variables, *storage: [("w", np.zeros(3, "float32"))],
    )
    Network.variables = [0]
    with pytest.raises(
        checkpoints.CheckpointError, match="absent/G.h5 could not be written: No such file"
    ):
        checkpoints.save_network(tmp_path / "absent" / "G.h5", Network(), epoch=1)


def test_a_folder_is_written_completely_or_not_at_all(tmp_path):
    with files.new_folder(tmp_path / "a" / "new") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a" / "new").exists()
    assert (tmp_path / "a" / "new" / "x").read_text() == "1"
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), files.new_folder(tmp_path / "a" / "other") as folder:
            (folder / "x").write_text("2")
            raise error
    with files.new_folder(tmp_path / "a" / "new") as folder:  # Another process was faster.
        (folder / "x").write_text("3")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]
    assert (tmp_path / "a" / "new" / "x").read_text() == "1"
    (tmp_path / "file").write_text("")
    with pytest.raises(files.WriteError, match="could not be written"):
        with files.new_folder(tmp_path / "file" / "new"):
            pass


def test_lines_are_appended_and_an_incomplete_one_is_ended(tmp_path):
    path = tmp_path / "lines.jsonl"
    files.append_line(path, "é 1")
    files.append_line(path, "2")
    assert path.read_text("utf-8") == "é 1\n2\n"
    path.write_text("3\ncut")
    files.append_line(path, "4")
    assert path.read_text() == "3\ncut\n4\n"
    with pytest.raises(files.WriteError, match="could not be written"):
        files.append_line(tmp_path / "no" / "lines.jsonl", "1")
