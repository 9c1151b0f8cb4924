"""MnistGAN: parameter counts of the training notes, training, samples, files, invalid input."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.models import conditional_gan, mnist_gan
from kerasgan.models.conditional_gan import ConditionalGAN
from kerasgan.models.mnist_gan import MnistGAN

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 28, 28, 1)).astype("float32")
LABELS = (np.arange(32) % 10).astype("int32")


def small(reproduce=False, **arguments):
    """The networks of the training notes with few channels."""
    generator = mnist_gan.build_generator(latent_dim=4, width=2)
    discriminator = mnist_gan.build_discriminator(
        width=2, kernels=3, dims=2, reproduce_training_notes=reproduce
    )
    return MnistGAN(generator, discriminator, reproduce_training_notes=reproduce, **arguments)


def conditional():
    return ConditionalGAN(
        conditional_gan.build_generator(latent_dim=4, width=2, size=8),
        conditional_gan.build_discriminator(width=2, size=8),
        gradient_penalty_every=2,
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


def test_parameter_counts_of_the_training_notes():
    gan = MnistGAN(reproduce_training_notes=True)
    assert count(gan.generator) == 1_327_105
    assert count(gan.discriminator) == 140_851


def test_output_shapes_of_the_networks():
    for last_kernel, kernels in ((1, (5, 4, 4)), (5, (7, 8, 9))):
        generator = mnist_gan.build_generator(width=2, kernels=kernels, last_kernel=last_kernel)
        assert generator.output_shape == (None, 28, 28, 1)
    logits, features = mnist_gan.build_discriminator(classes=7, kernels=0, dropout=0.5).output_shape
    assert (logits, features) == ((None, 8), (None, 392))
    original = mnist_gan.build_discriminator(reproduce_training_notes=True)
    assert [tuple(shape) for shape in original.output_shape] == [(None, 11), (None, 338)]


def test_the_discriminator_of_the_training_notes_ignores_the_last_row_and_column():
    for reproduce in (True, False):
        network = mnist_gan.build_discriminator(
            width=2, kernels=3, reproduce_training_notes=reproduce
        )
        edge = IMAGES[:4].copy()
        edge[:, -1], edge[:, :, -1] = 1, 1
        features = [
            np.array(ops.convert_to_numpy(network(x, training=False)[1]))
            for x in (IMAGES[:4], edge)
        ]
        assert np.array_equal(*features) == reproduce


# === Training ===


@pytest.mark.backend
@pytest.mark.parametrize(
    "build",
    [lambda: small(reproduce=True), small, conditional],
    ids=["training notes", "corrected", "conditional"],
)
def test_fit_updates_both_players(build):
    gan = compiled(build())
    before = {
        player: [np.array(w) for w in getattr(gan, player).get_weights()] for player in gan.players
    }
    history = fit(gan)
    assert np.isfinite(list(history.values())).all()
    assert all(0 <= value[0] <= 1 for name, value in history.items() if "accuracy" in name)
    assert ("penalty" in history) == bool(gan.gradient_penalty_weight) and (
        "feature_matching" in history
    ) == bool(gan.feature_matching_weight)
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


def weights_after(build):
    keras.utils.set_random_seed(0)
    gan = compiled(build(), run_eagerly=True)
    gan.train_on_batch(IMAGES[:16], LABELS[:16])
    return [np.array(w) for w in gan.get_weights()]


def test_feature_matching_has_a_gradient_unless_the_training_notes_are_reproduced():
    for reproduce in (True, False):
        on = weights_after(lambda reproduce=reproduce: small(reproduce))
        off = weights_after(
            lambda reproduce=reproduce: small(reproduce, feature_matching_weight=0.0)
        )
        assert all(np.array_equal(a, b) for a, b in zip(on, off, strict=True)) == reproduce


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
        (IMAGES[:17], LABELS[:17], 16, "must not leave a smaller batch"),
        (IMAGES, LABELS + 1, 16, r"labels must be in 0\.\.9; received labels from 1 to 10"),
        (IMAGES, LABELS.astype("float32"), 16, "labels must be a list of integers"),
        (IMAGES, LABELS[:5], 16, "labels must have 32 entries, one per image; received 5"),
        (IMAGES, None, 16, "labels must have 32 entries, one per image; received None"),
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


def test_batches_hold_a_group_of_the_training_notes():
    gan = compiled(small(reproduce=True))
    for batch_size in (8, 30):
        with pytest.raises(ValueError, match="at least 16 and must not leave a smaller batch"):
            gan.fit(IMAGES, LABELS, batch_size=batch_size, verbose=0)


# === Configuration and presets ===


def test_configuration_round_trip():
    for gan in (small(reproduce=True), small()):
        text = json.dumps(gan.get_config())
        copy = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(gan)))
        )
        assert type(copy) is MnistGAN and json.dumps(copy.get_config()) == text
        assert [w.shape for w in copy.get_weights()] == [w.shape for w in gan.get_weights()]
        assert (copy.augment, copy.discriminator_loss) == (gan.augment, gan.discriminator_loss)


def test_unknown_preset():
    with pytest.raises(ValueError, match="a preset must be one of .*; received 'mnist_gan_dogs'"):
        MnistGAN.from_preset("mnist_gan_dogs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gradient_penalty_weight": 1.0}, "received gradient_penalty_weight=1.0"),
        ({"ema_decay": 0.9}, "does not allow gradient_penalty_weight, augment or ema_decay"),
        ({"discriminator_steps": 2}, "discriminator_steps must be 1 with reproduce_training_notes"),
    ],
)
def test_options_that_the_training_notes_do_not_have(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(reproduce=True, **arguments)


def test_configurations_with_earlier_argument_names_load():
    config = json.dumps(small(reproduce=True).get_config())
    earlier = {new: old for old, new in MnistGAN.renamed_arguments.items()}
    old = {earlier.get(key, key): value for key, value in json.loads(config).items()}
    assert old["as_noted"] is True and "average" in old
    assert json.dumps(MnistGAN.from_config(old).get_config()) == config
