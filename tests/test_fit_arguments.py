"""Arguments of `fit` besides data: callbacks that monitor a report, frozen players, failures."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan.data_spec import DataSpec, Numbers
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.training import AdversarialModel

pytestmark = pytest.mark.backend
DATA = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


class Pair(AdversarialModel):
    reports = ("generator_loss", "discriminator_loss", "elbo", "fake_accuracy")
    higher_is_better = ("elbo",)

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((3,)), layers.Dense(3), BatchNormalization(), layers.Dense(3)]
        )
        self.discriminator = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        self.built = True

    def data_spec(self):
        return DataSpec((Numbers((3,), "rows"),))

    def train_step(self, data):
        fake, pull = self.vjp("generator", lambda: self.generator(data, training=True))
        d_loss = self.minimize(
            "discriminator", lambda: ops.mean(ops.square(self.discriminator(fake)))
        )
        (sums,) = self.minimize_sum(
            "discriminator", [lambda: ops.mean(self.discriminator(data) ** 2)]
        )
        score = lambda x: ops.mean(ops.square(self.discriminator(x) - 1.0))  # noqa: E731
        g_loss, gradient = self.value_and_input_gradient(score, fake, "generator")
        self.apply_gradients("generator", pull(gradient))
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss + sums,
            elbo=-g_loss,
            fake_accuracy=d_loss,
        )


def pair(frozen=()):
    keras.utils.set_random_seed(0)
    model = Pair()
    for player in frozen:
        getattr(model, player).trainable = False
    model.compile(generator=keras.optimizers.SGD(0.01), discriminator=keras.optimizers.SGD(0.01))
    return model


@pytest.mark.parametrize("frozen", ["generator", "discriminator"])
def test_the_other_player_trains_if_one_is_frozen(frozen):
    model = pair([frozen])
    other = "discriminator" if frozen == "generator" else "generator"
    before = {player: getattr(model, player).get_weights()[0] for player in model.players}
    history = model.fit(DATA, batch_size=4, verbose=0).history  # The last batch has one image.
    assert np.isfinite(list(history.values())).all()
    assert np.array_equal(before[frozen], getattr(model, frozen).get_weights()[0])
    assert not np.array_equal(before[other], getattr(model, other).get_weights()[0])


def test_callbacks_know_whether_a_report_should_rise(tmp_path):
    model = pair()
    pairs = [
        ("generator_loss", "min"),
        ("val_discriminator_loss", "min"),
        ("elbo", "max"),
        ("fake_accuracy", "max"),
    ]
    callbacks = [keras.callbacks.EarlyStopping(name) for name, _ in pairs]
    callbacks.append(
        keras.callbacks.ModelCheckpoint(
            tmp_path / "a.weights.h5", "elbo", save_best_only=True, save_weights_only=True
        )
    )
    callbacks.append(keras.callbacks.EarlyStopping("elbo", mode="min"))  # An explicit mode is kept.
    model._tell_directions(callbacks)
    assert [callback.mode for callback in callbacks] == [mode for _, mode in pairs] + ["max", "min"]
    stopper = keras.callbacks.EarlyStopping("generator_loss", patience=1)
    history = model.fit(
        DATA, batch_size=5, epochs=4, verbose=0, callbacks=[stopper, callbacks[-2]]
    ).history
    losses = history["generator_loss"]
    assert losses[1] < losses[0] and len(losses) == 4 and (tmp_path / "a.weights.h5").exists()
    assert [model.direction(name) for name in ("val_elbo", "fid")] == ["max", None]


def test_a_failing_first_batch_keeps_the_weights():
    class Breaks(Pair):
        def train_step(self, data):
            raise RuntimeError("broken")

    keras.utils.set_random_seed(0)
    model = Breaks()
    model.compile(generator="sgd", discriminator="sgd")
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="broken"):
        model.fit(DATA, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for variable in model.optimizer.variables:
        ops.convert_to_numpy(variable.value)
