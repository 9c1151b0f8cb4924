"""A training that SIGTERM stops within an epoch continues bit for bit."""

import os
import signal

import keras
import numpy as np
import pytest

from kerasgan import callbacks
from kerasgan.datasets.batches import Batches
from kerasgan.io import checkpoints
from tests.marks import slow_on_jax
from tests.test_whole_models import conditional

NAMES = {"run": "run", "dataset": "data", "size": 8}
IMAGES = np.tanh(np.random.default_rng(0).normal(size=(20, 8, 8, 1))).astype("float32")


class Terminates(keras.callbacks.Callback):
    """Sends SIGTERM to this process after a batch of an epoch."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.when, self.epoch = (epoch, batch), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            os.kill(os.getpid(), signal.SIGTERM)


def build():
    keras.utils.set_random_seed(0)
    model = conditional()
    adam = {player: keras.optimizers.Adam(1e-2) for player in model.players}
    model.compile(**adam, run_eagerly=keras.backend.backend() == "torch")
    return model


def train(folder, *others, epochs=3, **options):
    """Trains to the end, or resumes. Returns the model and its history."""
    model = build()
    epoch = checkpoints.resume(folder, model) if folder.exists() else 0
    data = Batches(IMAGES, np.arange(20) % 3, 4, seed=1)
    used = [*others, callbacks.Checkpoint(folder, **NAMES, **options)]
    history = model.fit(data, epochs=epochs, initial_epoch=epoch, callbacks=used, verbose=0)
    return model, history.history


def everything(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v.value) for v in variables]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Arrays and history of a training without interruption."""
    model, history = train(tmp_path_factory.mktemp("whole") / "run")
    return everything(model), history


@slow_on_jax
@pytest.mark.backend
@pytest.mark.parametrize(
    "when",
    [
        pytest.param((0, 0), marks=pytest.mark.nightly),
        (1, 2),
        pytest.param((2, 4), marks=pytest.mark.nightly),
    ],
)
def test_sigterm_within_an_epoch(tmp_path, when, whole):
    expected, history = whole
    handler = signal.getsignal(signal.SIGTERM)
    last = when == (2, 4)  # the training is finished anyway
    if last:
        resumed, rest = train(tmp_path / "run", Terminates(*when))
    else:
        with pytest.raises(callbacks.Preempted, match=f"epoch {when[0]} and {when[1] + 1} batches"):
            train(tmp_path / "run", Terminates(*when))
        assert list((tmp_path / "run").glob(f"*_partial_epoch_{when[0]}.h5"))
        resumed, rest = train(tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) is handler
    for one, other in zip(expected, everything(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    for name, values in rest.items():
        np.testing.assert_array_equal(values, history[name][-len(values) :])
    assert not list((tmp_path / "run").glob("*_partial_*"))


def test_sigterm_in_the_last_batch_of_an_epoch(tmp_path, whole):
    with pytest.raises(callbacks.Preempted, match="stopped after epoch 1"):
        train(tmp_path / "run", Terminates(0, 4))
    resumed, _ = train(tmp_path / "run")
    for one, other in zip(whole[0], everything(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_saves_within_an_epoch(tmp_path, whole):
    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run", Fails(), minutes=1e-9)
    model = build()
    assert checkpoints.resume(tmp_path / "run", model) == 0 and model.resumed.batch == 3
    resumed, _ = train(tmp_path / "run")
    for one, other in zip(whole[0], everything(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_save_within_an_epoch_is_skipped(tmp_path):
    with pytest.raises(callbacks.Preempted):
        train(tmp_path / "run", Terminates(1, 2))
    (path,) = (tmp_path / "run").glob("*_partial_*")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is skipped"):
        assert checkpoints.resume(tmp_path / "run", build()) == 1
