"""ProjectedTextGAN: its step on every backend, files, stages of growing size, and what each option
changes."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.dtype_policies import dtype_policy
from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.encoders.part_encoder import build_part_encoder
from kerasgan.io import checkpoints
from kerasgan.io.network_names import networks_by_letter
from kerasgan.layers.frozen_features import build_frozen_features
from kerasgan.models.projected_text_gan import (
    ProjectedTextGAN,
    build_feature_discriminator,
    build_generator,
    build_generator_like,
    build_pixel_discriminator,
    build_posterior,
    extend_generator,
    has_mirror,
)
from tests.marks import slow_but_on_torch

# They pass on JAX, but take minutes there, because each operation is compiled separately.
pytestmark = [pytest.mark.nightly] if keras.backend.backend() == "jax" else []

DIM = 6


def networks(size=64):
    generator = build_generator(64, 1, embedding_dim=DIM, latent_dim=3, condition_dim=4)
    if size > 64:
        generator = extend_generator(generator, 1)
    return generator, build_image_encoder(64, 2, DIM)


def tiny(size=64, rate=1e-2, eager=True, **arguments):
    keras.utils.set_random_seed(0)
    generator, encoder = networks(size)
    maps = build_frozen_features(encoder)
    discriminators = {}
    for prefix in ("", "crop_") if size > 64 else ("",):
        discriminators[f"{prefix}features"] = build_feature_discriminator(
            maps, embedding_dim=DIM, width=4, text_dim=3, name=f"{prefix}features"
        )
        discriminators[f"{prefix}pixels"] = build_pixel_discriminator(
            64, 2, embedding_dim=DIM, text_dim=3, name=f"{prefix}pixels"
        )
    gan = ProjectedTextGAN(
        generator, encoder, arguments.pop("discriminators", discriminators), **arguments
    )
    optimizers = {player: keras.optimizers.Adam(rate, beta_1=0.0) for player in gan.players}
    gan.compile(**optimizers, run_eagerly=eager)  # Tracing takes longer than a few steps.
    return gan


def with_posterior(discriminators=True, generator=None, **arguments):
    """A model on the maps of a part encoder, with a posterior and by default a mirror."""
    keras.utils.set_random_seed(0)
    encoder = build_part_encoder(64, 2)
    generator = generator or build_generator(
        64, 1, embedding_dim=DIM, latent_dim=3, condition_dim=4, mirror=True
    )
    posterior = build_posterior(encoder, embedding_dim=DIM, latent_dim=3, width=4)
    heads = build_feature_discriminator(encoder, embedding_dim=DIM, width=4, text_dim=3)
    gan = ProjectedTextGAN(
        generator,
        encoder,
        {"features": heads} if discriminators else {},
        posterior=posterior,
        **arguments,
    )
    optimizers = {player: keras.optimizers.Adam(1e-2) for player in gan.players}
    gan.compile(**optimizers, run_eagerly=True)
    return gan


def batch(size=64, count=3):
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [count, size, size, 3]).astype("float32")
    return images, random.normal(size=[count, DIM]).astype("float32")


def values(network):
    return [ops.convert_to_numpy(ops.copy(v)) for v in network.trainable_variables]


@slow_but_on_torch
@pytest.mark.backend
@pytest.mark.parametrize("size", [64, pytest.param(128, marks=pytest.mark.nightly)])
def test_a_step_trains_both_players_but_not_the_encoder(size):
    gan = tiny(size, eager=False, translation=1, damsm_weight=0.1, contrastive_weight=0.5)
    owned = {player: gan.player_variables(player) for player in gan.players}
    before = {
        player: [ops.convert_to_numpy(ops.copy(v)) for v in v_s] for player, v_s in owned.items()
    }
    frozen = [ops.convert_to_numpy(v) for v in gan.encoder.variables]
    logs = [gan.train_on_batch(*batch(size), return_dict=True) for _ in range(2)][-1]
    assert all(np.isfinite(float(value)) for value in logs.values())
    for player, variables in owned.items():
        changed = [
            not np.array_equal(a, ops.convert_to_numpy(v))
            for a, v in zip(before[player], variables, strict=True)
        ]
        assert np.mean(changed) > 0.75
    for old, new in zip(frozen, gan.encoder.variables, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


@keras.saving.register_keras_serializable("kerasgan_tests")
class Constant(keras.layers.Layer):
    """Returns its weight, images `[N, S, S, 3]`, for any input."""

    def __init__(self, shape, **arguments):
        super().__init__(**arguments)
        self.shape = shape

    def build(self, input_shape):
        self.images = self.add_weight(self.shape, "zeros")

    def call(self, inputs):
        return self.images + 0.0 * ops.sum(inputs)

    def compute_output_shape(self, input_shape):
        return (None, *self.shape[1:])

    def get_config(self):
        return super().get_config() | {"shape": self.shape}


@pytest.mark.parametrize(("size", "translation"), [(64, 2), (128, 0), (128, 2)])
def test_a_perfect_reconstruction_has_no_loss_wherever_the_encoder_looks(size, translation):
    real, embeddings = batch(size)
    inputs = [keras.Input((DIM,)), keras.Input((3,))]
    output = Constant(real.shape)(ops.concatenate(inputs, axis=-1))
    generator = keras.Model(inputs, output)
    generator.set_weights([real])
    gan = with_posterior(generator=generator, posterior_share=1.0, translation=translation)
    logs = gan.train_on_batch(real, embeddings, return_dict=True)
    assert abs(float(logs["reconstruction_loss"])) < 1e-5
    logs = gan.train_on_batch(-real, embeddings, return_dict=True)
    assert float(logs["reconstruction_loss"]) > 1.0


@pytest.mark.nightly
@pytest.mark.backend
def test_the_same_seed_gives_the_same_training_and_samples():
    runs = []
    for _ in range(2):
        gan = tiny()
        for _ in range(2):
            gan.train_on_batch(*batch())
        runs.append(gan.sample(embeddings=batch()[1], seed=3))
    np.testing.assert_array_equal(*runs)
    assert (
        runs[0].shape == (3, 64, 64, 3) and runs[0].dtype == np.float32 and abs(runs[0]).max() <= 1
    )
    assert not np.array_equal(runs[0], gan.sample(embeddings=batch()[1], seed=4))


def test_samples_do_not_depend_on_the_batch_size():
    gan = tiny()
    assert list(gan.sample(embeddings=batch()[1], sizes="all")) == [64]
    with pytest.raises(ValueError, match="sizes must be None .* or 'all'"):
        gan.sample(embeddings=batch()[1], sizes=64)
    one, two = (gan.sample(embeddings=batch()[1], seed=0, batch_size=n) for n in (1, 3))
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.backend
def test_a_preset_samples_without_the_encoder(tmp_path):
    gan = tiny()
    gan.train_on_batch(*batch())
    gan.save_to_preset(tmp_path / "preset")
    loaded = ProjectedTextGAN.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(
        loaded.sample(embeddings=batch()[1], seed=0),
        gan.sample(embeddings=batch()[1], seed=0),
        atol=0.02,
    )
    with (
        pytest.raises(ValueError, match="needs the encoder"),
        pytest.warns(UserWarning, match="untrained weights"),
    ):
        loaded.compile(generator="adam", discriminator="adam")
        loaded.train_on_batch(*batch())


@pytest.mark.nightly
def test_checkpoints_hold_every_network(tmp_path):
    gan = tiny(128)
    names = {"run": "r", "dataset": "d", "size": 128}
    from kerasgan.callbacks import Checkpoint

    gan.fit(
        *batch(128, 4), batch_size=2, epochs=1, callbacks=[Checkpoint(tmp_path, **names)], verbose=0
    )
    letters = {"G", "DF", "DP", "DCF", "DCP"}
    assert set(networks_by_letter(gan)) == letters
    other = tiny(128)
    assert checkpoints.resume(tmp_path, other) == 1
    np.testing.assert_array_equal(
        other.sample(embeddings=batch()[1], seed=0), gan.sample(embeddings=batch()[1], seed=0)
    )


def test_a_larger_stage_starts_from_the_enlarged_image_of_the_smaller():
    small, _ = networks()
    large = extend_generator(build_generator_like(small), 1)
    embeddings, latents = batch()[1], np.ones((3, 3), "float32")
    for network in (small, large):
        assert network.output.shape[1] in (64, 128)
    images = [ops.convert_to_numpy(network([embeddings, latents])) for network in (small, large)]
    shrunk = images[1].reshape(3, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - images[0]).mean() < 0.1 * np.abs(images[0]).mean()
    names = {v.path for v in large.trainable_variables}
    assert names and all("128" in name for name in names)  # The smaller generator is frozen.


def test_a_trainable_stage_continues_the_smaller_layers():
    small, _ = networks()
    large = extend_generator(build_generator_like(small), 1, frozen=False)
    assert len(large.trainable_variables) > len(small.trainable_variables)


@pytest.mark.parametrize(
    "first, second", [("mixed_bfloat16", "float32"), ("float32", "mixed_bfloat16")]
)
def test_a_stage_has_its_own_dtype_policy(first, second):
    with dtype_policy(first):
        small, _ = networks()
    with dtype_policy(second):
        large = extend_generator(build_generator_like(small), 1)
    computing = [layer for layer in large.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert {layer.dtype_policy.name for layer in computing} == {second}
    np.testing.assert_array_equal(
        large.get_layer("sentence").get_weights()[0], small.get_layer("sentence").get_weights()[0]
    )


def test_the_next_stage_continues_the_discriminators_of_the_whole_image():
    before, after = tiny(), tiny(128)
    before.train_on_batch(*batch())
    after.start_from(before)
    for name in ("features", "pixels"):
        ours, theirs = (values(gan.discriminators[name]) for gan in (after, before))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.nightly
def test_spectral_norm_bounds_the_heads_after_a_step():
    gan = tiny(rate=1e-3)
    for _ in range(20):
        gan.train_on_batch(*batch())
    kernels = [
        layer.kernel
        for layer in gan.discriminators["features"].layers
        if hasattr(layer, "vector_u")
    ]
    largest = [np.linalg.norm(ops.convert_to_numpy(k).reshape(-1, k.shape[-1]), 2) for k in kernels]
    assert len(kernels) > 10 and np.median(largest) < 1.1 and max(largest) < 1.5


@pytest.mark.parametrize("kept", [("features",), ("pixels",)])
def test_either_discriminator_trains_alone(kept):
    full = tiny()
    gan = tiny(discriminators={name: full.discriminators[name] for name in kept})
    logs = gan.train_on_batch(*batch(), return_dict=True)
    assert np.isfinite(float(logs["generator_loss"]))
    assert (float(logs["penalty"]) > 0) == (kept == ("pixels",))


def test_bad_arguments_raise_one_line():
    generator, encoder = networks()
    with pytest.raises(ValueError, match="size must be 64"):
        build_generator(96)
    with pytest.raises(ValueError, match="mismatch_weight must be between"):
        ProjectedTextGAN(generator, encoder, mismatch_weight=2)
    with pytest.raises(ValueError, match="discriminators must be some of"):
        ProjectedTextGAN(generator, encoder, {"other": encoder})
    with pytest.raises(ValueError, match="an encoder is needed"):
        ProjectedTextGAN(generator)
    with pytest.raises(ValueError, match=r"embeddings must be \[N, 6\]"):
        tiny().sample(embeddings=np.zeros((2, 5)))


@pytest.mark.backend
@pytest.mark.parametrize("discriminators", [True, False])
def test_a_posterior_learns_to_reconstruct(discriminators):
    gan = with_posterior(discriminators, contrastive_weight=0.5)
    before = values(gan.posterior)
    images, embeddings = batch(count=4)
    images = np.tanh(images[:, :1, :1] + np.zeros_like(images))  # one colour each
    logs = [gan.train_on_batch(images, embeddings, return_dict=True) for _ in range(12)]
    assert all(np.isfinite(float(value)) for log in logs for value in log.values())
    assert any(not np.array_equal(a, b) for a, b in zip(before, values(gan.posterior), strict=True))
    if not discriminators:
        assert float(logs[-1]["reconstruction_loss"]) < float(logs[0]["reconstruction_loss"])
        assert float(logs[-1]["discriminator_loss"]) == 0


def test_a_posterior_survives_files_and_stages(tmp_path):
    gan = with_posterior()
    gan.train_on_batch(*batch())
    gan.save_to_preset(tmp_path / "preset")
    loaded = ProjectedTextGAN.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(
        loaded.sample(embeddings=batch()[1], seed=0),
        gan.sample(embeddings=batch()[1], seed=0),
        atol=0.02,
    )
    assert set(gan.checkpoint_networks()) == {"generator", "discriminator_features", "posterior"}
    other = with_posterior()
    other.start_from(gan)
    for a, b in zip(values(other.posterior), values(gan.posterior), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_last_latent_value_mirrors_the_image():
    generator = with_posterior().generator
    large = extend_generator(build_generator_like(generator), 1)
    latents = np.ones((2, 4), "float32")
    latents[1, -1] = -1.0
    embeddings = np.ones((2, DIM), "float32")
    for network in (generator, build_generator_like(generator), large):
        assert has_mirror(network)
        right, left = ops.convert_to_numpy(network([embeddings, latents]))
        np.testing.assert_allclose(left, right[:, ::-1], atol=1e-5)
        assert np.abs(left - right).max() > 1e-4


@pytest.mark.parametrize("mirror", [True, False])
def test_a_generator_from_another_process_can_be_extended(mirror):
    generator = build_generator(
        64, 1, embedding_dim=DIM, latent_dim=3, condition_dim=4, mirror=mirror
    )
    config = generator.get_config()
    keras.utils.clear_session()  # Names of layers are numbered from the start again.
    loaded = keras.Model.from_config(config)
    assert extend_generator(extend_generator(loaded, 1), 1).output.shape[1] == 256


class Brightness(keras.layers.Layer):
    """Auxiliary classifier of the test: dark images are wrong, whatever the caption is."""

    def call(self, inputs):
        return 1.0 - ops.mean(inputs[0], axis=(1, 2, 3)) + 0.0 * inputs[1][:, 0]


def brightness(size, features=False):
    inputs = [keras.Input((size, size, 3)), keras.Input((DIM,))]
    outputs = [Brightness()(inputs)]
    if features:
        outputs.append(keras.layers.GlobalAveragePooling2D()(inputs[0]))
    return keras.Model(inputs, outputs if features else outputs[0])


@pytest.mark.backend
@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_generator_minimizes_the_auxiliary_loss(size):
    gan = with_posterior(
        discriminators=False, auxiliary_classifier=brightness(size), auxiliary_weight=50.0
    )
    data = batch(count=4)
    losses = [
        float(gan.train_on_batch(*data, return_dict=True)["auxiliary_loss"]) for _ in range(8)
    ]
    assert np.isfinite(losses).all() and losses[-1] < losses[0] - 0.02


@pytest.mark.backend
def test_the_frechet_loss_moves_the_features_of_generated_images_to_those_of_real_ones():
    gan = with_posterior(
        auxiliary_classifier=brightness(32, features=True),
        frechet_weight=50.0,
        reconstruction_weight=0.0,
        pixel_weight=0.0,
    )
    images, embeddings = batch(count=4)
    data = 0.2 * images + 0.6, embeddings
    losses = [float(gan.train_on_batch(*data, return_dict=True)["frechet_loss"]) for _ in range(14)]
    assert losses[:3] == [0.0] * 3  # 12 samples of 3 features are needed.
    assert np.isfinite(losses).all() and losses[-1] < 0.7 * losses[3]


def test_a_resumed_training_continues_the_statistics_of_the_frechet_loss(tmp_path):
    def build():
        judge = brightness(32, features=True)
        return with_posterior(auxiliary_classifier=judge, frechet_weight=10.0)

    def losses(gan, count):
        logs = [gan.train_on_batch(*batch(count=4), return_dict=True) for _ in range(count)]
        return [float(log["frechet_loss"]) for log in logs]

    gan = build()
    losses(gan, 4)
    checkpoints.save(tmp_path, gan, run="tiny", dataset="birds", size=64, epoch=1)
    resumed = build()
    assert checkpoints.resume(tmp_path, resumed) == 1
    expected = losses(gan, 2)
    assert min(expected) > 0 and losses(resumed, 2) == pytest.approx(expected, rel=1e-4)


def test_the_frechet_loss_needs_features():
    with pytest.raises(ValueError, match="two outputs, values and features; received one with"):
        with_posterior(auxiliary_classifier=brightness(64), frechet_weight=1.0)
    with pytest.raises(ValueError, match="frechet_weight must be at least 0; received -1"):
        with_posterior(frechet_weight=-1.0)
    with pytest.raises(ValueError, match="needs the auxiliary classifier"):
        with_posterior(frechet_weight=0.5).train_on_batch(*batch())


def test_an_auxiliary_classifier_is_needed_for_its_weight(tmp_path):
    gan = with_posterior(auxiliary_classifier=brightness(64), auxiliary_weight=0.5)
    gan.save_to_preset(tmp_path / "preset")
    loaded = ProjectedTextGAN.from_preset(tmp_path / "preset")
    assert loaded.auxiliary_weight == 0.5 and loaded.auxiliary_classifier is None
    assert with_posterior().auxiliary_weight == 0.0
    with pytest.raises(ValueError, match="needs the auxiliary classifier"):
        with_posterior(auxiliary_weight=0.5).train_on_batch(*batch())
    with pytest.raises(ValueError, match="auxiliary_weight must be at least 0"):
        with_posterior(auxiliary_weight=-1.0)
