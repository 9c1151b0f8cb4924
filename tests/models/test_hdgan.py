"""Tests of HDGAN: parameter counts, losses, the training step on every backend, sampling."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.io import checkpoints
from kerasgan.layers.reflection_conv import ReflectionConv2D
from kerasgan.losses.damsm import damsm_loss
from kerasgan.models import hdgan
from kerasgan.models.hdgan import HDGAN, ExtraCriticSteps, build_discriminator, build_generator
from tests.marks import slow_on_jax

DIM = 6


def tiny(sizes=(64,), generator=None, discriminator=None, **arguments):
    keras.utils.set_random_seed(0)
    networks = build_generator(
        sizes, 2, embedding_dim=DIM, latent_dim=5, condition_dim=4, **(generator or {})
    )
    discriminators = {
        s: build_discriminator(s, 2, embedding_dim=DIM, text_dim=3, **(discriminator or {}))
        for s in sizes
    }
    gan = HDGAN(networks, discriminators, **arguments)
    gan.compile(**{player: keras.optimizers.Adam(1e-2, beta_1=0.5) for player in gan.players})
    return gan


def batch(size=64, count=3, seed=0):
    random = np.random.default_rng(seed)
    real, mismatched = random.uniform(-1, 1, [2, count, size, size, 3]).astype("float32")
    return real, mismatched, random.normal(size=[count, DIM]).astype("float32")


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def numbers(variables):
    return [ops.convert_to_numpy(ops.copy(v)) for v in variables]


def changed(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


# === Networks ===


def test_full_width_networks_have_the_papers_number_of_parameters():
    gan = HDGAN()
    assert count(gan.generator) == 41_378_496
    assert {s: count(d) for s, d in gan.discriminators.items()} == {
        64: 8_510_466,
        128: 8_582_722,
        256: 8_600_418,
    }
    assert [x.shape[1:] for x in gan.generator.outputs] == [
        (64, 64, 3),
        (128, 128, 3),
        (256, 256, 3),
        (128,),
        (128,),
    ]
    logits = {s: [x.shape[1:] for x in d.outputs] for s, d in gan.discriminators.items()}
    assert logits == {64: [(1,), (1, 1, 1)], 128: [(1,), (1, 1, 1)], 256: [(1,), (5, 5, 1)]}


@pytest.mark.parametrize(
    ("image_loss", "heads"),
    [
        ("released", {64: [1], 128: [1], 256: [5]}),
        ("global", {64: [1], 128: [1], 256: [1]}),
        ("local", {64: [1], 128: [4], 256: [8]}),
        ("both", {64: [1], 128: [1, 4], 256: [1, 8]}),
        (None, {64: [], 128: [], 256: []}),
    ],
)
def test_heads_of_each_image_loss(image_loss, heads):
    for size, sides in heads.items():
        pair, *images = build_discriminator(
            size, 1, embedding_dim=DIM, image_loss=image_loss
        ).outputs
        assert pair.shape[1:] == (1,)
        assert [x.shape[1:] for x in images] == [(side, side, 1) for side in sides]


def test_without_image_heads_only_pairs_are_scored():
    gan = tiny(discriminator={"image_loss": None})
    logs = gan.train_on_batch(*batch(), return_dict=True)
    assert logs["image_loss"] == 0 < logs["pair_loss"]


@pytest.mark.parametrize(("norm", "alone"), [("layer", True), ("none", True), ("batch", False)])
def test_only_batch_norm_makes_logits_depend_on_the_batch(norm, alone):
    discriminator = build_discriminator(64, 2, embedding_dim=DIM, norm=norm)
    real, _, embeddings = batch(count=4)
    whole, half = (
        ops.convert_to_numpy(discriminator([real[:n], embeddings[:n]], training=True)[0])[:2]
        for n in (4, 2)
    )
    assert np.allclose(whole, half, atol=1e-5) == alone


def test_conditioning_noise_scales_the_noise_of_the_condition():
    whole, fifth = (
        build_generator((64,), 2, embedding_dim=DIM, conditioning_noise=a) for a in (1.0, 0.2)
    )
    fifth.set_weights(whole.get_weights())
    embeddings, latents, noise = (np.ones((2, n), "float32") for n in (DIM, 100, 128))
    pairs = (whole, 0.2 * noise), (fifth, noise)
    one, other = (
        ops.convert_to_numpy(network([embeddings, latents, x])[0]) for network, x in pairs
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_sizes_skip_and_extra_convolution():
    assert [x.shape[1] for x in build_generator((256, 64), 2, embedding_dim=DIM).outputs] == [
        64,
        256,
        128,
        128,
    ]
    assert [x.shape[1] for x in build_generator((512,), 4, embedding_dim=DIM).outputs] == [
        512,
        128,
        128,
    ]

    # Three convolutions with norm from 4 to 32 and from 8 to 64, then a 1 x 1 convolution each.
    def convs(*channels):
        return sum(9 * i * o + 2 * o for i, o in zip(channels, channels[1:], strict=False))  # noqa: E731

    joined = lambda image, path: (image + path) * image + 2 * image  # noqa: E731
    paths = convs(16, 8, 4, 2) + joined(4, 2) + convs(8, 4, 2, 1) + joined(4, 1)
    plain, skip = (
        build_generator((64,), 2, embedding_dim=DIM, skip=skip) for skip in (False, True)
    )
    assert count(skip) - count(plain) == paths
    with_conv, without = (
        build_discriminator(64, 2, embedding_dim=DIM, extra_conv=extra) for extra in (True, False)
    )
    assert count(with_conv) - count(without) == (8 + 128) * 8 + 2 * 8 - 128 * 16
    with pytest.raises(
        ValueError,
        match="sizes must be distinct values out of 64, 128, 256, 512, ...; received .96.",
    ):
        build_generator((96,))
    with pytest.raises(ValueError, match="image_loss must be one of .*; received 'patch'"):
        build_discriminator(64, image_loss="patch")
    with pytest.raises(
        ValueError, match="norm must be one of batch, layer, none; received 'group'"
    ):
        build_discriminator(64, norm="group")


def test_initial_weights_are_those_of_pytorch_and_the_paper():
    generator = build_generator((64,), 16, embedding_dim=1024)
    convs = [layer for layer in generator.layers if isinstance(layer, ReflectionConv2D)]
    assert np.std(convs[0].get_weights()[0]) == pytest.approx(0.02, rel=0.05)
    dense = next(layer for layer in generator.layers if isinstance(layer, keras.layers.Dense))
    weights, bias = dense.get_weights()
    for values in (weights, bias):
        assert 0.9 / 32 < np.abs(values).max() <= 1 / 32  # 1 / sqrt(1024)
    norm = next(
        layer for layer in generator.layers if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert np.std(norm.gamma) == pytest.approx(0.02, rel=0.1) and np.mean(
        norm.gamma
    ) == pytest.approx(1, abs=0.01)
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def test_without_norm_features_keep_their_magnitude_through_the_discriminator():
    images = ops.convert_to_tensor(batch(count=8)[0])
    size = {}
    for kind in ("none", "batch"):
        discriminator = build_discriminator(64, 16, embedding_dim=DIM, norm=kind)
        code = next(layer for layer in discriminator.layers if layer.output.shape[1:] == (4, 4, 64))
        features = keras.Model(discriminator.inputs[0], code.output)(images, training=False)
        size[kind] = float(ops.sqrt(ops.mean(ops.square(features))))
    assert 0.3 < size["none"] < 3 and size["batch"] < 0.1  # The inputs have 0.58.


# === Losses ===


def test_losses_of_known_logits():
    gan = tiny((64, 128, 256))

    def logits(value):
        return [
            [ops.full((3, 1), value), ops.full((3, side, side, 1), value)] for side in (1, 1, 5)
        ]

    def d_loss(*values):
        return float(gan.discriminator_loss(*map(logits, values))[0])

    def g_loss(logits, mean):
        return float(gan.generator_loss([*gan.sizes, mean, ops.zeros((3, 4))], logits, None)[0])

    nothing = ops.zeros((3, 4))
    assert d_loss(0, 0, 0) == 6 and d_loss(1, 1, 1) == 6
    assert d_loss(1, 0, 0) == pytest.approx(
        3 * (0 + 0 + 0.5)
    )  # Without the caption, the target of mismatched images is 1.
    assert d_loss(1, 1, 0) == pytest.approx(3 * 0.5)  # The target of mismatched pairs is 0.
    assert g_loss(logits(0), nothing) == 6 and g_loss(logits(1), nothing) == 0
    assert g_loss(logits(1), nothing + 1) == pytest.approx(4 * 0.5)  # mean 1: KL 1/2
    both = [[ops.zeros((3, 1)), ops.zeros((3, 1, 1, 1)), ops.ones((3, 4, 4, 1))]]
    assert g_loss(both, nothing) == pytest.approx(1 + 0.5)  # Two heads share one weight.

    gan = HDGAN.from_config(tiny((64, 128, 256), loss="logistic").get_config())
    cost = lambda x: np.log1p(np.exp(x))  # noqa: E731
    assert d_loss(2, 0, -1) == pytest.approx(
        3 * (cost(-2) * 1.5 + cost(0) + cost(-1) * 1.5), rel=1e-5
    )
    assert g_loss(logits(2), nothing) == pytest.approx(6 * cost(-2), rel=1e-5)


def encoder(dim=DIM, side=64):
    images = keras.Input((side, side, 3))
    x = keras.layers.BatchNormalization()(keras.layers.AveragePooling2D(side // 4)(images))
    return keras.Model(images, keras.layers.Dense(dim)(keras.layers.Flatten()(x)))


@pytest.mark.nightly
def test_damsm_encoder_adds_its_loss_at_each_size_and_is_not_trained():
    network = encoder()
    gan = tiny((64, 128), damsm_encoder=network, damsm_weight=0.5)
    before = numbers(network.variables)
    embeddings = ops.convert_to_tensor(batch()[2])
    fakes = gan.generate(embeddings)
    small = ops.average_pool(fakes[1], 2, 2)
    each = [float(damsm_loss(network(x, training=False), embeddings)) for x in (fakes[0], small)]
    logits = gan.discriminate(fakes[:-2], embeddings)
    loss, (divergence, damsm) = gan.generator_loss(fakes, logits, embeddings)
    assert float(damsm) == pytest.approx(sum(each), rel=1e-4) and sum(each) > 0
    gan.damsm_encoder = None
    assert float(loss - gan.generator_loss(fakes, logits, embeddings)[0]) == pytest.approx(
        0.5 * sum(each), rel=1e-3
    )
    gan, without = (tiny((64, 128), damsm_encoder=each) for each in (network, None))
    losses = [
        model.train_on_batch(*batch(128), return_dict=True)["damsm_loss"]
        for model in (gan, without)
    ]
    assert losses[0] > 0 and losses[1] == 0
    assert (
        np.mean(
            changed(*(numbers(model.generator.trainable_variables) for model in (gan, without)))
        )
        > 0.8
    )
    discriminators = (
        numbers(model.discriminators[64].trainable_variables) for model in (gan, without)
    )
    assert not any(changed(*discriminators))  # They are trained on the same fakes.
    assert not any(changed(before, numbers(network.variables)))
    assert "damsm_encoder" not in gan.get_config()
    with pytest.raises(
        ValueError,
        match="damsm_encoder must map .* embedding dimension, 6; received one from side 64 to .* 5",
    ):
        tiny(damsm_encoder=encoder(5))


@slow_on_jax
@pytest.mark.backend
def test_damsm_uses_random_crops_in_training_only():
    gan = tiny(damsm_encoder=encoder(), damsm_crop=0.5)
    embeddings = ops.convert_to_tensor(batch()[2])
    images = [gan.generate(embeddings)[0]]
    cropped, plain = (
        [
            float(ops.convert_to_numpy(gan.damsm_loss(images, embeddings, training)))
            for _ in range(2)
        ]
        for training in (True, False)
    )
    assert plain[0] == plain[1] and len({*cropped, plain[0]}) == 3
    assert gan.train_on_batch(*batch(), return_dict=True)["damsm_loss"] > 0
    assert HDGAN.from_config(gan.get_config()).damsm_crop == 0.5


@slow_on_jax
@pytest.mark.backend
def test_damsm_queue_holds_the_captions_of_previous_steps_as_negatives():
    gan = tiny(damsm_encoder=encoder(), damsm_queue=5)
    images, embeddings = [ops.ones((3, 64, 64, 3))], [batch(seed=seed)[2] for seed in range(3)]
    loss = lambda **how: float(ops.convert_to_numpy(gan.damsm_loss(images, embeddings[0], **how)))  # noqa: E731
    alone = loss(training=False)
    for seed in (1, 2):
        gan.train_on_batch(*batch(seed=seed))
    np.testing.assert_allclose(
        ops.convert_to_numpy(gan.caption_queue), np.concatenate(embeddings[:0:-1])[:5]
    )  # The newest come first.
    features = gan.damsm_encoder(images[0], training=False)
    expected = damsm_loss(features, embeddings[0], others=ops.convert_to_tensor(gan.caption_queue))
    assert (
        loss(training=True) == pytest.approx(float(ops.convert_to_numpy(expected)), rel=1e-4)
        and alone > 0
    )
    again = HDGAN.from_config(gan.get_config() | {"damsm_encoder": encoder()})
    assert again.damsm_queue == 5 and tiny(damsm_queue=5).damsm_queue == 0
    with pytest.raises(ValueError, match="damsm_queue must be at least 0; received -1"):
        tiny(damsm_encoder=encoder(), damsm_queue=-1)


def test_conditioning_divergence_of_known_gaussians():
    def divergence(mean, log):
        return float(
            hdgan.conditioning_divergence(
                ops.full((1, 1), float(mean)), ops.full((1, 1), float(log))
            )
        )

    assert divergence(0, 0) == 0
    assert divergence(2, 0) == pytest.approx(2)
    assert divergence(0, 1) == pytest.approx(0.5 * (np.e**2 - 1) - 1, rel=1e-5)


def test_condition_is_its_mean_without_noise():
    generator = tiny().generator
    embeddings, latents = batch()[2], np.ones((3, 5), "float32")
    image = lambda scale: generator([embeddings, latents, np.full((3, 4), scale, "float32")])  # noqa: E731
    assert not np.allclose(image(0.0)[0], image(1.0)[0])
    mean, log = (ops.convert_to_numpy(x) for x in image(0.0)[-2:])
    dense = next(layer for layer in generator.layers if isinstance(layer, keras.layers.Dense))
    by_hand = embeddings @ dense.get_weights()[0] + dense.get_weights()[1]
    by_hand = np.where(by_hand > 0, by_hand, 0.2 * by_hand)
    np.testing.assert_allclose(np.concatenate([mean, log], 1), by_hand, rtol=1e-4, atol=1e-5)


# === Training ===


@pytest.mark.parametrize("regenerate", [False, pytest.param(True, marks=pytest.mark.backend)])
def test_a_step_changes_all_networks(regenerate):
    gan = tiny(regenerate_fakes=regenerate, ema_decay=0.9)
    watched = [
        gan.generator.variables,
        gan.discriminators[64].variables,
        gan.ema_generator.variables,
    ]
    before = [numbers(variables) for variables in watched]
    logs = gan.train_on_batch(*batch(), return_dict=True)
    assert set(logs) == set(gan.reports) and all(np.isfinite(float(v)) for v in logs.values())
    for variables, old in zip(watched, before, strict=True):
        still = [
            v.path
            for v, differs in zip(variables, changed(old, numbers(variables)), strict=True)
            if not differs
        ]
        assert still == []
    assert [int(gan.optimizer[p].iterations) for p in gan.players] == [1, 1]


@pytest.mark.backend
def test_three_steps_from_the_same_weights_and_noise_agree_on_all_backends():
    """Compares with losses computed once on TensorFlow.

    SGD, because Adam amplifies the rounding of zero gradients (of a bias before batch norm) to full
    steps. A small learning rate, because rounding can change the side of a ReLU's kink, which
    changes the losses of large steps by percents.
    """
    gan = tiny()
    gan.compile(**{player: keras.optimizers.SGD(3e-4) for player in gan.players})
    random = np.random.default_rng(0)
    for network in (gan.generator, *gan.discriminators.values()):
        network.set_weights(
            [
                (
                    random.normal(size=w.shape) * 0.1 + (v.name in ("gamma", "moving_variance"))
                ).astype("float32")
                if v.name not in ("moving_mean", "moving_variance")
                else w
                for v, w in zip(network.weights, network.get_weights(), strict=True)
            ]
        )
    noise = [np.random.default_rng(s).normal(size=[3, d]) for s, d in ((1, 5), (2, 4))]
    noise = [ops.convert_to_tensor(x, "float32") for x in noise]
    gan.generate = lambda embeddings, training=True: gan.generator(
        [embeddings, *noise], training=training
    )
    losses = []
    for seed in range(3):
        gan.reset_metrics()
        logs = gan.train_on_batch(*batch(seed=seed), return_dict=True)
        losses.append([float(logs["discriminator_loss"]), float(logs["generator_loss"])])
    np.testing.assert_allclose(losses, AGREED, rtol=1e-4)


AGREED = [
    [5.651352, 1.690951],
    [3.110754, 1.950459],
    [3.710314, 0.598373],
]  # discriminator, generator


def test_real_mismatched_and_fake_images_are_separate_batches():
    gan, (real, mismatched, embeddings) = tiny(), batch()
    shapes, discriminator = [], gan.discriminators[64]
    original = type(discriminator).__call__

    def spy(self, inputs, *args, **kwargs):
        if self is discriminator:
            shapes.append(tuple(inputs[0].shape))
        return original(self, inputs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(discriminator), "__call__", spy)
        gan.run_eagerly = True
        gan.train_on_batch(real, mismatched, embeddings)
    # Real, mismatched and fake images, then the fakes for the generator.
    assert shapes == [(3, 64, 64, 3)] * 4


@slow_on_jax
@pytest.mark.backend
def test_extra_steps_of_the_discriminator():
    gan = tiny(critic_steps=ExtraCriticSteps(1000))
    updates = []
    for _ in range(6):
        gan.train_on_batch(*batch())
        updates.append([int(gan.optimizer[p].iterations) for p in gan.players])
    assert updates == [[0, 1], [0, 2], [0, 3], [0, 4], [1, 5], [1, 6]]


def test_extra_critic_steps_of_the_training_notes():
    policy = lambda updates, **arguments: int(ExtraCriticSteps(200, **arguments)(np.int32(updates)))  # noqa: E731
    assert [policy(n) for n in (0, 99, 100, 101, 120, 150)] == [5, 5, 5, 1, 5, 10]
    assert [policy(n) for n in (200, 201, 250, 20_000 - 50, 20_000, 20_050)] == [
        10,
        1,
        10,
        10,
        1,
        1,
    ]
    assert policy(20_050, epochs=None) == 10 and policy(2_000, epochs=10) == 1


def test_bad_input():
    with pytest.raises(ValueError, match="batch_size must be at least 2 .*; received 1"):
        tiny().train_on_batch(*batch(count=1))
    with pytest.raises(
        ValueError,
        match="discriminators must have one entry for each size of the generator, .64.; re",
    ):
        HDGAN(
            build_generator((64,), 2, embedding_dim=DIM),
            {128: build_discriminator(128, 2, embedding_dim=DIM)},
        )
    with pytest.raises(
        ValueError, match="loss must be one of least_squares, logistic; received 'hinge'"
    ):
        tiny(loss="hinge")
    for embeddings in (np.zeros((0, DIM)), np.zeros((2, DIM + 1)), np.zeros(DIM)):
        with pytest.raises(
            ValueError, match="embeddings must be .N, 6. with N at least 1; received"
        ):
            tiny().sample(embeddings=embeddings)


# === Use ===


def test_sample_and_checkpoint(tmp_path):
    gan = tiny((64, 128), ema_decay=0.9, critic_steps=ExtraCriticSteps(10))
    gan.fit(Feed(), epochs=1, verbose=0)
    embeddings = batch(count=5)[2]
    images = gan.sample(embeddings=embeddings, seed=3, sizes="all", batch_size=2)
    assert {s: x.shape for s, x in images.items()} == {64: (5, 64, 64, 3), 128: (5, 128, 128, 3)}
    again = gan.sample(embeddings=embeddings, seed=3, sizes="all")
    np.testing.assert_allclose(images[128], again[128], atol=1e-5)
    np.testing.assert_allclose(gan.sample(embeddings=embeddings, seed=3), images[128], atol=1e-5)
    assert not np.allclose(again[128], gan.sample(embeddings=embeddings, seed=4))
    assert np.abs(images[128]).max() <= 1

    checkpoints.save(tmp_path, gan, run="birds", dataset="synthetic", size=128, epoch=1)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"birds_synthetic_128_{x}_epoch_1.h5" for x in ("G", "D64", "D128", "resume")}
    loaded, _ = checkpoints.load_model(tmp_path / "birds_synthetic_128_G_epoch_1.h5")
    np.testing.assert_allclose(loaded.sample(embeddings=embeddings, seed=3), images[128], atol=1e-5)

    other = tiny((64, 128), ema_decay=0.9, critic_steps=ExtraCriticSteps(10))
    assert checkpoints.resume(tmp_path, other) == 1
    # Everything that the next step depends on.
    state = [
        [ops.convert_to_numpy(v) for v in (*g.variables, *g.optimizer.variables)]
        for g in (gan, other)
    ]
    for one, two in zip(*state, strict=True):
        np.testing.assert_array_equal(one, two)


class Feed(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return batch(128, seed=index)


def test_a_larger_model_starts_from_a_smaller_one():
    def model(sizes, width=2, **arguments):
        discriminators = {s: build_discriminator(s, width, embedding_dim=5) for s in sizes}
        return HDGAN(build_generator(sizes, width, embedding_dim=5), discriminators, **arguments)

    small, large = model((64,), ema_decay=0.9), model((64, 128), ema_decay=0.9)
    small.ema_generator.variables[0].assign(small.ema_generator.variables[0] + 1.0)
    large.start_from(small)
    embeddings, noise = np.ones((2, 5), "float32"), small.split_latents(small.random_latents(2, 0))
    expected = keras.ops.convert_to_numpy(small.ema_generator([embeddings, *noise])[0])
    for network in (large.generator, large.ema_generator):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(network([embeddings, *noise])[0]), expected, atol=1e-5
        )
    logits = [m.discriminators[64]([expected, embeddings])[0] for m in (small, large)]
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, logits), atol=1e-5)
    for other, message in [
        (model((128,)), r"sizes are the first of \(64, 128\); received \(128,\)"),
        (model((64,), width=4), "weights of the same shapes; discriminator_64 differs"),
    ]:
        before = keras.ops.convert_to_numpy(large.generator.variables[0])
        with pytest.raises(ValueError, match=message):
            large.start_from(other)
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(large.generator.variables[0]), before
        )


@slow_on_jax
@pytest.mark.backend
def test_r1_penalty_against_finite_differences():
    gan = tiny(r1_weight=3.0, r1_every=2)
    real, _, embeddings = batch()
    reals, embeddings = gan.pyramid(ops.convert_to_tensor(real)), ops.convert_to_tensor(embeddings)
    found = float(ops.convert_to_numpy(gan.r1_penalty(reals, embeddings)))
    assert found > 0

    def score(images):  # For finite differences along the gradient of one size.
        logits = gan.discriminate([images, *reals[1:]], embeddings)
        return sum(
            float(ops.convert_to_numpy(ops.mean(h))) * len(real) for heads in logits for h in heads
        )

    def summed(images):
        return sum(
            ops.mean(h) * len(real) for heads in gan.discriminate(images, embeddings) for h in heads
        )

    gradients = gan.input_gradient(summed, reals)
    gradient = ops.convert_to_numpy(gradients[0])
    step, squares = 1e-2 / np.linalg.norm(gradient), np.sum(gradient**2)
    first, gradient = reals[0], ops.convert_to_tensor(gradient)
    rise = (score(first + step * gradient) - score(first - step * gradient)) / (2 * step)
    assert rise == pytest.approx(squares, rel=0.05)
    total = sum(np.sum(ops.convert_to_numpy(s) ** 2) for s in gradients) / len(real)
    assert found == pytest.approx(2 * 3.0 / 2 * total, rel=1e-4)
    logs = gan.train_on_batch(*batch(), return_dict=True)
    assert all(np.isfinite(float(v)) for v in logs.values())
    assert HDGAN.from_config(gan.get_config()).r1_every == 2


# === Files ===


def test_the_shipped_preset_samples_captions():
    gan = HDGAN.from_preset("hdgan_synthetic_birds_256")
    images = gan.sample(captions=["a small red bird with a yellow belly"], seed=0)
    assert images.shape == (1, 256, 256, 3)
    assert images[0, 64:192, 64:192].std() > 0.1
    assert (gan.r1_weight, gan.ema_decay, gan.regenerate_fakes) == (0.1, 0.999, False)


def test_configurations_with_earlier_argument_names_load():
    gan = tiny(r1_weight=2.0, r1_every=3, ema_decay=0.9, regenerate_fakes=True)
    names = {new: old for old, new in HDGAN.renamed_arguments.items()}
    config = {names.get(name, name): value for name, value in gan.get_config().items()}
    del config["text_encoder"]
    assert {"penalty", "penalty_every", "average", "redraw"} < set(config)
    again = HDGAN.from_config(config)
    assert (again.r1_weight, again.r1_every, again.ema_decay) == (2.0, 3, 0.9)
    assert again.regenerate_fakes
    old = {
        "module": "kerasgan.models.hdgan",
        "class_name": "NotedCriticSteps",
        "config": {"steps_per_epoch": 7, "epochs": 2},
        "registered_name": "kerasgan>NotedCriticSteps",
    }
    steps = keras.saving.deserialize_keras_object(old)
    assert isinstance(steps, ExtraCriticSteps) and steps.epochs == 2
