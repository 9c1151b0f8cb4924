"""CoopNet's recipe with 64 digits for two epochs, and samples and scores of its runs."""

import csv
import dataclasses
import json

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import zoo.coopnet
from kerasgan import callbacks
from kerasgan.io import checkpoints, presets
from kerasgan.io.network_names import networks_by_letter
from kerasgan.models.coopnet import CoopNet
from zoo import evaluate, evaluation_images, recipe, sample

RECIPE = zoo.coopnet.RECIPE
SMALL = {
    "epochs": 2,
    "batch_size": 32,
    "chains": 8,
    "steps": 2,
    "width": 1,
    "latent_dim": 4,
    "score_every": 1,
    "checkpoint_every": 1,
    "noise_until": 1,
}
SAMPLE = dict.fromkeys("labels caption data n by statistics".split()) | {"columns": 4, "seed": 3}


@pytest.fixture
def digits(monkeypatch):
    """The recipe with 64 digits, scored by the brightness of samples."""
    images, labels = zoo.coopnet.loaded(recipe.settings_of(RECIPE))
    monkeypatch.setattr(zoo.coopnet, "load", lambda *given: (images[:64], labels[:64]))

    def score(model, samples):
        light = float(model.sample(8, seed=1, by="descriptor").mean())
        return {
            RECIPE.monitor: light + 2,
            "protocol": {"descriptor": model.sampling_protocol("descriptor")},
        }

    return dataclasses.replace(RECIPE, score=lambda settings: score)


def saved(folder, **info):
    """Saves generator and descriptor of an untrained CoopNet. Returns the generator's file."""
    model = zoo.coopnet.build(recipe.settings_of(RECIPE, **SMALL, **{"data": "digits"} | info))
    for letter, network in networks_by_letter(model).items():
        path = folder / checkpoints.file_name("coopnet", "digits", 28, letter, 2)
        checkpoints.save_network(path, network, model=model, epoch=2, letter=letter, info=info)
    return folder / "coopnet_digits_28_G_epoch_2.h5"


