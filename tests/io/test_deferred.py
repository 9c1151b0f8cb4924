"""Networks of a loaded model are built at their first use, and are then ordinary networks."""

import keras
import numpy as np
import pytest

from kerasgan.io import checkpoint_networks, checkpoints, presets
from kerasgan.io.deferred import DeferredNetwork
from kerasgan.models import ConditionalGAN

pytestmark = pytest.mark.backend


def is_deferred(network):
    return type(network) is DeferredNetwork


def network():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(inputs), name="small")


def test_first_use():
    made = [0]

    def build():
        made[0] += 1
        return network()

    deferred = DeferredNetwork(build)
    assert isinstance(deferred, keras.Model) and deferred and made == [0]
    outer = keras.Model()
    outer.inner = deferred
    assert is_deferred(deferred)
    assert [v.shape for v in outer.variables] == [(3, 2), (2,)]
    assert type(deferred) is type(network()) and deferred.name == "small"
    deferred.trainable = False
    assert outer.inner is deferred and not outer.trainable_variables
    x = np.ones((4, 3), "float32")
    np.testing.assert_allclose(deferred(x), deferred.predict(x, verbose=0), rtol=1e-5)
    copy = type(deferred).from_config(deferred.get_config())
    assert copy.get_layer("last").units == 2 and made == [1]


@pytest.mark.parametrize(
    "use",
    (
        lambda x: x(np.ones((1, 3), "float32")),
        lambda x: setattr(x, "trainable", False),
        lambda x: x.summary(print_fn=len),
        repr,
    ),
)
def test_every_use_builds(use):
    deferred = DeferredNetwork(network)
    use(deferred)
    assert not is_deferred(deferred)


def test_a_preset_samples_without_its_discriminator_and_trains_with_it():
    model = ConditionalGAN.from_preset("mnist_gan_digits")
    sampled = model.sample(4, seed=0)
    assert is_deferred(model.discriminator) and not is_deferred(model.generator)
    whole = ConditionalGAN.from_config(model.get_config())
    assert not is_deferred(model.discriminator)
    assert [(v.name, v.shape) for v in model.variables] == [
        (v.name, v.shape) for v in whole.variables
    ]
    model = ConditionalGAN.from_preset("mnist_gan_digits")
    model.compile(generator=keras.optimizers.Adam(), discriminator=keras.optimizers.Adam())
    before = model.discriminator.get_weights()[0]
    with pytest.warns(UserWarning, match="discriminator"):
        model.fit((sampled, np.arange(4)), batch_size=4, verbose=0)
    assert abs(model.discriminator.get_weights()[0] - before).max() > 0


def test_a_network_that_cannot_be_built_is_named(tmp_path, monkeypatch):
    model = ConditionalGAN.for_images(size=8, width=4)
    checkpoints.save_network(tmp_path / "G.h5", model.generator, epoch=1, model=model)
    loaded = presets.load(tmp_path)
    monkeypatch.setattr(checkpoint_networks.keras.layers.Conv2D, "__init__", lambda *a, **k: 1 / 0)
    with pytest.raises(
        checkpoints.CheckpointError, match="a ConditionalGAN that cannot be rebuilt"
    ):
        len(loaded.discriminator.layers)
