"""ConditionalGAN: networks, training with each loss and penalty, samples, invalid input, files."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.losses import adversarial
from kerasgan.losses.penalties import wgan_gp_penalty
from kerasgan.models import conditional_gan
from kerasgan.models.conditional_gan import ConditionalGAN
from kerasgan.models.mnist_gan import MnistGAN

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 8, 8, 1)).astype("float32")
LABELS = (np.arange(32) % 10).astype("int32")
UNREGULARIZED = {"gradient_penalty_weight": 0.0, "augment": None, "ema_decay": None}


def small(**arguments):
    """A model of 8 x 8 images with few channels."""
    arguments = {"gradient_penalty_every": 2, "ema_decay": 0.9} | arguments
    return ConditionalGAN(
        conditional_gan.build_generator(latent_dim=4, width=2, size=8),
        conditional_gan.build_discriminator(width=2, size=8),
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
    return gan.fit(IMAGES, LABELS, batch_size=16, epochs=epochs, shuffle=False, verbose=0).history


# === Networks ===


def test_shapes():
    generator = conditional_gan.build_generator(width=2, size=16, channels=3)
    assert generator.output_shape == (None, 16, 16, 3)
    with pytest.raises(ValueError, match="size must be a multiple of 4; received 30"):
        conditional_gan.build_generator(size=30)
    gan = ConditionalGAN.for_images(classes=5, size=16, channels=3, width=2)
    assert gan.image_shape == (16, 16, 3) and gan.sample(7, seed=0).shape == (7, 16, 16, 3)
    assert ConditionalGAN(classes=3).classes == 3


def test_declarations():
    gan = small()
    assert gan.conditioning == "labels" and gan.sampling_networks == ("generator",)
    assert gan.evaluation_protocol is None
    assert ConditionalGAN().evaluation_protocol == "digits"


# === Training ===

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
def test_losses_are_arguments(pair):
    gan = small(discriminator_loss=pair[0], generator_loss=pair[1], **UNREGULARIZED)
    losses = compiled(gan, run_eagerly=True).train_on_batch(IMAGES[:16], LABELS[:16])
    assert np.isfinite(losses).all()


@pytest.mark.nightly
@pytest.mark.backend
def test_wgan_gp_with_two_discriminator_steps_and_noisy_labels(tmp_path):
    gan = compiled(
        small(
            discriminator_loss=adversarial.NoisyLabels(0.2),
            gradient_penalty=wgan_gp_penalty,
            gradient_penalty_weight=10.0,
            gradient_penalty_every=1,
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
    gan = compiled(small(discriminator_steps=3), run_eagerly=True)
    calls, update = [], gan._update_discriminator

    def spy(real, labels, fake):
        calls.append([ops.convert_to_numpy(x).copy() for x in (real, labels, fake)])
        return update(real, labels, fake)

    monkeypatch.setattr(gan, "_update_discriminator", spy)
    gan.train_on_batch(IMAGES[:14], LABELS[:14])
    for part, (real, labels, _) in enumerate(calls):
        np.testing.assert_array_equal(real, IMAGES[4 * part : 4 * part + 4])
        np.testing.assert_array_equal(labels, LABELS[4 * part : 4 * part + 4])
    assert len(calls) == 3 and not np.array_equal(calls[0][2], calls[1][2])


def test_discriminator_steps_errors():
    with pytest.raises(ValueError, match="discriminator_steps must be at least 1; received 0"):
        small(discriminator_steps=0)
    message = "must not leave a smaller batch .5 discriminator steps need at least 2 images each"
    with pytest.raises(ValueError, match=message):
        compiled(small(discriminator_steps=5)).fit(IMAGES, LABELS, batch_size=30, verbose=0)


def test_sample_uses_the_moving_average_of_the_generator():
    gan = compiled(small(ema_decay=0.5))
    start = [np.array(w) for w in gan.ema_generator.get_weights()]
    assert all(
        np.array_equal(a, b) for a, b in zip(start, gan.generator.get_weights(), strict=True)
    )
    fit(gan)
    assert gan.checkpoint_networks()["generator"] is gan.ema_generator
    pairs = list(
        zip(start, gan.ema_generator.get_weights(), gan.generator.get_weights(), strict=True)
    )
    assert sum(
        not np.array_equal(a, b) and not np.array_equal(b, c) for a, b, c in pairs
    ) > 0.8 * len(pairs)
    latents = gan.sample_latents((2, gan.latent_dim), seed=0)
    expected = gan.ema_generator([latents, ops.convert_to_tensor([1, 2])], training=False)
    np.testing.assert_allclose(
        gan.sample(labels=[1, 2], seed=0), ops.convert_to_numpy(expected), atol=1e-6
    )


# === Configuration and presets ===


@pytest.mark.backend
def test_preset_round_trip(tmp_path):
    gan = small()
    gan.save_to_preset(tmp_path / "mine")
    loaded = ConditionalGAN.from_preset(tmp_path / "mine")
    assert type(loaded) is ConditionalGAN
    for one, other in zip(
        gan.ema_generator.get_weights(), loaded.ema_generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one.astype("float16").astype("float32"), other)
    np.testing.assert_allclose(gan.sample(n=10, seed=0), loaded.sample(n=10, seed=0), atol=0.01)


@pytest.mark.backend
def test_the_preset_of_an_earlier_version_loads():
    """Its configuration has earlier argument names."""
    gan = ConditionalGAN.from_preset("mnist_gan_digits")
    assert type(gan) is ConditionalGAN
    assert (gan.ema_decay, gan.gradient_penalty_weight) == (0.998, 1.0)
    assert (gan.feature_matching_weight, gan.gradient_penalty_every) == (0.0, 8)
    assert gan.sample_latents is conditional_gan.normal_latents
    assert gan.sample(labels=[3, 1, 4, 9], seed=7).shape == (4, 28, 28, 1)


def test_files_of_the_class_mnist_gan_with_networks_of_conditional_gan_load():
    """Earlier versions trained `zoo.mnist_gan --preset=best` as a `MnistGAN`."""
    gan = ConditionalGAN.from_preset("mnist_gan_digits")
    config = json.loads(json.dumps(gan.get_config())) | {"as_noted": False}
    earlier = MnistGAN.from_config(config)
    earlier.ema_generator.set_weights(gan.ema_generator.get_weights())
    labels = np.arange(10)
    np.testing.assert_array_equal(
        earlier.sample(labels=labels, seed=1), gan.sample(labels=labels, seed=1)
    )


def test_configurations_with_earlier_argument_names_load():
    config = json.dumps(small().get_config())
    earlier = {new: old for old, new in ConditionalGAN.renamed_arguments.items()}
    old = {earlier.get(key, key): value for key, value in json.loads(config).items()}
    assert {"average", "penalty", "penalty_every", "feature_matching", "latents"} <= set(old)
    assert json.dumps(ConditionalGAN.from_config(old).get_config()) == config