def test_a_run_with_an_explosion(digits, tmp_path, monkeypatch, capsys):
    alarms = []

    def alarm(self, recent):
        alarms.append(recent[-1])
        return "a test" if len(alarms) == 2 else None

    monkeypatch.setattr(CoopNet, "alarm", alarm)
    folder = tmp_path / "run"
    scores = recipe.run(
        digits, recipe.settings_of(digits, **SMALL), folder, "python -m zoo.coopnet"
    )
    with (folder / "log.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert {*CoopNet.reports, "rollbacks", "reconstruction_drop", RECIPE.monitor} < set(rows[0])
    assert [float(row["rollbacks"]) for row in rows] == [1, 1]
    output = capsys.readouterr().out
    assert (
        "a test; back to step 0, the descriptor's learning rate goes from 0.007 to 0.0035" in output
    )
    assert "balance" in output and "moment_gap" not in output  # Only these are in the progress bar.
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    assert {f"coopnet_digits_28_{letter}_epoch_2.h5" for letter in ("G", "D", "resume")} < names
    with Image.open(folder / "grids" / "epoch_0002.png") as picture:
        assert picture.size == (2 * 8 * 28 + 8, 8 * 28 + 18)
    assert json.loads((folder / "scores.json").read_text()) == scores
    assert "batch of 8 chains" in (folder / "index.html").read_text()
    loaded = sample.load(folder / "checkpoints" / "coopnet_digits_28_G_epoch_2.h5")
    assert float(loaded.sample(8, seed=1, by="descriptor").mean()) + 2 == pytest.approx(
        scores[RECIPE.monitor], abs=1e-5
    )


def test_guards_run_first_and_drops_are_marked_before_the_epoch_is_saved(digits, tmp_path):
    used = recipe._callbacks(digits, recipe.settings_of(digits, **SMALL), tmp_path, None, None)
    names = "ExplosionGuard LearningRateScheduler DropDetector ProgressBar NonFiniteGuard".split()
    assert [type(callback).__name__ for callback in used[:5]] == names and isinstance(
        used[-1], callbacks.Checkpoint
    )
    assert used[2].folder == tmp_path / "checkpoints"


def test_the_rate_falls_after_the_noise_is_switched_off(digits, tmp_path):
    settings = recipe.settings_of(digits, **SMALL | {"noise_until": 3, "decay": 0.5})
    rate = zoo.coopnet.guards(settings, tmp_path)[1].schedule
    assert [rate(epoch, 0.008) for epoch in (0, 2, 3, 9)] == [0.008, 0.008, 0.004, 0.004]


def test_noise_is_switched_off_after_its_epochs(digits):
    noise = zoo.coopnet.build(
        recipe.settings_of(digits, **SMALL | {"noise_until": 2})
    ).noise  # Two updates per epoch.
    at = [
        float(keras.ops.convert_to_numpy(noise(keras.ops.convert_to_tensor(update))))
        for update in range(6)
    ]
    assert at == [1, 1, 1, 1, 0, 0]
    assert zoo.coopnet.build(recipe.settings_of(digits, **SMALL | {"noise_until": 0})).noise == 1
    assert zoo.coopnet.build(recipe.settings_of(digits, **SMALL | {"noise": 0.0})).noise == 0


def test_presets():
    of = recipe.settings_of
    assert list(RECIPE.presets)[0] == "quick"
    for name in RECIPE.presets:
        assert of(RECIPE, name).descriptor_rate >= 30 * of(RECIPE, name).generator_rate
    cifar10 = of(RECIPE, "cifar10")
    assert (cifar10.batch_size, cifar10.chains, cifar10.noise, cifar10.descriptor_rate) == (
        300,
        900,
        0,
        0.003,
    )
    assert (RECIPE.dataset(cifar10), RECIPE.size(cifar10), RECIPE.score(cifar10)) == (
        "cifar10",
        32,
        None,
    )
    birds = of(RECIPE, "birds_64")
    assert (RECIPE.dataset(birds), RECIPE.size(birds), RECIPE.score(birds)) == (
        "synthetic_birds",
        64,
        None,
    )
    assert (
        of(RECIPE, "authors_digits").noise_until == 0 and of(RECIPE, "authors_digits").chains == 144
    )


def test_the_shipped_presets_networks_fit_8_megabytes(tmp_path):
    model = zoo.coopnet.build(recipe.settings_of(RECIPE, "digits"))
    model.save_to_preset(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.glob("[GD].h5")) < 8e6


def test_synthetic_birds_and_folders(tmp_path):
    birds = recipe.settings_of(RECIPE, "birds_32", num_images=5)
    assert zoo.coopnet.loaded(birds)[0].shape == (5, 32, 32, 3)
    (tmp_path / "all").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 50)).save(tmp_path / "all" / name)
    own = recipe.settings_of(RECIPE, data=str(tmp_path), size=32, channels=3)
    assert zoo.coopnet.loaded(own)[0].shape == (2, 32, 32, 3) and RECIPE.dataset(own) == "folder"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_until": -1}, "noise_until must be at least 0"),
        ({"decay": 1.5}, r"decay must be above 0 and at most 1; received 1\.5"),
        ({"step_size": 0.03}, "must be below 1"),
        ({"latent_dim": 1}, "latent_dim must be at least 2"),
        ({"chains": 1}, "chains must be at least 2"),
    ],
)
def test_invalid_settings_leave_no_folder(digits, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        recipe.run(digits, recipe.settings_of(digits, **SMALL | changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dry_run(digits, capsys):
    recipe.dry_run(digits, recipe.settings_of(digits, **SMALL))
    output = capsys.readouterr().out
    assert "descriptor " in output and "125 per epoch" in output


def test_missing_cifar10_is_one_line(tool, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("kerasgan.datasets.cifar10.URL", "http://127.0.0.1:9/cifar10")
    with pytest.raises(SystemExit):
        tool("coopnet", preset="cifar10", folder=tmp_path / "run")
    line = capsys.readouterr().err
    assert (
        line.startswith("error: CIFAR-10 is not prepared in ")
        and "network access" in line
        and line.count("\n") == 1
    )


# === Samples and scores ===


@pytest.fixture
def sample_file(tool, tmp_path):
    """Function that runs `zoo.sample` in this process and returns the written file."""

    def run(checkpoint, out="samples.h5", **values):
        tool("sample", checkpoint=checkpoint, out=tmp_path / out, **SAMPLE | values)
        return tmp_path / out

    return run


def test_both_players_generate_samples(digits, sample_file, tmp_path):
    path = saved(tmp_path)
    model, found = sample.load(path), {}
    for by in ("generator", "descriptor"):
        with h5py.File(sample_file(path, n=5, by=by)) as file:
            found[by] = file["images"][:]
            assert json.loads(file.attrs["protocol"]) == model.sampling_protocol(by)
        expected = (model.sample(5, seed=3, by=by) + 1) * 127.5
        np.testing.assert_allclose(found[by], expected, atol=0.6)
    assert found["generator"].shape == (5, 28, 28, 1) and not np.array_equal(*found.values())
    with h5py.File(sample_file(path, n=5, statistics="running")) as file:
        assert json.loads(file.attrs["protocol"]) == {"by": "generator", "statistics": "running"}
        assert not np.array_equal(file["images"], found["generator"])
    with Image.open(sample_file(path, "samples.png", n=6)) as picture:
        assert picture.size == (4 * 28, 2 * 28)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["3"]}, "takes neither labels nor captions: give --n"),
        ({"caption": ["a bird"]}, "takes neither labels nor captions: give --n"),
        (
            {"checkpoint": "mnist_gan_digits", "by": "descriptor"},
            "in inference mode: --by is for CoopNet",
        ),
        (
            {"checkpoint": "mnist_gan_digits", "statistics": "running"},
            "in inference mode: --statistics is for CoopNet",
        ),
        (
            {"checkpoint": "synthetic_birds_text"},
            "--checkpoint must generate images; synthetic_birds_text is a JointEmbed",
        ),
    ],
)
def test_bad_samples_are_one_line(digits, sample_file, tmp_path, capsys, values, message):
    with pytest.raises(SystemExit):
        sample_file(**{"checkpoint": saved(tmp_path)} | values)
    line = capsys.readouterr().err
    assert line.startswith("error: ") and message in line and line.count("\n") == 1


