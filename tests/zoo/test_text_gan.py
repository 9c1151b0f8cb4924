"""The text-conditioned recipes on two dozen small birds, and samples of their runs."""

import csv
import dataclasses
import importlib
import json
import types

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import zoo.birds_64
import zoo.birds_256
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.io import checkpoints
from zoo import recipe, robust_image_encoder, text_gan

SMALL = {
    "epochs": 2,
    "batch_size": 8,
    "width": 2,
    "num_images": 24,
    "grid_every": 1,
    "score_every": 1,
}
SMALL["damsm_weight"] = 0.0  # No image encoder was trained with `letters`.
DIM = 4


def letters(captions):
    """Text encoder that counts four letters."""
    return np.array(
        [[caption.count(letter) for letter in "aeio"] for caption in captions], "float32"
    )


@pytest.fixture
def birds(monkeypatch):
    """The recipe with two dozen birds, embedded by `letters` and scored by the brightness of
    samples."""
    monkeypatch.setattr(
        text_gan.synthetic,
        "synthetic_birds",
        lambda split, count, size: synthetic_birds(split, min(count, 24), 0, size),
    )
    monkeypatch.setattr(text_gan, "encoder", lambda name: letters)
    text_gan.load.cache_clear()

    def score(model, samples):
        light = model.sample(embeddings=letters(["a bird"] * 3), seed=0).mean()
        return {"attribute_accuracy": float(light), "protocol": "light"}

    # The shipped model uses other embeddings than `letters`.
    yield dataclasses.replace(zoo.birds_64.RECIPE, score=lambda settings: score, shipped="")
    text_gan.load.cache_clear()


@pytest.fixture
def run(birds, tmp_path):
    folder = tmp_path / "run"
    recipe.run(birds, recipe.settings_of(birds, "quick", **SMALL), folder, "python -m zoo.birds_64")
    return folder


@pytest.fixture
def call(tool):
    """Function that runs `python -m zoo.sample` in this process."""
    return lambda **values: tool("sample", **values)


def test_a_run_and_its_samples(run, call, tmp_path, capsys):
    with (run / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"] and all(
        row["attribute_accuracy"] for row in rows
    )
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert {f"birds_64_synthetic_birds_64_{x}_epoch_2.h5" for x in ("G", "D64", "resume")} <= names
    with Image.open(run / "grids" / "epoch_0002.png") as picture:
        assert picture.size == (2 * (200 + 64 + 6), 4 * 106)  # Eight captions of up to five lines.
    assert "zoo.birds_64" in (run / "index.html").read_text()
    assert json.loads((run / "settings.json").read_text())["text_encoder"] == "synthetic_birds_text"
    capsys.readouterr()

    file = run / "checkpoints" / "birds_64_synthetic_birds_64_G_epoch_2.h5"
    assert checkpoints.read_info(file)["text_encoder"] == "synthetic_birds_text"
    captions = ["a small red bird", "a blue bird"]
    out = tmp_path / "a.png"
    call(checkpoint=file, text_encoder="letters", caption=captions, n=3, out=out)
    assert "6 images in" in capsys.readouterr().out
    call(checkpoint=file, data="synthetic_birds", n=2, out=tmp_path / "a.h5", num_images=24)
    with h5py.File(tmp_path / "a.h5") as written:
        assert (
            written["output_64"].shape == (48, 64, 64, 3) and written["output_64"].dtype == np.uint8
        )
        assert written["saveIDs"][:4].tolist() == [0, 0, 1, 1]
        assert written["classIDs"][:4].tolist() == [150, 150, 151, 151]
        assert written["embedding"].shape == (48, DIM)
        captions = [text.decode() for text in written["captions"][:3]]
        assert captions[0] == captions[1] != captions[2]
        first = written["output_64"][0]
    # Every image has its own latents, which do not depend on the blocks of the computation.
    call(checkpoint=file, data="synthetic_birds", n=2, out=tmp_path / "b.h5", num_images=24)
    with h5py.File(tmp_path / "b.h5") as again:
        np.testing.assert_array_equal(again["output_64"][0], first)
        assert not np.array_equal(again["output_64"][1], first)

    for values, message in [
        ({"labels": ["3"]}, "takes captions, not labels"),
        ({}, "give --caption=... (once or more) or --data=..., one of them"),
        (
            {"caption": ["a bird"], "n": 65, "text_encoder": "letters"},
            "a grid may have at most 64 images",
        ),
    ]:
        with pytest.raises(SystemExit):
            call(**{"checkpoint": file, "out": tmp_path / "c.png"} | values)
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("c.png*"))


