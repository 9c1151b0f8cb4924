"""The README is true: its code runs, its tables are the result files', what it points to exists."""

import importlib
import pathlib
import re

import keras
import numpy as np
import pytest

from benchmarks import tables

README = pathlib.Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def block(word):
    (code,) = [code for code in CODE if word in code]
    return code


@pytest.mark.backend
def test_your_own_gan_trains():
    code = block("class RingGAN")
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    names = {}
    exec(code, names)
    history = names["gan"].history.history
    assert np.isfinite([history["generator_loss"], history["discriminator_loss"]]).all()
    assert len(history["generator_loss"]) == 2


def test_three_lines_draw_digits():
    names = {}
    exec(block("from_preset"), names)
    assert names["images"].shape == (3, 28, 28, 1) and names["images"].max() > 0.9


def test_a_classifier_is_explained():
    code = block("StylEx(classifier)").replace(
        "StylEx(classifier)", "StylEx(classifier, capacity=1, latent_dim=4)"
    )
    layers, random = keras.layers, np.random.default_rng(0)
    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    names = {
        "classifier": classifier,
        "images": random.uniform(-1, 1, (32, 8, 8, 1)).astype("float32"),
    }
    exec(code.replace("epochs=100", "epochs=1, verbose=0"), names)
    assert names["attributes"].target == 1


def test_tables_are_those_of_the_result_files():
    assert tables.filled(TEXT) == TEXT, "run python -m benchmarks.tables"


def test_links_and_commands_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target
    for module in set(re.findall(r"python -m ((?:zoo|benchmarks)\.\w+)", TEXT)):
        assert importlib.util.find_spec(module), module
    recipe = importlib.import_module("zoo.mnist_gan").RECIPE
    for preset in re.findall(r"zoo\.mnist_gan --preset=(\w+)", TEXT):
        assert preset in recipe.presets
