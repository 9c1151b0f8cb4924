"""A damaged auxiliary file does not stop a run: the page leaves it out with a note."""

import json
import os
import shutil

import numpy as np
import pytest

from kerasgan import callbacks, images, report
from kerasgan.io import checkpoints, side_files

DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "utf-16": lambda path: path.write_text("epoch,loss\n1,2\n", encoding="utf-16"),
    "wrong keys": lambda path: path.write_text('{"a": [1, {"b": null}]}'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "wrong kinds": lambda path: path.write_text(
        '{"metric": 3, "epoch": "x", "value": [], "file": {}, "title": [1], "command": 5, "recipe": {}}'  # noqa: E501
    ),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
NAMES = (
    "settings.json",
    "versions.json",
    "scores.json",
    "log.csv",
    "history.gif",
    "index.html",
    "checkpoints/best.json",
    "grids/epoch_0001.png",
    "grids/epoch_0002.png",
    "shipped/toys.png",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    for name in ("grids", "checkpoints", "shipped"):
        (folder / name).mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), "uint8")
    for number, frame in enumerate(frames, 1):
        images.save_png(folder / "grids" / f"epoch_{number:04d}.png", frame)
    images.save_gif(folder / "history.gif", frames)
    images.save_png(folder / "shipped" / "toys.png", frames[0])
    for name in ("settings", "versions", "scores"):
        (folder / f"{name}.json").write_text(
            json.dumps({"title": "t", "recipe": "zoo.toy", "a": 1.5})
        )
    (folder / "log.csv").write_text("epoch,seconds,loss\n1,2.0,3.0\n2,2.0,1.0\n")
    name = checkpoints.file_name("toy", "dots", 8, "G", 2)
    (folder / "checkpoints" / name).write_bytes(b"")
    checkpoints.mark_best(folder / "checkpoints", name, "distance", 1.0)
    report.run_page(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_page_is_written(whole, tmp_path, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    DAMAGE[damage](folder / name)
    text = report.run_page(folder).read_text()
    assert "</html>" in text
    harmless = damage in ("wrong keys", "wrong kinds") and name.endswith(
        ".json"
    )  # an object like any other
    harmless |= damage == "truncated" and name == "log.csv"  # its first epoch
    if not harmless and name not in ("index.html", "checkpoints/best.json"):
        assert f"{name.rpartition('/')[2]} is left out because it is damaged" in text


def test_a_whole_run_has_no_such_note(whole):
    assert "left out" not in (whole / "index.html").read_text()


@pytest.mark.parametrize("damage", DAMAGE)
def test_callbacks_go_on_from_damaged_files(whole, tmp_path, damage, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for name in ("log.csv", "grids/epoch_0001.png", "history.gif", "checkpoints/best.json"):
        DAMAGE[damage](folder / name)
    assert checkpoints.best(folder / "checkpoints") is None
    name = next((folder / "checkpoints").glob("*.h5")).name
    checkpoints.mark_best(folder / "checkpoints", name, "distance", 0.5)
    assert checkpoints.best(folder / "checkpoints")["value"] == 0.5
    log = callbacks.CSVLog(folder / "log.csv")
    log.on_train_begin()
    log.on_epoch_begin(2)
    log.on_epoch_end(2, {"loss": 1.0})
    assert (folder / "log.csv").read_text().splitlines()[-1].startswith("3,")
    grid = callbacks.SampleGrid(folder, lambda model: np.zeros((8, 8, 3), "uint8"))
    grid.on_train_begin()
    grid.on_epoch_begin(2)
    grid.set_params({"epochs": 3})
    grid.on_epoch_end(2)
    grid.on_train_end()
    report.run_page(folder)
    assert "history.gif is left out" not in (folder / "index.html").read_text()
    assert "damaged" in capsys.readouterr().err


def test_a_file_in_a_folders_place(tmp_path, capsys):
    (tmp_path / "grids").write_text("")
    grid = callbacks.SampleGrid(tmp_path, lambda model: np.zeros((8, 8, 3), "uint8"))
    grid.on_train_begin()
    assert (
        sorted(os.listdir(tmp_path)) == ["grids", "grids.aside"]
        and "grids.aside" in capsys.readouterr().err
    )


def test_what_is_absent_has_no_note(capsys):
    assert side_files.read_or_default("/absent/x.json", side_files.json_object, 7) == 7
    assert capsys.readouterr().err == ""
