"""`callbacks.WandbLog` and `--wandb` in wandb's offline mode."""

import dataclasses
import importlib.util
import json
import struct

import numpy as np
import pytest

from kerasgan import callbacks
from kerasgan.models.mnist_gan import MnistGAN
from kerasgan.training import AdversarialModel
from zoo import mnist_gan, recipe

wandb = pytest.importorskip("wandb")
BLOCK = 2**15  # Bytes of a block of wandb's file, which has the format of LevelDB's log.


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("CACHE", "CONFIG", "DATA", "ARTIFACT"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    yield
    wandb.teardown()


@pytest.fixture
def digits(monkeypatch):
    """The recipe with 64 digits, without a classifier."""
    images, labels, classes = mnist_gan.load(recipe.settings_of(mnist_gan.RECIPE))
    monkeypatch.setattr(mnist_gan, "load", lambda settings: (images[:64], labels[:64], classes))
    score = lambda model, samples: {"brightness": 0.5, "protocol": "none"}  # noqa: E731
    return dataclasses.replace(mnist_gan.RECIPE, score=lambda settings: score)


def records(folder):
    """The records of the only offline run in a folder."""
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # All records are in the file when wandb's own process has ended.
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # A whole record, or its last part.
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def items(part):
    """Dict of the values of a record."""
    return {one.key or ".".join(one.nested_key): json.loads(one.value_json) for one in part}


def test_a_recipe_logs_settings_images_scores_and_its_page(digits, tmp_path):
    settings = {"width": 2, "batch_size": 32, "score_every": 0, "epochs": 1, "wandb": True}
    folder = tmp_path / "run"
    recipe.run(digits, recipe.settings_of(digits, "best", **settings), folder)
    found = list(records(folder))
    (run,) = [one.run for one in found if one.HasField("run")]
    assert run.project == "kerasgan" and run.display_name == "run"
    assert items(run.config.update)["width"] == 2
    history = [items(one.history.item) for one in found if one.HasField("history")]
    assert [row["epoch"] for row in history] == [0, 1]
    assert all(row["samples.path"].startswith("media/images/samples_") for row in history)
    assert np.isfinite(history[1]["generator_loss"])
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/*.png"))) == 2
    summary = {}
    for one in found:
        summary |= items(one.summary.update) if one.HasField("summary") else {}
    assert summary["brightness"] == 0.5
    (page,) = [one.artifact for one in found if one.HasField("artifact")]
    assert page.type == "page"
    assert {"index.html", "settings.json"} <= {entry.path for entry in page.manifest.contents}


def test_a_resumed_fit_continues_the_same_run(tmp_path):
    first, second = (callbacks.WandbLog(tmp_path, project="x") for _ in range(2))
    assert first.id != second.id
    second.set_state(first.get_state())
    assert second.id == first.id and second.project == "x"
    second.finish()  # Nothing was logged.
    assert not list(tmp_path.glob("wandb"))


def test_an_interrupted_run_ends(digits, tmp_path, monkeypatch):
    def fit(self, data, *, callbacks, **more):
        (log,) = [one for one in callbacks if type(one).__name__ == "WandbLog"]
        log.on_epoch_begin(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(AdversarialModel, "fit", fit, raising=False)
    settings = {"width": 2, "batch_size": 32, "score_every": 0, "epochs": 1, "wandb": True}
    with pytest.raises(KeyboardInterrupt):
        recipe.run(digits, recipe.settings_of(digits, "best", **settings), tmp_path / "run")
    codes = [one.exit.exit_code for one in records(tmp_path / "run") if one.HasField("exit")]
    assert codes == [1]


def test_errors_are_one_line(tmp_path, monkeypatch):
    def fails(**options):
        raise wandb.errors.UsageError("api_key not configured\n(no-tty)")

    monkeypatch.setattr(wandb, "init", fails)
    log = callbacks.WandbLog(tmp_path)
    with pytest.raises(ValueError, match=r"wandb cannot log this run: api_key not .*\(no-tty\)"):
        log.on_epoch_begin(0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'kerasgan\[wandb\]'"):
        callbacks.WandbLog(tmp_path)


def test_the_example_of_the_docstring(tmp_path):
    gan = MnistGAN()
    log = callbacks.WandbLog(tmp_path, {"epochs": 1})
    log.set_model(gan)
    log.on_epoch_begin(0)
    log.on_epoch_end(0, {"loss": np.float32(1.5)})
    log.finish({"score": 2.0})
    history = [items(one.history.item) for one in records(tmp_path) if one.HasField("history")]
    assert history[-1]["loss"] == 1.5
