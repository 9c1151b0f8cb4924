"""Each setting of each recipe and tool rejects invalid values in a line with its name and rule."""

import dataclasses
import importlib
import math

import pytest

import zoo.__main__ as front
from kerasgan.models import coopnet as coopnet_model, stylex as stylex_model
from zoo import coopnet, mnist_gan, recipe, stylex, text_gan
from zoo.settings import RENAMED, RENAMED_IN, Checked, bounds_text, current_names, setting

RECIPES = (
    "mnist_gan",
    "coopnet",
    "stylex",
    "stylegan2",
    "flow",
    "conditional_vae",
    "birds_64",
    "birds_256",
    "coco_64",
    "image_folder",
    "projected_birds",
    "text_to_image",
)
OPTIONS = ("sample", "evaluate", "explain", "diagnose", "prepare", "preset")
TOOLS = (
    "bird_attribute_classifier",
    "classifier",
    "digit_classifier",
    "inception",
    "text_encoder",
    "robust_image_encoder",
    "part_classifier",
    "part_encoder",
)


def settings_of(name):
    module = importlib.import_module(f"zoo.{name}")
    return module.RECIPE.settings if hasattr(module, "RECIPE") else module.Settings


def test_bounds_are_plain_numbers():
    assert bounds_text({"least": 0, "below": 2**32}) == "at least 0 and below 4,294,967,296"
    assert bounds_text({"above": 0.5, "most": 10_000_000}) == "above 0.5 and at most 10,000,000"


@pytest.mark.parametrize("name", RECIPES + TOOLS)
def test_every_setting_of(name):
    kind = settings_of(name)
    kind()
    for field in dataclasses.fields(kind):
        assert field.metadata["help"].endswith("."), field.name
        if field.type is float:
            wrong = [math.nan, math.inf, -math.inf, -1.0, "1", None, True]
        elif field.type == float | None:
            wrong = [math.nan, math.inf, -math.inf, -1.0, "1", True]
        elif field.type is int:
            wrong = [-2, 1.5, "1", None, math.nan, True]
        elif field.type is bool:
            wrong = [1, "true", None]
        else:
            wrong = [1, None, b"a", "a\0b"]
        for value in wrong:
            with pytest.raises(ValueError, match=f"^{field.name} must be .*; received ") as caught:
                kind(**{field.name: value})
            assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
    for field_name in ("epochs", "batch_size", "width", "size"):
        exempt = name == "image_folder" or (name, field_name) == ("mnist_gan", "width")
        if field_name in kind.__dataclass_fields__ and not exempt:
            with pytest.raises(ValueError, match=f"^{field_name} must be "):
                kind(**{field_name: 0})


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_of(name):
    recipe = importlib.import_module(f"zoo.{name}").RECIPE
    for preset in recipe.presets.values():
        recipe.settings(**preset)


@dataclasses.dataclass(frozen=True)
class Toy(Checked):
    rate: float = setting(0.1, "a", above=0, most=1)
    count: int = setting(4, "a", least=4, below=100, multiple_of=4)
    kind: str = setting("", "a", choices=("", "one", "two"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0}, "rate must be above 0 and at most 1; received 0"),
        ({"rate": 1.5}, "rate must be above 0 and at most 1; received 1.5"),
        ({"count": 6}, "count must be a multiple of 4; received 6"),
        ({"count": 100}, "count must be at least 4 and below 100; received 100"),
        ({"kind": "three"}, "kind must be '', one or two; received 'three'"),
        ({"kind": "x" * 999}, f"kind must be '', one or two; received '{'x' * 79}…"),
        ({"rate": math.nan}, "rate must be finite; received nan"),
    ],
)
def test_messages(changes, message):
    with pytest.raises(ValueError) as caught:
        Toy(**changes)
    assert str(caught.value) == message
    with pytest.raises(ValueError):
        dataclasses.replace(Toy(), **changes)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_flag_of_a_tool_has_help_and_rejects_nan_and_negative_numbers(name):
    kind = importlib.import_module(f"zoo.{name}").Options
    kind()
    for field in dataclasses.fields(kind):
        assert field.metadata["help"].endswith("."), field.name
        number = field.type in (int, float, int | None, float | None)
        for value in (-1, math.nan, True) if number else ():
            with pytest.raises(ValueError, match=f"^{field.name} must be "):
                kind(**{field.name: value})


def test_former_names_are_read():
    saved = {"recipe": "zoo.birds_64", "drawn": 5, "guide": "g", "average": 0.9, "penalty": 1.0}
    saved |= {"judge_width": 3, "start": "runs/birds_64_longer", "title": "t"}
    found = recipe.settings_from(importlib.import_module("zoo.birds_64").RECIPE, saved)
    assert (found.num_images, found.damsm_encoder, found.ema_decay) == (5, "g", 0.9)
    assert (found.r1_weight, found.discriminator_width) == (1.0, 3)
    assert found.start == "runs/birds_64_stage2"
    assert current_names({"drawn": 1, "num_images": 2}) == {"num_images": 2}
    assert recipe.settings_of(mnist_gan.RECIPE, "noted").model == "training_notes"
    assert recipe.settings_of(mnist_gan.RECIPE, penalty="r1").penalty == "r1"


@pytest.mark.parametrize(("form", "weight"), [("authors", 10.0), ("reproduction", 5.0)])
def test_former_weight_of_the_gradient_penalty_is_converted(form, weight):
    saved = {"recipe": "zoo.projected_birds", "penalty_weight": 0.25}
    assert current_names(saved)["gradient_penalty_weight"] == 0.25
    saved = {"recipe": "zoo.stylex", "form": form, "penalty_weight": 5.0, "penalty_every": 7}
    found = recipe.settings_from(stylex.RECIPE, saved)
    assert (found.gradient_penalty_weight, found.gradient_penalty_every) == (weight, 7)
    # The presets have the names of the forms.
    changed = recipe.settings_of(stylex.RECIPE, form, penalty_weight=5.0)
    assert changed.gradient_penalty_weight == weight


def test_renamed_settings_exist():
    kinds = (text_gan, coopnet, mnist_gan, stylex, importlib.import_module("zoo.stylegan2"))
    names = {field.name for kind in kinds for field in dataclasses.fields(kind.Settings)}
    assert {*RENAMED.values(), *RENAMED_IN.values()} <= names


def test_settings_of_papers_equal_those_of_the_models():
    """They are written twice: `kerasgan` imports Keras, which `--help` must not wait for."""
    for name in ("AUTHORS", "AUTHORS_DIGITS", "PORT", "PORT_CIFAR10"):
        assert getattr(coopnet, name) == getattr(coopnet_model, name)
    defaults = vars(coopnet.Settings())
    assert {name: defaults[name] for name in coopnet_model.AUTHORS} == coopnet_model.AUTHORS_DIGITS
    for values, published in (
        (stylex.AUTHORS, stylex_model.AUTHORS),
        ({}, stylex_model.REPRODUCTION),
    ):
        settings = stylex.model_settings(stylex.Settings(**values))
        expected = {k: v for k, v in published.items() if not callable(v)}
        assert {k: v for k, v in settings.items() if k in expected} == expected


@pytest.mark.parametrize("name", front.recipe_names())
def test_help_describes_every_preset(name):
    recipe = importlib.import_module(f"zoo.{name}").RECIPE
    described = recipe.doc.partition("\nPresets:\n")[2]
    assert [preset for preset in recipe.preset_names if f"`{preset}`" not in described] == []
