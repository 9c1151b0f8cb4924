"""Checkpoints: a round trip is exact, and damaged or foreign files never reach a model."""

import os
import pathlib
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from kerasgan.io import checkpoint_names, checkpoints
from kerasgan.io.checkpoints import CheckpointError
from kerasgan.models.stylegan2 import Generator, StyleGAN2, build_discriminator
from kerasgan.ops.augment import translate

NAME = dict(run="toy", dataset="dots", size=4)


class Optimizers:
    def __init__(self, players):
        self.players = players

    def __getitem__(self, player):
        return self.players[player]

    @property
    def variables(self):
        return [v for optimizer in self.players.values() for v in optimizer.variables]


@keras.saving.register_keras_serializable("test_checkpoints")
class Toy(keras.Model):
    """The least that checkpoints ask of a model: two players, an EMA copy in G's place, a seed, two
    optimizers.
    """

    players = ("generator", "discriminator")

    def __init__(self, width=3, seed=0):
        super().__init__()
        self.width = width
        self.generator, self.average = (
            network(width, "generator", seed),
            network(width, "average", seed),
        )
        self.discriminator = network(width + 1, "discriminator", seed + 1)
        self.noise = keras.random.SeedGenerator(seed)
        self.built = True
        self.group = Optimizers({player: keras.optimizers.Adam(0.1) for player in self.players})
        for player in self.players:
            self.group[player].build(getattr(self, player).trainable_variables)

    optimizer = property(lambda self: self.group)

    def checkpoint_networks(self):
        return {"generator": self.average, "discriminator": self.discriminator}

    def get_config(self):
        return {"width": self.width}


def network(width, name, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((5,)), keras.layers.Dense(width), keras.layers.BatchNormalization()]
    return keras.Sequential([*layers, keras.layers.Dropout(0.5, seed=seed)], name=name)


def number(variable):
    return np.array(keras.ops.convert_to_numpy(keras.ops.copy(variable)))


def everything(model):
    return [number(v) for v in [*model.variables, *model.optimizer.variables]]


def train(model, steps=2):
    """Moves every variable there is, without a training step."""
    generator = np.random.default_rng(steps)
    for variable in [*model.variables, *model.optimizer.variables]:
        value = number(variable)
        move = steps if value.dtype.kind in "iu" else generator.random(value.shape)
        variable.assign((value + move).astype(value.dtype))
    return model


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def saved(tmp_path):
    model = train(Toy())
    checkpoints.save(
        tmp_path, model, **NAME, epoch=3, history={"loss": [1.0, float("nan")]}, info={"seed": 7}
    )
    return tmp_path, model


def test_names(saved):
    folder, _ = saved
    names = {path.name for path in folder.iterdir()}
    assert names == {f"toy_dots_4_{letter}_epoch_3.h5" for letter in ("G", "D", "resume")}
    assert checkpoints.file_name("my_run", "cub", 256, "G", 600) == "my_run_cub_256_G_epoch_600.h5"
    for bad in ("a/b", "", ".hidden", "a b"):
        with pytest.raises(ValueError, match="run and dataset may consist of letters"):
            checkpoints.file_name(bad, "dots", 4, "G", 1)


def test_latest_orders_epochs_by_number_and_tells_runs_apart(tmp_path):
    model = Toy()
    for epoch in (9, 10):
        checkpoints.save(tmp_path, model, **NAME, epoch=epoch)
    assert checkpoints.latest(tmp_path).name == "toy_dots_4_G_epoch_10.h5"
    assert checkpoints.latest(tmp_path, "E") is None
    checkpoints.save(tmp_path, model, run="other", dataset="dots", size=4, epoch=2)
    with pytest.raises(CheckpointError, match="the run must be named"):
        checkpoints.resume(tmp_path, model)
    assert checkpoints.resume(tmp_path, model, run="other") == 2


def test_resume_restores_every_variable_bit_for_bit(saved):
    folder, model = saved
    fresh = Toy(seed=5)
    assert not same(everything(fresh), everything(model))
    assert checkpoints.resume(folder, fresh) == 3
    assert same(everything(fresh), everything(model))
    info = checkpoints.read_info(folder / "toy_dots_4_resume_epoch_3.h5")
    assert info["seed"] == 7 and info["history"]["loss"][0] == 1.0


