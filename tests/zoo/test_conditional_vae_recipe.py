"""The recipe on few digits: a run, its files and scores, and invalid settings."""

import dataclasses

import numpy as np
import pytest

import zoo.conditional_vae
from kerasgan.io import checkpoints
from zoo import recipe

RECIPE = zoo.conditional_vae.RECIPE
TINY = {
    "epochs": 2,
    "batch_size": 32,
    "width": 2,
    "latent_dim": 2,
    "checkpoint_every": 1,
    "score_every": 1,
}


@pytest.fixture
def few(monkeypatch):
    """The recipe with 64 digits, scored by the brightness of twenty samples."""
    load = zoo.conditional_vae.load
    monkeypatch.setattr(zoo.conditional_vae, "load", lambda *a: tuple(x[:64] for x in load(*a)))
    score = lambda images, labels: {"label_accuracy": float(images.mean()), "protocol": {}}  # noqa: E731
    monkeypatch.setattr("kerasgan.metrics.protocols.digits.score_digits", score)
    score = lambda settings: lambda model, samples: RECIPE.score(settings)(model, 20)  # noqa: E731
    return dataclasses.replace(RECIPE, score=score)


def test_a_run_on_digits(few, tmp_path):
    scores = recipe.run(few, recipe.settings_of(RECIPE, **TINY), tmp_path / "run")
    assert np.isfinite([scores["test_elbo"], scores["label_accuracy"]]).all()
    assert scores["test_elbo"] == pytest.approx(
        scores["test_log_likelihood"] - scores["test_divergence"], rel=1e-3
    )
    folder = tmp_path / "run" / "checkpoints"
    files = {
        f"conditional_vae_digits_28_{letter}_epoch_{n}.h5"
        for letter in ("G", "E", "resume")
        for n in (1, 2)
    }
    assert {path.name for path in folder.iterdir()} == files | {"best.json"}
    assert checkpoints.best(folder)["metric"] == "test_elbo"
    model, _ = checkpoints.load_model(folder / "conditional_vae_digits_28_G_epoch_2.h5")
    assert model.sample(labels=[3, 1], seed=0).shape == (2, 28, 28, 1)
    grids = sorted((tmp_path / "run" / "grids").iterdir())
    assert len(grids) == 3 and "test_elbo" in (tmp_path / "run" / "log.csv").read_text()


def test_presets_and_invalid_settings():
    assert (
        recipe.settings_of(RECIPE).data == "digits"
        and recipe.settings_of(RECIPE, "mnist").data == "mnist"
    )
    with pytest.raises(ValueError, match="data must be digits or mnist; received 'faces'"):
        RECIPE.build(recipe.settings_of(RECIPE, data="faces"))
