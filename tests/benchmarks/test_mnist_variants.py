"""Variants of the MNIST GAN, the VAE and the flow: each is what its claim says, and trains."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo.mnist_gan
from benchmarks.variants import conditional_vae, flow
from benchmarks.variants import mnist_gan as variants
from benchmarks.variants.mnist_gan import ARMS, RECIPE
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses.variational import negative_elbo, normal_divergence
from kerasgan.models import conditional_gan, mnist_gan
from kerasgan.models.real_nvp import normal_log_prob
from zoo import recipe

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 28, 28, 1)).astype("float32")
LABELS = (np.arange(32) % 10).astype("int32")
SMALL = {"epochs": 4, "batch_size": 16, "width": 2, "decay": False}
# Arms of the one-logit model; the others are of the notes' networks.
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


def settings(arm, **changes):
    model = "plain" if arm in PLAIN else "corrected"
    return recipe.settings_of(RECIPE, "best", **SMALL | {"arm": arm, "model": model} | changes)


def names(network):
    return [type(layer).__name__ for layer in network.layers]


def step(gan, images=IMAGES[:16], labels=LABELS[:16]):
    return gan.train_on_batch(images, labels, return_dict=True)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_networks_of_digits(arm):
    changes = ARMS[arm](settings(arm))
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
        assert logits == (None, 1 if arm in PLAIN else 11) and len(features) == 2


@pytest.mark.parametrize(
    "arm", ["fifth_block", "third_convolution", "norm_both", "unit_range", "max_pooling"]
)
def test_an_edited_network_trains(arm):
    gan = RECIPE.build(settings(arm))
    gan.run_eagerly = True
    before = {player: [np.array(v) for v in gan.player_variables(player)] for player in gan.players}
    assert np.isfinite(list(step(gan).values())).all()
    for player in gan.players:
        pairs = list(zip(before[player], gan.player_variables(player), strict=True))
        assert sum(not np.array_equal(a, b) for a, b in pairs) >= 0.8 * len(pairs)


def test_edits_say_what_they_do():
    generator, discriminator = (
        mnist_gan.build_generator(width=2),
        mnist_gan.build_discriminator(width=2, kernels=3),
    )
    projection = conditional_gan.build_discriminator(width=2)
    assert (
        names(variants.with_fifth_block(generator)).count("Conv2DTranspose") == 3
    )  # beside the SmallConv2DTranspose
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


def test_scaled_closeness_is_a_hundredth():
    network = mnist_gan.build_discriminator(width=2, kernels=3)
    scaled = variants.with_scaled_closeness(network)
    scaled.set_weights(network.get_weights())
    heads = [layer for layer in network.layers if isinstance(layer, layers.Dense)][
        -1
    ].get_weights()[0][-3:]
    plain, other = (
        ops.convert_to_numpy(x(IMAGES[:8], training=False)[0]) for x in (network, scaled)
    )
    (layer,) = (x for x in network.layers if isinstance(x, MinibatchDiscrimination))
    closeness = ops.convert_to_numpy(
        keras.Model(network.input, layer.output)(IMAGES[:8], training=False)
    )
    np.testing.assert_allclose(plain - other, 0.99 * closeness @ heads, atol=1e-4)


def test_unit_range_is_another_slope_and_another_zero():
    generator, discriminator = (
        mnist_gan.build_generator(width=2),
        mnist_gan.build_discriminator(width=2, kernels=3),
    )
    drawing, judging = variants.in_unit_range(generator, discriminator)
    for one, other in ((generator, drawing), (discriminator, judging)):
        other.set_weights(one.get_weights())
    latents = RNG.normal(size=(4, 100)).astype("float32")
    images = [
        ops.convert_to_numpy(x([latents, LABELS[:4]], training=False)) for x in (generator, drawing)
    ]
    np.testing.assert_allclose(
        np.arctanh(images[0].clip(-0.999, 0.999)) / 2, np.arctanh(images[1]), atol=1e-3
    )
    expected = discriminator((IMAGES[:4] + 1) / 2, training=False)[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(judging(IMAGES[:4], training=False)[0]),
        ops.convert_to_numpy(expected),
        atol=1e-5,
    )


def test_uniform_latents():
    latents = ops.convert_to_numpy(
        RECIPE.build(settings("uniform_latents")).sample_latents((1000, 4), seed=0)
    )
    assert 0 <= latents.min() < 0.01 and 0.99 < latents.max() < 1


def test_sorted_groups_are_the_same_batches_by_label():
    shuffled, ordered = (RECIPE.data(settings(arm)) for arm in ("groups", "sorted_groups"))
    for (images, labels), (sorted_images, sorted_labels) in zip(
        (shuffled[i] for i in range(2)), (ordered[i] for i in range(2)), strict=True
    ):
        np.testing.assert_array_equal(np.sort(labels), sorted_labels)
        assert np.isin(sorted_images.sum((1, 2, 3)), images.sum((1, 2, 3))).all()
        assert not np.array_equal(labels, sorted_labels)


def test_the_rate_falls_where_the_discriminator_wins():
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


def test_loops_are_the_layers_numbers():
    m = RNG.normal(size=(6, 5, 3)).astype("float32")
    layer = MinibatchDiscrimination(5, 3, include_self=True)
    layer.build((None, 15))
    layer.kernel.assign(np.eye(15))
    expected = ops.convert_to_numpy(layer(m.reshape(6, 15)))
    for loop in (variants.closeness_by_pairs, variants.closeness_by_samples):
        np.testing.assert_allclose(
            ops.convert_to_numpy(loop(ops.convert_to_tensor(m))), expected, rtol=1e-5
        )


def test_generator_slope():
    gan = RECIPE.build(settings("", model="plain"))
    weights = [np.array(w) for w in gan.get_weights()]
    found = variants.generator_slope(gan, LABELS[:16])
    assert 0 < found["first_layer_slope"] < found["generator_slope"] < np.inf
    assert all(np.array_equal(a, b) for a, b in zip(weights, gan.get_weights(), strict=True))


# === Growing ===


def test_networks_grow_from_7_to_28_pixels():
    chosen = settings("growing", epochs=8)
    gan = RECIPE.build(chosen)
    (grow,) = RECIPE.callbacks(chosen, None)
    grow.set_model(gan)
    latents, labels = RNG.normal(size=(3, 64)).astype("float32"), LABELS[:3]

    def drawn():
        return ops.convert_to_numpy(gan.generator([latents, labels], training=False))

    def coarseness(images, block):
        """Whether images are the same in each block of pixels."""
        blocks = images.reshape(3, 28 // block, block, 28 // block, block)
        return np.abs(blocks - blocks.mean((2, 4), keepdims=True)).max() < 1e-5

    shares = []
    for epoch in range(8):
        grow.on_epoch_begin(epoch)
        shares.append([float(gan.generator.get_layer(f"fade_{size}").share) for size in (14, 28)])
        assert coarseness(drawn(), 4) == (epoch < 2) and coarseness(drawn(), 2) == (epoch < 4)
        if epoch == 0:  # the discriminator sees 7 pixels too
            fine = (
                IMAGES[:3].reshape(3, 7, 4, 7, 4).mean((2, 4)).repeat(4, 1).repeat(4, 2)[..., None]
            )
            judged = [gan.discriminator([x, labels], training=False)[0] for x in (IMAGES[:3], fine)]
            np.testing.assert_allclose(*(ops.convert_to_numpy(x) for x in judged), atol=1e-4)
    assert shares == [[0, 0], [0, 0], [1, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 1]]
    grow.epochs = 4
    grow.on_epoch_begin(4)
    assert float(gan.discriminator.get_layer("fade_14").share) == 0.5


def test_a_new_size_starts_its_optimizers_anew():
    chosen = settings("growing", epochs=8)
    gan = RECIPE.build(chosen)
    gan.run_eagerly = True
    gan.fit(RECIPE.data(chosen), epochs=3, callbacks=RECIPE.callbacks(chosen, None), verbose=0)
    assert [int(gan.optimizer[player].iterations) for player in gan.players] == [
        2,
        2,
    ]  # of the third epoch
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
    np.testing.assert_allclose(  # the variance's logarithm, halved, is that of sigma
        ops.convert_to_numpy(wrong),
        ops.convert_to_numpy(normal_divergence(mean, log_variance / 2)),
        rtol=1e-5,
    )


def test_the_flows_mistake_has_the_wrong_shape():
    latents = RNG.normal(size=(5, 7)).astype("float32")
    right, wrong = normal_log_prob(latents), flow.summed_log_prob(latents)
    assert right.shape == (5,) and wrong.shape == ()
    np.testing.assert_allclose(float(wrong), float(ops.sum(right)), rtol=1e-5)


@pytest.mark.parametrize("module", [variants, conditional_vae, flow])
def test_unknown_arms(module):
    with pytest.raises(ValueError, match="arm must be .*; received 'nope'"):
        module.RECIPE.build(recipe.settings_of(module.RECIPE, arm="nope"))
