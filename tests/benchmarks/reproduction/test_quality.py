"""Records of trained presets: commands, folders, contents, and no repeated runs."""

import json
import pathlib
import types

import numpy as np
import pytest

from benchmarks.reproduction import quality, quality_tables, records
from kerasgan import images

SCORES = {"attribute_accuracy": 0.8, "attribute_chance": 0.25, "attribute_accuracy_data": 0.99}
SCORES |= {"bird_frechet_distance": 50.0, "bird_frechet_ratio": 10.0}


@pytest.fixture
def commands(monkeypatch):
    """Commands that were started. Each creates the files of a finished run."""
    started = []

    def train(command, check):
        folder = pathlib.Path(command[-1].removeprefix("--folder="))
        (folder / "grids").mkdir()
        for epoch in (0, 2):
            images.save_png(
                folder / "grids" / f"epoch_{epoch:04d}.png", np.full([4, 4, 3], 9 * epoch, "uint8")
            )
        (folder / "log.csv").write_text(
            "epoch,seconds,loss,attribute_accuracy\n1,60,3,\n2,30,2,0.7\n"
        )
        protocol = {"samples": "1000 at 64 pixels, one a caption", "sizes": [64]}
        (folder / "scores.json").write_text(json.dumps(SCORES | {"protocol": protocol}))
        settings = {
            "title": "t",
            "description": "d",
            "recipe": "zoo.birds_64",
            "command": "c",
            "epochs": 2,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        versions = {"keras": "3", "backend": "tensorflow", "peak_memory_mib": 1024}
        (folder / "versions.json").write_text(json.dumps(versions))
        started.append([*command[1:-1], folder.name])

    monkeypatch.setattr(quality, "subprocess", types.SimpleNamespace(run=train))
    return started


def test_runs_become_records_once(commands, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    for _ in range(2):
        quality.run("birds_64", ("long",), (0, 1), tmp_path / "runs", results)
    # Seed 0 uses the default folder, so that zoo.birds_256 finds it.
    assert [(command[2], command[3], command[-1]) for command in commands] == [
        ("--preset=long", "--seed=0", "birds_64_long"),
        ("--preset=long", "--seed=1", "birds_64_long_seed1"),
    ]
    kept = quality.read("birds_64", results)
    assert [record["seed"] for record in kept] == [0, 1]
    first = kept[0]
    assert first["command"] == "python -m zoo.birds_64 --preset=long --seed=0"
    assert first["scores"] == SCORES and first["protocol"]["sizes"] == [64]
    assert first["curve"] == [{"epoch": 2.0, "attribute_accuracy": 0.7}]
    assert (
        first["seconds"] == 90
        and first["peak_memory_mib"] == 1024
        and first["settings"] == {"epochs": 2}
    )
    assert (results / "birds_64_long.png").stat().st_size and not list(results.glob("*seed1*"))
    assert quality.summary(kept)["long"]["attribute_accuracy"] == (0.8, 0.0, 2)


def test_table_of_the_birds(commands, tmp_path, monkeypatch):
    read = quality.read
    monkeypatch.setattr(quality, "read", lambda name, results=tmp_path: read(name, results))
    assert quality_tables.birds() == quality_tables.NOT_RUN
    quality.run("birds_64", ("long",), (0,), tmp_path, tmp_path)
    assert (
        "| `long` | 1 | 2 | 80.0% | 25.0% | 99.0% | 50.0 | 10.0 | 2 | 1.0 GiB |"
        in quality_tables.birds()
    )


def test_an_unknown_recipe():
    with pytest.raises(
        ValueError, match="Unknown recipe birds. Expected one of mnist_gan, birds_64"
    ):
        quality.command(quality.Options(), ["birds"])


def test_broken_records_and_those_of_other_processes(tmp_path):
    path = tmp_path / "some.json"

    def make(seed):  # Another process finishes in the meantime.
        path.write_text(json.dumps([*records.read(path), {"seed": 7}, {"seed": seed, "score": 0}]))
        return {"score": seed / 2}

    records.complete(path, [{"seed": 2}], make)
    records.complete(path, [{"seed": 7}, {"seed": 2}], None)
    assert records.read(path) == [{"seed": 7}, {"seed": 2, "score": 1.0}]
    path.write_text("[1")
    with pytest.raises(ValueError, match=r"some.json is broken \(.*\); repair or delete it"):
        records.complete(path, [{"seed": 3}], make)
