"""Files that were saved before an argument, an attribute, a class or a function was renamed still
load.
"""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import kerasgan  # noqa: F401
from kerasgan.compatibility import RenamedArguments
from kerasgan.ema import ema_copy
from kerasgan.losses import penalties
from kerasgan.training import AdversarialModel


@keras.saving.register_keras_serializable("test_compatibility")
class Small(AdversarialModel):
    renamed_arguments = {"average": "ema_decay"}

    def __init__(self, ema_decay=None, width=2, name=None):
        super().__init__(name=name)
        self.ema_decay, self.width = ema_decay, width
        self.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])
        self.discriminator = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
        self.ema_generator = ema_copy(self.generator)
        self.built = True

    def get_config(self):
        return {"ema_decay": self.ema_decay, "width": self.width, "name": self.name}


@keras.saving.register_keras_serializable("test_compatibility")
class Smaller(Small):
    renamed_arguments = {"channels": "width"}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Schedule(RenamedArguments):
    renamed_arguments = {"epochs": "steps"}

    def __init__(self, steps):
        self.steps = steps

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def save_with_earlier_names(model, path, arguments, groups):
    """Saves a model, then renames arguments in the configuration and groups in the weights."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    for present, earlier in arguments.items():
        config["config"][earlier] = config["config"].pop(present)
    files["config.json"] = json.dumps(config)
    weights = io.BytesIO(files["model.weights.h5"])
    rename_groups(weights, groups)
    files["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def rename_groups(file, groups):
    with h5py.File(file, "a") as h5:
        for present, earlier in groups.items():
            h5.move(present, earlier)


@pytest.mark.backend
@pytest.mark.parametrize("cls", [Small, Smaller])
def test_whole_model_saved_with_earlier_names_loads(cls, tmp_path):
    model = cls(0.9, 4)
    model.ema_generator.set_weights([w + 1.0 for w in model.generator.get_weights()])
    earlier = {"ema_decay": "average"} | ({"width": "channels"} if cls is Smaller else {})
    save_with_earlier_names(model, tmp_path / "a.keras", earlier, {"ema_generator": "averaged"})
    loaded = keras.models.load_model(tmp_path / "a.keras")
    assert (loaded.ema_decay, loaded.width) == (0.9, 4)
    for ours, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, expected)
    loaded.save(tmp_path / "b.keras")
    with zipfile.ZipFile(tmp_path / "b.keras") as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as h5:
            assert "ema_generator" in h5 and "averaged" not in h5
    again = keras.models.load_model(tmp_path / "b.keras")
    for ours, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_weight_file_with_earlier_names_loads(tmp_path):
    model, other = Small(), Small()
    model.save_weights(tmp_path / "a.weights.h5")
    rename_groups(tmp_path / "a.weights.h5", {"ema_generator": "averaged"})
    other.load_weights(tmp_path / "a.weights.h5")
    for ours, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_renamed_arguments_apply_to_any_serializable_class():
    assert Schedule.from_config({"epochs": 3}).steps == 3
    assert Schedule.from_config({"steps": 3}).steps == 3


def test_unknown_arguments_still_raise():
    with pytest.raises(TypeError):
        Smaller.from_config({"averages": 0.9})


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        ("squared_slope", penalties.squared_gradient_norm),
        ("unit_slope", penalties.unit_gradient_norm),
    ],
)
def test_functions_are_found_under_earlier_names(earlier, present):
    config = {
        "module": "builtins",
        "class_name": "function",
        "config": f"kerasgan>{earlier}",
        "registered_name": "function",
    }
    assert keras.saving.deserialize_keras_object(config) is present
