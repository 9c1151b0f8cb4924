"""The recipe on few images: digits with classes, synthetic birds, a folder, invalid settings."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import zoo.stylegan2
from kerasgan.io import checkpoints
from kerasgan.losses.penalties import r1_penalty, unit_gradient_penalty
from zoo import recipe

RECIPE = zoo.stylegan2.RECIPE
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
def digits(monkeypatch):
    """The recipe with eight digits, scored by the brightness of samples."""
    load = zoo.stylegan2.load

    def few(*arguments):
        images, labels, classes = load(*arguments)
        return images[:8], labels[:8], classes

    monkeypatch.setattr(zoo.stylegan2, "load", few)
    scored = []

    def score(images, labels):
        scored.append((images.shape, labels.tolist()))
        return {"digit_frechet_distance": float(images.mean()) + 1, "protocol": "brightness"}

    monkeypatch.setattr("kerasgan.metrics.protocols.digits.score_digits", score)
    scorer = lambda settings: lambda model, samples: zoo.stylegan2.score(settings)(model, 20)  # noqa: E731
    return dataclasses.replace(RECIPE, score=scorer), scored


def test_a_run_on_digits(digits, tmp_path):
    digits, scored = digits
    settings = recipe.settings_of(digits, "quick", **TINY)
    pictures, labels = digits.data(settings)[0]
    assert (
        pictures.shape == (4, 32, 32, 1) and (pictures[:, :2] == -1).all() and pictures.max() > 0.5
    )
    scores = recipe.run(digits, settings, tmp_path / "run")
    assert np.isfinite(scores["digit_frechet_distance"]) and set(scored[0][1]) == set(range(10))
    assert scored[0][0] == (20, 28, 28, 1)
    names = {path.name for path in (tmp_path / "run" / "checkpoints").glob("*.h5")}
    assert names == {f"stylegan2_digits_32_{letter}_epoch_1.h5" for letter in ("G", "D", "resume")}
    model, _ = checkpoints.load_model(
        tmp_path / "run" / "checkpoints" / "stylegan2_digits_32_G_epoch_1.h5"
    )
    assert model.sample(labels=[3, 1], seed=0, truncation=0.7).shape == (2, 32, 32, 1)


def test_synthetic_birds_and_a_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.new("RGB", (20, 18), (90 * index, 100, 0)).save(tmp_path / name / f"{index}.png")
    folder = {"data": str(tmp_path), "size": 16, "conditional": True}
    for changes, shape, classes in (
        ({"data": "synthetic_birds", "num_images": 4, "size": 16}, (16, 16, 3), 1),
        (folder, (16, 16, 3), 2),
    ):
        settings = recipe.settings_of(RECIPE, "paper", **TINY | changes)
        model = RECIPE.build(settings)
        assert model.image_shape == shape and model.classes == classes
        assert RECIPE.data(settings)[0][0].shape == (4, *shape) and RECIPE.score(settings) is None
        assert RECIPE.sample_grid(settings)(model).shape == (
            160,
            16 * (10 if classes == 1 else 2),
            3,
        )


def test_forms():
    paper, other = (
        RECIPE.build(recipe.settings_of(RECIPE, preset, **TINY, gamma=4.0))
        for preset in ("paper", "reproduction")
    )
    assert (paper.gradient_penalty, other.gradient_penalty) == (r1_penalty, unit_gradient_penalty)
    assert (paper.gradient_penalty_weight, paper.path_every) == (4.0, 4)
    assert (other.gradient_penalty_weight, other.path_start) == (2.5, 5000)
    rates = [float(other.optimizer[player].learning_rate) for player in other.players]
    assert rates == pytest.approx([2e-4, 3e-4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "mine"}, "form must be paper or reproduction; received 'mine'"),
        ({"size": 64}, r"size must be 32 for digits \(28 and a margin\); received 64"),
        (
            {"data": "synthetic_birds", "num_images": 4, "size": 16, "conditional": True},
            "conditional needs images of at least two",
        ),
        (
            {"data": "synthetic_birds", "num_images": 4, "size": 24},
            "size must be a power of two and at least 8; received 24",
        ),
    ],
)
def test_invalid_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        RECIPE.build(recipe.settings_of(RECIPE, "paper", **TINY | changes))
