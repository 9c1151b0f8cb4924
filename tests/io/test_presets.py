"""Presets: a round trip is exact, by name or by folder, and errors are one clear line."""

import json
import zlib

import keras
import numpy as np
import pytest

from kerasgan.io import checkpoints, presets
from kerasgan.metrics.protocols.digits import load_digit_classifier
from kerasgan.models import MnistGAN
from kerasgan.training import AdversarialModel
from tests.marks import slow_on_jax
from zoo import preset


@keras.saving.register_keras_serializable("test_presets")
class Sampler(keras.Model):
    """The least that presets ask of a model."""

    def __init__(self, width=4):
        super().__init__()
        self.width = width
        self.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])
        self.discriminator = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])

    def checkpoint_networks(self):
        return {"generator": self.generator, "discriminator": self.discriminator}

    def get_config(self):
        return {"width": self.width}


class Other(Sampler):
    pass


def test_round_trip(tmp_path):
    model = Sampler(width=5)
    presets.save(model, tmp_path / "mine", info={"dataset": "dots", "epoch": 12})
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["G.h5", "card.md"]
    loaded = presets.load(tmp_path / "mine", Sampler)
    assert isinstance(loaded, Sampler) and loaded.width == 5
    kernel, stored = model.generator.get_weights()[0], loaded.generator.get_weights()[0]
    np.testing.assert_array_equal(stored, kernel.astype("float16").astype("float32"))
    assert checkpoints.read_info(tmp_path / "mine" / "G.h5")["epoch"] == 12
    text = presets.card(tmp_path / "mine")
    assert text.startswith("# mine\n") and "- dataset: dots" in text


def test_all_networks_in_full_precision(tmp_path):
    model = Sampler()
    presets.save(
        model, tmp_path, networks=("generator", "discriminator"), dtype="float32", card="# Mine\n"
    )
    loaded = presets.load(str(tmp_path))
    for one, other in (
        (model.generator, loaded.generator),
        (model.discriminator, loaded.discriminator),
    ):
        np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    presets.save(model, tmp_path)
    assert (
        presets.card(tmp_path) == "# Mine\n"
    )  # a card that someone wrote is not replaced by a made one


def test_shipped_names(tmp_path, monkeypatch):
    presets.save(Sampler(), tmp_path / "toy_dots")
    monkeypatch.setattr(presets, "SHIPPED", tmp_path)
    assert presets.names() == ["toy_dots"]
    assert isinstance(presets.load("toy_dots"), Sampler)
    with pytest.raises(
        ValueError,
        match="must be one of toy_dots, a folder that contains G.h5 or T.h5, or an .*'typo'",
    ):
        presets.load("typo")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="a run is not a preset: .*zoo.preset --run=.*; received"):
        presets.load(tmp_path / "run")


def test_wrong_class_and_letters(tmp_path):
    presets.save(Sampler(), tmp_path)
    with pytest.raises(checkpoints.CheckpointError, match="must be a Other; it is a Sampler"):
        presets.load(tmp_path, Other)
    for networks in (("discriminator",), ("generator", "encoder")):
        with pytest.raises(
            ValueError,
            match="networks must be among generator, discriminator and include generator; received",
        ):
            presets.save(Sampler(), tmp_path, networks=networks)


def test_networks_of_two_models_are_not_mixed(tmp_path):
    presets.save(Sampler(width=4), tmp_path, networks=("generator", "discriminator"))
    presets.save(Sampler(width=6), tmp_path / "b", networks=("generator", "discriminator"))
    (tmp_path / "b" / "D.h5").replace(tmp_path / "D.h5")
    with pytest.raises(checkpoints.CheckpointError, match="D.h5 must contain a network of"):
        presets.load(tmp_path)


