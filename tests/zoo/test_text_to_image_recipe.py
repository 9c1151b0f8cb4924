"""Own captions in one command: choices by the size of the data, bad folders, and a whole run."""

import dataclasses
import json
import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.models import ProjectedTextGAN
from zoo import evaluate, own_captions, text_encoder, text_to_image

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "guides" / "own_captions.md"
TINY = {"width": 1, "head_width": 4, "pixel_width": 2, "epochs": 1, "repeats": 1}
ENCODER = {"epochs": 1, "width": 1 / 16, "dim": 8, "image_width": 2}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The folder that the guide's script makes."""
    folder = tmp_path_factory.mktemp("guide")
    script = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(script, "guide", "exec"), {})
    return folder / "shapes"


@pytest.fixture(autouse=True)
def fresh_cache():
    own_captions.splits.cache_clear()


def captioned(folder, count, caption=lambda i: f"caption {i}", size=8):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((size, size, 3), 4 * i, "uint8")).save(folder / f"{i:02}.png")
        (folder / f"{i:02}.txt").write_text(caption(i))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.glob("*.txt")], "x.txt beside x.jpg"),
        (lambda folder: (folder / "03.png").unlink(), "03.txt has no image"),
        (lambda folder: (folder / "03.txt").unlink(), "03.png has no captions"),
        (lambda folder: (folder / "03.txt").write_text(" \n"), "03.txt is empty"),
        (lambda folder: [path.write_text("a") for path in folder.glob("*.txt")], "must differ"),
        (lambda folder: shutil.rmtree(folder), "must be a folder of images and captions"),
        (
            lambda folder: [path.unlink() for path in folder.glob("*") if path.stem > "02"],
            "needs at least 10 images with captions; .* has 3",
        ),
        (
            lambda folder: [path.unlink() for path in folder.glob("*") if path.stem > "00"],
            "needs at least 10 images with captions; .* has 1",
        ),
    ],
)
@pytest.mark.parametrize("name", ["text_to_image", "text_encoder"])
def test_a_bad_folder_is_one_line(name, change, message, tool, tmp_path, capsys):
    folder = captioned(tmp_path / "data", 12)
    change(folder)
    with pytest.raises(SystemExit) as stopped:
        tool(name, data=folder)
    lines = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 1 and len(lines) == 1
    assert re.search(message, lines[0]), lines[0]


def test_data_must_be_given(tool, capsys):
    with pytest.raises(SystemExit):
        tool("text_to_image")
    assert "--data must be a folder of images with captions" in capsys.readouterr().err


def test_a_dry_run_prints_the_choices_and_leaves_nothing(shapes, tool, tmp_path, capsys):
    folder = tmp_path / "run"
    tool("text_to_image", data=shapes, size=128, dry_run=True, folder=folder)
    printed = capsys.readouterr().out
    assert "48 training images, 12 test images, 12 different first captions" in printed
    assert "batch size 16" in printed and "stage_128: size 128" in printed
    assert not folder.exists()


def of_size(count, caption="a red circle"):
    names = [str(i) for i in range(count)]
    captions = [[f"{caption} {i}"] for i in range(count)]
    images = np.zeros((count, 1, 1, 3), "uint8")
    return {"train": CaptionedImages(images, np.arange(count), captions, names)}


