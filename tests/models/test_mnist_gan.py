"""The MNIST GAN: the notes' networks to the parameter, three trainings, samples, presets, and bad input in one line."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.losses import adversarial
from kerasgan.losses.penalties import wgan_gp_penalty
from kerasgan.models import mnist_gan
from kerasgan.models.mnist_gan import MnistGAN
from kerasgan.ops.augment import translate

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 28, 28, 1)).astype("float32")
LABELS = (np.arange(32) % 10).astype("int32")


def small(as_noted=False, **arguments):
    """The notes' networks, a few channels wide."""
    generator = mnist_gan.build_generator(latent_dim=4, width=2)
    discriminator = mnist_gan.build_discriminator(width=2, kernels=3, dims=2, as_noted=as_noted)
    return MnistGAN(generator, discriminator, as_noted=as_noted, **arguments)


def best(**arguments):
    arguments = {
        "discriminator_loss": adversarial.logistic_discriminator_loss,
        "generator_loss": adversarial.nonsaturating_generator_loss,
        "feature_matching": 0.0,
        "penalty": 1.0,
        "penalty_every": 2,
        "augment": translate,
        "average": 0.9,
    } | arguments
    shape = {"width": 2, "size": 8}
    return MnistGAN(
        mnist_gan.build_conditional_generator(latent_dim=4, **shape),
        mnist_gan.build_projection_discriminator(**shape),
        **arguments,
    )


def compiled(gan, **arguments):
    gan.compile(
        generator=keras.optimizers.Adam(1e-2),
        discriminator=keras.optimizers.Adam(1e-2),
        **arguments,
    )
    return gan


def fit(gan, epochs=1):
    side = gan.image_shape[0]
    return gan.fit(
        IMAGES[:, :side, :side], LABELS, batch_size=16, epochs=epochs, shuffle=False, verbose=0
    ).history


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# === Networks ===


def test_noted_parameter_counts():
    gan = MnistGAN(as_noted=True)
    assert count(gan.generator) == 1_327_105
    assert count(gan.discriminator) == 140_851


def test_networks_shapes_and_knobs():
    for last_kernel, kernels in ((1, (5, 4, 4)), (5, (7, 8, 9))):
        generator = mnist_gan.build_generator(width=2, kernels=kernels, last_kernel=last_kernel)
        assert generator.output_shape == (None, 28, 28, 1)
    logits, features = mnist_gan.build_discriminator(classes=7, kernels=0, dropout=0.5).output_shape
    assert (logits, features) == ((None, 8), (None, 392))
    noted = mnist_gan.build_discriminator(as_noted=True)
    assert [tuple(shape) for shape in noted.output_shape] == [(None, 11), (None, 338)]
    assert mnist_gan.build_conditional_generator(width=2, size=16, channels=3).output_shape == (
        None,
        16,
        16,
        3,
    )
    with pytest.raises(ValueError, match="size must be a multiple of 4; received 30"):
        mnist_gan.build_conditional_generator(size=30)


def test_the_noted_discriminator_does_not_see_the_last_row_and_column():
    for as_noted in (True, False):
        network = mnist_gan.build_discriminator(width=2, kernels=3, as_noted=as_noted)
        edge = IMAGES[:4].copy()
        edge[:, -1], edge[:, :, -1] = 1, 1
        features = [
            np.array(ops.convert_to_numpy(network(x, training=False)[1]))
            for x in (IMAGES[:4], edge)
        ]
        assert np.array_equal(*features) == as_noted


# === Training ===


@pytest.mark.backend
@pytest.mark.parametrize(
    "build", [lambda: small(as_noted=True), small, best], ids=["noted", "corrected", "best"]
)
def test_fit_moves_both_players(build):
    gan = compiled(build())
    before = {
        player: [np.array(w) for w in getattr(gan, player).get_weights()] for player in gan.players
    }
    history = fit(gan)
    assert np.isfinite(list(history.values())).all()
    assert all(0 <= value[0] <= 1 for name, value in history.items() if "accuracy" in name)
    assert ("penalty" in history) == bool(gan.penalty) and ("feature_matching" in history) == bool(
        gan.feature_matching
    )
    for player in gan.players:
        pairs = zip(before[player], getattr(gan, player).get_weights(), strict=True)
        assert sum(not np.array_equal(a, b) for a, b in pairs) >= 0.8 * len(before[player])
    scores = gan.evaluate(
        IMAGES[:, : gan.image_shape[0], : gan.image_shape[0]], LABELS, verbose=0, return_dict=True
    )
    assert np.isfinite(list(scores.values())).all()
    samples = gan.sample(labels=[3, 1, 4], seed=0)
    assert (
        samples.shape == (3, *gan.image_shape)
        and samples.dtype == np.float32
        and np.abs(samples).max() <= 1
    )