def test_settings_reach_the_model(birds):
    of = recipe.settings_of
    gan = text_gan.build(
        of(birds, "quick", **SMALL, image_loss="none", critic_epochs=-1, average=0.9, redraw=True)
    )
    assert gan.regenerate_fakes and gan.critic_steps.epochs is None and gan.ema_decay == 0.9
    assert len(gan.discriminators[64].outputs) == 1
    both = text_gan.build(
        of(birds, "quick", **SMALL | {"sizes": "64"}, image_loss="both", divergence_weight=2.0)
    )
    assert both.sizes == (64,) and both.divergence_weight == 2.0 and both.critic_steps is None
    settings = of(
        birds, "quick", **SMALL, discriminator_width=3, norm="none", loss="logistic", beta_1=0.0
    )
    gan = text_gan.build(dataclasses.replace(settings, sizes="64"))
    assert gan.loss_kind == "logistic" and gan.optimizer["discriminator"].beta_1 == 0
    assert [x.shape[-1] for x in gan.discriminators[64].trainable_variables][
        0
    ] == 3  # A quarter of the 12 channels of the code.
    rate = both.optimizer["generator"].learning_rate
    assert float(rate) == pytest.approx(5e-4)
    paper = of(zoo.birds_256.RECIPE, "paper")
    assert (paper.data, paper.width, paper.batch_size, paper.sizes) == (
        "birds",
        128,
        10,
        "64,128,256",
    )
    noted = of(zoo.birds_256.RECIPE, "noted")
    assert (noted.batch_size, noted.regenerate_fakes, noted.critic_epochs) == (16, True, 100)
    for sizes in ("64,96", "", "sixty"):
        with pytest.raises(ValueError, match="sizes must be such as 64,128,256; received"):
            text_gan.sizes_of(of(birds, "quick", sizes=sizes))


def test_small_images_show_complete_birds(birds):
    settings = recipe.settings_of(birds, "quick", num_images=24)
    assert text_gan.loaded(settings).images[0].shape == (
        76,
        76,
        3,
    )  # Like 304 for 256: the bird stays inside random crops.


def test_a_run_starts_from_one_of_smaller_sizes(run, tmp_path):
    large = recipe.settings_of(
        zoo.birds_256.RECIPE, "quick", **SMALL, sizes="64,128", start=str(run)
    )
    started = text_gan.build(large)
    small = checkpoints.load_model(checkpoints.latest(run / "checkpoints"))[0]
    latents = small.random_latents(1, 0)
    pictures = [
        model.sample(embeddings=letters(["a bird"]), latents=latents, sizes="all")[64]
        for model in (small, started)
    ]
    np.testing.assert_allclose(*pictures, atol=1e-4)
    with pytest.raises(
        ValueError, match=f"start must be the folder of a run with checkpoints; received {tmp_path}"
    ):
        text_gan.build(dataclasses.replace(large, start=str(tmp_path)))


def test_damsm_uses_the_image_encoder_of_the_text_encoder(birds, monkeypatch):
    requested = []
    network = keras.Sequential(
        [keras.Input((64, 64, 3)), keras.layers.Flatten(), keras.layers.Dense(DIM)]
    )
    stub = types.SimpleNamespace(network=network)
    monkeypatch.setattr(text_gan, "image_encoder", lambda name: requested.append(name) or stub)
    small = recipe.settings_of(birds, "quick", **SMALL | {"damsm_weight": 0.5})
    model = birds.build(small)
    assert (
        model.damsm_encoder is network
        and model.damsm_weight == 0.5
        and requested == [small.text_encoder]
    )
    with pytest.raises(ValueError, match="damsm_weight needs a text_encoder, .*; received none"):
        birds.build(dataclasses.replace(small, text_encoder=""))


def test_damsm_uses_the_given_robust_image_encoder(birds, monkeypatch):
    network = keras.Sequential(
        [keras.Input((64, 64, 3)), keras.layers.Flatten(), keras.layers.Dense(DIM)]
    )
    monkeypatch.setattr(robust_image_encoder, "network", {"mine": network}.__getitem__)
    small = recipe.settings_of(
        birds, "quick", **SMALL | {"damsm_weight": 0.5, "damsm_encoder": "mine", "damsm_queue": 7}
    )
    model = birds.build(small)
    assert model.damsm_encoder is network and model.damsm_queue == 7
    named = [
        text_gan.damsm_encoder_of(vars(small)),
        text_gan.damsm_encoder_of({"damsm_weight": 1.0}),
        text_gan.damsm_encoder_of({"damsm_encoder": "mine"}),
    ]
    assert named == ["mine", "", None]


@pytest.mark.parametrize(
    "name", ["birds_64", "birds_128", "birds_256", "flowers_256", "coco_64", "coco_128"]
)
def test_no_preset_needs_a_missing_image_encoder(name):
    kind = importlib.import_module(f"zoo.{name}").RECIPE
    for preset in kind.presets:
        settings = recipe.settings_of(kind, preset)
        assert settings.text_encoder or not settings.damsm_weight, preset
