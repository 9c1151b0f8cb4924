"""The latent prior: that it learns a distribution, and generators that draw latents from it."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.latents.prior import LatentPrior, build_latent_flow
from kerasgan.layers.latent_flow import LatentFlow
from kerasgan.models import projected_text_gan as gans

DIM = 3  # Of the conditions.


@functools.cache
def trained(epochs=12, count=4096):
    """A prior of latents near 2 or -2, the sign of the condition, and its losses."""
    keras.utils.set_random_seed(0)
    prior = LatentPrior(build_latent_flow(2, DIM, width=32, depth=2), dropout=0.0, ema_decay=0.95)
    prior.compile(flow=keras.optimizers.Adam(1e-2))
    signs = np.where(np.arange(count) % 2, 1.0, -1.0)[:, None].astype("float32")
    conditions = np.repeat(signs, DIM, axis=1)
    zeros = np.zeros_like(signs)
    posteriors = np.concatenate([2 * signs, zeros, zeros - 4, zeros], axis=1)
    history = prior.fit(posteriors, conditions, batch_size=256, epochs=epochs, verbose=0)
    return prior, history.history["flow_loss"]


def test_an_untrained_flow_is_the_identity():
    noise = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    moved = LatentFlow(8, 2, 3)([noise, np.ones((5, DIM), "float32")])
    np.testing.assert_array_equal(ops.convert_to_numpy(moved), noise)


@pytest.mark.backend
def test_it_learns_means_and_deviations_for_each_condition():
    prior, losses = trained()
    assert losses[-1] < 0.7 * losses[0]
    noise = np.random.default_rng(1).normal(size=(2000, 2)).astype("float32")
    for sign in (1.0, -1.0):
        conditions = np.full((2000, DIM), sign, "float32")
        latents = ops.convert_to_numpy(prior.ema_network([noise, conditions]))
        np.testing.assert_allclose(latents.mean(axis=0), [2 * sign, 0], atol=0.15)
        # Deviations of the posteriors: exp(-4 / 2) and 1.
        np.testing.assert_allclose(latents.std(axis=0), [np.exp(-2), 1], atol=0.15)


@pytest.mark.backend
def test_half_precision_stays_close():
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(6, n)).astype("float32") for n in (4, DIM)]
    whole = LatentFlow(8, 2, 3)
    whole(inputs)
    weights = [0.5 * random.normal(size=w.shape) for w in whole.get_weights()]
    moved = []
    for layer in (whole, LatentFlow(8, 2, 3, dtype="mixed_bfloat16")):
        layer(inputs)
        layer.set_weights(weights)
        moved.append(ops.convert_to_numpy(layer(inputs)))
        assert moved[-1].dtype == "float32"
    assert np.abs(moved[0] - inputs[0]).mean() > 0.1
    np.testing.assert_allclose(*moved, atol=0.1)


def test_the_loss_is_zero_for_the_right_velocity():
    prior = LatentPrior(build_latent_flow(2, DIM, width=4, depth=1))
    same = np.ones((3, 2), "float32")
    loss = prior.flow_loss(same, same, np.zeros((3, 1), "float32"), np.ones((3, DIM), "float32"))
    assert float(loss) == 0.0
    loss = prior.flow_loss(
        same, 0 * same, np.zeros((3, 1), "float32"), np.ones((3, DIM), "float32")
    )
    assert float(loss) == 1.0


@pytest.mark.parametrize("arguments", [{"width": 0}, {"depth": 0}, {"steps": 0}])
def test_sizes_are_checked(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be at least 1; received 0"):
        LatentFlow(**arguments)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_the_dropout_is_checked(dropout):
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1; received"):
        LatentPrior(build_latent_flow(2, DIM, width=4), dropout=dropout)


# === Generators ===


def generator(mirror=True, flow=None):
    return gans.build_generator(
        64, 1, embedding_dim=DIM, latent_dim=2, condition_dim=4, mirror=mirror, latent_flow=flow
    )


def inputs(mirror=True, count=4):
    random = np.random.default_rng(0)
    embeddings, latents = (random.normal(size=(count, n)).astype("float32") for n in (DIM, 2))
    signs = np.ones((count, 1), "float32")
    return embeddings, np.concatenate([latents, signs], axis=1) if mirror else latents


@pytest.mark.parametrize("mirror", [False, True])
def test_a_generator_with_a_flow_gives_the_images_of_moved_latents(mirror):
    before, (prior, _) = generator(mirror), trained()
    after = gans.with_latent_flow(before, prior.ema_network.get_layer("latent_flow"))
    assert gans.has_latent_flow(after) and not gans.has_latent_flow(before)
    embeddings, latents = inputs(mirror)
    moved = ops.convert_to_numpy(prior.ema_network([latents[:, :2], embeddings]))
    moved = np.concatenate([moved, latents[:, 2:]], axis=1)
    assert np.abs(moved - latents).max() > 0.01
    np.testing.assert_allclose(
        ops.convert_to_numpy(after([embeddings, latents])),
        ops.convert_to_numpy(before([embeddings, moved])),
        atol=1e-5,
    )


def test_copies_and_larger_generators_keep_the_flow_frozen():
    prior, _ = trained()
    flow = gans.with_latent_flow(generator(), prior.ema_network.get_layer("latent_flow"))
    copy = gans.build_generator_like(flow)
    larger = gans.extend_generator(copy, 1, frozen=False)
    for network in (flow, copy, larger):
        layer = network.get_layer("latent_flow")
        assert not layer.trainable_variables and layer.variables
        assert len(network.trainable_variables) > 10
    x = inputs()
    np.testing.assert_array_equal(*(ops.convert_to_numpy(net(list(x))) for net in (flow, copy)))


def test_a_generator_with_a_flow_has_no_posterior():
    flow = LatentFlow(4, 1, 2, name="latent_flow")
    posterior = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="with a latent flow must have no posterior"):
        gans.ProjectedTextGAN(generator(flow=flow), discriminators={}, posterior=posterior)
