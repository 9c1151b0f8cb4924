"""Variants of HDGAN: each trains, is saved and loaded, and has the described properties."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from benchmarks.reproduction.variants import hdgan as variants
from kerasgan.io import checkpoints
from kerasgan.models.hdgan import HDGAN, build_discriminator, build_generator

DIM = 6
DIMS = {"embedding_dim": DIM, "latent_dim": 5, "condition_dim": 4}


def generator(sizes=(64,), width=2):
    return build_generator(sizes, width, **DIMS)


def discriminators(sizes=(64,)):
    return {size: build_discriminator(size, 2, embedding_dim=DIM, text_dim=3) for size in sizes}


def shared(sizes=(64, 128)):
    one = variants.build_shared_discriminator(sizes, 2, embedding_dim=DIM, text_dim=3)
    return variants.SharedHDGAN(generator(sizes), one)


def layer_norm(**arguments):
    networks = [generator(), *discriminators().values()]
    one, other = (variants.with_layer_norm(network, **arguments) for network in networks)
    return HDGAN(one, {64: other})


def replay(capacity=4, **arguments):
    return variants.ReplayHDGAN(generator(), discriminators(), capacity=capacity, **arguments)


def stages(sizes=(64, 128), width=4):
    return HDGAN(variants.build_stages(sizes, width, **DIMS), discriminators(sizes))


VARIANTS = {
    "shared": shared,
    "layer_norm": layer_norm,
    "faulty_layer_norm": lambda: layer_norm(faulty=True),
    "thin": lambda: HDGAN(*variants.build_thin(4, text_dim=3, **DIMS)),
    "replay": replay,
    "memory": lambda: HDGAN(variants.with_memory(generator()), discriminators()),
    "stages": stages,
}


class Feed(keras.utils.PyDataset):
    """Batches like those of `CaptionedBatches`."""

    def __init__(self, size, count=3):
        super().__init__()
        self.size, self.count = size, count

    def __len__(self):
        return 2

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        real, mismatched = random.uniform(-1, 1, [2, self.count, self.size, self.size, 3]).astype(
            "float32"
        )
        return real, mismatched, random.normal(size=[self.count, DIM]).astype("float32")


def compiled(gan):
    # Compilation would take longer than two eager steps.
    gan.compile(
        run_eagerly=True,
        **{player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in gan.players},
    )
    return gan


def numbers(variables):
    return [ops.convert_to_numpy(ops.copy(v)) for v in variables]


def array(*values):
    return ops.convert_to_tensor(np.array(values, "float32"))


@pytest.mark.nightly
@pytest.mark.parametrize("name", VARIANTS)
def test_trains_and_loads(name, tmp_path):
    gan = compiled(VARIANTS[name]())
    variables = [v for player in gan.players for v in gan.player_variables(player)]
    before = numbers(variables)
    logs = gan.fit(Feed(gan.sizes[-1]), epochs=1, verbose=0).history
    assert set(logs) == set(gan.reports) and np.isfinite(list(logs.values())).all()
    unchanged = [
        v.path
        for v, old, new in zip(variables, before, numbers(variables), strict=True)
        if (old == new).all()
    ]
    assert unchanged == []
    assert [int(gan.optimizer[player].iterations) for player in gan.players] == [2, 2]

    checkpoints.save(tmp_path, gan, run=name, dataset="birds", size=64, epoch=1)
    loaded, _ = checkpoints.load_model(tmp_path / f"{name}_birds_64_G_epoch_1.h5")
    assert type(loaded) is type(gan) and loaded.count_params() == gan.count_params()
    inputs = [np.ones((2, x.shape[-1]), "float32") for x in gan.generator.inputs]
    for ours, theirs in zip(gan(inputs), loaded(inputs), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(theirs), ops.convert_to_numpy(ours), atol=1e-5
        )


# === One discriminator for all sizes ===


def test_shared_weights_are_stored_once(tmp_path):
    gan = compiled(shared())
    owned = gan.player_variables("discriminator")
    assert len({id(v) for v in owned}) == len(owned)
    trunk = gan.discriminator.get_layer("trunk")
    assert {id(v) for v in trunk.trainable_variables} < {id(v) for v in owned}
    assert trunk.input_shape[1:] == (32, 32, 2) and trunk.output_shape[1:] == (4, 4, 8)
    # One text branch; 64 and 128 pixels have a stem and two heads each.
    conv = lambda i, o, kernel=3: kernel**2 * i * o + 2 * o  # noqa: E731
    heads = conv(8 + 3, 8, 1) + conv(8, 8, 1) + 2 * (4 * 4 * 8 + 1)
    stems = 9 * 3 * 2 + (9 * 3 * 1 + conv(1, 2))
    assert sum(int(np.prod(v.shape)) for v in owned) == (
        DIM * 3 + 3 + conv(2, 4) + conv(4, 8) + conv(8, 8) + stems + 2 * heads
    )
    real, _, embeddings = Feed(128)[0]
    images, embeddings = gan.pyramid(array(*real)), array(*embeddings)
    before = numbers(trunk.trainable_variables)
    gan.minimize(
        "discriminator",
        lambda: gan.discriminator_loss(*[gan.discriminate(images, embeddings)] * 3)[0],
    )
    assert not any(
        (a == b).all() for a, b in zip(before, numbers(trunk.trainable_variables), strict=True)
    )
    assert len(gan.optimizer["discriminator"].variables) == 2 + 2 * len(
        owned
    )  # Adam's moments, learning rate and iterations.

    # After loading, the weights are still shared and equal.
    checkpoints.save(tmp_path, gan, run="shared", dataset="birds", size=128, epoch=1)
    other = compiled(variants.SharedHDGAN.from_config(gan.get_config()))
    assert len(other.player_variables("discriminator")) == len(owned)
    assert checkpoints.resume(tmp_path, other) == 1
    for a, b in zip(
        *(g.discriminate(images, embeddings, training=False) for g in (gan, other)), strict=True
    ):
        for one, two in zip(a, b, strict=True):
            assert tuple(one.shape) == (3, 1)
            np.testing.assert_allclose(
                ops.convert_to_numpy(one), ops.convert_to_numpy(two), atol=1e-5
            )
    with pytest.raises(
        ValueError, match="discriminators must have one entry for each size of the generator"
    ):
        variants.SharedHDGAN(generator((64,)), gan.discriminator)


# === Layer norm ===


def test_layer_norm_does_not_depend_on_the_batch():
    gan = layer_norm(leaky=True)
    for network in (gan.generator, gan.discriminators[64]):
        assert not any(
            isinstance(x, (layers.BatchNormalization, layers.ReLU)) for x in network.layers
        )
    norms = [x for x in gan.generator.layers if isinstance(x, layers.GroupNormalization)]
    assert len(norms) == sum(isinstance(x, layers.BatchNormalization) for x in generator().layers)
    _, _, embeddings = Feed(64)[0]
    noise = gan.split_latents(gan.random_latents(3, seed=0))
    together = gan.generator([embeddings, *noise], training=True)[0]
    alone = gan.generator([embeddings[:1], *(x[:1] for x in noise)], training=True)[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(alone[0]), ops.convert_to_numpy(together[0]), atol=1e-5
    )
    normalised = ops.convert_to_numpy(
        norms[-1](np.random.default_rng(0).normal(3, 2, [2, 9, 9, 4]))
    )
    np.testing.assert_allclose(normalised.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((1, 2, 3)), 1, atol=1e-3)


def test_faulty_layer_norm_divides_by_its_bias():
    right, faulty = (
        layers.GroupNormalization(1, epsilon=1e-5),
        variants.FaultyLayerNorm(1, epsilon=1e-5),
    )
    x = np.random.default_rng(0).normal(3, 2, [2, 9, 9, 2]).astype("float32")
    one, two = (ops.convert_to_numpy(layer(x)) for layer in (right, faulty))
    np.testing.assert_allclose(one, two, atol=1e-4)  # Equal for a bias of 0.
    faulty.beta.assign([1.0, -1.0])
    deviation = x.std((1, 2, 3)).reshape(2, 1, 1, 1)
    expected = one * deviation / (deviation + [1, -1])
    np.testing.assert_allclose(ops.convert_to_numpy(faulty(x)), expected, atol=1e-4)


# === Replay ===


def test_buffer_keeps_the_lowest_scores_and_provides_half_of_the_fakes():
    gan = replay(capacity=4)
    gan.discriminate = lambda images, embeddings, training=True: [
        [ops.mean(images[0], (1, 2, 3), keepdims=True)]
    ]
    kept = lambda: (numbers([gan.kept[0]])[0][:, 0, 0, 0], numbers([gan.scores])[0])  # noqa: E731

    def mixed(*values):
        fakes = ops.broadcast_to(array(*values)[:, None, None, None], (len(values), 64, 64, 3))
        images, embeddings, places = gan.mixed(
            [fakes], ops.broadcast_to(array(*values)[:, None], (len(values), DIM))
        )
        shown = ops.convert_to_numpy(images[0])[:, 0, 0, 0]
        np.testing.assert_array_equal(
            ops.convert_to_numpy(embeddings)[:, 0], shown
        )  # Each image has its own caption.
        return list(shown), places

    shown, places = mixed(0.5, -0.5, 0.25)
    assert shown[:2] == [0.5, -0.5] and shown[2] in (
        0.5,
        -0.5,
        0.25,
    )  # Empty places are not sampled.
    np.testing.assert_array_equal(kept()[0][:3], [-0.5, 0.25, 0.5])
    np.testing.assert_array_equal(kept()[1], [-0.5, 0.25, 0.5, np.float32(variants.EMPTY)])

    shown, places = mixed(0.75, -0.25, 0.0, 1.0)
    assert shown[:2] == [0.75, -0.25] and set(shown[2:]) <= {-0.5, -0.25, 0.0, 0.25}
    assert [list(x) for x in kept()] == [[-0.5, -0.25, 0.0, 0.25]] * 2

    # Replayed fakes get new scores; fakes with high scores leave the buffer.
    first = ops.zeros_like(places)  # Both fakes come from the first place.
    gan.renew(first, array(9, 9, 0.5, 0.5))
    assert kept()[1][0] == 0.5
    mixed(0.375, 1.0)
    assert [list(x) for x in kept()] == [[-0.25, 0.0, 0.25, 0.375]] * 2


def test_buffer_continues_after_a_resume(tmp_path):
    gan, other = compiled(replay()), compiled(replay())
    one, two = Feed(64)
    gan.train_on_batch(*one)
    assert int(ops.sum(ops.cast(gan.scores < variants.EMPTY, "int32"))) == 3
    checkpoints.save(tmp_path, gan, run="replay", dataset="birds", size=64, epoch=1)
    assert checkpoints.resume(tmp_path, other) == 1
    for g in (gan, other):
        g.train_on_batch(*two)
    state = lambda g: numbers([*g.kept, g.kept_embeddings, g.scores, g.seeds.state])  # noqa: E731
    for ours, theirs in zip(state(gan), state(other), strict=True):
        np.testing.assert_allclose(
            ours.astype("float64"), theirs.astype("float64"), rtol=1e-3, atol=1e-3
        )
    assert (numbers([gan.scores])[0] < variants.EMPTY).all()
    assert len({x.tobytes() for x in numbers([gan.kept[0]])[0]}) == 4  # All are different.


# === A learnable memory ===


def test_memory_is_concatenated_at_16_pixels():
    plain, network = generator(), variants.with_memory(generator())
    memory = network.get_layer("memory")
    assert memory.output.shape[1:] == (16, 16, 8 + 32 * 2)  # 512 + 4,096 channels at width 128.
    joint = (8 + 64) * 8
    assert network.count_params() - plain.count_params() == 16 * 16 * 64 + joint + 4 * 8
    inputs = [np.ones((2, x.shape[-1]), "float32") for x in network.inputs]
    before = ops.convert_to_numpy(network(inputs)[0])
    memory.memory.assign(-memory.memory)
    assert not np.allclose(before, ops.convert_to_numpy(network(inputs)[0]))


# === Stages ===


def test_stages_share_gradients_through_the_condition_only():
    gan = stages((64, 128, 256), 16)
    assert gan.sizes == (64, 128, 256)
    embeddings, latents, noise = (
        array(*np.random.default_rng(0).normal(size=[3, x.shape[-1]])) for x in gan.generator.inputs
    )

    def gradients(index):
        """Largest gradients of an image with respect to the latents and the condition noise.

        Only the first stage uses the latents.
        """
        image = lambda x: ops.sum(ops.square(gan.generator([embeddings, *x])[index]))  # noqa: E731
        return [
            np.abs(ops.convert_to_numpy(x)).max()
            for x in gan.input_gradient(image, [latents, noise])
        ]

    assert all(gradient > 0 for gradient in gradients(0))
    for index in (1, 2):
        latent, noise_gradient = gradients(index)
        assert latent == 0 and noise_gradient > 0
    moved = (
        gan.generator([embeddings, latents + 1, noise])[2]
        - gan.generator([embeddings, latents, noise])[2]
    )
    assert (
        np.abs(ops.convert_to_numpy(moved)).max() > 0
    )  # The later image still depends on the latents.
    with pytest.raises(
        ValueError, match="sizes must be 64 and its doublings without gaps; received .64, 256."
    ):
        variants.build_stages((64, 256), 2)
