"""`zoo.image_folder`: settings chosen by the data, and runs on flat and on class folders."""

import json

import numpy as np
import pytest

from kerasgan.images import save_png
from zoo import image_folder, recipe

RECIPE = image_folder.RECIPE


def write_images(folder, count, classes=("",)):
    random = np.random.default_rng(0)
    for index in range(count):
        path = folder / classes[index % len(classes)] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, random.integers(0, 256, (9, 8, 3), "uint8"))
    return str(folder)


@pytest.mark.parametrize(("count", "batch"), [(2, 2), (10, 4), (60, 16), (300, 64)])
def test_settings_are_chosen_by_the_number_of_images(tmp_path, count, batch, monkeypatch, capsys):
    (tmp_path / "images").mkdir()
    monkeypatch.setattr("kerasgan.datasets.folder.count_folder", lambda path: count)
    settings = recipe.settings_of(RECIPE, data=str(tmp_path / "images"))
    steps = count * settings.repeats // batch
    assert settings.batch_size == batch and 100 <= steps <= 200
    assert 1_500 <= settings.epochs * steps <= 2_500
    assert (settings.width, settings.r1_weight) == (32, 5.0)
    assert f"chosen for {count} images: epochs" in capsys.readouterr().err
    assert image_folder.chosen(settings) == settings


def test_given_settings_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("kerasgan.datasets.folder.count_folder", lambda path: 5_000)
    settings = recipe.settings_of(RECIPE, data=str(tmp_path), epochs=7, width=5, batch_size=32)
    assert (settings.epochs, settings.width, settings.batch_size) == (7, 5, 32)


@pytest.mark.parametrize(("given", "weight"), [({}, 5.0), ({"r1_weight": 0.0}, 0.0)])
def test_a_weight_of_0_disables_the_gradient_penalty(tmp_path, given, weight):
    data = write_images(tmp_path / "images", 4)
    settings = recipe.settings_of(RECIPE, data=data, size=8, width=2, **given)
    assert settings.r1_weight == weight
    gan = RECIPE.build(settings, shape=RECIPE.shape(settings))
    assert gan.gradient_penalty_weight == weight


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "--data must be a folder of images; received none"),
        ({"data": "nowhere"}, "--data must be a folder of images; nowhere does not exist"),
    ],
)
def test_a_missing_folder(changes, message):
    with pytest.raises(ValueError, match=message):
        recipe.settings_of(RECIPE, **changes)


@pytest.mark.parametrize("classes", [("",), ("cats", "dogs")])
def test_a_run(tmp_path, classes):
    data = write_images(tmp_path / "images", 8, classes)
    small = {"size": 8, "width": 2, "latent_dim": 4, "epochs": 2, "repeats": 1, "batch_size": 4}
    settings = recipe.settings_of(RECIPE, data=data, **small)
    assert recipe.run(RECIPE, settings, tmp_path / "run") == {}
    for name in ("index.html", "settings.json", "grids/epoch_0002.png"):
        assert (tmp_path / "run" / name).is_file()
    assert list((tmp_path / "run" / "checkpoints").glob("image_folder_folder_8_G_epoch_2.h5"))
    saved = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert saved["batch_size"] == 4 and saved["recipe"] == "zoo.image_folder"
    named = [name for name in classes if name]
    assert saved["class_names"] == named
    page = (tmp_path / "run" / "index.html").read_text()
    assert ("--labels=0,1" in page) == bool(named)
    assert all(f"<th>{label}</th><td>{name}</td>" in page for label, name in enumerate(named))


def test_a_dry_run_reads_no_image(tmp_path, capsys):
    data = write_images(tmp_path / "images", 4, ("a", "b"))
    recipe.dry_run(RECIPE, recipe.settings_of(RECIPE, data=data, size=8))
    assert "generator " in capsys.readouterr().out
