"""ConditionalVAE: ELBO against quadrature, training, samples, configuration, invalid input."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan.losses import variational
from kerasgan.models.conditional_vae import ConditionalVAE, build_decoder, build_encoder

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 8, 8, 1)).astype("float32")
LABELS = (np.arange(32) % 3).astype("int32")


def small(eager=True, **arguments):
    shape = {"latent_dim": 3, "classes": 3, "width": 2, "size": 8}
    vae = ConditionalVAE(build_encoder(**shape), build_decoder(**shape), classes=3, **arguments)
    vae.compile(
        encoder=keras.optimizers.Adam(1e-2), decoder=keras.optimizers.Adam(1e-2), run_eagerly=eager
    )
    return vae


def linear(weight=2.0, bias=-0.5, mean=0.3, log_variance=-0.8):
    """One pixel and one latent: a constant posterior and logits that are linear in the latent."""
    image, label, latent = keras.Input((1, 1, 1)), keras.Input((), dtype="int32"), keras.Input((1,))
    constant = lambda value: keras.initializers.Constant(value)  # noqa: E731
    flat = layers.Flatten()(image)
    posterior = [
        layers.Dense(1, kernel_initializer="zeros", bias_initializer=constant(x))(flat)
        for x in (mean, log_variance)
    ]
    line = layers.Dense(1, kernel_initializer=constant(weight), bias_initializer=constant(bias))(
        latent
    )
    decoder = keras.Model([latent, label], layers.Reshape((1, 1, 1))(line))
    return ConditionalVAE(keras.Model([image, label], posterior), decoder, classes=1)


def test_elbo_is_the_evidence_less_the_gap_to_the_posterior():
    vae = linear()
    ink = np.ones((50_000, 1, 1, 1), "float32")
    report = vae.test_step((ink, np.zeros(50_000, "int32")))
    z = np.linspace(-12, 12, 100_001)
    step = z[1] - z[0]
    prior, likelihood = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), 1 / (1 + np.exp(-(2 * z - 0.5)))
    evidence = (prior * likelihood).sum() * step
    q = np.exp(-((z - 0.3) ** 2) / np.exp(-0.8) / 2) / np.sqrt(2 * np.pi * np.exp(-0.8))
    gap = (q * np.log(q / (prior * likelihood / evidence))).sum() * step
    assert float(report["elbo"]) == pytest.approx(np.log(evidence) - gap, abs=0.01)
    assert float(report["divergence"]) == pytest.approx(
        (0.3**2 + np.exp(-0.8) - 1 + 0.8) / 2, rel=1e-4
    )
    assert gap > 0.05  # The ELBO is strictly below the evidence.


@pytest.mark.backend
def test_fit_raises_the_elbo_of_both_players():
    vae = small(eager=False)
    before = {
        player: [np.array(w) for w in getattr(vae, player).get_weights()] for player in vae.players
    }
    start = vae.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    history = vae.fit(IMAGES, LABELS, batch_size=16, epochs=8, verbose=0).history
    assert (
        set(history) == {"elbo", "log_likelihood", "divergence"}
        and np.isfinite(list(history.values())).all()
    )
    end = vae.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert end["elbo"] > start["elbo"] and end["elbo"] == pytest.approx(
        end["log_likelihood"] - end["divergence"], 1e-4
    )
    for player in vae.players:
        pairs = zip(before[player], getattr(vae, player).get_weights(), strict=True)
        assert sum(not np.array_equal(a, b) for a, b in pairs) >= 0.8 * len(before[player])
        assert int(vae.optimizer[player].iterations) == 16


def test_objective_and_divergence_are_arguments():
    def flipped(log_likelihood, divergence):
        return -variational.negative_elbo(log_likelihood, divergence)

    vae = small(objective=flipped)
    history = vae.fit(IMAGES, LABELS, batch_size=16, epochs=5, verbose=0).history["elbo"]
    assert history[-1] < history[0]
    free = small(divergence=lambda mean, log_variance: 0.0 * ops.sum(mean, axis=-1))
    divergence = free.fit(IMAGES, LABELS, batch_size=16, epochs=8, verbose=0).history["divergence"]
    held = small().fit(IMAGES, LABELS, batch_size=16, epochs=8, verbose=0).history["divergence"]
    assert divergence[-1] > held[-1]


def test_same_seed_same_run():
    def trained():
        keras.utils.set_random_seed(0)
        vae = small(seed=3)
        vae.fit(IMAGES, LABELS, batch_size=16, verbose=0, shuffle=False)
        return [np.array(w) for w in vae.get_weights()]

    assert all(np.array_equal(a, b) for a, b in zip(trained(), trained(), strict=True))


def test_sample_and_reconstruct():
    vae = small()
    one = vae.sample(n=7, seed=5)
    assert one.shape == (7, 8, 8, 1) and one.dtype == np.float32 and np.abs(one).max() <= 1
    np.testing.assert_allclose(
        one, vae.sample(labels=np.arange(7) % 3, seed=5, batch_size=2), atol=1e-6
    )
    assert not np.array_equal(one, vae.sample(n=7, seed=6))
    again = vae.reconstruct(IMAGES, LABELS)
    assert again.shape == IMAGES.shape and np.abs(again).max() <= 1
    np.testing.assert_array_equal(
        again, vae.reconstruct(IMAGES, LABELS)
    )  # The means have no noise.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda vae: vae.sample(), "takes n or labels, one of them"),
        (
            lambda vae: vae.sample(labels=[3]),
            r"labels must be in 0\.\.2; received labels from 3 to 3",
        ),
        (lambda vae: vae.reconstruct(IMAGES[:, :4], LABELS), "images must be"),
        (
            lambda vae: vae.fit(IMAGES, LABELS[:5]),
            "labels must have 32 entries, one per image; received 5",
        ),
        (lambda vae: vae.fit(IMAGES, LABELS + 1), r"labels must be in 0\.\.2"),
        (lambda vae: build_decoder(size=30), "size must be a multiple of 4; received 30"),
    ],
)
def test_errors_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(small())
    assert "\n" not in str(error.value)


def test_configuration_and_preset_round_trip(tmp_path):
    vae = small(seed=4)
    copy = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(vae)))
    )
    assert json.dumps(copy.get_config()) == json.dumps(vae.get_config())
    assert (
        copy.objective is variational.negative_elbo
        and copy.divergence is variational.normal_kl_divergence
    )
    vae.save_to_preset(tmp_path / "mine")
    loaded = ConditionalVAE.from_preset(tmp_path / "mine")
    np.testing.assert_allclose(vae.sample(n=6, seed=0), loaded.sample(n=6, seed=0), atol=0.01)
    assert set(vae.checkpoint_networks()) == {"generator", "encoder"}
