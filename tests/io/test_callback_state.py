"""Callbacks of a resumed run have the state of those of an uninterrupted run."""

import keras
import numpy as np
import pytest

from kerasgan import callbacks
from kerasgan.io import callback_state, checkpoints
from kerasgan.models import coopnet

NAMES = {"run": "coop", "dataset": "noise", "size": 8}


def model():
    keras.utils.set_random_seed(0)
    descriptor = keras.Sequential(
        [keras.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    generator = keras.Sequential(
        [keras.Input([4]), keras.layers.Dense(64), keras.layers.Reshape([8, 8, 1])]
    )
    made = coopnet.CoopNet(generator, descriptor, chains=4, steps=1, seed=0)
    made.compile(descriptor=keras.optimizers.Adam(1e-3), generator=keras.optimizers.Adam(1e-3))

    def alarm(recent):  # explodes at the fifth step after the last explosion
        return "forced" if len(recent) == 5 else None

    made.alarm, made.causes, made.diagnose = (
        alarm,
        lambda rate: "nothing",
        lambda means, updates: [],
    )
    return made


def fit(model, folder, epochs, start=0):
    guard = callbacks.ExplosionGuard("descriptor", every=3, max_rollbacks=99)
    drop = callbacks.DropDetector(folder, "reconstruction", epochs=3)
    saved = callbacks.Checkpoint(folder, **NAMES, monitor="reconstruction")
    images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype("float32")
    used = [guard, drop, saved]
    model.fit(
        images,
        batch_size=2,
        epochs=epochs,
        initial_epoch=start,
        callbacks=used,
        shuffle=False,
        verbose=0,
    )
    return guard.get_state(), drop.get_state(), saved.get_state()


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return np.array_equal(one, other)


@pytest.mark.backend
def test_a_coopnet_that_explodes_resumes_equal(tmp_path):
    whole = model()
    told = fit(whole, tmp_path / "whole", 4)
    assert len(told[0]["rollbacks"]) >= 2 and len(told[1]["seen"]) == 3
    fit(model(), tmp_path / "parts", 2)
    again = model()
    assert checkpoints.resume(tmp_path / "parts", again) == 2
    resumed = fit(again, tmp_path / "parts", 4, 2)
    assert equal(told, resumed)
    for one, other in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(v) for v in (one, other)))


def test_states_survive_their_file():
    stop = keras.callbacks.EarlyStopping("loss", patience=3)
    stop.wait, stop.best, stop.best_epoch, stop.best_weights = (
        2,
        np.float32(0.5),
        7,
        [np.ones([2, 2]), np.int64(3)],
    )
    drop = callbacks.DropDetector("x", epochs=2)
    drop.seen.extend([1.0, float("nan")])
    packed = callback_state.pack(callback_state.get_states([keras.callbacks.History(), stop, drop]))
    values, states = callback_state.unpack([("a/kernel", np.zeros(2)), *packed])
    assert [name for name, _ in values] == ["a/kernel"]
    fresh, other = keras.callbacks.EarlyStopping("loss"), callbacks.DropDetector("x", epochs=2)
    assert callback_state.restore([other, fresh], states) == []
    assert (fresh.wait, fresh.best, fresh.best_epoch) == (2, 0.5, 7)
    assert (
        fresh.best_weights[0].shape == (2, 2)
        and list(other.seen)[0] == 1.0
        and len(other.seen) == 2
    )


def test_states_of_others_and_of_none():
    drop = callbacks.DropDetector("x", epochs=2)
    (line,) = callback_state.restore([drop], [("DropDetector", {"other": 1})])
    assert "DropDetector starts without its saved state" in line
    assert callback_state.restore([drop], [("Elsewhere", {}), ("DropMark", {"seen": [4.0]})]) == []
    assert list(drop.seen) == [4.0] and callback_state.restore([drop], []) == []


def test_states_of_earlier_versions_load_under_their_old_names():
    class Guard(keras.callbacks.Callback):
        renamed_state = callbacks.ExplosionGuard.renamed_state

        def set_state(self, state):
            self.state = state

    Guard.__name__ = "DropDetector"
    guard = Guard()
    assert callback_state.restore([guard], [("DropMark", {"told": ["x"], "steps": 3})]) == []
    assert guard.state == {"reported": ["x"], "steps": 3}
