"""Public names: explicit, lazy, visible to editors, and documented on one screen."""

import ast
import importlib
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import kerasgan

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["", ".models", ".layers", ".losses", ".ops", ".encoders", ".metrics", ".datasets"]
MODELS = [
    "MnistGAN",
    "ConditionalGAN",
    "HDGAN",
    "CoopNet",
    "StyleGAN2",
    "StylEx",
    "ConditionalVAE",
    "RealNVP",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_exported_name_exists_and_is_listed(package):
    module = importlib.import_module(f"kerasgan{package}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        expected = (type(module),) if package == "" and name.islower() else (type, object)
        assert isinstance(value, expected) and (callable(value) or package == ""), name


@pytest.mark.parametrize("package", PACKAGES)
def test_editors_find_the_existing_names(package):
    """The imports for type checkers name the same objects as the lazy ones."""
    module = importlib.import_module(f"kerasgan{package}")
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and not alias.asname.startswith("_")
    }
    assert sorted(imported) == sorted(module.__all__)
    for name, source in imported.items():
        assert getattr(importlib.import_module(source), name) is getattr(module, name), name


def test_wrong_names_raise():
    for module in (kerasgan, kerasgan.models):
        with pytest.raises(AttributeError, match="has no attribute 'HDGEN'"):
            getattr(module, "HDGEN")  # noqa: B009


def test_a_function_with_the_name_of_its_module_stays_a_function():
    import kerasgan.metrics
    import kerasgan.metrics.inception_score  # noqa: F401

    assert callable(kerasgan.metrics.inception_score)


IMPORTS_LITTLE = """
import sys
import keras
before = set(sys.modules)
import kerasgan
loaded = {name for name in set(sys.modules) - before if name.startswith("kerasgan")}
heavy = ("kerasgan.models", "kerasgan.metrics", "kerasgan.datasets", "kerasgan.training", "kerasgan.io")
assert not [name for name in loaded if name.startswith(heavy)], loaded
assert "kerasgan>HDGAN" in keras.saving.get_custom_objects()
assert {"models", "layers", "callbacks", "AdversarialModel"} <= set(dir(kerasgan))
assert kerasgan.losses.r1_penalty is not None
assert not [name for name in sys.modules if name.startswith("kerasgan.models")]
assert kerasgan.models.RealNVP.__name__ == "RealNVP"
assert "kerasgan.models.hdgan" not in sys.modules
import kerasgan.models.hdgan
"""  # noqa: E501


def test_import_loads_no_model():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_LITTLE],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.nightly
def test_every_module_is_imported_alone():
    """Each module can be imported first. Cyclic imports fail here."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "kerasgan").rglob("*.py")
        if path.parent.name != "backend"
    )
    code = f"""
import importlib, sys
import keras
clean = set(sys.modules)
for name in {modules}:
    for loaded in [each for each in sys.modules if each.startswith("kerasgan")]:
        del sys.modules[loaded]
    keras.saving.get_custom_objects().clear()
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


# === Models ===


def test_presets_are_listed_without_loading_them():
    assert list(kerasgan.models.HDGAN.presets) == ["hdgan_synthetic_birds_256"]
    assert list(kerasgan.models.StyleGAN2.presets) == []
    texts = ["random_birds_text", "synthetic_birds_text"]
    assert list(kerasgan.encoders.JointEmbedding.presets) == texts
    assert kerasgan.models.CoopNet.presets == kerasgan.models.CoopNet().presets
    assert {"coopnet_digits", "stylex_digits_8_9"} < set(kerasgan.AdversarialModel.presets)
    assert all(kerasgan.AdversarialModel.presets.values())


@pytest.mark.parametrize("name", MODELS)
def test_help_of_a_model_starts_with_one_screen_about_it(name):
    """`help(MnistGAN)` shows the model's own documentation before what Keras adds."""
    lines = pydoc.plain(pydoc.render_doc(getattr(kerasgan.models, name))).split("\n")
    end = next(i for i, line in enumerate(lines) if "Method resolution order" in line)
    own = next(i for i, line in enumerate(lines) if "defined here" in line)
    inherited = next(i for i, line in enumerate(lines) if "inherited from keras" in line)
    assert 10 < end <= 70, end  # StylEx has 65 lines
    assert end < own < inherited
