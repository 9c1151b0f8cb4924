"""Presets on data of another size: the batch and the passes in an epoch, and `~` in every flag."""

import numpy as np
import pytest
from absl import flags

from kerasgan.datasets.batches import Batches
from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages
from kerasgan.images import save_png
from zoo import coopnet, mnist_gan, recipe, stylegan2, text_gan
from zoo.scale import count_images


@pytest.fixture
def folder(tmp_path):
    for index in range(60):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        save_png(path, np.full((4, 4, 3), index, "uint8"))
    return tmp_path


@pytest.mark.parametrize("used", [mnist_gan.RECIPE, coopnet.RECIPE, stylegan2.RECIPE])
def test_few_images_get_a_batch_they_fill_and_the_presets_number_of_steps(used, folder, capsys):
    preset = recipe.settings_of(used)
    settings = recipe.settings_of(used, data=str(folder))
    steps, usual = used.data(settings).num_batches, count_images(preset) // preset.batch_size
    assert settings.batch_size <= 30 and settings.epochs == preset.epochs
    assert usual <= steps <= usual + 60 // settings.batch_size
    told = capsys.readouterr().err
    assert (
        f"chosen for 60 images: batch_size {settings.batch_size}, repeats {settings.repeats} ({steps}"
        in told
    )
    assert recipe.settings_of(used, data=str(folder)) == settings  # a resume chooses the same


def test_what_is_given_stays(folder, capsys):
    settings = recipe.settings_of(mnist_gan.RECIPE, data=str(folder), batch_size=64, epochs=20)
    with pytest.raises(ValueError, match="batch_size must be at most the 60 images; received 64"):
        mnist_gan.data(settings)
    settings = recipe.settings_of(mnist_gan.RECIPE, data=str(folder), batch_size=32, epochs=20)
    assert (settings.batch_size, settings.epochs, settings.repeats) == (32, 20, 0)
    assert "20 epochs of 60 images are 20 steps; the preset makes 1,860" in capsys.readouterr().err


def test_the_presets_own_data_and_large_folders_change_nothing(capsys, monkeypatch):
    assert recipe.settings_of(mnist_gan.RECIPE).repeats == 0
    monkeypatch.setattr("zoo.scale.count_folder", lambda path: 4_000)
    assert recipe.settings_of(mnist_gan.RECIPE, data="of others").repeats == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_images_for_any_batch_are_one_line(count, tmp_path):
    (tmp_path / "a").mkdir()
    for index in range(count):
        save_png(tmp_path / "a" / f"{index}.png", np.zeros((4, 4, 3), "uint8"))
    settings = recipe.settings_of(mnist_gan.RECIPE, data=str(tmp_path))
    with pytest.raises(ValueError, match=f"at most the {count} images"):
        mnist_gan.data(settings)


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
def test_an_epoch_of_several_passes_is_several_epochs_of_one(make):
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


def test_text_recipes_know_how_many_images_are_prepared(tmp_path):
    changes = {"data": "mine", "data_dir": str(tmp_path)}
    assert count_images(text_gan.Settings(**changes)) is None  # the loader says what is missing
    folder = tmp_path / "kerasgan_mine" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(
        '{"splits": [{"name": "train", "shardLengths": ["25", "35"]}]}'
    )
    assert count_images(text_gan.Settings(**changes)) == 60


def test_a_tilde_is_the_home_folder_in_every_flag(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = flags.FlagValues()
    flags.DEFINE_string("folder", None, "", flag_values=values)
    flags.DEFINE_string("caption", None, "", flag_values=values)
    flags.DEFINE_list("files", None, "", flag_values=values)
    flags.DEFINE_string("out", "~/out.png", "", flag_values=values)
    values(["program", "--folder=~/run", "--caption=a ~ b", "--files=~/a,b~/c"])
    recipe.expand_home(values)
    assert (values.folder, values.out, values.caption) == (
        f"{tmp_path}/run",
        f"{tmp_path}/out.png",
        "a ~ b",
    )
    assert values.files == [f"{tmp_path}/a", "b~/c"]
