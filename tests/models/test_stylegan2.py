"""Tests of StyleGAN2: parameter counts, styles, penalties, training, sampling, files, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.io import checkpoints
from kerasgan.losses import penalties
from kerasgan.models import stylegan2
from kerasgan.models.stylegan2 import REPRODUCTION, Generator, StyleGAN2
from kerasgan.ops.augment import translate
from kerasgan.training import Critic

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (8, 8, 8, 1)).astype("float32")
LABELS = (np.arange(8) % 3).astype("int32")
TINY = {"capacity": 1, "max_channels": 4}


def array(x):
    return np.array(ops.convert_to_numpy(x))


def tiny(conditions=0, group=None, **arguments):
    """Model with two blocks of 4 and 2 channels and latents of dimension 3."""
    generator = Generator(8, 1, latent_dim=3, depth=2, conditions=conditions, **TINY)
    return StyleGAN2(
        generator,
        stylegan2.build_discriminator(8, 1, conditions=conditions, group=group, **TINY),
        **arguments,
    )


def compiled(gan, optimizer=keras.optimizers.Adam, rate=1e-2, **arguments):
    gan.compile(generator=optimizer(rate), discriminator=optimizer(rate), **arguments)
    return gan


def known_weights(gan, mapping=0.5):
    """Sets the same weights on every backend; `mapping` is the scale of the mapping network."""
    random = np.random.default_rng(5)
    for network in (
        gan.generator,
        gan.discriminator,
        *([gan.ema_generator] if gan.ema_generator else []),
    ):
        for variable in network.variables:
            deviation = mapping if "equal_dense" in variable.path else 0.5
            variable.assign(random.normal(0, deviation, variable.shape).astype("float32"))


def known_noise(gan, monkeypatch):
    """Fixes latents, noise, mixing and the directions of path lengths on every backend."""
    random = np.random.default_rng(6)
    latents, noise = (
        random.normal(size=(8, 3)).astype("float32"),
        random.random((4, 8, 8, 1)).astype("float32"),
    )
    y = random.normal(size=(4, 8, 8, 1)).astype("float32")
    monkeypatch.setattr(gan, "training_latents", lambda count: ops.convert_to_tensor(latents))
    monkeypatch.setattr(gan, "random_noise", lambda count: ops.convert_to_tensor(noise))
    monkeypatch.setattr(
        gan,
        "random_crossovers",
        lambda count: ops.convert_to_tensor(np.array([0, 1, 2, 1], "int32")),
    )
    monkeypatch.setattr(gan, "random_directions", lambda count: ops.convert_to_tensor(y))


def weights(*networks):
    return [np.array(w) for network in networks for w in network.get_weights()]


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# === Networks ===


@pytest.mark.parametrize(
    ("size", "generator", "discriminator", "encoder", "coordinates"),
    [(32, 3_214_752, 15_339_138, 16_384_128, 1184), (64, 11_223_456, 22_681_218, 23_726_208, 2464)],
)
def test_published_parameter_counts(size, generator, discriminator, encoder, coordinates):
    network = Generator(size, conditions=2)
    assert count(network.mapping) == 2_101_248
    assert count(network) - count(network.mapping) == generator
    assert sum(network.style_sizes) == coordinates
    assert count(stylegan2.build_discriminator(size, conditions=2)) == discriminator
    images = keras.Input((size, size, 3))
    assert (
        count(keras.Model(images, keras.layers.Dense(512)(stylegan2.residual_trunk(images))))
        == encoder
    )


def test_sizes_and_names():
    network = Generator(16, 3, latent_dim=5, conditions=2, **TINY)
    assert network.style_names == ["4x4_1", "4x4_2", "8x8_1", "8x8_2", "16x16_1", "16x16_2"]
    assert network.style_sizes == [4, 4, 4, 4, 4, 2]
    w, noise = (
        RNG.normal(size=(2, 3, 7)).astype("float32"),
        RNG.random((2, 16, 16, 1)).astype("float32"),
    )
    styles, rgb_styles = network.styles(ops.convert_to_tensor(w))
    assert [tuple(s.shape) for s in styles] == [(2, size) for size in network.style_sizes] and len(
        rgb_styles
    ) == 3
    assert (
        network([w, noise]).shape
        == (2, 16, 16, 3)
        == network.compute_output_shape([w.shape, noise.shape])
    )
    assert stylegan2.build_discriminator(16, 3, group=4, **TINY).output_shape == (None, 1)
    for size in (4, 24):
        with pytest.raises(
            ValueError, match=f"size must be a power of two and at least 8; received {size}"
        ):
            Generator(size)


def test_latents_count_by_their_direction():
    mapping = stylegan2.build_mapping(3, 2)
    kernels = [RNG.normal(size=w.shape) for w in mapping.get_weights()]
    mapping.set_weights(kernels)
    z = RNG.normal(size=(2, 3))
    x = z / np.linalg.norm(z, axis=1, keepdims=True)
    for kernel, bias in (kernels[:2], kernels[2:]):
        x = 0.1 * (x @ kernel + bias)
        x = np.where(x > 0, x, 0.2 * x)
    for scale in (1, 7):
        np.testing.assert_allclose(array(mapping((scale * z).astype("float32"))), x, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "latent_dim", "depth", "least", "most"),
    [
        ("paper", 128, 4, 0.6, 0.9),
        ("paper", 512, 8, 0.4, 0.7),
        ("reproduction", 512, 8, 0.8, 1.3),
        ("reproduction", 128, 4, 0.0, 0.05),
    ],
)
def test_deviation_of_w_for_each_form_of_the_mapping_network(form, latent_dim, depth, least, most):
    keras.utils.set_random_seed(0)
    mapping = stylegan2.build_mapping(latent_dim, depth, form)
    w = array(mapping(RNG.normal(size=(200, latent_dim)).astype("float32")))
    assert (
        least < w.std(axis=0).mean() < most
    )  # Deviation over latents: a common offset adds no variety.


def test_an_unknown_form_of_the_mapping_network_raises():
    with pytest.raises(
        ValueError, match="mapping network must be paper or reproduction; received 'neither'"
    ):
        stylegan2.build_mapping(form="neither")


def test_synthesis_can_continue_from_the_layer_of_an_edited_coordinate():
    """AttFind edits one style coordinate and recomputes the layers from there on."""
    gan = tiny()
    known_weights(gan)
    network = gan.generator
    w, noise = (
        RNG.normal(size=(2, 2, 3)).astype("float32"),
        RNG.random((2, 8, 8, 1)).astype("float32"),
    )
    styles, rgb_styles = network.styles(ops.convert_to_tensor(w))
    whole = array(network.synthesize(styles, rgb_styles, noise))
    np.testing.assert_array_equal(whole, array(network([w, noise])))
    states = [network.initial_state(2)]
    for index in range(4):
        states.append(network.synthesis_step(states[-1], index, styles, rgb_styles, noise))
    np.testing.assert_array_equal(array(states[-1][1]), whole)
    for index in range(4):
        np.testing.assert_allclose(
            array(network.synthesize(styles, rgb_styles, noise, states[index], index)),
            whole,
            atol=1e-6,
        )
        changed = array(styles[index])
        changed[:, 1] += 3.0
        changed = [*styles[:index], ops.convert_to_tensor(changed), *styles[index + 1 :]]
        again = array(network.synthesize(changed, rgb_styles, noise, states[index], index))
        np.testing.assert_allclose(
            again, array(network.synthesize(changed, rgb_styles, noise)), atol=1e-6
        )
        assert np.abs(again - whole).max() > 1e-3


def test_conditions_weight_the_logits():
    discriminator = stylegan2.build_discriminator(8, 1, conditions=3, **TINY)
    dense = next(layer for layer in discriminator.layers if isinstance(layer, keras.layers.Dense))
    each = array(keras.Model(discriminator.inputs[0], dense.output)(IMAGES))
    p = RNG.dirichlet(np.ones(3), 8).astype("float32")
    np.testing.assert_allclose(
        array(discriminator([IMAGES, p]))[:, 0], (each * p).sum(1), rtol=1e-4, atol=1e-5
    )


# === Styles ===


def test_mixing_takes_the_first_latent_up_to_the_crossover(monkeypatch):
    gan = tiny()
    known_noise(gan, monkeypatch)
    w = array(gan.random_styles(4))  # crossovers 0, 1, 2 (none) and 1
    both = array(gan.generator.mapping(gan.training_latents(8)))
    first, second = both[:4], both[4:]
    np.testing.assert_allclose(w[:, 0], [second[0], first[1], first[2], first[3]], atol=1e-6)
    np.testing.assert_allclose(w[:, 1], [second[0], second[1], first[2], second[3]], atol=1e-6)


def test_share_of_mixed_samples():
    gan = tiny(mixing=0.5)
    crossovers = array(gan.random_crossovers(2000))
    assert np.mean(crossovers == 2) == pytest.approx(0.5, abs=0.05)
    assert np.mean(crossovers == 1) == pytest.approx(0.25, abs=0.05)
    w = array(tiny(mixing=0).random_styles(3))
    assert (
        w.shape == (3, 2, 3) and np.array_equal(w[:, 0], w[:, 1]) and not np.array_equal(w[0], w[1])
    )


# === Penalties ===


@pytest.fixture
def smooth(monkeypatch):
    """Replaces leaky ReLU by softplus: finite differences across a kink give no gradient."""
    monkeypatch.setattr(stylegan2.ops, "leaky_relu", lambda x, negative_slope: ops.softplus(x))


def difference(fn, variable, index, step=1e-2):
    """Finite difference for d fn / d variable[index]."""
    value, ends = array(variable.value), []
    for way in (step, -step):
        changed = value.copy()
        changed[index] += way
        variable.assign(changed)
        ends.append(float(array(fn())))
    variable.assign(value)
    return (ends[0] - ends[1]) / (2 * step)


def check_gradient(fn, variables, own):
    """Compares the largest component of each gradient of `fn()` with finite differences."""

    def objective():
        value = fn()
        return value, value

    _, gradients = backend.value_and_gradients(objective, variables)
    gradients = [array(g) for g in gradients]
    assert all(np.isfinite(g).all() for g in gradients)
    for variable, gradient in zip(variables, gradients, strict=True):
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        assert gradient[index] == pytest.approx(
            difference(fn, variable, index), rel=0.05, abs=0.02 * own
        )


def gradient_penalty(gan, real, conditions=None):
    critic = Critic(gan, "discriminator", lambda x: gan.discriminate(x, conditions))
    return gan.gradient_penalty(critic, real, None, gan.seeds)


@pytest.mark.parametrize("form", [penalties.r1_penalty, penalties.unit_gradient_penalty])
def test_gradient_penalty(form, smooth):
    gan = tiny(conditions=3, gradient_penalty=form)
    known_weights(gan)
    p = ops.convert_to_tensor(np.eye(3, dtype="float32")[LABELS])
    gradient = np.zeros_like(IMAGES)
    for index in np.ndindex(8, 8):
        ends = []
        for step in (1e-2, -1e-2):
            changed = IMAGES.copy()
            changed[(slice(None), *index)] += step
            ends.append(array(gan.discriminate(ops.convert_to_tensor(changed), p)))
        gradient[(slice(None), *index)] = (ends[0] - ends[1]) / 2e-2
    norms = np.sqrt((gradient**2).sum((1, 2, 3)))
    expected = (norms**2).mean() / 2 if form is penalties.r1_penalty else ((norms - 1) ** 2).mean()
    images = ops.convert_to_tensor(IMAGES)
    assert float(array(gradient_penalty(gan, images, p))) == pytest.approx(expected, rel=0.03)


def test_gradients_of_the_gradient_penalty(smooth):
    gan = tiny()
    known_weights(gan)
    images = ops.convert_to_tensor(IMAGES)
    kernels = [v for v in gan.discriminator.trainable_variables if len(v.shape) > 1]
    check_gradient(
        lambda: gradient_penalty(gan, images), [kernels[0], kernels[5], kernels[-1]], own=0.1
    )


def test_path_penalty(monkeypatch, smooth):
    """Path lengths and weight gradients against finite differences; the moving average."""
    gan = tiny()
    known_weights(gan)
    known_noise(gan, monkeypatch)
    network, y, noise = gan.generator, array(gan.random_directions(4)), array(gan.random_noise(4))
    w = 3 * np.random.default_rng(7).normal(size=(4, 2, 3)).astype("float32")
    gradient = np.zeros_like(w)
    for index in np.ndindex(2, 3):
        ends = []
        for step in (1e-3, -1e-3):
            changed = w.copy()
            changed[(slice(None), *index)] += step
            ends.append((array(network([changed, noise])).astype("float64") * y / 8).sum((1, 2, 3)))
        gradient[(slice(None), *index)] = (ends[0] - ends[1]) / 2e-3
    lengths = np.sqrt((gradient**2).sum(-1).mean(-1))
    tensors = ops.convert_to_tensor(w), ops.convert_to_tensor(noise)
    assert float(array(gan.path_penalty(*tensors))) == 0  # There is no moving average yet.
    assert float(array(gan.path_mean)) == pytest.approx(lengths.mean(), rel=0.02)
    gan.path_mean.assign(2.0)
    assert float(array(gan.path_penalty(*tensors))) == pytest.approx(
        ((lengths - 2) ** 2).mean(), rel=0.05
    )
    assert float(array(gan.path_mean)) == pytest.approx(0.99 * 2 + 0.01 * lengths.mean(), rel=1e-3)

    def penalty():
        gan.path_mean.assign(2.0)
        return gan.path_penalty(*tensors)

    layer = network.style_layers[1]
    check_gradient(penalty, [layer.affine.kernel, layer.convolution.kernel, layer.bias], own=0.1)


@pytest.mark.backend
@pytest.mark.parametrize("every", [1, 3])
def test_reported_penalties_are_means_over_the_steps_that_compute_them(every):
    """The mean of a constant penalty is the constant, weighted, however seldom it is computed."""

    def constant(critic, real, fake, seed):
        return ops.sum(ops.mean(critic(real))) * 0.0 + 2.0

    gan = compiled(
        tiny(
            gradient_penalty=constant,
            gradient_penalty_weight=0.5,
            gradient_penalty_every=every,
            path_every=every,
            path_weight=0.0,
        )
    )
    images = np.concatenate([IMAGES] * 4)  # 4 steps, 2 of which compute the penalty if `every` is 3
    history = gan.fit(images, batch_size=len(IMAGES), epochs=1, verbose=0).history
    assert history["penalty"] == pytest.approx([1.0])
    assert history["path_penalty"] == [0]


def test_intervals_of_lazy_penalties():
    gan = compiled(tiny(gradient_penalty_every=3, path_every=2, path_start=3), run_eagerly=True)
    due = []
    for _ in range(7):
        gan.reset_metrics()
        before = float(array(gan.path_mean))
        logs = gan.train_on_batch(IMAGES, return_dict=True)
        due.append((float(logs["penalty"]) > 0, float(array(gan.path_mean)) != before))
    assert [penalty for penalty, _ in due] == [True, False, False, True, False, False, True]
    assert [path for _, path in due] == [False, False, False, False, True, False, True]


# === Training ===


@pytest.mark.parametrize("kind", ["paper", pytest.param("reproduction", marks=pytest.mark.nightly)])
def test_fit_changes_all_networks(kind):
    options = (
        {"conditions": 3, "augment": translate}
        if kind == "paper"
        else REPRODUCTION | {"path_start": 0}
    )
    gan = compiled(tiny(group=4 if kind == "paper" else None, **options))
    before = weights(gan.generator, gan.discriminator)
    history = gan.fit(IMAGES, LABELS, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == set(StyleGAN2.reports) and np.isfinite(list(history.values())).all()
    assert history["penalty"][0] > 0 and history["path_length"][0] > 0
    after = weights(gan.generator, gan.discriminator)
    still = [
        i - len(before)
        for i, (a, b) in enumerate(zip(before, after, strict=True))
        if np.array_equal(a, b)
    ]
    # After the last activation the gradients of the hinge losses for biases may cancel.
    assert set(still) <= ({-1, -3, -9} if kind == "reproduction" else set())
    scores = gan.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert {"generator_loss", "discriminator_loss"} < set(scores) and np.isfinite(
        list(scores.values())
    ).all()


# Two SGD steps with fixed weights and noise: mean changes of generator, moving average and
# discriminator, the mean path length and the mean loss.
AGREED = [1.58866e-4, 17.33012, 0.0360967, 0.2532599, 17.81067]


@pytest.mark.backend
def test_two_steps_with_both_penalties_agree_on_three_backends(monkeypatch):
    always = {"gradient_penalty_every": 1, "path_every": 1, "path_start": 0}
    gan = compiled(tiny(conditions=3, **always), keras.optimizers.SGD, 1e-5)
    known_weights(gan)
    known_noise(gan, monkeypatch)
    networks = gan.generator, gan.ema_generator, gan.discriminator
    before = [weights(network) for network in networks]
    for start in (0, 4):
        logs = gan.train_on_batch(
            IMAGES[start : start + 4], LABELS[start : start + 4], return_dict=True
        )
    changed = [
        sum(float(np.abs(a - b).mean()) for a, b in zip(old, weights(network), strict=True))
        for old, network in zip(before, networks, strict=True)
    ]
    found = [*changed, float(array(gan.path_mean)), float(logs["discriminator_loss"])]
    assert found == pytest.approx(AGREED, rel=2e-3), found


def run(seed, **arguments):
    gan = compiled(tiny(seed=seed, **arguments))
    known_weights(gan)
    gan.fit(IMAGES, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return gan


@pytest.mark.nightly
def test_equal_seeds_give_equal_runs_also_after_resuming(tmp_path):
    one, other = run(3), run(4)
    assert not all(
        np.allclose(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )
    checkpoints.save(tmp_path, one, run="stylegan2", dataset="dots", size=8, epoch=1)
    again = compiled(tiny(seed=3))
    assert checkpoints.resume(tmp_path, again) == 1
    assert float(array(again.path_mean)) == float(array(one.path_mean)) > 0
    for gan in (one, again):
        gan.fit(IMAGES, batch_size=4, epochs=2, initial_epoch=1, shuffle=False, verbose=0)
    for a, b in zip(one.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# === Sampling ===


def test_sample(tmp_path):
    gan = tiny(conditions=3)
    known_weights(gan)
    images = gan.sample(5, seed=1)
    assert images.shape == (5, 8, 8, 1) and images.dtype == np.float32 and np.abs(images).max() <= 1
    np.testing.assert_allclose(
        gan.sample(labels=[0, 1, 2, 0], seed=1, batch_size=3), images[:4], atol=1e-5
    )
    assert not np.allclose(gan.sample(5, seed=2), images)
    assert not np.allclose(gan.sample(labels=[1] * 5, seed=1), gan.sample(labels=[2] * 5, seed=1))
    gan.save_to_preset(tmp_path / "preset")
    again = StyleGAN2.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(again.sample(5, seed=1), images, atol=0.02)  # half precision
    gan.save(tmp_path / "gan.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "gan.keras").sample(5, seed=1), images
    )


def test_truncation_moves_w_towards_its_mean():
    gan = tiny()
    known_weights(gan, mapping=5.0)
    mean = gan.mean_style()
    w = array(
        gan.ema_generator.mapping(np.random.default_rng(0).normal(size=(4000, 3)).astype("float32"))
    )
    np.testing.assert_allclose(mean, w.mean(0), atol=0.05 * w.std())
    noise = np.random.default_rng(1).spawn(2)[1].random((4, 8, 8, 1), "float32")
    expected = array(gan.ema_generator([np.tile(mean, (4, 2, 1)), noise]))
    np.testing.assert_allclose(
        gan.sample(4, seed=1, truncation=0.0), np.clip(expected, -1, 1), atol=1e-5
    )
    np.testing.assert_allclose(
        gan.sample(4, seed=1, truncation=1.0), gan.sample(4, seed=1), atol=1e-6
    )


def test_configuration():
    gan = tiny(conditions=3, **REPRODUCTION, augment=translate, mixing=0.5)
    config = StyleGAN2.from_config(gan.get_config()).get_config()
    for name in (
        "gradient_penalty_weight",
        "gradient_penalty_every",
        "path_weight",
        "path_start",
        "mixing",
        "ema_decay",
        "seed",
    ):
        assert config[name] == gan.get_config()[name]
    again = StyleGAN2.from_config(gan.get_config())
    assert again.gradient_penalty is penalties.unit_gradient_penalty


@pytest.mark.parametrize(
    ("earlier", "present", "factor"),
    [
        (penalties.squared_gradient_norm, penalties.r1_penalty, 2.0),
        (penalties.unit_gradient_norm, penalties.unit_gradient_penalty, 1.0),
    ],
)
def test_configuration_with_the_earlier_penalty(earlier, present, factor):
    config = tiny().get_config()
    del config["gradient_penalty"], config["gradient_penalty_weight"]
    config["penalty"] = keras.saving.serialize_keras_object(earlier)
    config |= {"penalty_weight": 5.0, "penalty_every": config.pop("gradient_penalty_every")}
    gan = StyleGAN2.from_config(config)
    assert gan.gradient_penalty is present and gan.gradient_penalty_weight == 5.0 * factor


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: StyleGAN2(tiny().generator, stylegan2.build_discriminator(8, 3, **TINY)),
            "discriminator must take the images",
        ),
        (
            lambda: tiny(gradient_penalty_every=0),
            "gradient_penalty_every must be at least 1; received 0",
        ),
        (lambda: tiny(mixing=2.0), r"mixing must be in \[0, 1\]; received 2.0"),
        (
            lambda: tiny().sample(),
            "sample takes n or labels, one of them; received n=None and labels=None",
        ),
        (
            lambda: tiny(conditions=3).sample(labels=[3]),
            r"labels must be in 0..2; received labels from 3 to 3",
        ),
        (lambda: compiled(tiny()).fit(IMAGES * 2), r"images must be finite and in \[-1, 1\]"),
        (
            lambda: compiled(tiny(conditions=3)).fit(IMAGES),
            "labels must have 8 entries, one per image; received None",
        ),
    ],
)
def test_invalid_arguments_raise_one_line(act, message):
    with pytest.raises(ValueError, match=message) as error:
        act()
    assert "\n" not in str(error.value)
