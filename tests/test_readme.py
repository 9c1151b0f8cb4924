"""README: its code runs, its tables equal the result files, and its links exist."""

import importlib
import pathlib
import re

import numpy as np
import pytest

from benchmarks import tables

README = pathlib.Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run_block(word):
    """Runs the one block that contains a word, and returns its code and its names."""
    (code,) = [code for code in CODE if word in code]
    names = {}
    exec(code, names)
    return code, names


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.backend
def test_your_own_gan_trains():
    code, names = run_block("class RingGAN")
    definition = code[code.index("class RingGAN") : code.index("angles =")]
    assert len([line for line in definition.splitlines() if line.strip()]) <= 30
    history = names["gan"].history.history
    assert np.isfinite([history["generator_loss"], history["discriminator_loss"]]).all()
    assert len(history["generator_loss"]) == 2


def test_presets_generate_images():
    _, names = run_block("from_preset")
    assert names["images"].shape == (1, 256, 256, 3) and names["images"].max() > 0.5


def test_a_model_trains_with_fit():
    _, names = run_block("load_digits")
    assert np.isfinite(names["gan"].history.history["generator_loss"]).all()


@pytest.mark.parametrize("page", list(tables.PAGES), ids=lambda page: page.name)
def test_tables_are_those_of_the_result_files(page):
    text = page.read_text()
    assert tables.filled(text, tables.PAGES[page]) == text, "run python -m benchmarks.tables"


def test_links_and_commands_exist():
    assert len(TEXT.encode()) <= 8192
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https:") or (README.parent / target).exists(), target
    for module in set(re.findall(r"python -m ((?:zoo|benchmarks)\.\w+)", TEXT)):
        assert importlib.util.find_spec(module), module
