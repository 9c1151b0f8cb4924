"""Record, images and table of an explanation."""

import json
import pathlib
import types

import keras
import numpy as np
import pytest
from PIL import Image

from benchmarks.reproduction import attributes, quality_tables
from kerasgan.models.stylegan2 import Generator, build_discriminator
from kerasgan.models.stylex import StylEx, build_encoder
from zoo import explain, sample

TINY = {"capacity": 1, "max_channels": 4}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (40, 8, 8, 1)).astype("float32")


def explained():
    """A random StylEx whose classifier compares brightness with the median reconstruction."""
    keras.utils.set_random_seed(0)
    light = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    networks = (
        Generator(8, 1, latent_dim=3, depth=1, conditions=2, **TINY),
        build_encoder(8, 1, latent_dim=3, **TINY),
        build_discriminator(8, 1, conditions=2, **TINY),
    )
    model = StylEx(light, *networks, perceptual_weight=0.0, ema_decay=None)
    usual = float(np.median(model.reconstruct(IMAGES).mean(axis=(1, 2, 3))))
    light.layers[-1].set_weights(
        [np.array([[4.0, -4.0]], "float32"), usual * np.array([-4.0, 4.0], "float32")]
    )
    return model


@pytest.mark.nightly
def test_numbers_and_images_are_recorded(monkeypatch, tmp_path):
    model, commands = explained(), []

    def explain_it(command, check):
        commands.append(command[1:])
        strategies = command[-2].removeprefix("--strategies=").split(",")
        folder = command[-1].removeprefix("--out=")
        explain.run(
            model,
            IMAGES,
            IMAGES,
            folder,
            k=3,
            names=["light", "dark"],
            count=12,
            strategies=strategies,
        )

    monkeypatch.setattr(attributes, "subprocess", types.SimpleNamespace(run=explain_it))
    monkeypatch.setattr(explain, "load", lambda *of: (IMAGES, IMAGES, ["light", "dark"]))
    monkeypatch.setattr(sample, "load", lambda name: model)
    monkeypatch.setattr(sample, "about", lambda name: {})
    attributes.run("a_preset", tmp_path / "page", tmp_path)
    assert commands[0][:3] == ["-m", "zoo.explain", "--checkpoint=a_preset"]
    record = json.loads((tmp_path / "attributes.json").read_text())
    assert (
        record["command"] == "python " + " ".join(commands[0][:-1]) and "cpu" in record["machine"]
    )
    assert [row["strategy"] for row in record["sufficiency"]] == ["shared", "independent", "subset"]
    found = len(record["attributes"])
    assert 1 <= found <= 3
    shown = min(found, attributes.FIRST)
    with (
        Image.open(tmp_path / "attributes.png") as first,
        Image.open(tmp_path / "attributes_flips.png") as flips,
    ):
        assert first.size == (8 * (7 * shown + shown - 1), 8 * attributes.SHOWN)
        assert flips.height == 8 * attributes.SHOWN and flips.width > 8 * 2

    runs = [
        {
            "preset": "tiny",
            "seconds": 60,
            "peak_memory_mib": 1024,
            "settings": {"epochs": 3},
            "scores": {
                "classifier_accuracy": 0.9,
                "heldout_agreement": 0.985,
                "heldout_pixel": 0.03,
                "sample_agreement": 0.9,
                "sample_diversity": 0.8,
            },
            "machine": record["machine"],
            "versions": {"keras": "3", "backend": "tensorflow"},
        }
    ]
    monkeypatch.setattr(quality_tables.quality, "read", lambda name: runs)
    monkeypatch.setattr(attributes, "RECORD", pathlib.Path(tmp_path / "attributes.json"))
    table = quality_tables.stylex()
    assert "| `tiny` | 1 | 3 | 90.0% | 98.5% | 0.030 | 90.0% | 80% | 1 | 1.0 GiB |" in table
    assert f"| same attributes for all images | {record['sufficiency'][0]['all'][0]:.0%} |" in table
