"""`--dry_run` of tools that train one network or take long: it prints a plan and writes nothing."""

import importlib
import re
import sys

import keras
import pytest

from kerasgan.images import save_png
from zoo import evaluate, network_training, recipe, stylex

TOOLS = {
    "classifier": ["--width=2", "--classes=8,rest"],
    "digit_classifier": ["--width=2"],
    "bird_attribute_classifier": ["--width=2", "--images=640"],
    "text_encoder": ["--width=0.1", "--image_width=2", "--dim=8"],
    "robust_image_encoder": ["--width=2"],
    "part_classifier": ["--width=2"],
    "part_encoder": ["--width=2"],
    "inception": ["--dataset=synthetic_birds", "--size=75", "--width=0.05"],
    "explain": ["--checkpoint=stylex_digits_8_9", "--count=100"],
}


def run(name, words, monkeypatch, capsys):
    """Output of a tool that must not train."""
    module = importlib.import_module(f"zoo.{name}")

    def trains(*arguments, **options):
        raise AssertionError("a dry run trains")

    monkeypatch.setattr(module, "run", trains)
    monkeypatch.setattr(keras.Model, "fit", trains)
    monkeypatch.setattr(sys, "argv", [name, *words])
    module.main()
    return capsys.readouterr().out


@pytest.mark.parametrize("name", TOOLS)
def test_a_dry_run_prints_a_plan_and_writes_nothing(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = run(name, [*TOOLS[name], "--dry_run"], monkeypatch, capsys)
    assert re.search(r"^\w.* [\d,]+ trainable parameters$", text, re.M)
    assert re.search(r"^(steps|search) .*\d", text, re.M)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("classes", "steps"), [("8,9", 12), ("8,rest", 112), ("7,8,9", 18)])
def test_steps_of_a_dry_run_are_those_of_balanced_classes(classes, steps, monkeypatch, capsys):
    words = [f"--classes={classes}", "--width=2", "--epochs=2", "--dry_run"]
    text = run("classifier", words, monkeypatch, capsys)
    assert f" {steps} per epoch, {2 * steps} in all" in text


@pytest.mark.parametrize("counts", [(20, 20), (11, 7)])
def test_stylex_names_one_number_of_steps_and_a_missing_classifier(counts, tmp_path, capsys):
    for name, count in zip("ab", counts, strict=True):
        (tmp_path / name).mkdir()
        for index in range(count):
            picture = stylex.np.full((8, 8, 3), 5 * index, "uint8")
            save_png(tmp_path / name / f"{index}.png", picture)
    settings = recipe.settings_of(
        stylex.RECIPE,
        data=str(tmp_path),
        size=8,
        capacity=1,
        max_channels=4,
        latent_dim=4,
        depth=1,
        classifier="nowhere.h5",
    )
    recipe.dry_run(stylex.RECIPE, settings)
    read = capsys.readouterr()
    told = re.search(r"\(([\d,]+) steps in an epoch\)", read.err)[1]
    assert re.search(r"^steps +([\d,]+) per epoch", read.out, re.M)[1] == told
    assert "missing: the file nowhere.h5 of --classifier" in read.out


def test_a_missing_network_names_the_recipe_that_trains_it(tmp_path):
    with pytest.raises(ValueError, match="no part encoder in .*: python -m zoo.part_encoder"):
        network_training.load(tmp_path, "synthetic_birds_part_encoder", "P", "zoo.part_encoder")
    name = "synthetic_birds_text"
    path = network_training.presets.SHIPPED / name / "T.h5"
    with pytest.raises(ValueError, match=r"must hold a part encoder \(P\); it holds T"):
        network_training.load(path, name, "P", "zoo.part_encoder")


@pytest.mark.parametrize("folder", ["shapes", "/nowhere/shapes"])
def test_a_preset_whose_data_are_elsewhere_says_so_in_one_line(folder, monkeypatch):
    class Model:
        sampling_networks = ("generator",)

        def checkpoint_networks(self):
            return {"generator": None}

    saved = {"recipe": "zoo.text_to_image", "data": folder, "epochs": 1}
    monkeypatch.setattr(evaluate, "run_settings", lambda checkpoint: saved)
    with pytest.raises(ValueError) as caught:
        evaluate.recipe_score(Model(), "my_preset")
    text = str(caught.value)
    assert f"the data folder {folder} of my_preset is not here" in text and "\n" not in text
    assert "evaluate a checkpoint of its run instead" in text