def test_each_variable_is_on_the_disk_once(saved):
    folder, model = saved
    counts = []
    for path in folder.iterdir():
        with h5py.File(path) as file:
            counts.append(len(file["weights"]))
    assert sum(counts) == len(everything(model))


def test_nothing_to_resume(tmp_path):
    assert checkpoints.resume(tmp_path, Toy()) == 0
    assert checkpoints.resume(tmp_path / "absent", Toy()) == 0


def test_load_network_rebuilds_the_copy_that_samples(saved):
    folder, model = saved
    rebuilt, info = checkpoints.load_network(checkpoints.latest(folder))
    x = np.ones((2, 5), "float32")
    np.testing.assert_array_equal(
        rebuilt.predict(x, verbose=0), model.average.predict(x, verbose=0)
    )
    assert (info["letter"], info["epoch"], info["run"], info["model"]) == ("G", 3, "toy", "Toy")
    assert info["versions"]["keras"] == keras.version()


def test_load_model_from_one_file(saved):
    folder, model = saved
    rebuilt, _ = checkpoints.load_model(checkpoints.latest(folder))
    assert same([np.array(w) for w in rebuilt.average.get_weights()], model.average.get_weights())
    both, _ = checkpoints.load_model(checkpoints.latest(folder), checkpoints.latest(folder, "D"))
    assert same(both.discriminator.get_weights(), model.discriminator.get_weights())


def test_half_precision(tmp_path):
    model = train(Toy())
    small, large = tmp_path / "small.h5", tmp_path / "large.h5"
    wide = keras.Sequential(
        [keras.Input((200,)), keras.layers.Dense(200), keras.layers.Dropout(0.5)]
    )
    checkpoints.save_network(small, wide, epoch=0, dtype="float16")
    checkpoints.save_network(large, wide, epoch=0)
    assert small.stat().st_size < 0.6 * large.stat().st_size
    loaded, _ = checkpoints.load_network(small)
    np.testing.assert_allclose(loaded.get_weights()[0], wide.get_weights()[0], atol=1e-4)
    assert loaded.get_weights()[0].dtype == np.float32
    with h5py.File(small) as file:  # the dropout's seed is whole numbers and stays so
        assert {str(file["weights"][key].dtype) for key in file["weights"]} & {
            "uint32",
            "int32",
            "int64",
        }
    model.average.trainable_variables[0].assign(np.full((5, 3), 1e6, "float32"))
    with pytest.raises(CheckpointError, match="kernel"):
        checkpoints.save_network(tmp_path / "over.h5", model.average, epoch=0, dtype="float16")
    assert not (tmp_path / "over.h5").exists()
    with pytest.raises(ValueError, match="'float32' or 'float16'; received 'int8'"):
        checkpoints.save_network(small, wide, epoch=0, dtype="int8")


@pytest.mark.parametrize("bits", [1, 4, 7, 10])
def test_mantissa_bits(tmp_path, bits):
    net = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    net.layers[0].bias.assign(np.linspace(-1, 1, 100).astype("float16"))
    exact, rounded, again = (tmp_path / name for name in ("exact.h5", "rounded.h5", "again.h5"))
    for path in (exact, again):
        checkpoints.save_network(path, net, epoch=0, dtype="float16")
    checkpoints.save_network(rounded, net, epoch=0, dtype="float16", mantissa_bits=bits)
    checkpoints.repack(again, bits)
    kernel, bias = checkpoints.load_network(exact)[0].get_weights()
    for path in (rounded, again):
        loaded, info = checkpoints.load_network(path)
        found = loaded.get_weights()
        assert info["mantissa_bits"] == bits and found[0].dtype == np.float32
        error = np.abs(found[0] - kernel) / np.abs(kernel)
        assert error.max() <= 2.0 ** -(bits + 1) * (1 + 1e-3) + 2.0**-10
        assert bits == 10 or error.max() > 2.0 ** -(bits + 3)
        np.testing.assert_array_equal(found[1], bias)
    sizes = [path.stat().st_size for path in (exact, rounded)]
    assert sizes[0] == sizes[1] if bits == 10 else sizes[0] > sizes[1] + 1000 * (10 - bits)