def test_a_file_without_its_descriptor(digits, tmp_path):
    path = saved(tmp_path)
    (tmp_path / "coopnet_digits_28_D_epoch_2.h5").unlink()
    with pytest.raises(ValueError, match="needs the file coopnet_digits_28_D_epoch_2.h5"):
        sample.load(path)


def test_a_preset_samples_with_its_descriptor(digits, tmp_path):
    model = sample.load(saved(tmp_path))
    model.save_to_preset(tmp_path / "preset")
    assert "- statistics: batch of 8 chains" in presets.card(tmp_path / "preset")
    of_folder, of_file = (
        presets.load(tmp_path / "preset"),
        sample.load(tmp_path / "preset" / "G.h5"),
    )
    np.testing.assert_array_equal(
        of_folder.sample(4, seed=0, by="descriptor"), of_file.sample(4, seed=0, by="descriptor")
    )
    np.testing.assert_allclose(
        of_file.sample(4, seed=0, by="descriptor"),
        model.sample(4, seed=0, by="descriptor"),
        atol=0.01,
    )


def test_both_players_are_scored(digits, tmp_path):
    path = saved(tmp_path)
    model = sample.load(path)
    model.chains = 500  # Fewer blocks.
    found = zoo.coopnet.scores(model, 1000)
    names = {"classes_covered", "digit_frechet_distance", "digit_frechet_ratio"}
    of_both = {f"{by}_{name}" for by in model.players for name in names}
    assert set(found) == of_both | {"digit_frechet_floor", "protocol"} and RECIPE.monitor in of_both
    assert found["generator_classes_covered"] < 10 and found["generator_digit_frechet_ratio"] > 5
    assert found["generator_digit_frechet_distance"] != found["descriptor_digit_frechet_distance"]
    protocol = json.loads(json.dumps(found))["protocol"]
    assert protocol["generator"] == {"by": "generator", "statistics": "batch of 500 chains"}
    assert protocol["descriptor"]["steps"] == 2 and protocol["latents"] == "of seed 1"


def test_evaluate_scores_digits_only(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo.coopnet, "scores", lambda model, samples, seed: (samples, seed))
    assert evaluate.score(saved(tmp_path), 1000, seed=4) == (1000, 4)
    with pytest.raises(
        ValueError,
        match="evaluation classifiers exist only for .*, a CoopNet of folder",
    ):
        evaluate.score(saved(tmp_path, data="folder"))


def test_evaluate_samples_in_blocks_and_records_it(digits, tmp_path):
    path = saved(tmp_path)
    source = evaluation_images.source(path, 11, seed=3, by="descriptor", convert=True)
    images_of_blocks = np.concatenate([*source.batches(4)])
    np.testing.assert_allclose(
        images_of_blocks[..., :1],
        (sample.load(path).sample(11, seed=3, by="descriptor") + 1) * 127.5,
        atol=0.6,
    )
    assert "by descriptor, statistics batch of 8 chains, steps 2" in source.name
    with pytest.raises(ValueError, match="--by is for CoopNet"):
        evaluation_images.source("mnist_gan_digits", 10, by="descriptor")
