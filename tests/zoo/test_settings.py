"""Each setting of each recipe and tool refuses what it cannot be, in a line with its name and rule."""

import dataclasses
import importlib
import math

import pytest

from zoo.settings import Checked, setting

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
)
TOOLS = (
    "bird_attribute_classifier",
    "classifier",
    "digit_classifier",
    "inception",
    "text_encoder",
    "robust_image_encoder",
)


def settings_of(name):
    module = importlib.import_module(f"zoo.{name}")
    return module.RECIPE.settings if hasattr(module, "RECIPE") else module.Settings


@pytest.mark.parametrize("name", RECIPES + TOOLS)
def test_every_setting_of(name):
    kind = settings_of(name)
    kind()
    for field in dataclasses.fields(kind):
        if field.type is float:
            wrong = [math.nan, math.inf, -math.inf, -1.0, "1", None, True]
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
        if field_name in kind.__dataclass_fields__ and (name, field_name) != ("mnist_gan", "width"):
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
    count: int = setting(4, "a", least=4, below=100, even=4)
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
