"""Command lines: invalid input gives one clear line and a non-zero exit code, valid input a
file."""

import json
import os
import pathlib
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.encoders import char_cnn_rnn
from kerasgan.io import checkpoints
from kerasgan.metrics.protocols import birds
from kerasgan.models import hdgan, mnist_gan, projected_text_gan
from zoo import evaluate

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shell(*arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zoo.mnist_gan", "--nope=1"], "error: unknown flag --nope"),
        (["zoo.mnist_gan", "--preset=nope"], "error: preset must be one of "),
        (["zoo.sample", "--checkpoint=missing.h5"], "missing.h5"),
    ],
)
def test_bad_arguments_end_with_a_line_and_a_code(arguments, message):
    done = shell(*arguments)
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    gan = mnist_gan.MnistGAN(mnist_gan.build_generator(latent_dim=4, width=2), seed=0)
    path = folder / checkpoints.file_name("mnist_gan", "digits", 28, "G", 3)
    checkpoints.save_network(path, gan.generator, model=gan, epoch=3)
    return path


@pytest.fixture
def call(tool):
    """`python -m zoo.sample` in this process."""
    return lambda **values: tool("sample", **values)


def test_sample_writes_a_grid_or_numbers(call, checkpoint, tmp_path):
    call(
        checkpoint=checkpoint,
        labels=["0", "1", "2", "3"],
        columns=2,
        out=tmp_path / "a.png",
        seed=4,
    )
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] >= 2 * 28 and picture.size[1] >= 2 * 28
    call(checkpoint=checkpoint, n=12, out=tmp_path / "a.h5", seed=4)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["images"].shape == (12, 28, 28, 1) and file["images"].dtype == np.uint8
        assert file["labels"][:].tolist() == [*range(10), 0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "a.png"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"checkpoint": None}, "--checkpoint must name a file or a preset"),
        ({"checkpoint": "nope"}, "a preset must be one of"),
        ({"labels": ["3", "11"]}, r"labels must be in 0..9; received labels from 3 to 11"),
        ({"labels": ["three"]}, "labels must be integers"),
        ({"out": "a.jpg"}, "--out must end in .png"),
        ({"out": "no/such/folder/a.png"}, "--out must be in a folder that exists"),
    ],
)
def test_bad_samples_are_one_line(call, checkpoint, tmp_path, capsys, values, message):
    with pytest.raises(SystemExit) as stopped:
        call(**{"checkpoint": checkpoint, "out": tmp_path / "a.png"} | values)
    line = capsys.readouterr().err
    assert stopped.value.code == 1 and line.startswith("error: ") and line.count("\n") == 1
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_truncated_and_other_files_are_named(call, checkpoint, tmp_path, capsys):
    cut, text = tmp_path / checkpoint.name, tmp_path / "text.h5"
    cut.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    text.write_text("not HDF5")
    for path in (cut, text):
        with pytest.raises(SystemExit) as stopped:
            call(checkpoint=path, out=tmp_path / "a.png")
        line = capsys.readouterr().err
        assert (
            stopped.value.code == 1
            and line.startswith("error: ")
            and line.count("\n") == 1
            and path.name in line
        )
    assert not (tmp_path / "a.png").exists()


def test_evaluate_writes_the_scores_of_the_digit_classifier(checkpoint, tmp_path):
    out = tmp_path / "scores.json"
    done = shell("zoo.evaluate", f"--checkpoint={checkpoint}", "--samples=1000", f"--out={out}")
    assert done.returncode == 0, done.stderr
    scores = json.loads(out.read_text())
    assert {"label_accuracy", "digit_frechet_distance", "protocol", "versions"} <= set(scores)
    assert scores["checkpoint"] == str(checkpoint) and "label_accuracy" in done.stdout


def text_checkpoint(folder, **info):
    keras.utils.set_random_seed(0)
    discriminators = {64: hdgan.build_discriminator(64, 2)}
    gan = hdgan.HDGAN(hdgan.build_generator((64,), 2), discriminators)
    path = folder / checkpoints.file_name("birds_64", "synthetic_birds", 64, "G", 1)
    checkpoints.save_network(path, gan.generator, model=gan, epoch=1, info=info)
    return path


def test_evaluate_uses_the_bird_attribute_classifier(tmp_path, monkeypatch):
    monkeypatch.setattr(birds, "BIRDS", 200)
    birds.reference.cache_clear()
    path = text_checkpoint(tmp_path, data="synthetic_birds", text_encoder="synthetic_birds_text")
    scores = evaluate.score(path, samples=200)
    birds.reference.cache_clear()
    assert scores["attribute_accuracy"] == scores["attribute_accuracy_64"]
    assert scores["attribute_accuracy"] == pytest.approx(scores["attribute_chance"], abs=0.15)
    assert scores["r_precision"] < 0.2 < scores["r_precision_data"]
    assert scores["protocol"]["text_encoder"] == "synthetic_birds_text"
    assert json.loads(json.dumps(scores)) == scores


def test_a_preset_of_projected_text_gan_samples_and_is_evaluated(call, tmp_path, monkeypatch):
    discriminators = {"pixels": projected_text_gan.build_pixel_discriminator(64, 1)}
    generator = projected_text_gan.build_generator(64, 1)
    encoder = char_cnn_rnn.text_encoder("synthetic_birds_text")
    for name, contained in (("named", "synthetic_birds_text"), ("contained", encoder)):
        gan = projected_text_gan.ProjectedTextGAN(
            generator, discriminators=discriminators, text_encoder=contained
        )
        gan.save_to_preset(tmp_path / name)
    captions = ["a small red bird", "a blue bird"]
    call(checkpoint=tmp_path / "contained", caption=captions, n=2, out=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    monkeypatch.setattr(birds, "BIRDS", 200)
    birds.reference.cache_clear()
    scores = [evaluate.score(tmp_path / name, samples=200) for name in ("named", "contained")]
    birds.reference.cache_clear()
    used = [each["protocol"]["text_encoder"] for each in scores]
    assert used == ["synthetic_birds_text", str(tmp_path / "contained" / "T.h5")]
    assert scores[0]["attribute_accuracy"] == pytest.approx(
        scores[1]["attribute_accuracy"], abs=0.01
    )  # half-precision weights


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            {"data": "flowers"},
            "evaluation classifiers exist only for .*, a HDGAN of flowers",
        ),
        ({"data": "synthetic_birds", "text_encoder": ""}, "give --text_encoder"),
    ],
)
def test_evaluate_raises_without_an_evaluation_classifier(tmp_path, info, message):
    with pytest.raises(ValueError, match=message):
        evaluate.score(text_checkpoint(tmp_path, **info))


def test_evaluate_raises_for_encoders():
    with pytest.raises(ValueError, match="received synthetic_birds_text, a JointEmbedding$"):
        evaluate.score("synthetic_birds_text")