LOSSES = {
    "minmax": (adversarial.logistic_discriminator_loss, adversarial.minmax_generator_loss),
    "wasserstein": (
        adversarial.wasserstein_discriminator_loss,
        adversarial.wasserstein_generator_loss,
    ),
    "hinge": (adversarial.hinge_discriminator_loss, adversarial.hinge_generator_loss),
    "soft": (
        adversarial.smoothed_logistic_discriminator_loss,
        adversarial.nonsaturating_generator_loss,
    ),
}


@pytest.mark.parametrize("pair", LOSSES.values(), ids=LOSSES)
def test_losses_are_handed_over(pair):
    gan = best(discriminator_loss=pair[0], generator_loss=pair[1], **mnist_gan.PLAIN)
    losses = compiled(gan, run_eagerly=True).train_on_batch(IMAGES[:16, :8, :8], LABELS[:16])
    assert np.isfinite(losses).all()


@pytest.mark.backend
def test_wgan_gp_with_two_discriminator_steps_and_noisy_labels(tmp_path):
    gan = compiled(
        best(
            discriminator_loss=adversarial.NoisyLabels(0.2),
            gradient_penalty=wgan_gp_penalty,
            penalty=10.0,
            penalty_every=1,
            discriminator_steps=2,
        )
    )
    seed = np.array(gan.discriminator_loss.seeds.state.value)
    history = fit(gan)
    assert np.isfinite(list(history.values())).all() and history["penalty"][0] > 0
    steps = [int(gan.optimizer[player].iterations) for player in gan.players]
    assert steps == [2, 4]  # two batches of 16
    assert not np.array_equal(seed, gan.discriminator_loss.seeds.state.value)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert (
        loaded.gradient_penalty,
        loaded.discriminator_steps,
        loaded.discriminator_loss.share,
    ) == (wgan_gp_penalty, 2, 0.2)
    for one, other in zip(gan.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_discriminator_step_has_its_part_of_the_batch_and_its_own_fakes(monkeypatch):
    gan = compiled(best(discriminator_steps=3), run_eagerly=True)
    seen, move = [], gan._move_discriminator

    def spy(real, labels, fake):
        seen.append([ops.convert_to_numpy(x).copy() for x in (real, labels, fake)])
        return move(real, labels, fake)

    monkeypatch.setattr(gan, "_move_discriminator", spy)
    gan.train_on_batch(IMAGES[:14, :8, :8], LABELS[:14])
    for part, (real, labels, _) in enumerate(seen):
        np.testing.assert_array_equal(real, IMAGES[4 * part : 4 * part + 4, :8, :8])
        np.testing.assert_array_equal(labels, LABELS[4 * part : 4 * part + 4])
    assert len(seen) == 3 and not np.array_equal(seen[0][2], seen[1][2])


def test_discriminator_steps_errors():
    for arguments in ({"discriminator_steps": 0}, {"discriminator_steps": 2, "as_noted": True}):
        with pytest.raises(
            ValueError, match="discriminator_steps must be at least 1, as_noted 1; received"
        ):
            small(**arguments)
    with pytest.raises(
        ValueError,
        match="leave no batch under 10 .5 discriminator steps, 2 images or more for each",
    ):
        compiled(small(discriminator_steps=5)).fit(IMAGES, LABELS, batch_size=30, verbose=0)


def weights_after(build):
    keras.utils.set_random_seed(0)
    gan = compiled(build(), run_eagerly=True)
    gan.train_on_batch(IMAGES[:16], LABELS[:16])
    return [np.array(w) for w in gan.get_weights()]


def test_noted_feature_matching_moves_nothing_and_the_corrected_one_does():
    for as_noted in (True, False):
        on = weights_after(lambda noted=as_noted: small(noted))
        off = weights_after(lambda noted=as_noted: small(noted, feature_matching=0.0))
        assert all(np.array_equal(a, b) for a, b in zip(on, off, strict=True)) == as_noted


def test_average_follows_the_generator_and_is_what_sample_uses():
    gan = compiled(best(average=0.5))
    start = [np.array(w) for w in gan.ema_generator.get_weights()]
    assert all(
        np.array_equal(a, b) for a, b in zip(start, gan.generator.get_weights(), strict=True)
    )
    fit(gan)
    assert gan.checkpoint_networks()["G"] is gan.ema_generator
    pairs = list(
        zip(start, gan.ema_generator.get_weights(), gan.generator.get_weights(), strict=True)
    )
    assert sum(
        not np.array_equal(a, b) and not np.array_equal(b, c) for a, b, c in pairs
    ) > 0.8 * len(pairs)
    latents = gan.latents((2, gan.latent_dim), seed=0)
    expected = gan.ema_generator([latents, ops.convert_to_tensor([1, 2])], training=False)
    np.testing.assert_allclose(
        gan.sample(labels=[1, 2], seed=0), ops.convert_to_numpy(expected), atol=1e-6
    )


# === Samples ===


@pytest.mark.backend
def test_sample():
    gan = small()
    one, other = gan.sample(n=12, seed=5), gan.sample(n=12, seed=5, batch_size=5)
    assert one.shape == (12, 28, 28, 1) and one.dtype == np.float32 and np.abs(one).max() <= 1
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_array_equal(one, gan.sample(labels=np.arange(12) % 10, seed=5))
    assert not np.array_equal(one, gan.sample(n=12, seed=6))
    assert not np.array_equal(gan.sample(n=2), gan.sample(n=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "takes n or labels, one of them; received n=None"),
        ({"n": 1, "labels": [1]}, "takes n or labels, one of them; received n=1"),
        ({"labels": [0, 10]}, r"labels must be in 0\.\.9; received labels from 0 to 10"),
        ({"labels": [-1]}, r"labels must be in 0\.\.9; received labels from -1 to -1"),
        ({"labels": [0.5]}, "labels must be a list of integers; received float64"),
        ({"labels": []}, "labels must be a list of integers"),
        ({"labels": 3}, "labels must be a list of integers"),
    ],
)
def test_sample_errors(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        small().sample(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "labels", "batch_size", "message"),
    [
        (IMAGES, LABELS, 1, "batch_size must be at least 2"),
        (IMAGES[:17], LABELS[:17], 16, "must leave no batch under 2"),
        (IMAGES, LABELS + 1, 16, r"labels must be in 0\.\.9; received labels from 1 to 10"),
        (IMAGES, LABELS.astype("float32"), 16, "labels must be a list of integers"),
        (IMAGES, LABELS[:5], 16, "labels must be one an image, 32; received 5"),
        (IMAGES, None, 16, "labels must be one an image, 32; received None"),
        ((IMAGES + 1) * 127.5, LABELS, 16, r"\[-1, 1\]"),
        (IMAGES[:, :20], LABELS, 16, "28"),
        (IMAGES[..., 0], LABELS, 16, "28"),
    ],
)
def test_fit_rejects_bad_arrays(images, labels, batch_size, message):
    gan = compiled(small())
    before = gan.get_weights()
    with pytest.raises(ValueError, match=message) as error:
        gan.fit(images, labels, batch_size=batch_size, verbose=0)
    assert "\n" not in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, gan.get_weights(), strict=True))