def test_the_size_of_the_package_data_in_a_wheel():
    """A wheel is a zip file, of at most 16 MB. Its Python files take 0.65 MB."""
    package = presets.SHIPPED.parent
    shipped = [*presets.SHIPPED.rglob("*"), *(package / "report").glob("*.[cj]s*")]
    found = {path: path.read_bytes() for path in shipped if path.is_file()}
    assert len(found) > 30
    assert sum(len(zlib.compress(content)) for content in found.values()) < 16e6 - 0.65e6


def test_every_shipped_preset_has_a_card_and_fits():
    for name in presets.names():
        assert presets.card(name).strip()
        assert sum(path.stat().st_size for path in presets.find(name).iterdir()) <= 10e6
        for path in presets.find(name).glob("*.h5"):
            checkpoints.verify(path)


def test_a_preset_loads_by_its_former_class():
    gan = MnistGAN.from_preset("mnist_gan_digits")
    assert type(gan).__name__ == "ConditionalGAN"
    assert gan.sample(labels=[3], seed=0).shape == (1, 28, 28, 1)


@slow_on_jax
@pytest.mark.backend
def test_a_preset_is_trained_on_from_its_quality():
    """The network that trains has the file's weights too; what no file brought is told once, as
    training begins.
    """
    gan = AdversarialModel.from_preset("mnist_gan_digits")
    labels, judge = np.arange(200) % 10, load_digit_classifier()[0]

    def right(images):
        return (judge.predict(np.asarray(images), verbose=0).argmax(axis=1) == labels).mean()

    latents = np.random.default_rng(0).normal(size=(200, gan.latent_dim)).astype("float32")
    for network in (gan, gan.generator, gan.ema_generator):
        assert right(network.predict([latents, labels.astype("int32")], verbose=0)) > 0.95
    before = gan.sample(labels=labels, seed=1)
    gan.compile(**{player: keras.optimizers.Adam(1e-9) for player in gan.players})
    with pytest.warns(UserWarning, match=r"untrained weights of discriminator") as told:
        gan.fit(before[:64], labels[:64].astype("int32"), batch_size=16, verbose=0)
    lines = [
        str(each.message) for each in told if "untrained" in str(each.message)
    ]  # Keras on torch has its own
    assert len(lines) == 1 and "\n" not in lines[0] and gan.not_loaded == ()
    gan.train_on_batch(before[:8], labels[:8].astype("int32"))  # has been told
    after = gan.sample(labels=labels, seed=1)
    assert np.abs(after - before).mean() < 0.02 and right(after) > 0.95


@pytest.mark.parametrize(
    "name",
    ["stylex_digits_8_9", "hdgan_synthetic_birds_256", "projected_text_gan_synthetic_birds_256"],
)
def test_every_copy_of_a_network_has_the_files_weights(name):
    model = AdversarialModel.from_preset(name)
    copies = {
        key
        for key, value in vars(model).items()
        if key.startswith("ema_") and isinstance(value, keras.Layer)
    }
    assert copies == set(model.ema_networks)
    for average, trained in model.ema_networks.items():
        pairs = zip(
            getattr(model, average).get_weights(),
            getattr(model, trained).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(one, other) for one, other in pairs)
    networks = model.checkpoint_networks()
    assert set(model.not_loaded) == set(networks) - set(model.sampling_networks)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("start", "/home/my me/run/stage_128", "stage_128"),
        ("start", "runs/mine", "runs/mine"),
        ("description", "a / b", "a / b"),
        ("epochs", 3, 3),
        ("command", "python -m zoo.x --data=/home/me/birds", "python -m zoo.x --data=birds"),
        ("command", "/opt/bin/python -m zoo.x", "python -m zoo.x"),
        ("command", "python -m zoo.x --data='/a/my birds'", "python -m zoo.x '--data=my birds'"),
    ],
)
def test_a_preset_names_no_folder_of_its_machine(name, value, expected):
    assert preset.without_folders({name: value}) == {name: expected}


def test_shipped_presets_name_no_folder_of_a_machine():
    for name in presets.names():
        for path in presets.find(name).glob("*.json"):
            values = json.loads(path.read_text())
            assert preset.without_folders(values) == values, path
