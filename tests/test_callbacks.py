"""Callbacks in a real `fit`: files, order, resuming, and stops of failed trainings."""

import csv

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import callbacks, images
from kerasgan.io import checkpoints
from kerasgan.training import AdversarialModel

NAME = dict(run="toy", dataset="dots", size=2)


class Dots(AdversarialModel):
    """A GAN of two dense layers on images of 2 x 2 dots."""

    def __init__(self, break_at=None):
        super().__init__()
        keras.utils.set_random_seed(0)
        self.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh")])
        self.discriminator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        self.noise = keras.random.SeedGenerator(0)
        self.break_at = break_at

    def train_step(self, data):
        latents = keras.random.normal((ops.shape(data)[0], 3), seed=self.noise)

        def fake_logits():
            return self.discriminator(self.generator(latents))

        def discriminator_loss():
            return ops.mean(ops.softplus(-self.discriminator(data)) + ops.softplus(fake_logits()))

        d_loss = self.minimize("discriminator", discriminator_loss)
        g_loss = self.minimize("generator", lambda: ops.mean(ops.softplus(-fake_logits())))
        if self.break_at is not None:
            late = ops.greater_equal(self.optimizer["generator"].iterations, self.break_at)
            g_loss = ops.where(late, float("nan"), g_loss)
        return self.report(discriminator_loss=d_loss, generator_loss=g_loss)

    def sample(self, n=None, labels=None, seed=None, batch_size=256):
        n = n if labels is None else len(labels)
        latents = np.random.default_rng(seed).normal(size=(n, 3)).astype("float32")
        return ops.convert_to_numpy(self.generator(latents)).reshape(n, 2, 2, 1)


def dots(**arguments):
    model = Dots(**arguments)
    model.compile(generator=keras.optimizers.Adam(0.01), discriminator=keras.optimizers.Adam(0.01))
    return model


def fit(model, callbacks, epochs=3, initial_epoch=0):
    data = np.linspace(-1, 1, 8 * 4, dtype="float32").reshape(8, 4)
    return model.fit(
        data,
        batch_size=4,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )


def table(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def stored(path):
    with h5py.File(path) as file:
        return [file["weights"][key][()].tobytes() for key in sorted(file["weights"])]


def of_run(folder, scores=None):
    score = scores or (lambda model: {"distance": 1.0})
    return [
        callbacks.NonFiniteGuard(folder / "checkpoints"),
        callbacks.Scores(score, every=2),
        callbacks.CSVLog(folder / "log.csv"),
        callbacks.SampleGrid(folder, lambda model: images.grid(model.sample(n=6, seed=0), 3)),
        callbacks.Checkpoint(folder / "checkpoints", **NAME, monitor="distance"),
    ]


@pytest.mark.backend
def test_an_interrupted_and_resumed_run_leaves_the_files_of_one_run(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    fit(dots(), of_run(whole), epochs=4)

    fit(dots(), of_run(parts), epochs=3)
    checkpoints.latest(
        parts / "checkpoints", "resume"
    ).unlink()  # The run was killed between the log and the checkpoint.
    model = dots()
    epoch = checkpoints.resume(parts / "checkpoints", model)
    assert epoch == 2
    fit(model, of_run(parts), epochs=4, initial_epoch=epoch)

    files = [
        sorted(str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()) for f in (whole, parts)
    ]
    assert files[0] == files[1]
    assert {"history.gif", "log.csv", "grids/epoch_0000.png", "grids/epoch_0004.png"} <= set(
        files[0]
    )
    logs = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in table(f / "log.csv")]
        for f in (whole, parts)
    ]
    assert logs[0] == logs[1] and [row["epoch"] for row in logs[0]] == ["1", "2", "3", "4"]
    for name in ("history.gif", "grids/epoch_0004.png"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    for letter in (
        "G",
        "D",
        "resume",
    ):  # Equal bits. Only the names of layers differ, because Keras numbers them.
        one, other = (stored(checkpoints.latest(f / "checkpoints", letter)) for f in (whole, parts))
        assert one and one == other


def test_scores_reach_the_log_the_history_and_the_best(tmp_path):
    values = iter([3.0, 1.0, 2.0])
    history = fit(dots(), of_run(tmp_path, lambda model: {"distance": next(values)}), epochs=5)
    assert history.history["distance"] == [
        3.0,
        1.0,
        2.0,
    ]  # Epochs 2 and 4, and 5 because it is the last.
    rows = table(tmp_path / "log.csv")
    assert [row["distance"] for row in rows] == ["", "3.0", "", "1.0", "2.0"]
    best = checkpoints.best(tmp_path / "checkpoints")
    assert (best["epoch"], best["value"], best["file"]) == (4, 1.0, "toy_dots_2_G_epoch_4.h5")
    assert len(list((tmp_path / "checkpoints").glob("*_resume_*"))) == 2
    assert len(list((tmp_path / "checkpoints").glob("*_G_*"))) == 5


def test_the_best_epoch_is_saved_and_kept_after_a_resume(tmp_path):
    def run(values, **arguments):
        values = iter(values)
        saver = callbacks.Checkpoint(tmp_path, **NAME, every=10, monitor="score", mode="max")
        fit(dots(), [callbacks.Scores(lambda model: {"score": next(values)}), saver], **arguments)

    run([1.0, 3.0, 2.0])
    assert [p.name for p in sorted(tmp_path.glob("*_G_*"))] == [
        f"toy_dots_2_G_epoch_{n}.h5" for n in (2, 3)
    ]
    run([2.5], epochs=4, initial_epoch=3)
    assert checkpoints.best(tmp_path)["epoch"] == 2
    run([0.5], epochs=2, initial_epoch=1)  # Epoch 2 is repeated, so its old score is discarded.
    assert checkpoints.best(tmp_path)["epoch"] == 2 and checkpoints.best(tmp_path)["value"] == 0.5


def test_every_epoch_can_be_resumed_and_few_checkpoints_are_kept(tmp_path):
    fit(dots(), [callbacks.Checkpoint(tmp_path, **NAME, every=3)], epochs=7)
    epochs = {
        letter: checkpoints.epochs(tmp_path, letter, **NAME) for letter in ("G", "D", "resume")
    }
    assert epochs == {"G": {3, 6, 7}, "D": {3, 6, 7}, "resume": {6, 7}}
    assert checkpoints.resume(tmp_path, dots()) == 7


def test_a_missing_monitor_is_reported(tmp_path):
    with pytest.warns(
        UserWarning, match="the logs never had 'typo'; they have discriminator_loss, generator_loss"
    ):
        fit(dots(), [callbacks.Checkpoint(tmp_path, **NAME, monitor="typo")], epochs=1)


@pytest.mark.backend
def test_guard_stops_and_does_not_save_the_broken_epoch(tmp_path):
    with pytest.raises(
        callbacks.NonFiniteLossError, match="generator_loss is nan .*toy_dots_2_resume_epoch_2.h5"
    ):
        fit(
            dots(break_at=5), of_run(tmp_path), epochs=9
        )  # Two updates per epoch: the fifth is in epoch 3.
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("*_epoch_3.h5")) == []
    assert checkpoints.resume(tmp_path / "checkpoints", dots()) == 2
    assert len(table(tmp_path / "log.csv")) == 2