def test_noted_batches_hold_a_group():
    gan = compiled(small(as_noted=True))
    for batch_size in (8, 30):
        with pytest.raises(ValueError, match="leave no batch under 16"):
            gan.fit(IMAGES, LABELS, batch_size=batch_size, verbose=0)


# === Configuration and presets ===


def test_configuration_round_trip():
    for gan in (small(as_noted=True), best()):
        text = json.dumps(gan.get_config())
        copy = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(gan)))
        )
        assert type(copy) is MnistGAN and json.dumps(copy.get_config()) == text
        assert [w.shape for w in copy.get_weights()] == [w.shape for w in gan.get_weights()]
        assert (copy.augment, copy.discriminator_loss) == (gan.augment, gan.discriminator_loss)


@pytest.mark.backend
def test_preset_round_trip(tmp_path):
    gan = best()
    gan.save_to_preset(tmp_path / "mine")
    loaded = MnistGAN.from_preset(tmp_path / "mine")
    for one, other in zip(
        gan.ema_generator.get_weights(), loaded.ema_generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one.astype("float16").astype("float32"), other)
    np.testing.assert_allclose(gan.sample(n=10, seed=0), loaded.sample(n=10, seed=0), atol=0.01)


def test_unknown_preset():
    with pytest.raises(ValueError, match="a preset must be one of: .*; received 'mnist_gan_dogs'"):
        MnistGAN.from_preset("mnist_gan_dogs")


def test_the_notes_have_no_penalty():
    with pytest.raises(ValueError, match="as_noted must come without penalty, augment and average"):
        small(as_noted=True, penalty=1.0)
