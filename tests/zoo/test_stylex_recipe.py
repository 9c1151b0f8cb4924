"""StylEx' recipe on few images: digits, birds, a classifier from a file, settings, errors."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

import zoo.stylex
from kerasgan.io import checkpoints
from kerasgan.models.classifier import build_classifier
from kerasgan.models.stylex import AUTHORS, REPRODUCTION
from zoo import classifier, evaluate, recipe, scale

RECIPE = zoo.stylex.RECIPE
TINY = {
    "epochs": 1,
    "batch_size": 4,
    "capacity": 1,
    "max_channels": 4,
    "latent_dim": 4,
    "depth": 1,
    "score_every": 1,
    "checkpoint_every": 1,
}


@pytest.fixture
def few(monkeypatch):
    """The recipe with eight training and eight held-out images, and a classifier that assigns half
    of the images to the class of the first one.
    """
    load = zoo.stylex.classifier.load

    def first(*task):
        parts = load(*task)
        return *((x[:8], y[:8]) for x, y in parts[:2]), parts[2]

    def untrained(task):
        (images, _), _, names = first(*task)
        network = build_classifier(images.shape[1], images.shape[-1], len(names), 2, 4)
        logits = keras.ops.convert_to_numpy(network(images))
        network.layers[-1].bias.assign(-np.median(logits, axis=0))
        return network

    monkeypatch.setattr(zoo.stylex.classifier, "load", first)
    monkeypatch.setattr(zoo.stylex, "trained", untrained)


def test_a_run_on_digits(few, tmp_path, monkeypatch):
    settings = recipe.settings_of(
        RECIPE, "quick", **TINY | {"mixing": 0.0, "gradient_penalty_weight": 0.0}
    )
    pictures, labels = RECIPE.data(settings)[0]
    assert pictures.shape == (4, 32, 32, 1) and set(labels) <= {0, 1}
    scores = recipe.run(RECIPE, settings, tmp_path / "run")
    numbers = {name: value for name, value in scores.items() if name != "protocol"}
    assert {
        "heldout_pixel",
        "heldout_agreement",
        "heldout_kl",
        "heldout_perceptual",
        "w_frechet",
        "w_probe_auc",
        "classifier_accuracy",
    } < set(numbers) and np.isfinite(list(numbers.values())).all()
    assert json.loads((tmp_path / "run" / "scores.json").read_text()) == scores
    assert (tmp_path / "run" / "grids" / "epoch_0001.png").exists()
    names = {path.name for path in (tmp_path / "run" / "checkpoints").glob("*.h5")}
    assert names == {
        f"stylex_digits_8_9_32_{letter}_epoch_1.h5" for letter in ("G", "E", "D", "C", "resume")
    }
    model, info = checkpoints.load_sampling_model(
        tmp_path / "run" / "checkpoints" / "stylex_digits_8_9_32_G_epoch_1.h5"
    )
    heldout = zoo.stylex.loaded(settings)[1][0]
    assert np.abs(heldout - model.reconstruct(heldout)).mean() / 2 == pytest.approx(
        scores["heldout_pixel"], abs=1e-3
    )
    assert info["classes"] == "8,9"
    path = tmp_path / "run" / "checkpoints" / "stylex_digits_8_9_32_G_epoch_1.h5"
    assert evaluate.score(path)["heldout_pixel"] == pytest.approx(scores["heldout_pixel"], rel=1e-5)
    monkeypatch.setattr(evaluate.sample, "about", lambda path: {"epoch": 1})
    with pytest.raises(ValueError, match="evaluation classifiers exist only for"):
        evaluate.score(path)
    with pytest.raises(ValueError, match="is scored as in its run, with seed 1"):
        evaluate.score(path, seed=2)
    model.save_to_preset(tmp_path / "preset")
    shutil.copy(
        tmp_path / "run" / "settings.json", tmp_path / "preset"
    )  # zoo.preset copies it, too.
    assert evaluate.score(tmp_path / "preset")["heldout_pixel"] == pytest.approx(
        scores["heldout_pixel"], abs=0.01
    )


def test_birds_and_a_classifier_from_a_file(few, tmp_path):
    birds = {"data": "synthetic_birds", "classes": "size", "size": 16, "num_images": 16}
    with pytest.raises(ValueError, match="there must be at least 4 held-out images; received 2"):
        RECIPE.build(recipe.settings_of(RECIPE, "birds_64", **TINY | birds | {"num_images": 8}))
    own = recipe.settings_of(RECIPE, "birds_64", **TINY | birds)
    model = RECIPE.build(own)
    assert model.image_shape == (16, 16, 3) and RECIPE.sample_grid(own)(model).shape == (
        6 * 16,
        12 * 16,
        3,
    )
    assert (RECIPE.dataset(own), RECIPE.size(own)) == ("synthetic_birds_size", 16)
    path = tmp_path / "C.h5"
    checkpoints.save_network(path, model.classifier, epoch=1, letter="C")
    again = RECIPE.build(
        recipe.settings_of(RECIPE, "birds_64", **TINY | birds, classifier=str(path))
    )
    for one, other in zip(
        model.classifier.get_weights(), again.classifier.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(
        ValueError, match="classifier must distinguish 3 classes \\(7,8,9\\); it has 2"
    ):
        network = build_classifier(32, 1, 2, 1, 2)
        checkpoints.save_network(path, network, epoch=1, letter="C")
        RECIPE.build(
            recipe.settings_of(RECIPE, "quick", **TINY, classes="7,8,9", classifier=str(path))
        )


def test_forms_and_presets():
    fields = {field.name for field in dataclasses.fields(zoo.stylex.Settings)}
    settings = {preset: recipe.settings_of(RECIPE, preset) for preset in RECIPE.presets}
    for preset, form in (("reproduction", REPRODUCTION), ("authors", AUTHORS)):
        given = {name: getattr(settings[preset], name) for name in form if name in fields}
        assert {name: value or None for name, value in given.items()} == {
            name: form[name] or None for name in given
        }
    assert set(REPRODUCTION) - fields == {
        "generator_loss",
        "discriminator_loss",
        "gradient_penalty",
    }
    assert (
        list(settings)[0] == "quick"
        and RECIPE.dataset(settings["digits_8_rest"]) == "digits_8_rest"
    )
    assert (RECIPE.dataset(settings["plants"]), settings["plants"].size) == ("plants", 64)


def test_the_shipped_presets_networks_fit_10_megabytes(few, tmp_path):
    model = RECIPE.build(recipe.settings_of(RECIPE, "digits_8_9", batch_size=4))
    model.save_to_preset(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.glob("[GEC].h5")) < 9.9e6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "mine"}, "form must be reproduction or authors; received 'mine'"),
        ({"rec_in_discriminator_phase": "on"}, "rec_in_discriminator_phase must be '', accumulate"),
        ({"alternation": "batch"}, "alternation must be none, step or micro"),
        ({"size": 64}, r"size must be 32 for digits \(28 and a margin\); received 64"),
        ({"data": "ffhq"}, "path must be a folder of class sub-folders; received ffhq"),
    ],
)
def test_invalid_settings_leave_no_folder(few, changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        recipe.run(RECIPE, recipe.settings_of(RECIPE, "quick", **TINY | changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_classifier_must_have_the_size_of_the_images(tmp_path):
    network = classifier.build(
        classifier.Settings(size=16), scale.DataShape((16, 16, 3), 2, num_batches=1)
    )
    path = tmp_path / "classifier_folder_16_C_epoch_1.h5"
    checkpoints.save_network(path, network, epoch=1, letter="C")
    settings = recipe.settings_of(zoo.stylex.RECIPE, size=32, classifier=str(path))
    with pytest.raises(ValueError, match="--size must be that of the images of .*16; received 32"):
        zoo.stylex.build(settings, scale.DataShape((32, 32, 3), 2, num_batches=1))