@pytest.mark.backend
def test_weights_that_an_epochs_last_batch_broke_are_not_saved(tmp_path):
    class Breaks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            bias = self.model.generator.layers[-1].bias
            bias.assign(bias * float("nan"))

    with pytest.raises(
        callbacks.NonFiniteLossError,
        match="stops: 1 of 4 trainable variables are not finite after epoch 1",
    ):
        fit(dots(), [Breaks(), *of_run(tmp_path)])
    assert not list(tmp_path.glob("checkpoints/*.h5"))


def test_guard_without_a_checkpoint(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(callbacks.NonFiniteLossError, match="last good checkpoint: none"):
            fit(dots(break_at=0), [callbacks.NonFiniteGuard(folder)])


def test_learning_rate_of_one_player():
    model = dots()
    history = fit(
        model, [callbacks.LearningRateScheduler("generator", lambda epoch, rate: rate * 0.5)]
    ).history
    np.testing.assert_allclose(
        history["generator_learning_rate"], [0.005, 0.0025, 0.00125], rtol=1e-6
    )
    assert float(
        ops.convert_to_numpy(model.optimizer["discriminator"].learning_rate)
    ) == pytest.approx(0.01)
    with pytest.raises(
        ValueError, match="player must be one of generator, discriminator; received 'critic'"
    ):
        fit(model, [callbacks.LearningRateScheduler("critic", lambda epoch, rate: rate)])
    with pytest.raises(ValueError, match="finite and at least 0; received -1.0 for epoch 0"):
        fit(model, [callbacks.LearningRateScheduler("generator", lambda epoch, rate: -1)])


def test_bad_arguments(tmp_path):
    (tmp_path / "file").write_text("")
    model = dots()
    before = [np.array(w) for w in model.generator.get_weights()]
    with pytest.raises(checkpoints.CheckpointError, match="output folder must be writable"):
        fit(model, [callbacks.Checkpoint(tmp_path / "file" / "run", **NAME)])
    assert all(
        np.array_equal(a, b) for a, b in zip(before, model.generator.get_weights(), strict=True)
    )
    for make, words in [
        (
            lambda: callbacks.SampleGrid(tmp_path, 6),
            "sample must be a function of the model.*received 6",
        ),
        (lambda: callbacks.Scores(len, every=0), "every must be at least 1"),
        (
            lambda: callbacks.Checkpoint(tmp_path, **NAME, mode="best"),
            "mode must be 'min' or 'max'; received 'best'",
        ),
        (
            lambda: callbacks.Checkpoint(tmp_path, run="a/b", dataset="c", size=2),
            "run and dataset may consist of letters",
        ),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.backend
def test_a_new_training_in_a_used_folder_is_noticed(tmp_path):
    def checkpoint():
        return [callbacks.Checkpoint(tmp_path, **NAME)]

    fit(dots(), checkpoint(), epochs=2)
    with pytest.warns(UserWarning, match="holds epochs up to 2 of an earlier training"):
        fit(dots(), checkpoint(), epochs=1)
    model = dots()
    epoch = checkpoints.resume(tmp_path, model)
    fit(model, checkpoint(), epochs=epoch + 1, initial_epoch=epoch)  # No warning.


@pytest.mark.parametrize(("shapes", "size"), [([(8, 8, 1)], 8), ([(4, 4, 3), (16, 16, 3)], 16)])
def test_a_checkpoint_takes_the_size_of_the_generators_images(tmp_path, shapes, size):
    inputs = keras.Input((2,))
    flat = [keras.layers.Dense(int(np.prod(shape)))(inputs) for shape in shapes]
    outputs = [keras.layers.Reshape(s)(x) for s, x in zip(shapes, flat, strict=True)]

    class Model:
        def __init__(self, outputs):
            self.generator = keras.Model(inputs, outputs)

        def checkpoint_networks(self):
            return {"generator": self.generator}

    saver = callbacks.Checkpoint(tmp_path, run="toy", dataset="dots")
    saver._model = Model(outputs)
    assert saver._image_size() == size
    saver._model = Model(flat)
    with pytest.raises(ValueError, match="Checkpoint needs size=..., .* received none"):
        saver._image_size()