def test_repacking_without_rounding_keeps_every_value(tmp_path):
    path, net = tmp_path / "G.h5", network(3, "x")
    checkpoints.save_network(path, net, epoch=4, dtype="float16", info={"scores": {"fid": 2.5}})
    with h5py.File(path, "a") as file:  # Stored as by earlier versions: not compressed.
        for key in file["weights"]:
            value, attributes = file["weights"][key][()], dict(file["weights"][key].attrs)
            del file["weights"][key]
            file["weights"].create_dataset(key, data=value).attrs.update(attributes)
    before, info = checkpoints.load_network(path)
    assert checkpoints.repack(path) == info["sha256"] == checkpoints.verify(path)["sha256"]
    assert same(checkpoints.load_network(path)[0].get_weights(), before.get_weights())
    assert checkpoints.read_info(path) == info


@pytest.mark.parametrize("bits", [0, 11, 2.5])
def test_wrong_mantissa_bits(tmp_path, bits):
    net = network(3, "x")
    for options in ({"dtype": "float16", "mantissa_bits": bits}, {"mantissa_bits": 4}):
        with pytest.raises(ValueError, match=r"mantissa_bits must be an integer in 1\.\.10"):
            checkpoints.save_network(tmp_path / "x.h5", net, epoch=0, **options)
    assert not list(tmp_path.iterdir())


def test_only_networks_are_repacked(saved):
    folder, _ = saved
    path = next(folder.glob("*_resume_*.h5"))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="must contain one network"):
        checkpoints.repack(path)
    assert path.read_bytes() == before


def test_bfloat16_and_mixed_precision(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])
    checkpoints.save_network(tmp_path / "b.h5", net, epoch=1)
    loaded, _ = checkpoints.load_network(tmp_path / "b.h5")
    for a, b in zip(loaded.variables, net.variables, strict=True):
        assert str(a.dtype) == "bfloat16"
        assert keras.ops.all(keras.ops.equal(a, b))


def test_a_long_configuration_fits(tmp_path):
    # HDF5 limits what an attribute holds in place to 64 KB; configurations of large models are
    # longer.
    net = network(3, "x" * 200_000)
    checkpoints.save_network(tmp_path / "long.h5", net, epoch=1)
    assert checkpoints.load_network(tmp_path / "long.h5")[0].name == net.name


def test_a_model_without_configuration_still_resumes(tmp_path):
    class Plain(Toy):
        def get_config(self):
            raise NotImplementedError

    model = train(Plain())
    checkpoints.save(tmp_path, model, **NAME, epoch=1)
    fresh = Plain(seed=2)
    assert checkpoints.resume(tmp_path, fresh) == 1
    assert same(everything(fresh), everything(model))
    with pytest.raises(CheckpointError, match="no configuration of a model"):
        checkpoints.load_model(checkpoints.latest(tmp_path))


@pytest.mark.parametrize("cut", [0, 100, 0.3, 0.5, 0.9, -1])
@pytest.mark.parametrize("letter", ["G", "resume"])
def test_cut_file_is_one_clear_line_and_loads_nothing(saved, cut, letter):
    folder, _ = saved
    path = checkpoints.latest(folder, letter)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut) if isinstance(cut, float) else cut])
    with pytest.raises(CheckpointError) as error:
        checkpoints.verify(path)
    assert path.name in str(error.value) and "\n" not in str(error.value)
    fresh = Toy(seed=5)
    before = everything(fresh)
    with (
        pytest.warns(UserWarning, match="epoch 3 is skipped"),
        pytest.raises(CheckpointError, match="none of the .* resume files .* is intact"),
    ):
        checkpoints.resume(folder, fresh)
    assert same(everything(fresh), before)


def test_every_flipped_byte_of_the_weights_is_seen(saved):
    folder, model = saved
    path = checkpoints.latest(folder)
    data = bytearray(path.read_bytes())
    weight = number(model.average.variables[0]).tobytes()
    data[data.index(weight) + 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="does not match|do not match"):
        checkpoints.load_network(path)


