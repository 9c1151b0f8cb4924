"""The recipe on 128 digits for two epochs."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

import zoo.mnist_gan
from kerasgan import report
from kerasgan.io import checkpoints
from kerasgan.losses import adversarial
from kerasgan.losses.penalties import wgan_gp_penalty
from zoo import recipe

SMALL = {"epochs": 2, "batch_size": 64, "width": 2, "score_every": 1, "checkpoint_every": 1}


@pytest.fixture
def digits(monkeypatch):
    """The recipe with 128 digits, scored by the brightness of samples."""
    images, labels, classes = zoo.mnist_gan.load(recipe.settings_of(zoo.mnist_gan.RECIPE))
    monkeypatch.setattr(
        zoo.mnist_gan, "load", lambda settings: (images[:128], labels[:128], classes)
    )

    def score(model, samples):
        return {
            "digit_frechet_distance": float(model.sample(n=20, seed=1).mean()) + 1,
            "protocol": "brightness",
        }

    return dataclasses.replace(zoo.mnist_gan.RECIPE, score=lambda settings: score)


def epochs(folder):
    with (folder / "log.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_networks_of_a_run_compute_in_its_dtype_policy(digits, tmp_path):
    chosen = SMALL | {"dtype_policy": "mixed_bfloat16", "decay": False}
    for epochs in (1, 2):  # The second run resumes the first one.
        settings = recipe.settings_of(digits, "best", **chosen | {"epochs": epochs})
        recipe.run(digits, settings, tmp_path)
    assert keras.config.dtype_policy().name == "float32"
    model, info = checkpoints.load_model(checkpoints.latest(tmp_path / "checkpoints"))
    assert (info["dtype_policy"], info["epoch"]) == ("mixed_bfloat16", 2)
    for network in (model.generator, model.discriminator):
        policies = {layer.dtype_policy.name for layer in network.layers if layer.weights}
        assert policies == {"mixed_bfloat16"}
        assert {variable.dtype for variable in network.trainable_variables} == {"float32"}
    images = model.sample(labels=[3, 4], seed=0)
    assert images.dtype == "float32" and np.isfinite(images).all()
    with pytest.raises(ValueError, match="holds a run with dtype_policy mixed_bfloat16"):
        recipe.run(
            digits, dataclasses.replace(settings, dtype_policy="float32", epochs=3), tmp_path
        )


def test_a_run_is_stopped_and_resumed(digits, tmp_path, capsys, monkeypatch):
    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    folder, settings = tmp_path / "run", recipe.settings_of(digits, "best", **SMALL)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(recipe.callbacks.NonFiniteGuard, "on_epoch_begin", stop)
        recipe.run(digits, settings, folder, "python -m zoo.mnist_gan")
    assert (folder / "index.html").exists() and epochs(folder) == [1]
    loaded, info = checkpoints.load_model(checkpoints.latest(folder / "checkpoints"))
    assert loaded.sample(labels=[3], seed=0).shape == (1, 28, 28, 1) and info["epoch"] == 1

    scores = recipe.run(digits, settings, folder)
    assert f"resuming {folder} after epoch 1 of 2" in capsys.readouterr().out
    assert epochs(folder) == [1, 2] and np.isfinite(scores["digit_frechet_distance"])
    for name in (
        "settings.json",
        "versions.json",
        "scores.json",
        "log.csv",
        "history.gif",
        "index.html",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert [path.name for path in sorted((folder / "grids").iterdir())] == [
        f"epoch_000{n}.png" for n in range(3)
    ]
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    files = {
        f"mnist_gan_digits_28_{letter}_epoch_{n}.h5"
        for letter in ("G", "D", "resume")
        for n in (1, 2)
    }
    assert names == files | {"best.json"}
    assert json.loads((folder / "settings.json").read_text())["width"] == 2
    assert json.loads((folder / "scores.json").read_text()) == scores
    page = (folder / "index.html").read_text()
    assert "mnist_gan: run" in page and "Samples of a longer run" in page
    assert (folder / "shipped" / "mnist_gan_digits.png").stat().st_size > 1000

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for changed in ({"seed": 1}, {"width": 3}, {"batch_size": 32}):
        with pytest.raises(
            ValueError,
            match="holds a run with .*; use these settings to resume it, or another --folder",
        ):
            recipe.run(digits, recipe.settings_of(digits, "best", **SMALL | changed), folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_loss_of_nan_stops_the_run_and_writes_its_page(digits, tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                weight = self.model.generator.trainable_variables[0]
                weight.assign(np.full(weight.shape, np.nan))

    poisoned = dataclasses.replace(digits, callbacks=lambda settings, folder: [Poison()])
    with pytest.raises(recipe.callbacks.NonFiniteLossError, match="epoch 2"):
        recipe.run(poisoned, recipe.settings_of(digits, "best", **SMALL), tmp_path)
    assert (tmp_path / "index.html").exists() and epochs(tmp_path) == [1]


def test_the_shipped_preset_is_shown_for_runs_on_its_own_data_only(digits, tmp_path):
    settings = recipe.settings_of(digits, "best", **SMALL | {"epochs": 1})
    for folder, data, count in (
        (tmp_path / "digits", "digits", 1),
        (tmp_path / "others", "mnist", 0),
    ):
        recipe.run(digits, dataclasses.replace(settings, data=data), folder)
        assert len([*folder.glob("shipped/*.png")]) == count


def test_settings_that_cannot_be_built_leave_no_folder(digits, tmp_path):
    with pytest.raises(
        ValueError, match="model must be training_notes, corrected, best or plain; received 'dogs'"
    ):
        recipe.run(digits, recipe.settings_of(digits, model="dogs"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_output_folder_that_cannot_be_written(digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output folder must be writable"):
        recipe.run(digits, recipe.settings_of(digits, "best", **SMALL), tmp_path / "file")


def test_presets_and_settings():
    of = recipe.settings_of
    mnist = zoo.mnist_gan.RECIPE
    assert of(mnist).model == "best" and of(mnist, "noted").model == "training_notes"
    assert of(mnist).epochs == mnist.presets["quick"]["epochs"] and of(mnist, "quick") == of(mnist)
    assert of(mnist, "training_notes", epochs=3).epochs == 3
    for arguments, message in [
        (
            {"preset": "nope"},
            "preset must be one of quick, best, corrected, training_notes; received 'nope'",
        ),
        ({"typo": 1}, "settings of mnist_gan are .*; received 'typo'"),
        ({"epochs": 0}, "epochs must be at least 1; received 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            of(mnist, **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": "cubic"},
            "loss must be '', nonsaturating, minmax, .*, soft or noisy; received 'cubic'",
        ),
        ({"penalty": "r2"}, "penalty must be '', none, r1 or wgan_gp; received 'r2'"),
        (
            {"model": "corrected", "loss": "hinge"},
            "settings of the models best and plain; received corrected",
        ),
        ({"pretraining_epochs": 2}, "pretraining_epochs and decay both set .* received 2 epochs"),
        (
            {"model": "noted", "discriminator_steps": 2},
            "discriminator_steps must be 1 with reproduce_training_notes; received",
        ),
    ],
)
def test_invalid_settings(digits, changes, message):
    with pytest.raises(ValueError, match=message):
        digits.build(recipe.settings_of(digits, "best", **SMALL | changes))


def test_settings_become_losses_penalties_and_steps(digits):
    changes = {
        "model": "plain",
        "loss": "wasserstein",
        "penalty": "wgan_gp",
        "discriminator_steps": 2,
    }
    settings = recipe.settings_of(digits, "best", **SMALL | changes | {"batch_size": 32})
    gan = digits.build(settings)
    assert gan.discriminator_loss is adversarial.wasserstein_discriminator_loss
    assert gan.gradient_penalty is wgan_gp_penalty
    assert (gan.gradient_penalty_weight, gan.gradient_penalty_every) == (10.0, 1)
    assert gan.augment is gan.ema_generator is None and gan.discriminator_steps == 2
    assert digits.data(settings)[0][0].shape[0] == 64
    noisy = digits.build(recipe.settings_of(digits, "best", **SMALL, loss="noisy"))
    assert (
        isinstance(noisy.discriminator_loss, adversarial.NoisyLabels)
        and noisy.augment
        and noisy.ema_generator
    )
    best = digits.build(recipe.settings_of(digits, "best", **SMALL))
    assert best.discriminator_loss is adversarial.logistic_discriminator_loss
    assert best.gradient_penalty_weight == 1.0
    other = zoo.mnist_gan.build(settings, generator_loss=adversarial.hinge_generator_loss)
    assert other.generator_loss is adversarial.hinge_generator_loss


def test_pretraining_updates_only_the_discriminator(digits, tmp_path):
    settings = recipe.settings_of(
        digits, "best", **SMALL | {"decay": False, "pretraining_epochs": 1, "model": "plain"}
    )
    gan = digits.build(settings)
    gan.run_eagerly = True
    (pretraining,) = digits.callbacks(settings, tmp_path)
    first, started = ([np.array(w) for w in gan.player_variables(player)] for player in gan.players)
    gan.fit(digits.data(settings), epochs=1, callbacks=[pretraining], verbose=0)
    assert all(
        np.array_equal(a, b) for a, b in zip(first, gan.player_variables("generator"), strict=True)
    )
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(started, gan.player_variables("discriminator"), strict=True)
    )
    gan.fit(digits.data(settings), epochs=2, initial_epoch=1, callbacks=[pretraining], verbose=0)
    assert not all(
        np.array_equal(a, b) for a, b in zip(first, gan.player_variables("generator"), strict=True)
    )


def test_dry_run(digits, capsys):
    recipe.dry_run(digits, recipe.settings_of(digits, "corrected", **SMALL))
    out = capsys.readouterr().out
    assert "generator " in out and "trainable parameters" in out and "62 per epoch" in out


def test_page_of_a_missing_run(tmp_path):
    with pytest.raises(ValueError, match="a run must be an existing folder"):
        report.run_page(tmp_path / "none")
