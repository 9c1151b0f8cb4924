"""`zoo.interpolate`, `zoo.invert`, `zoo.directions` and `zoo.export` on shipped presets."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from PIL import Image

import kerasgan
from kerasgan.images import to_uint8
from kerasgan.io import presets
from zoo import directions, export, interpolate, invert, sample

DIGITS, STYLEX = "mnist_gan_digits", "stylex_digits_8_9"


def size(path):
    with Image.open(path) as image:
        return image.size


def test_interpolate_writes_an_animation_and_a_sheet(tmp_path, capsys):
    # Without --points, there is one key point for each label, as in the command of the guide.
    options = {"checkpoint": DIGITS, "labels": ("3", "8"), "frames": 2}
    interpolate.command(interpolate.Options(**options, out=str(tmp_path / "x.webp")))
    with Image.open(tmp_path / "x.webp") as image:
        assert image.n_frames == 4 and image.size == (252, 252)
    interpolate.command(interpolate.Options(**options, out=str(tmp_path / "x.png"), columns=4))
    assert size(tmp_path / "x.png") == (4 * 56, 56)
    assert capsys.readouterr().out.count("4 frames in") == 2


def test_invert_reports_errors_and_completes(tmp_path, capsys):
    options = {"images": ("digits",), "count": 2, "steps": 2, "candidates": 1}
    invert.command(
        invert.Options(
            checkpoint=DIGITS,
            labels=("0", "1"),
            out=str(tmp_path / "x.png"),
            save=str(tmp_path / "x.npz"),
            **options,
        )
    )
    assert size(tmp_path / "x.png") == (2 * 56, 2 * 56)
    with np.load(tmp_path / "x.npz") as saved:
        assert saved["latents"].shape == (2, 64) and saved["labels"].tolist() == [0, 1]
    printed = capsys.readouterr().out
    assert "psnr: " in printed and "feature: " in printed
    invert.command(
        invert.Options(checkpoint=DIGITS, labels=("7",), out=str(tmp_path / "one.png"), **options)
    )
    assert capsys.readouterr().out.endswith(f"1 image in {tmp_path / 'one.png'}\n")
    coopnet = {"checkpoint": "coopnet_digits", "mask": "bottom", "by": "generator"}
    invert.command(invert.Options(**coopnet, out=str(tmp_path / "y.png"), **options))
    assert size(tmp_path / "y.png") == (2 * 56, 3 * 56)
    assert "completed by the generator: mean squared error" in capsys.readouterr().out


def test_directions_of_stylex(tmp_path):
    out, save = tmp_path / "x.png", tmp_path / "x.npz"
    options = {"checkpoint": "stylex_digits_8_9", "labels": ("1",), "count": 2, "columns": 3}
    directions.command(
        directions.Options(**options, out=str(out), save=str(save), blocks=("0", "1"))
    )
    assert size(out) == (3 * 64, 2 * 64)
    with np.load(save) as saved:
        assert saved["vectors"].shape == (2, 256) and str(saved["space"]) == "w"


def test_export_names_the_licence_of_a_preset(tmp_path, capsys):
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    out = tmp_path / "out"
    export.command(export.Options(checkpoint=DIGITS, out=str(out), half=True))
    about = json.loads((out / "metadata.json").read_text())
    assert about["licence"] == "Apache-2.0" and about["title"] == DIGITS
    assert about["functions"]["generator"]["largest_difference"] < 1e-4
    assert "largest difference from Keras" in capsys.readouterr().out


def test_sample_truncates_styles(tmp_path):
    out = tmp_path / "samples.h5"
    options = sample.Options(checkpoint=STYLEX, n=2, truncation=0.5, out=str(out))
    sample.command(options)
    expected = presets.load(STYLEX).sample(2, seed=0, truncation=0.5)
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["images"], to_uint8(expected))
        assert json.loads(file.attrs["protocol"]) == {"truncation": 0.5}


def test_every_option_of_a_model_is_a_flag():
    flags = {field.name for field in dataclasses.fields(sample.Options)}
    for name in ("CoopNet", "StyleGAN2", "StylEx", "RealNVP"):
        options = getattr(kerasgan.models, name).sample_options
        assert options and set(options) <= flags & set(sample.OWNERS), name


@pytest.mark.parametrize("name", ["left", "right", "top", "bottom", "center"])
def test_masks(name):
    mask = invert.hidden_half(name, 8, 12)
    assert mask.shape == (8, 12, 1) and mask.mean() == (0.75 if name == "center" else 0.5)


@pytest.mark.parametrize(
    ("tool", "options", "rule"),
    [
        (interpolate, {}, "--checkpoint must name"),
        (interpolate, {"checkpoint": DIGITS, "out": "x.avi"}, "--out must end in .gif"),
        (interpolate, {"checkpoint": DIGITS, "out": "none/x.gif"}, "--out must be in a folder"),
        (interpolate, {"checkpoint": DIGITS, "caption": ("a",)}, "takes --labels; received"),
        (interpolate, {"checkpoint": DIGITS, "labels": ("x",)}, "--labels must be integers"),
        (interpolate, {"checkpoint": DIGITS, "by": "generator"}, "--by is for CoopNet"),
        (interpolate, {"checkpoint": DIGITS, "truncation": 0.7}, "--truncation is for StyleGAN2"),
        (sample, {"checkpoint": DIGITS, "truncation": 0.7}, "--truncation is for StyleGAN2"),
        (sample, {"checkpoint": DIGITS, "temperature": 0.7}, "--temperature is for RealNVP"),
        (invert, {"checkpoint": DIGITS}, "takes labels: give --labels, one per image"),
        (invert, {"checkpoint": DIGITS, "labels": ("1",)}, "--images must name"),
        (invert, {"checkpoint": DIGITS, "labels": ("1",), "images": ("no.png",)}, "no such file"),
        (invert, {"checkpoint": DIGITS, "by": "generator"}, "--by needs a CoopNet and --mask"),
        (directions, {"checkpoint": DIGITS, "blocks": ("0",)}, "blocks need StyleGAN2"),
        (
            directions,
            {"checkpoint": DIGITS, "labels": ("1", "2")},
            "one image is edited: give one .*; received 2",
        ),
        (export, {"checkpoint": DIGITS, "out": "."}, "must be new; received one that exists"),
    ],
)
def test_wrong_flags_give_one_line(tool, options, rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rule) as raised:
        tool.command(tool.Options(**options))
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())