def test_foreign_files(tmp_path):
    text, hdf5, weights = tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "c.weights.h5"
    text.write_text("not a checkpoint")
    with h5py.File(hdf5, "w") as file:
        file.attrs["format"] = np.arange(3)
    network(2, "n").save_weights(weights)
    for path, words in [
        (tmp_path / "absent.h5", "must be an existing file; received"),
        (tmp_path, "must be an existing file"),
        (text, "must be an HDF5 file"),
        (hdf5, "received another HDF5 file"),
        (weights, "received another HDF5 file"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            checkpoints.load_network(path)


def test_newer_version(saved):
    path = checkpoints.latest(saved[0])
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(
        CheckpointError, match="version 2 of the format; this kerasgan reads versions up to 1"
    ):
        checkpoints.read_info(path)


def test_another_networks_file(saved):
    folder, _ = saved
    path = checkpoints.latest(folder)
    for other in (
        network(4, "wider"),
        keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]),
    ):
        before = other.get_weights()
        with pytest.raises(CheckpointError, match="does not fit: it contains"):
            checkpoints.load_weights(path, other)
        assert same(other.get_weights(), before)
    with pytest.raises(CheckpointError, match="must contain the network E; it contains G"):
        checkpoints.load_weights(path, network(3, "right"), letter="E")
    checkpoints.load_weights(path, network(3, "right"), letter="G")
    wide = Toy(width=8)
    before = everything(wide)
    with pytest.raises(CheckpointError, match="does not fit: it contains"):
        checkpoints.resume(folder, wide)
    assert same(everything(wide), before)


def test_another_models_run(saved):
    class Stranger(Toy):
        pass

    with pytest.raises(CheckpointError, match="must belong to a Stranger .* it belongs to a Toy"):
        checkpoints.resume(saved[0], Stranger())


def test_a_broken_epoch_is_skipped_for_the_one_before(saved):
    folder, model = saved
    three = everything(model)
    checkpoints.save(folder, train(model), **NAME, epoch=4)
    checkpoints.latest(folder, "D").write_bytes(b"")
    fresh = Toy()
    with pytest.warns(UserWarning, match="epoch 4 is skipped: .*_D_epoch_4.h5"):
        assert checkpoints.resume(folder, fresh) == 3
    assert same(everything(fresh), three)


def test_files_of_two_saves_are_not_mixed(saved):
    folder, model = saved
    checkpoints.save(folder, train(model), **NAME, epoch=4)
    path = checkpoints.latest(folder)
    checkpoints.save_network(
        path, train(model).average, epoch=4
    )  # killed before the resume file was renewed
    with pytest.warns(UserWarning, match="does not belong to .*: its checksum differs"):
        assert checkpoints.resume(folder, Toy()) == 3


def test_networks_without_their_resume_file_are_no_epoch(saved):
    folder, model = saved
    checkpoints.save(folder, train(model), **NAME, epoch=4)
    checkpoints.latest(folder, "resume").unlink()
    assert checkpoints.resume(folder, Toy()) == 3


@pytest.mark.parametrize("when", ["network", "optimizer"])
def test_broken_weights_are_never_saved(saved, when):
    folder, model = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    variables = (
        model.discriminator.variables
        if when == "network"
        else model.optimizer["generator"].variables
    )
    broken = [v for v in variables if v.shape == (5, 4) or v.shape == (5, 3)][0]
    broken.assign(np.full(broken.shape, np.nan, "float32"))
    with pytest.raises(CheckpointError, match="is not saved: .* not finite"):
        checkpoints.save(folder, model, **NAME, epoch=3)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    folder, model = saved
    path = checkpoints.latest(folder)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="could not be written: .*No space left"):
        checkpoints.save_network(path, train(model).average, epoch=3)
    assert path.read_bytes() == before and not list(folder.glob("*.tmp"))


def test_keep(tmp_path):
    model = Toy()
    for epoch in range(1, 6):
        checkpoints.save(tmp_path, model, **NAME, epoch=epoch, keep=2)
    assert [epoch for epoch, _ in checkpoint_names.listed(tmp_path, "resume")] == [4, 5]
    assert [epoch for epoch, _ in checkpoint_names.listed(tmp_path, "G")] == [1, 2, 3, 4, 5]
    checkpoints.save(
        tmp_path, model, **NAME, epoch=2, keep=1
    )  # a fresh start does not delete what is ahead of it
    assert [epoch for epoch, _ in checkpoint_names.listed(tmp_path, "resume")] == [2, 4, 5]
    with pytest.raises(ValueError, match="keep must be at least 1 .* received 0"):
        checkpoints.save(tmp_path, model, **NAME, epoch=6, keep=0)


