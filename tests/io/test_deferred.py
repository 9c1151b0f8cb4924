"""Networks of a loaded model are built at their first use, and are then ordinary networks."""

import keras
import numpy as np
import pytest

from kerasgan.ema import ema_copy
from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.io import checkpoint_networks, checkpoints, presets
from kerasgan.io.deferred import DeferredNetwork, is_deferred
from kerasgan.models import ConditionalGAN, ProjectedTextGAN
from kerasgan.models.projected_text_gan import (
    build_generator,
    build_pixel_discriminator,
    frozen_maps,
)

pytestmark = pytest.mark.backend


def network(config=None):
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(inputs), name="small")


def test_first_use():
    made = [0]

    def build(config):
        made[0] += config["count"]
        return network()

    deferred = DeferredNetwork(build, {"count": 1})
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
    deferred = DeferredNetwork(network, {})
    use(deferred)
    assert not is_deferred(deferred)


def test_a_preset_samples_without_its_discriminator_and_trains_with_it():
    model = ConditionalGAN.from_preset("mnist_gan_digits")
    sampled = model.sample(4, seed=0)
    assert is_deferred(model.discriminator)
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


# JAX takes minutes to run the steps eagerly, because it compiles each operation.
slow_on_jax = pytest.mark.nightly if keras.backend.backend() == "jax" else lambda test: test


def text_gan():
    """A small model with a moving average. Its encoder is not part of the configuration."""
    keras.utils.set_random_seed(0)
    generator = build_generator(64, 1, embedding_dim=6, latent_dim=3, condition_dim=4)
    pixels = build_pixel_discriminator(64, 2, embedding_dim=6, text_dim=3)
    return with_encoder(ProjectedTextGAN(generator, None, {"pixels": pixels}))


def with_encoder(gan):
    keras.utils.set_random_seed(1)
    gan.encoder = build_image_encoder(64, 2, 6)
    gan.features = frozen_maps(gan.encoder)
    return gan


def train(gan, steps):
    random = np.random.default_rng(0)
    for _ in range(steps):
        images = random.uniform(-1, 1, [3, 64, 64, 3]).astype("float32")
        gan.train_on_batch(images, random.normal(size=[3, 6]).astype("float32"))


def compile_eagerly(gan):
    gan.compile(**{player: keras.optimizers.Adam(1e-2) for player in gan.players}, run_eagerly=True)
    return gan


def weights(gan):
    return [np.asarray(keras.ops.convert_to_numpy(v)) for v in gan.variables]


def assert_equal_weights(one, other):
    assert [v.shape for v in one.variables] == [v.shape for v in other.variables]
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


EMBEDDINGS = np.random.default_rng(2).normal(size=[2, 6]).astype("float32")


@slow_on_jax
def test_only_the_moving_average_of_a_generator_is_built_to_sample(tmp_path):
    gan = compile_eagerly(text_gan())
    train(gan, 2)
    gan.save_to_preset(tmp_path)
    loaded = presets.load(tmp_path)
    images = loaded.sample(embeddings=EMBEDDINGS, seed=0)
    assert is_deferred(loaded.generator) and not is_deferred(loaded.ema_generator)
    np.testing.assert_allclose(images, gan.sample(embeddings=EMBEDDINGS, seed=0), atol=0.02)
    trained, average = loaded.generator.get_weights(), loaded.ema_generator.get_weights()
    assert loaded.generator.name == "generator" and loaded.ema_generator.name == "ema_generator"
    assert loaded.generator.trainable and not loaded.ema_generator.trainable
    for a, b in zip(trained, average, strict=True):
        np.testing.assert_array_equal(a, b)


@slow_on_jax
@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("mnist_gan_digits", {"n": 2}),
        ("hdgan_synthetic_birds_256", {"embeddings": np.zeros([2, 1024], "float32")}),
        (
            "projected_text_gan_synthetic_birds_256",
            {"embeddings": np.zeros([2, 1024], "float32")},
        ),
    ],
)
def test_a_preset_samples_without_the_networks_of_training(name, inputs):
    model = presets.load(name)
    model.sample(**inputs, seed=0)
    others = [
        *getattr(model, "discriminators", {}).values(),
        *([model.discriminator] if hasattr(model, "discriminator") else []),
    ]
    assert others and all(map(is_deferred, [model.generator, *others]))


