"""Variants of the MNIST GAN, the VAE and the flow have the described properties and train."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo.mnist_gan
from benchmarks.reproduction.variants import conditional_vae, flow, mnist_gan as variants
from benchmarks.reproduction.variants.mnist_gan import RECIPE, VARIANTS
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses.variational import negative_elbo, normal_kl_divergence
from kerasgan.models import conditional_gan, mnist_gan
from kerasgan.models.real_nvp import normal_log_prob
from zoo import recipe

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 28, 28, 1)).astype("float32")
LABELS = (np.arange(32) % 10).astype("int32")
SMALL = {"epochs": 4, "batch_size": 16, "width": 2, "decay": False}
# Variants of the one-logit model; the others change the networks of the training notes.
PLAIN = {
    "max_pooling",
    "average_pooling",
    "norm_none",
    "norm_generator",
    "norm_discriminator",
    "norm_both",
    "grown",
    "growing",
}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(zoo.mnist_gan, "load", lambda settings: (IMAGES, LABELS, 10))


def settings(variant, **changes):
    model = "plain" if variant in PLAIN else "corrected"
    return recipe.settings_of(
        RECIPE, "best", **SMALL | {"variant": variant, "model": model} | changes
    )


def names(network):
    return [type(layer).__name__ for layer in network.layers]


def step(gan, images=IMAGES[:16], labels=LABELS[:16]):
    return gan.train_on_batch(images, labels, return_dict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_networks_for_digits(variant):
    changes = VARIANTS[variant](settings(variant))
    assert set(changes) <= {
        "generator",
        "discriminator",
        "sample_latents",
        "feature_matching_weight",
        "discriminator_loss",
    }
    if "generator" in changes:
        assert changes["generator"].output_shape == (None, 28, 28, 1)
    if "discriminator" in changes:
        logits, features = changes["discriminator"].output_shape
        assert logits == (None, 1 if variant in PLAIN else 11) and len(features) == 2


@pytest.mark.parametrize(
    "variant", ["fifth_block", "third_convolution", "norm_both", "unit_range", "max_pooling"]
)
def test_an_edited_network_trains(variant):
    gan = RECIPE.build(settings(variant))
    gan.run_eagerly = True
    before = {player: [np.array(v) for v in gan.player_variables(player)] for player in gan.players}
    assert np.isfinite(list(step(gan).values())).all()
    for player in gan.players:
        pairs = list(zip(before[player], gan.player_variables(player), strict=True))
        assert sum(not np.array_equal(a, b) for a, b in pairs) >= 0.8 * len(pairs)


def test_changed_networks():
    generator, discriminator = (
        mnist_gan.build_generator(width=2),
        mnist_gan.build_discriminator(width=2, kernels=3),
    )
    projection = conditional_gan.build_discriminator(width=2)
    assert (
        names(variants.with_fifth_block(generator)).count("Conv2DTranspose") == 3
    )  # And the SmallConv2DTranspose.
    assert names(variants.with_third_convolution(discriminator)).count("Conv2D") == 3
    assert variants.with_third_convolution(discriminator).outputs[1].shape[-1] == 4 * 6 * 6
    assert names(variants.with_second_dense(discriminator)).count("Dense") == 2
    assert names(variants.with_norm(projection)).count("BatchNormalization") == 2
    for network in (generator, conditional_gan.build_generator(width=2), discriminator):
        assert not any("BatchNorm" in name for name in names(variants.without_norm(network)))
    pooled = variants.with_pooling(projection, layers.MaxPooling2D, 0.0)
    assert {layer.strides for layer in pooled.layers if isinstance(layer, layers.Conv2D)} == {
        (1, 1)
    }
    assert {
        layer.negative_slope for layer in pooled.layers if isinstance(layer, layers.LeakyReLU)
    } == {0.0}
    assert pooled.outputs[1].shape == projection.outputs[1].shape


def test_scaled_minibatch_features_are_a_hundredth():
    network = mnist_gan.build_discriminator(width=2, kernels=3)
    scaled = variants.with_scaled_minibatch_features(network)
    scaled.set_weights(network.get_weights())
    heads = [layer for layer in network.layers if isinstance(layer, layers.Dense)][
        -1
    ].get_weights()[0][-3:]
    plain, other = (
        ops.convert_to_numpy(x(IMAGES[:8], training=False)[0]) for x in (network, scaled)
    )
    (layer,) = (x for x in network.layers if isinstance(x, MinibatchDiscrimination))
    similarities = ops.convert_to_numpy(
        keras.Model(network.input, layer.output)(IMAGES[:8], training=False)
    )
    np.testing.assert_allclose(plain - other, 0.99 * similarities @ heads, atol=1e-4)


def test_unit_range_changes_the_gain_and_the_zero():
    generator, discriminator = (
        mnist_gan.build_generator(width=2),
        mnist_gan.build_discriminator(width=2, kernels=3),
    )
    scaled_generator, scaled_discriminator = variants.in_unit_range(generator, discriminator)
    for one, other in ((generator, scaled_generator), (discriminator, scaled_discriminator)):
        other.set_weights(one.get_weights())
    latents = RNG.normal(size=(4, 100)).astype("float32")
    images = [
        ops.convert_to_numpy(x([latents, LABELS[:4]], training=False))
        for x in (generator, scaled_generator)
    ]
    np.testing.assert_allclose(
        np.arctanh(images[0].clip(-0.999, 0.999)) / 2, np.arctanh(images[1]), atol=1e-3
    )
    expected = discriminator((IMAGES[:4] + 1) / 2, training=False)[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(scaled_discriminator(IMAGES[:4], training=False)[0]),
        ops.convert_to_numpy(expected),
        atol=1e-5,
    )


def test_uniform_latents():
    latents = ops.convert_to_numpy(
        RECIPE.build(settings("uniform_latents")).sample_latents((1000, 4), seed=0)
    )
    assert 0 <= latents.min() < 0.01 and 0.99 < latents.max() < 1


def test_sorted_groups_are_the_same_batches_sorted_by_label():
    shuffled, ordered = (RECIPE.data(settings(variant)) for variant in ("groups", "sorted_groups"))
    for (images, labels), (sorted_images, sorted_labels) in zip(
        (shuffled[i] for i in range(2)), (ordered[i] for i in range(2)), strict=True
    ):
        np.testing.assert_array_equal(np.sort(labels), sorted_labels)
        assert np.isin(sorted_images.sum((1, 2, 3)), images.sum((1, 2, 3))).all()
        assert not np.array_equal(labels, sorted_labels)


def test_the_rate_falls_when_the_discriminator_is_accurate():
    gan = RECIPE.build(settings("manual_rate", learning_rate=3e-4))
    (rule,) = RECIPE.callbacks(settings("manual_rate"), None)
    rule.set_model(gan)
    logs = {"real_accuracy": 0.93, "fake_accuracy": 0.96}
    rule.on_epoch_end(0, logs)
    assert logs["discriminator_learning_rate"] == pytest.approx(3e-4)
    for expected in (2e-4, 1e-4, 0.0, 0.0):
        rule.on_epoch_end(0, logs := {"real_accuracy": 0.98, "fake_accuracy": 0.96})
        assert logs["discriminator_learning_rate"] == pytest.approx(expected, abs=1e-9)
    assert float(gan.optimizer["generator"].learning_rate) == pytest.approx(3e-4)


def test_loops_give_the_numbers_of_the_layer():
    m = RNG.normal(size=(6, 5, 3)).astype("float32")
    layer = MinibatchDiscrimination(5, 3, include_self=True)
    layer.build((None, 15))
    layer.kernel.assign(np.eye(15))
    expected = ops.convert_to_numpy(layer(m.reshape(6, 15)))
    for loop in (variants.similarities_by_pairs, variants.similarities_by_samples):
        np.testing.assert_allclose(
            ops.convert_to_numpy(loop(ops.convert_to_tensor(m))), expected, rtol=1e-5
        )


def test_generator_gradient_norm():
    gan = RECIPE.build(settings("", model="plain"))
    weights = [np.array(w) for w in gan.get_weights()]
    found = variants.generator_gradient_norm(gan, LABELS[:16])
    assert 0 < found["first_layer_gradient_norm"] < found["generator_gradient_norm"] < np.inf
    assert all(np.array_equal(a, b) for a, b in zip(weights, gan.get_weights(), strict=True))


# === Growing ===


def test_networks_grow_from_7_to_28_pixels():
    chosen = settings("growing", epochs=8)
    gan = RECIPE.build(chosen)
    (grow,) = RECIPE.callbacks(chosen, None)
    grow.set_model(gan)
    latents, labels = RNG.normal(size=(3, 64)).astype("float32"), LABELS[:3]

    def generated():
        return ops.convert_to_numpy(gan.generator([latents, labels], training=False))

    def coarseness(images, block):
        """Return whether images are constant in each block of pixels."""
        blocks = images.reshape(3, 28 // block, block, 28 // block, block)
        return np.abs(blocks - blocks.mean((2, 4), keepdims=True)).max() < 1e-5

    shares = []
    for epoch in range(8):
        grow.on_epoch_begin(epoch)
        shares.append([float(gan.generator.get_layer(f"fade_{size}").share) for size in (14, 28)])
        assert coarseness(generated(), 4) == (epoch < 2) and coarseness(generated(), 2) == (
            epoch < 4
        )
        if epoch == 0:  # The discriminator works at 7 pixels as well.
            fine = (
                IMAGES[:3].reshape(3, 7, 4, 7, 4).mean((2, 4)).repeat(4, 1).repeat(4, 2)[..., None]
            )
            logits = [gan.discriminator([x, labels], training=False)[0] for x in (IMAGES[:3], fine)]
            np.testing.assert_allclose(*(ops.convert_to_numpy(x) for x in logits), atol=1e-4)
    assert shares == [[0, 0], [0, 0], [1, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 1]]
    grow.epochs = 4
    grow.on_epoch_begin(4)
    assert float(gan.discriminator.get_layer("fade_14").share) == 0.5


def test_a_new_size_resets_the_optimizers():
    chosen = settings("growing", epochs=8)
    gan = RECIPE.build(chosen)
    gan.run_eagerly = True
    gan.fit(RECIPE.data(chosen), epochs=3, callbacks=RECIPE.callbacks(chosen, None), verbose=0)
    assert [int(gan.optimizer[player].iterations) for player in gan.players] == [
        2,
        2,
    ]  # The third epoch.
    assert float(gan.optimizer["generator"].learning_rate) == pytest.approx(chosen.learning_rate)
    assert [
        float(RECIPE.build(settings("grown")).generator.get_layer(f"fade_{size}").share)
        for size in (14, 28)
    ] == [
        1,
        1,
    ]


# === The VAE's and the flow's mistakes ===


def test_mistakes_of_the_vae():
    likelihood, divergence = RNG.normal(size=(2, 4)).astype("float32")
    assert float(conditional_vae.elbo(likelihood, divergence)) == -float(
        negative_elbo(likelihood, divergence)
    )
    mean, log_variance = RNG.normal(size=(2, 4, 3)).astype("float32")
    wrong = conditional_vae.sigma_divergence(mean, log_variance)
    assert wrong.shape == (4,)
    np.testing.assert_allclose(  # log sigma is half of the log-variance.
        ops.convert_to_numpy(wrong),
        ops.convert_to_numpy(normal_kl_divergence(mean, log_variance / 2)),
        rtol=1e-5,
    )


def test_the_flows_mistake_has_the_wrong_shape():
    latents = RNG.normal(size=(5, 7)).astype("float32")
    right, wrong = normal_log_prob(latents), flow.summed_log_prob(latents)
    assert right.shape == (5,) and wrong.shape == ()
    np.testing.assert_allclose(float(wrong), float(ops.sum(right)), rtol=1e-5)


@pytest.mark.parametrize("module", [variants, conditional_vae, flow])
def test_unknown_variants(module):
    with pytest.raises(ValueError, match="variant must be .*; received 'nope'"):
        module.RECIPE.build(recipe.settings_of(module.RECIPE, variant="nope"))
