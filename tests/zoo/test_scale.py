"""Presets on data of another size: batch size and passes per epoch; `~` in every flag."""

import dataclasses

import numpy as np
import pytest

from kerasgan.datasets.batches import Batches
from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages
from kerasgan.images import save_png
from zoo import classifier, cli, coopnet, mnist_gan, recipe, sample, stylegan2, text_gan
from zoo.scale import count_images


@pytest.fixture
def folder(tmp_path):
    for index in range(60):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        save_png(path, np.full((4, 4, 3), index, "uint8"))
    return tmp_path


@pytest.mark.parametrize("used", [mnist_gan.RECIPE, coopnet.RECIPE, stylegan2.RECIPE])
def test_few_images_get_a_smaller_batch_and_the_number_of_steps_of_the_preset(used, folder, capsys):
    preset = recipe.settings_of(used)
    settings = recipe.settings_of(used, data=str(folder))
    steps, usual = used.data(settings).num_batches, count_images(preset) // preset.batch_size
    assert settings.batch_size <= 30 and settings.epochs == preset.epochs
    assert usual <= steps <= usual + 60 // settings.batch_size
    output = capsys.readouterr().err
    assert (
        f"chosen for 60 images: batch_size {settings.batch_size}, repeats {settings.repeats} "
        f"({steps}" in output
    )
    assert recipe.settings_of(used, data=str(folder)) == settings  # A resumed run chooses the same.


def test_given_settings_are_not_changed(folder, capsys):
    settings = recipe.settings_of(mnist_gan.RECIPE, data=str(folder), batch_size=64, epochs=20)
    with pytest.raises(ValueError, match="60 images"):
        mnist_gan.data(settings)
    settings = recipe.settings_of(mnist_gan.RECIPE, data=str(folder), batch_size=32, epochs=20)
    assert (settings.batch_size, settings.epochs, settings.repeats) == (32, 20, 0)
    assert "20 epochs of 60 images are 20 steps; the preset makes 1,860" in capsys.readouterr().err


def test_the_data_of_the_preset_and_large_folders_change_nothing(capsys, monkeypatch):
    assert recipe.settings_of(mnist_gan.RECIPE).repeats == 0
    monkeypatch.setattr("kerasgan.datasets.folder.count_folder", lambda path: 4_000)
    assert recipe.settings_of(mnist_gan.RECIPE, data="of others").repeats == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_folder_of_very_few_images(count, tmp_path):
    (tmp_path / "a").mkdir()
    for index in range(count):
        save_png(tmp_path / "a" / f"{index}.png", np.zeros((4, 4, 3), "uint8"))
    if count == 1:
        with pytest.raises(ValueError, match="training needs at least 2 images; .* has 1"):
            recipe.settings_of(mnist_gan.RECIPE, data=str(tmp_path))
    else:
        settings = recipe.settings_of(mnist_gan.RECIPE, data=str(tmp_path))
        assert settings.batch_size == 2 and mnist_gan.data(settings).num_batches >= 1


def test_the_classifier_counts_training_images_only(folder, capsys):
    settings = classifier.fitted(data=str(folder), size=8)
    usual = 4_000 * 2 // 10 // 64  # Digits of two classes in batches of 64.
    assert settings.batch_size == 16 and settings.repeats * (48 // 16) >= usual
    assert "chosen for 48 images" in capsys.readouterr().err


def captioned(repeats):
    images = np.arange(6, dtype="uint8")[:, None, None, None] * np.ones((1, 4, 4, 3), "uint8")
    data = CaptionedImages(
        images, np.arange(6, dtype="int32"), [["a"]] * 6, [*"abcdef"], np.ones([6, 1, 2], "float32")
    )
    return CaptionedBatches(data, 2, size=4, captions=1, flip=False, repeats=repeats)


def labelled(repeats):
    return Batches(
        np.arange(6, dtype="float32")[:, None, None, None] / 6, np.arange(6), 2, repeats=repeats
    )


@pytest.mark.parametrize("make", [labelled, captioned])
def test_an_epoch_of_several_passes_equals_several_epochs_of_one_pass(make):
    once, thrice = make(1), make(3)
    assert (len(once), len(thrice)) == (3, 9)
    for epoch in range(2):
        thrice.set_epoch(epoch)
        for index in range(9):
            once.set_epoch(3 * epoch + index // 3)
            for one, other in zip(once[index % 3], thrice[index], strict=True):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="repeats must be at least 1; received 0"):
        make(0)


def test_text_recipes_count_the_prepared_images(tmp_path):
    changes = {"data": "mine", "data_dir": str(tmp_path)}
    assert count_images(text_gan.Settings(**changes)) is None  # The loader reports missing data.
    folder = tmp_path / "kerasgan_mine" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(
        '{"splits": [{"name": "train", "shardLengths": ["25", "35"]}]}'
    )
    assert count_images(text_gan.Settings(**changes)) == 60


def test_a_tilde_is_the_home_folder_in_every_flag(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values, _ = cli.parse(
        dataclasses.fields(sample.Options),
        ["--checkpoint=~/run", "--out", "~/out.png", "--caption=a ~ b", "--labels=~/a,b~/c"],
    )
    assert values == {
        "checkpoint": f"{tmp_path}/run",
        "out": f"{tmp_path}/out.png",
        "caption": ("a ~ b",),
        "labels": (f"{tmp_path}/a", "b~/c"),
    }