def test_unwritable_folder(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(CheckpointError, match="output folder must be writable; received"):
        checkpoints.check_folder(blocked / "run")
    checkpoints.check_folder(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []


def test_best(saved):
    folder, _ = saved
    assert checkpoints.best(folder) is None
    checkpoints.mark_best(folder, checkpoints.latest(folder), "distance", np.float32(0.5))
    expected = dict(file="toy_dots_4_G_epoch_3.h5", epoch=3, metric="distance", value=0.5)
    assert checkpoints.best(folder) == expected


def test_unbuilt_or_uncompiled(tmp_path):
    with pytest.raises(CheckpointError, match="must be built before it is saved"):
        checkpoints.save_network(
            tmp_path / "a.h5", keras.Sequential([keras.layers.Dense(2)]), epoch=1
        )
    model = Toy()
    model.group = None
    with pytest.raises(CheckpointError, match="must be compiled"):
        checkpoints.save(tmp_path, model, **NAME, epoch=1)


OTHER = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}


def test_a_file_of_one_backend_loads_on_another(saved):
    other = OTHER[keras.backend.backend()]
    pytest.importorskip(other)
    folder, model = saved
    checkpoints.save_network(checkpoints.latest(folder), train(model).average, epoch=3)
    script = (
        "import sys, numpy, test_checkpoints as t; from kerasgan.io import checkpoints as c\n"
        "net, _ = c.load_network(c.latest(sys.argv[1])); numpy.savez(sys.argv[2], "
        "*net.get_weights())\n"
        "c.save(sys.argv[1], t.train(t.Toy(seed=3)), **t.NAME, epoch=9)"
    )
    tests, root = pathlib.Path(__file__).parent, pathlib.Path(__file__).parents[2]
    env = {**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": f"{tests}{os.pathsep}{root}"}
    out = folder / "weights.npz"
    subprocess.run(
        [sys.executable, "-c", script, str(folder), str(out)],
        env=env,
        check=True,
        capture_output=True,
    )
    with np.load(out) as stored:
        assert same([stored[name] for name in stored.files], model.average.get_weights())
    assert (
        checkpoints.resume(folder, model) == 9
    )  # its optimizers' counts and seeds too, whatever their width
    assert [int(number(model.optimizer[player].iterations)) for player in model.players] == [2, 2]
    np.testing.assert_array_equal(number(model.noise.state), [3 + 2, 0 + 2])
    assert (
        checkpoints.read_info(checkpoints.latest(folder, "resume"))["versions"]["backend"] == other
    )


def test_a_file_names_functions_that_nobody_has_imported(tmp_path):
    """In a new process: a function's configuration does not say where it lives."""
    networks = {"generator": Generator(8, capacity=2, latent_dim=4, depth=1)}
    networks["discriminator"] = build_discriminator(8, capacity=2)
    gan = StyleGAN2(**networks, augment=translate)
    gan.compile(generator=keras.optimizers.Adam(), discriminator=keras.optimizers.Adam())
    checkpoints.save(tmp_path, gan, run="toy", dataset="points", size=8, epoch=1)
    script = (
        "import sys; from kerasgan.io import checkpoints as c\n"
        "print(c.load_model(c.latest(sys.argv[1]))[0].augment.__module__)"
    )
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "kerasgan.ops.augment"


def test_a_class_of_ones_own_is_explained_in_one_line(tmp_path, monkeypatch):
    """A command line tool does not import the module of the user's class."""

    class Own(keras.Model):
        def __init__(self, width=2):
            super().__init__()
            self.width = width
            self.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])

        def get_config(self):
            return {"width": self.width}

    model = Own()
    checkpoints.save_network(tmp_path / "G.h5", model.generator, epoch=1, model=model)
    with pytest.raises(CheckpointError, match="a Own, a class of your own, which the") as caught:
        checkpoints.load_model(tmp_path / "G.h5")
    assert "use checkpoints.load_weights" in str(caught.value) and "\n" not in str(caught.value)