@slow_on_jax
def test_a_model_with_a_deferred_generator_trains_like_any_other(tmp_path):
    gan = compile_eagerly(text_gan())
    train(gan, 1)
    files = []
    for letter, key in (("G", "generator"), ("DP", "discriminator_pixels")):
        files.append(tmp_path / f"{letter}.h5")
        network = gan.checkpoint_networks()[key]
        checkpoints.save_network(files[-1], network, epoch=1, model=gan, letter=letter)
    loaded = with_encoder(checkpoints.load_model(*files)[0])
    assert is_deferred(loaded.generator)
    whole = with_encoder(ProjectedTextGAN.from_config(gan.get_config()))
    for key, network in whole.checkpoint_networks().items():
        network.set_weights(gan.checkpoint_networks()[key].get_weights())
    whole.generator.set_weights(gan.ema_generator.get_weights())
    for model in (loaded, whole):
        compile_eagerly(model)
        train(model, 2)
    assert_equal_weights(loaded, whole)


@slow_on_jax
def test_a_model_with_a_deferred_generator_resumes(tmp_path):
    gan = compile_eagerly(text_gan())
    train(gan, 2)
    path = checkpoints.save(tmp_path, gan, run="r", dataset="d", size=64, epoch=1)
    loaded = checkpoints.load_model(checkpoints.sibling(path, "G"))[0]
    assert is_deferred(loaded.generator)
    compile_eagerly(with_encoder(loaded))
    assert checkpoints.resume(tmp_path, loaded) == 1
    assert_equal_weights(gan, loaded)
    for model in (gan, loaded):
        train(model, 1)
    assert_equal_weights(gan, loaded)


def test_a_network_that_is_built_while_a_function_is_traced_has_the_weights_of_its_file(tmp_path):
    gan = text_gan()
    gan.ema_generator.set_weights([w + 0.1 for w in gan.ema_generator.get_weights()])
    path = tmp_path / "G.h5"
    checkpoints.save_network(path, gan.ema_generator, epoch=1, model=gan, letter="G")
    loaded = checkpoints.load_model(path)[0]
    assert is_deferred(loaded.generator)
    loaded.predict([EMBEDDINGS, np.zeros([2, loaded.latent_dim], "float32")], verbose=0)
    assert not is_deferred(loaded.generator)  # Keras reads the losses of all layers.
    for network in (loaded.generator, loaded.ema_generator):
        for a, b in zip(network.get_weights(), gan.ema_generator.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_generator_without_a_file_starts_equal_to_its_moving_average(tmp_path):
    gan = text_gan()
    checkpoints.save_network(
        tmp_path / "DP.h5", gan.discriminators["pixels"], epoch=1, model=gan, letter="DP"
    )
    loaded = checkpoints.load_model(tmp_path / "DP.h5")[0]
    assert loaded.not_loaded and is_deferred(loaded.generator)
    another = ema_copy(loaded.generator)  # The copy of a generator that is still deferred.
    assert is_deferred(loaded.generator)
    expected = loaded.ema_generator.get_weights()
    for network in (another, loaded.generator):
        for a, b in zip(expected, network.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_network_that_cannot_be_built_is_named(tmp_path, monkeypatch):
    model = ConditionalGAN.for_images(size=8, width=4)
    checkpoints.save_network(tmp_path / "G.h5", model.generator, epoch=1, model=model)
    loaded = presets.load(tmp_path)
    monkeypatch.setattr(checkpoint_networks.keras.layers.Conv2D, "__init__", lambda *a, **k: 1 / 0)
    with pytest.raises(
        checkpoints.CheckpointError, match="a ConditionalGAN that cannot be rebuilt"
    ):
        len(loaded.discriminator.layers)