def test_settings_follow_from_the_number_of_images():
    plans = [text_to_image.plan(of_size(count), 256) for count in (10, 50, 1000, 20_000)]
    steps = []
    for count, each in zip((10, 50, 1000, 20_000), plans, strict=True):
        assert [stage.settings["size"] for stage in each.stages] == [64, 128, 256]
        settings = each.stages[0].settings
        assert 2 <= settings["batch_size"] <= max(count // 2, 2)
        once = count // settings["batch_size"]
        steps.append(settings["epochs"] * settings["repeats"] * once)
        for stage in each.stages:
            text_to_image.Settings(**stage.settings)  # allowed values
        text_encoder.Settings(**each.text)
    assert 2500 < steps[0] < 3500 and 2500 < steps[1] < 3500 < steps[2] < 30_000 < steps[3]
    assert [each.stages[0].settings["translation"] for each in plans] == [8, 8, 4, 0]
    quick = text_to_image.plan(of_size(50), 64, quick=True)
    assert len(quick.stages) == 1 and quick.stages[0].settings["epochs"] < steps[1] / 50
    sides = text_to_image.plan(of_size(50, "a circle on the left"), 64)
    assert "no mirrored images" in sides.reasons


def test_many_images_give_the_evaluation_images_of_their_own(monkeypatch, tmp_path):
    folder = captioned(tmp_path / "data", 20)
    few = text_to_image.parts(str(folder), 8)
    assert few["evaluation"] is few["train"]
    monkeypatch.setattr(text_to_image, "OTHERS", 20)
    many = text_to_image.parts(str(folder), 8)
    names = [set(many[split].names) for split in ("train", "evaluation", "test")]
    assert len(set.union(*names)) == sum(map(len, names)) == 20


@pytest.fixture
def small(monkeypatch):
    """Tiny networks and few steps; returns the list of what is trained."""
    trained, plan, encoder = [], text_to_image.plan, text_encoder.settings_of

    def tiny_encoder(images, least_steps=600):
        return encoder(images, least_steps) | ENCODER

    monkeypatch.setattr(text_encoder, "settings_of", tiny_encoder)

    def tiny_plan(*arguments):
        made = plan(*arguments)
        for stage in made.stages:
            stage.settings.update(TINY)
        return dataclasses.replace(made, image=made.image | {"epochs": 1, "width": 2})

    monkeypatch.setattr(text_to_image, "plan", tiny_plan)
    fit = keras.Model.fit

    def eager_fit(self, *arguments, **options):  # tracing takes longer than a few steps
        trained.append(type(self).__name__)
        self.run_eagerly = True
        return fit(self, *arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", eager_fit)
    return trained


def test_a_folder_becomes_a_preset_and_a_page(small, shapes, tool, tmp_path, capsys):
    run = {"data": shapes, "size": 128, "folder": tmp_path / "run"}
    tool("text_to_image", **run)
    gans = ["ProjectedTextGAN"] * 2
    assert small == ["JointEmbedding", "RobustImageEncoder", "JointEmbedding", *gans]
    assert "r_precision_chance         0.08333" in capsys.readouterr().out
    gan = ProjectedTextGAN.from_preset(tmp_path / "run" / "preset")
    images = gan.sample(captions=["a blue triangle", "a red circle"], seed=0)
    assert images.shape == (2, 128, 128, 3)
    with pytest.warns(UserWarning, match="not trained on the words purple, dog"):
        gan.sample(captions=["a purple dog"])
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert 0 <= scores["r_precision"] <= 1 and scores["r_precision_chance"] == 1 / 12
    assert "another seed" in scores["protocol"]["encoders"]
    page = (tmp_path / "run" / "index.html").read_text()
    for text in (
        "a blue triangle",
        "by chance",
        "stage_128/index.html",
        "from_preset",
        "batch size",
    ):
        assert text in page
    again = evaluate.score(tmp_path / "run" / "preset")
    assert again["r_precision_data"] == scores["r_precision_data"]

    tool("text_to_image", **run)  # everything is there
    assert len(small) == 5
    shutil.rmtree(tmp_path / "run" / "stage_128")
    tool("text_to_image", **run)
    assert small[5:] == ["ProjectedTextGAN"]
    with pytest.raises(SystemExit):
        tool("text_to_image", **run | {"size": 64})
    assert "holds a run with size 128" in capsys.readouterr().err
    settings = json.loads((tmp_path / "run" / "stage_128" / "settings.json").read_text())
    assert settings["dtype_policy"] == "float32"
    options = tmp_path / "run" / "options.json"
    kept = json.loads(options.read_text())
    del kept["dtype_policy"]  # as in the options of earlier versions
    options.write_text(json.dumps(kept))
    with pytest.raises(SystemExit):
        tool("text_to_image", **run | {"dtype_policy": "mixed_bfloat16"})
    assert "holds a run with dtype_policy float32" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_trained_text_encoder_is_used(small, shapes, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool("text_encoder", data=shapes)
    folder = pathlib.Path("runs/text_encoder_shapes")
    log = json.loads((folder / "log.json").read_text())
    assert log["train_images"] == 48 and 0 <= log["r_precision"] <= 1
    assert "circle" in (folder / "vocabulary.txt").read_text().split()
    assert "48 images of" in (folder / "card.md").read_text()
    tool("text_to_image", data=shapes, text_encoder=folder, folder="run")
    assert small == ["JointEmbedding", "RobustImageEncoder", "JointEmbedding", "ProjectedTextGAN"]
    assert not pathlib.Path("run/text_encoder").exists()
    gan = ProjectedTextGAN.from_preset("run/preset")
    assert gan.sample(captions=["a red circle"], seed=0).shape == (1, 64, 64, 3)
