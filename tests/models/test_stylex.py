"""Tests of StylEx: networks, gradients of each player, alternation, phases, files, errors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan import backend
from kerasgan.datasets.batches import Batches
from kerasgan.io import checkpoints
from kerasgan.losses import adversarial, penalties
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.models import stylex
from kerasgan.models.style_probe import StyleProbe
from kerasgan.models.stylegan2 import Generator
from kerasgan.models.stylex import AUTHORS, BOTH, ENCODED, LATENTS, REPRODUCTION, StylEx
from tests.marks import slow_but_on_torch, slow_on_jax

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (16, 8, 8, 1)).astype("float32")
IMAGES[::2, :, :4] = -0.9  # the two classes
TINY = {"capacity": 1, "max_channels": 4, "latent_dim": 3, "depth": 2}


def array(x):
    return np.array(ops.convert_to_numpy(x))


def classifier(size=8, channels=1, classes=2, end=None):
    """Classifier with the same weights on every backend, whose classes are the halves of IMAGES.

    Its batch norm and dropout show whether it is used in inference mode.
    """
    network = keras.Sequential(
        [
            keras.Input((size, size, channels)),
            layers.Conv2D(3, 3, 2, padding="same", activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(classes, name="logits", activation=end),
        ],
        name="eight",
    )
    random = np.random.default_rng(5)
    for variable in network.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape).astype("float32"))
    if (size, channels, classes) == (8, 1, 2):
        features = array(
            keras.Model(network.inputs[0], network.layers[-2].output)(IMAGES, training=False)
        )
        kernel = np.linalg.lstsq(
            features - features.mean(0), np.where(np.arange(16) % 2, 3.0, -3.0), rcond=1e-3
        )[0]
        network.layers[-1].set_weights(
            [np.stack([-kernel, kernel], 1), features.mean(0) @ kernel * np.array([1, -1])]
        )
    return network


def tiny(**arguments):
    """Model with blocks of 4 and 2 channels, w of dimension 3, equal weights on all backends."""
    model = StylEx(classifier(), **TINY | arguments)
    random = np.random.default_rng(6)
    for network in (model.generator, model.encoder, model.discriminator):
        for variable in network.trainable_variables:
            variable.assign(random.normal(0, 0.2, variable.shape).astype("float32"))
    for copy, network in (
        (model.ema_generator, model.generator),
        (model.ema_encoder, model.encoder),
    ):
        if copy:
            copy.set_weights(network.get_weights())
    return model


def compiled(
    model, optimizer=keras.optimizers.Adam, rate=1e-2, discriminator_rate=None, **arguments
):
    rates = {
        "generator": rate,
        "encoder": rate,
        "discriminator": rate if discriminator_rate is None else discriminator_rate,
    }
    model.compile(**{player: optimizer(rate) for player, rate in rates.items()}, **arguments)
    return model


def weights(*networks):
    return [np.array(w) for network in networks for w in network.get_weights()]


def changed(before, *networks):
    return [not np.array_equal(a, b) for a, b in zip(before, weights(*networks), strict=True)]


# === Networks ===


def test_networks_are_built_for_the_classifier():
    model = StylEx(classifier(16, 3, 3), capacity=2, max_channels=8, latent_dim=5, depth=1)
    assert (model.image_shape, model.classes, model.latent_dim) == ((16, 16, 3), 3, 5)
    assert model.generator.conditions == 3 and model.generator.style_dim == 8
    assert model.encoder.output_shape == (None, 5) and len(model.discriminator.inputs) == 2
    kernels = [
        v for n in (model.generator, model.encoder, model.discriminator) for v in n.variables
    ]
    maps = [v.shape for v in kernels if len(v.shape) == 4]
    assert (
        max(shape[-1] for shape in maps) == 8
    )  # In the reproduction, one network ignores max_channels.
    own = Generator(16, 3, capacity=1, latent_dim=4, conditions=3)
    assert StylEx(classifier(16, 3, 3), generator=own, capacity=1).encoder.output_shape == (None, 4)


# === Parts of the loss ===


@pytest.mark.backend
def test_stretching_does_not_change_constant_images():
    images = IMAGES[:3].copy()
    images[1] = 0.3
    found = array(stylex.stretch_contrast(ops.convert_to_tensor(images)))
    np.testing.assert_allclose(found[[0, 2]].min((1, 2, 3)), -1, atol=1e-6)
    np.testing.assert_allclose(found[[0, 2]].max((1, 2, 3)), 1, atol=1e-6)
    np.testing.assert_array_equal(found[1], images[1])
    _, gradient = backend.value_and_input_gradient(
        lambda x: ops.mean(ops.square(stylex.stretch_contrast(x))), images
    )
    assert np.isfinite(array(gradient)).all() and np.abs(array(gradient)[1]).max() > 0


def test_divergence_of_classes():
    logits, others = RNG.normal(size=(2, 4, 3)).astype("float32")
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (logits, others))
    np.testing.assert_allclose(
        array(stylex.class_divergence(logits, others)), (p * np.log(p / q)).sum(1), rtol=1e-4
    )


def test_distances_of_a_reconstruction():
    model, real = tiny(rec_weight=3.0, w_weight=0.2), ops.convert_to_tensor(IMAGES)
    fake = ops.convert_to_tensor((0.5 * IMAGES[::-1]).copy())
    logits, encoded = model.logits(real), model.encoder(real)
    parts = {
        name: float(array(value))
        for name, value in model.reconstruction_terms(real, fake, logits, encoded).items()
    }
    of_fake = array(model.logits(fake))
    assert parts["pixel"] == pytest.approx(
        np.abs(IMAGES - array(fake)).mean() / 2, rel=1e-4
    )  # in units of [0, 1]
    assert parts["w"] == pytest.approx(
        np.abs(array(encoded) - array(model.encoder(fake))).mean(), rel=1e-4
    )
    distance = array(ClassifierDistance(model.classifier)(real, fake)).mean()
    assert parts["perceptual"] == pytest.approx(distance, rel=1e-4) and distance > 0
    assert parts["agreement"] == np.mean(array(logits).argmax(1) == of_fake.argmax(1))
    assert parts["kl"] == pytest.approx(
        array(stylex.class_divergence(array(logits), of_fake)).mean(), rel=1e-4
    )
    whole = 3 * (parts["pixel"] + 0.1 * parts["perceptual"] + 0.2 * parts["w"])
    assert float(array(model.reconstruction_loss(parts))) == pytest.approx(whole, rel=1e-4)
    other = tiny(
        reverse_kl=True, stretch=True, w_weight=0, perceptual=lambda x, y: ops.ones(16) * ops.max(y)
    )
    parts = {
        name: float(array(value))
        for name, value in other.reconstruction_terms(real, fake, logits, encoded).items()
    }
    assert parts["kl"] == pytest.approx(
        array(stylex.class_divergence(of_fake, array(logits))).mean(), rel=1e-4
    )
    assert (parts["w"], parts["perceptual"]) == (0, pytest.approx(1, abs=1e-5))


def test_gradients_of_the_kl_divergence_reach_generator_and_encoder():
    model = tiny(rec_weight=0.0)
    real = ops.convert_to_tensor(IMAGES)
    logits = model.logits(real)
    _, vjp_fn = model.vjp(
        ("generator", "encoder"), lambda: model.generate_batch(real, logits, ENCODED, path=False)
    )
    compiled(model)  # The optimizers define the loss scale.
    gradients = [array(s) for s in vjp_fn((ops.zeros((16, 8, 8, 1)), ops.ones(()), ops.zeros(6)))]
    largest = {
        v.path: np.abs(s).max()
        for v, s in zip(model.player_variables(model.players[:2]), gradients, strict=True)
    }
    assert all(
        largest[v.path] > 0 for v in (model.generator.constant, *model.encoder.trainable_variables)
    )


# === Styles ===


def test_w_of_latents_and_of_encoded_images_in_a_batch():
    model = tiny(mixing=0.0)
    real = ops.convert_to_tensor(IMAGES)
    conditions = model.condition(model.logits(real))
    p = array(conditions)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    encoded = array(model.encoder(real))
    for latents, first in ((LATENTS, 16), (BOTH, 8), (ENCODED, 0)):
        w, found = model.batch_styles(real, latents, conditions)
        w = array(w)
        assert w.shape == (16, 2, 5) and (found is None) == (latents == LATENTS)
        np.testing.assert_allclose(
            w[:, 1, 3:], p, atol=1e-6
        )  # w of latents has the conditions of the images, too.
        same = np.isclose(w[:, 0, :3], encoded, atol=1e-4).all(1)
        assert same.tolist() == [False] * first + [True] * (16 - first)
    w, found = model.batch_styles(real[:1], BOTH, conditions[:1])
    assert w.shape == (1, 2, 5) and found.shape == (1, 3)  # A single image is encoded.


def test_conditions_of_logits():
    model = tiny(condition_on="logits")
    logits = array(model.logits(ops.convert_to_tensor(IMAGES)))
    np.testing.assert_allclose(model.image_conditions(IMAGES), logits, rtol=1e-4, atol=1e-4)
    found = array(model.label_conditions(np.array([1, 0])))
    p = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    np.testing.assert_allclose(p, [[0.005, 0.995], [0.995, 0.005]], atol=1e-4)
    assert model.sample(4, seed=0).shape == (4, 8, 8, 1)


@pytest.mark.parametrize(
    ("source", "halves"), [("z", LATENTS), ("encoder", ENCODED), ("both", BOTH)]
)
def test_path_lengths_use_the_w_of_their_source(source, halves, monkeypatch):
    """In every batch: by step, all path length penalties may occur in batches from latents."""
    model = compiled(tiny(path_source=source, path_every=1, mixing=0.0), run_eagerly=True)
    styles, real = [], ops.convert_to_tensor(IMAGES)
    monkeypatch.setattr(
        model, "path_penalty", lambda w, noise: styles.append(array(w)) or ops.zeros(())
    )
    for latents in (LATENTS, BOTH, ENCODED):
        model.generate_batch(real, model.logits(real), latents)
        same = np.isclose(styles[-1][:, 0, :3], array(model.encoder(real)), atol=1e-4).all(1)
        assert same.tolist() == [False] * (8 * halves) + [True] * (16 - 8 * halves)


# === Gradients of the players ===


def loss_gradients(model, real, latents, adversarial=True):
    """Gradients of the whole loss of generator and encoder, implemented independently."""

    def objective():
        logits = model.logits(real)
        conditions = ops.softmax(logits, axis=-1)
        w, encoded = model.batch_styles(real, latents, conditions)
        fake = model.generator([w, model.random_noise(ops.shape(real)[0])])
        loss = (
            model.generator_loss(model.discriminate(fake, conditions), None)
            if adversarial
            else ops.zeros(())
        )
        if encoded is not None:
            first = ops.shape(real)[0] - ops.shape(encoded)[0]
            x, y = real[first:], fake[first:]
            loss = loss + 2 * (
                0.5 * ops.mean(ops.abs(x - y)) + 0.1 * ops.mean(model.perceptual(x, y))
            )
            loss = loss + 2 * 0.1 * ops.mean(ops.abs(model.encoder(x) - model.encoder(y)))
            loss = loss + 0.7 * ops.mean(stylex.class_divergence(logits[first:], model.logits(y)))
        return loss, loss

    return backend.value_and_gradients(objective, model.player_variables(("generator", "encoder")))[
        1
    ]


def fix_noise(monkeypatch, model):
    """Fixes latents and noise."""
    random = np.random.default_rng(8)
    latents, noise = (
        random.normal(size=(64, 3)).astype("float32"),
        random.random((32, 8, 8, 1)).astype("float32"),
    )
    monkeypatch.setattr(
        model, "training_latents", lambda count: ops.convert_to_tensor(latents)[:count]
    )
    monkeypatch.setattr(model, "random_noise", lambda count: ops.convert_to_tensor(noise)[:count])


def check_step(model, expected, latents):
    """Checks one SGD step with learning rate 1, and 0 for the discriminator."""
    compiled(model, keras.optimizers.SGD, 1.0, discriminator_rate=0.0, run_eagerly=True)
    variables = model.player_variables(("generator", "encoder"))
    before = [array(v.value) for v in variables]
    step = model.train_step if latents is None else lambda real: model.update_players(real, latents)
    step(ops.convert_to_tensor(IMAGES))
    for variable, old, gradient in zip(variables, before, expected, strict=True):
        np.testing.assert_allclose(
            old - array(variable.value), gradient, rtol=2e-3, atol=1e-5, err_msg=variable.path
        )


PLAIN = {
    "rec_weight": 2.0,
    "kl_weight": 0.7,
    "path_weight": 0.0,
    "mixing": 0.0,
    "gradient_penalty_weight": 0.0,
}


@slow_on_jax
@pytest.mark.backend
def test_one_forward_pass_gives_the_gradients_of_the_whole_loss(monkeypatch):
    model = tiny(**PLAIN)
    fix_noise(monkeypatch, model)
    with_latents = [array(g) for g in loss_gradients(model, ops.convert_to_tensor(IMAGES), BOTH)]
    assert all(np.abs(g).max() > 0 for g in with_latents[-2:])
    check_step(model, with_latents, BOTH)


def test_reconstruction_in_the_discriminator_phase(monkeypatch):
    """In the reproduction, the gradient of the discriminator phase is discarded."""
    model = tiny(**PLAIN, alternation="none", rec_in_discriminator_phase="accumulate")
    fix_noise(monkeypatch, model)
    halves = ops.convert_to_tensor(IMAGES[:8]), ops.convert_to_tensor(IMAGES[8:])
    one, other = (
        loss_gradients(model, halves[0], ENCODED, adversarial=False),
        loss_gradients(model, halves[1], ENCODED),
    )
    check_step(model, [array(a) + array(b) for a, b in zip(one, other, strict=True)], None)
    assert int(array(model.optimizer["generator"].iterations)) == 1
    found = {}
    for phase in ("extra_step", "second_step"):
        model = tiny(**PLAIN, alternation="none", rec_in_discriminator_phase=phase)
        fix_noise(monkeypatch, model)
        compiled(model, keras.optimizers.SGD, 0.1, discriminator_rate=0.0, run_eagerly=True)
        logs = model.train_on_batch(IMAGES, return_dict=True)
        assert all(np.isfinite(float(value)) for value in logs.values())
        steps = [int(array(model.optimizer[player].iterations)) for player in model.players]
        assert steps == [2, 2, 1]
        found[phase] = array(model.encoder.trainable_variables[0].value)
    assert not np.array_equal(*found.values())
    model.train_on_batch(IMAGES[:1])  # The last batch may have one image.
    assert np.isfinite(array(model.encoder.trainable_variables[0].value)).all()


def test_the_discriminator_receives_the_conditions_of_the_same_image(monkeypatch):
    """In the reproduction, real images have the conditions of another batch."""
    model, calls = compiled(tiny(alternation="none"), run_eagerly=True), []
    discriminate = model.discriminate

    def recorded(x, conditions, **options):
        return calls.append((array(x), array(conditions))) or discriminate(x, conditions)

    monkeypatch.setattr(model, "discriminate", recorded)
    model.gradient_penalty_weight = model.path_weight = 0
    model.train_on_batch(IMAGES)
    expected = array(ops.softmax(model.logits(ops.convert_to_tensor(IMAGES)), axis=-1))
    np.testing.assert_array_equal(calls[0][0], IMAGES)
    assert len(calls) == 3 and expected.std(0).min() > 0.1
    for _, conditions in calls:
        np.testing.assert_allclose(conditions, expected, atol=1e-5)


# === Training ===


@slow_but_on_torch
@pytest.mark.backend
@pytest.mark.parametrize("alternation", ["step", "micro"])
def test_fit_changes_all_networks_but_the_classifier(alternation):
    """The compiled step contains the alternation, or penalties of second order."""
    weight = (
        {"gradient_penalty_weight": 0.1, "path_weight": 0.1}
        if alternation == "micro"
        else {
            "gradient_penalty_weight": 0.0,
            "path_weight": 0.0,
        }
    )
    model = compiled(
        tiny(alternation=alternation, path_every=1, gradient_penalty_every=1, **weight)
    )
    networks = model.generator, model.encoder, model.discriminator
    before, fixed = weights(*networks), weights(model.classifier)
    history = model.fit(IMAGES, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == set(StylEx.reports) and np.isfinite(list(history.values())).all()
    assert min(history[name][-1] for name in ("pixel", "kl", "w", "perceptual")) > 0
    assert all(
        (history[name][-1] > 0) == (alternation == "micro") for name in ("penalty", "path_length")
    )
    assert (
        np.mean(changed(before, *networks)) > 0.9 and np.mean(changed(fixed, model.classifier)) == 0
    )
    assert (
        np.mean(
            changed(
                before[len(weights(model.generator)) :][: len(weights(model.encoder))],
                model.encoder,
            )
        )
        == 1
    )


def test_alternation_by_step():
    model = compiled(
        tiny(alternation="step", path_weight=0.0, gradient_penalty_weight=0.0), run_eagerly=True
    )
    # Adam's momentum does not change the encoder in a step from latents.
    for encoder_changes in (False, True, False, True):
        before = weights(model.generator), weights(model.encoder), weights(model.ema_encoder)
        model.train_on_batch(IMAGES)
        assert np.mean(changed(before[0], model.generator)) > 0.8
        assert any(changed(before[1], model.encoder)) == encoder_changes
    assert [int(array(model.optimizer[player].iterations)) for player in model.players] == [4, 2, 4]


def test_fit_compiles_the_model_and_learns_to_reconstruct(monkeypatch):
    rates = {player: float(array(adam.learning_rate)) for player, adam in stylex.adams().items()}
    assert rates == pytest.approx({"generator": 2e-4, "encoder": 1e-5, "discriminator": 3e-4})
    fast = REPRODUCTION | {"learning_rate": 5e-3, "encoder_rate": 1.0, "discriminator_rate": 0.02}
    adams = stylex.adams
    monkeypatch.setattr(stylex, "adams", lambda settings: adams(fast))
    model = StylEx(
        classifier(),
        capacity=8,
        max_channels=16,
        latent_dim=8,
        depth=1,
        alternation="none",
        ema_decay=0.5,
        path_weight=0.0,
        gradient_penalty_weight=0.0,
    )
    before = model.reconstruction_scores(IMAGES)
    model.fit(
        IMAGES, IMAGES[:, 0, 0, 0] > 0, batch_size=16, epochs=40, verbose=0
    )  # Labels of any kind are ignored.
    after = model.reconstruction_scores(IMAGES)
    assert set(after) == {"pixel", "agreement", "kl", "perceptual"}
    assert after["pixel"] < 0.8 * before["pixel"] and after["agreement"] >= 0.9
    scores = model.evaluate(IMAGES, batch_size=8, verbose=0, return_dict=True)
    assert scores["pixel"] == pytest.approx(after["pixel"], rel=0.3) and {
        "w",
        "reconstruction",
    } < set(scores)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    def fresh():
        return compiled(
            tiny(alternation="step", seed=3, path_weight=0.0, gradient_penalty_weight=0.0),
            run_eagerly=True,
        )

    def data():
        return Batches(
            IMAGES[:12], np.zeros(12, "int32"), 4, seed=1
        )  # After three steps the next source must be restored.

    one, again = fresh(), fresh()
    one.fit(data(), epochs=1, verbose=0)
    checkpoints.save(tmp_path, one, run="stylex", dataset="dots", size=8, epoch=1)
    assert {path.name.split("_")[3] for path in tmp_path.glob("*.h5")} == {
        "G",
        "E",
        "D",
        "C",
        "resume",
    }
    assert checkpoints.resume(tmp_path, again) == 1 and int(array(again.next_source)) == 1
    for model in (one, again):
        model.fit(data(), epochs=2, initial_epoch=1, verbose=0)
    for a, b in zip(one.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_discriminator_logits_need_a_trained_discriminator(tmp_path):
    model = compiled(tiny())
    checkpoints.save(tmp_path, model, run="stylex", dataset="dots", size=8, epoch=1)
    path = checkpoints.latest(tmp_path)
    without = checkpoints.load_sampling_model(path)[0]
    with pytest.raises(
        ValueError, match="discriminator logits need a model with a trained discriminator; received"
    ):
        StyleProbe(without).discriminator_logits(IMAGES)
    whole = checkpoints.load_sampling_model(path, ("encoder", "classifier", "discriminator"))[0]
    assert without.not_loaded == ("discriminator",) and whole.not_loaded == ()
    np.testing.assert_allclose(
        StyleProbe(whole).discriminator_logits(IMAGES),
        StyleProbe(model).discriminator_logits(IMAGES),
        atol=1e-4,
    )


def test_gradient_accumulation():
    settings = REPRODUCTION | {
        "accumulate": 4,
        "alternation": "step",
        "path_weight": 0.0,
        "gradient_penalty_weight": 0.0,
    }
    model = stylex.build(classifier(), settings=settings, **TINY, run_eagerly=True)
    before = weights(model.generator), weights(model.encoder)
    for step in range(4):
        assert not any(changed(before[0], model.generator)) and not any(
            changed(before[1], model.encoder)
        ), step
        model.train_on_batch(IMAGES[4 * step : 4 * step + 4])
    assert (
        np.mean(changed(before[0], model.generator)) > 0.8
        and np.mean(changed(before[1], model.encoder)) > 0.8
    )


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({"alternation": "step"}, {"generator": 1, "encoder": 0.5}),
        ({"rec_in_discriminator_phase": "extra_step"}, {"generator": 2, "encoder": 2}),
        (
            {"rec_in_discriminator_phase": "second_step", "alternation": "step"},
            {"generator": 1.5, "encoder": 1},
        ),
        *(
            pytest.param(changes, {"generator": 1, "encoder": 1}, marks=pytest.mark.nightly)
            for changes in ({}, {"rec_in_discriminator_phase": "accumulate"})
        ),
    ],
)
def test_a_schedule_receives_the_updates_per_batch_of_each_player(changes, updates):
    received = []
    settings = REPRODUCTION | changes
    model = stylex.build(
        classifier(),
        settings=settings,
        schedule=lambda rate, n: received.append(n) or rate,
        **TINY,
        run_eagerly=True,
    )
    for _ in range(2):
        model.train_on_batch(IMAGES[:4])
    assert dict(zip(model.players, received, strict=True)) == updates | {"discriminator": 1}
    assert {p: int(array(model.optimizer[p].iterations)) / 2 for p in model.players} == updates | {
        "discriminator": 1
    }


def test_the_path_length_penalty_belongs_to_the_first_update_of_a_batch(monkeypatch):
    """There is one penalty per batch, in the update of the first half."""

    def penalised(phase):
        model = tiny(
            **PLAIN | {"path_weight": 0.5},
            path_every=1,
            path_source="encoder",
            alternation="none",
            rec_in_discriminator_phase=phase,
        )
        fix_noise(monkeypatch, model)
        monkeypatch.setattr(
            model,
            "path_penalty",
            lambda w, noise: styles.append(array(w)) or ops.mean(ops.square(w)),
        )
        return model

    halves, styles = (ops.convert_to_tensor(IMAGES[:8]), ops.convert_to_tensor(IMAGES[8:])), []
    model = penalised("accumulate")
    players = model.player_variables(("generator", "encoder"))

    def penalty():
        conditions = ops.softmax(model.logits(halves[0]), axis=-1)
        value = 0.5 * ops.mean(ops.square(model.batch_styles(halves[0], ENCODED, conditions)[0]))
        return value, value

    of_path = backend.value_and_gradients(penalty, players)[1]
    assert max(np.abs(array(gradient)).max() for gradient in of_path) > 1e-3
    parts = (
        of_path,
        loss_gradients(model, halves[0], ENCODED, adversarial=False),
        loss_gradients(model, halves[1], ENCODED),
    )
    expected = [sum(map(array, each)) for each in zip(*parts, strict=True)]
    first = array(
        model.batch_styles(halves[0], ENCODED, ops.softmax(model.logits(halves[0]), axis=-1))[0]
    )
    check_step(model, expected, None)
    np.testing.assert_allclose(styles, [first], rtol=1e-4, atol=1e-5)
    for phase in ("extra_step", "second_step"):
        styles.clear()
        compiled(
            model := penalised(phase),
            keras.optimizers.SGD,
            0.1,
            discriminator_rate=0.0,
            run_eagerly=True,
        )
        logs = model.train_on_batch(IMAGES, return_dict=True)
        np.testing.assert_allclose(styles, [first], rtol=1e-4, atol=1e-5)
        assert float(logs["path_penalty"]) == pytest.approx(0.5 * (first**2).mean(), rel=1e-4)


def test_a_classifier_distance_is_rebuilt_with_the_same_classifier():
    network = classifier()
    name = ClassifierDistance(network).maps[0]
    model = StylEx(network, **TINY, perceptual=ClassifierDistance(network, [name]))
    again = StylEx.from_config(model.get_config())
    assert again.perceptual.classifier is again.classifier and again.perceptual.maps == (name,)


def test_build_applies_settings():
    model = stylex.build(
        classifier(), settings=AUTHORS | {"encoder_rate": 0.2, "kl_weight": 3.0}, **TINY
    )
    rates = [float(array(model.optimizer[player].learning_rate)) for player in model.players]
    assert rates == pytest.approx([2e-3, 4e-4, 2e-3]) and model.optimizer["encoder"].beta_1 == 0
    assert model.kl_weight == 3 and model.generator_loss is adversarial.nonsaturating_generator_loss
    cosine = keras.optimizers.schedules.CosineDecay
    other = stylex.build(
        classifier(), schedule=lambda rate, updates: cosine(rate, 9 * updates), **TINY
    )
    rates = [float(array(other.optimizer[player].learning_rate)) for player in other.players]
    assert (
        rates == pytest.approx([2e-4, 1e-5, 3e-4])
        and other.gradient_penalty is penalties.unit_gradient_penalty
        and other.stretch
    )
    with pytest.raises(
        ValueError,
        match=r"exactly the keys of REPRODUCTION; missing or unknown: \['steps'\]",
    ):
        stylex.build(classifier(), settings=AUTHORS | {"steps": 1}, **TINY)


# === Inference ===


def test_reconstructions_use_the_encoders_w():
    """In the reproduction, w is moved towards the mean w of the mapping network."""
    model = tiny()
    encoded = array(model.encoder(IMAGES))
    np.testing.assert_allclose(model.encode(IMAGES, batch_size=7), encoded, atol=1e-4)
    conditions = array(ops.softmax(model.logits(ops.convert_to_tensor(IMAGES)), axis=-1))
    np.testing.assert_allclose(model.image_conditions(IMAGES), conditions, atol=1e-5)
    w = np.repeat(np.concatenate([encoded, conditions], 1)[:, None], 2, axis=1)
    noise = np.repeat(model.noise, 16, axis=0)
    expected = np.clip(array(model.generator([w, noise])), -1, 1)
    found = model.reconstruct(IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.dtype == np.float32 and expected.std() > 0.03
    styles, rgb_styles = model.styles(IMAGES)
    assert [s.shape for s in styles] == [
        (16, size) for size in model.generator.style_sizes
    ] and len(rgb_styles) == 2
    again = array(
        model.generator.synthesize(
            [*map(ops.convert_to_tensor, styles)],
            [*map(ops.convert_to_tensor, rgb_styles)],
            ops.convert_to_tensor(noise),
        )
    )
    np.testing.assert_allclose(np.clip(again, -1, 1), found, atol=1e-4)


def test_scores_of_reconstructions():
    model = tiny()
    real, fake = IMAGES, model.reconstruct(IMAGES)
    scores = model.reconstruction_scores(IMAGES, batch_size=5)
    logits, found = (
        array(model.logits(ops.convert_to_tensor(real))),
        array(model.logits(ops.convert_to_tensor(fake))),
    )
    assert scores["pixel"] == pytest.approx(np.abs(real - fake).mean() / 2, rel=1e-4)
    assert scores["agreement"] == np.mean(logits.argmax(1) == found.argmax(1))
    assert scores["kl"] == pytest.approx(
        array(stylex.class_divergence(logits, found)).mean(), rel=1e-3
    )
    assert "perceptual" not in tiny(perceptual_weight=0.0).reconstruction_scores(IMAGES)


def test_w_gap():
    model = tiny()
    of_latents, encoded = model.w_samples(IMAGES, seed=1)
    assert of_latents.shape == encoded.shape == (16, 3)
    np.testing.assert_allclose(encoded, model.encode(IMAGES), atol=1e-5)
    np.testing.assert_array_equal(of_latents, model.w_samples(IMAGES, seed=1)[0])
    gap = model.w_gap(IMAGES)
    assert set(gap) == {"w_frechet", "w_norm_ratio", "w_probe_auc"} and gap["w_frechet"] > 0


def test_files(tmp_path):
    model = tiny(alternation="step", path_source="z", kl_weight=2.0)
    reconstructions, samples = model.reconstruct(IMAGES), model.sample(labels=[0, 1], seed=1)
    model.save_to_preset(tmp_path / "preset")
    assert {path.name for path in (tmp_path / "preset").glob("*.h5")} == {"G.h5", "E.h5", "C.h5"}
    again = StylEx.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(
        again.reconstruct(IMAGES), reconstructions, atol=0.05
    )  # half precision
    np.testing.assert_allclose(again.sample(labels=[0, 1], seed=1), samples, atol=0.05)
    same = again.get_config()
    assert all(
        same[name] == value
        for name, value in model.get_config().items()
        if not isinstance(value, dict)
    )
    assert (again.alternation, again.path_source, again.kl_weight) == ("step", "z", 2.0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "model.keras").reconstruct(IMAGES), reconstructions
    )


# === Errors ===


def flat(*widths):
    """A classifier with other layers."""
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3), *widths])


CONSTANT = np.concatenate([IMAGES[:2], np.full((1, 8, 8, 1), -1, "float32")])
PARTED = [layers.Flatten(), layers.Dense(2), layers.Dense(2)]


@pytest.mark.backend
@pytest.mark.parametrize("way", ["moments", pytest.param("mmd", marks=pytest.mark.nightly)])
def test_w_match_reduces_the_distance_of_encoded_w_from_w_of_latents(way):
    """Only the encoder is trained."""

    def gap(model):
        return abs(model.encode(IMAGES).mean() - model.w_samples(IMAGES)[0].mean())

    weights = {
        "rec_weight": 0.0,
        "kl_weight": 0.0,
        "perceptual_weight": 0.0,
        "w_weight": 0.0,
        "path_weight": 0.0,
    }
    model = tiny(**PLAIN | weights, alternation="none", ema_decay=None, w_match=way)
    model.compile(
        **{
            player: keras.optimizers.Adam(0.01 if player == "encoder" else 0.0)
            for player in model.players
        }
    )
    bias = next(w for w in model.encoder.trainable_weights[::-1] if len(w.shape) == 1)
    bias.assign(np.ones(bias.shape))
    before = gap(model)
    model.fit(IMAGES, batch_size=len(IMAGES), epochs=20, verbose=0)
    assert gap(model) < 0.9 * before


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: StylEx(None),
            "classifier must be a built Keras model with one input and .*; received NoneType",
        ),
        (
            lambda: StylEx(keras.Sequential([layers.Dense(2)])),
            "classifier must be a built Keras model",
        ),
        (
            lambda: StylEx(classifier(28)),
            r"a power of two and at least 8; received \(28, 28, 1\)",
        ),
        (
            lambda: StylEx(classifier(4)),
            r"a power of two and at least 8; received \(4, 4, 1\)",
        ),
        (
            lambda: StylEx(classifier(classes=1)),
            r"logits \[N, K\] of at least two classes; received \(1,\)",
        ),
        (lambda: StylEx(flat()), "of at least two classes; received"),
        (
            lambda: StylEx(classifier(end="softmax")),
            "must return logits; layer logits of eight returns probabilities",
        ),
        (
            lambda: StylEx(classifier(end="sigmoid")),
            "must return logits; layer logits of eight returns probabilities",
        ),
        (
            lambda: StylEx(flat(*PARTED, layers.Softmax())),
            "must return logits; layer softmax.* returns probabilities",
        ),
        (
            lambda: StylEx(flat(*PARTED, layers.Lambda(ops.softmax))),
            "must return logits; layer lambda.* returns probabilities",
        ),
        (
            lambda: tiny(generator=Generator(16, 1, conditions=2, capacity=1)),
            "discriminator must take",
        ),
        (
            lambda: StylEx(
                classifier(),
                Generator(16, 1, conditions=2, capacity=1, latent_dim=2, depth=1),
                None,
                stylex.build_discriminator(16, 1, conditions=2, capacity=1),
            ),
            r"generator must match the classifier, with images \(8, 8, 1\) and 2 conditions",
        ),
        (
            lambda: tiny(encoder=stylex.build_encoder(8, 1, capacity=1, latent_dim=9)),
            "encoder must map",
        ),
        (
            lambda: tiny(alternation="batch"),
            "alternation must be one of none, step, micro; received 'batch'",
        ),
        (lambda: tiny(w_match="kid"), "w_match must be one of None, moments, mmd; received 'kid'"),
        (
            lambda: tiny(path_source="w"),
            "path_source must be one of z, encoder, both; received 'w'",
        ),
        (
            lambda: tiny(rec_in_discriminator_phase="on"),
            "must be one of None, accumulate, extra_step, second_step",
        ),
        (
            lambda: stylex.adams(REPRODUCTION | {"alternation": "step", "accumulate": 3}),
            "must be even .*; received 3",
        ),
        (
            lambda: stylex.adams(
                REPRODUCTION | {"rec_in_discriminator_phase": "extra_step", "accumulate": 2}
            ),
            "accumulate must be 1 if each batch has an extra step, .*; received 2",
        ),
        (lambda: tiny(condition_on="labels"), "condition_on must be one of probabilities, logits"),
        (lambda: tiny().fit(IMAGES[:, :4]), r"images must be \[N, 8, 8, 1\]"),
        (
            lambda: tiny().fit(CONSTANT),
            "images must not be constant, .*; received 1 constant images, the first at index 2",
        ),
        (
            lambda: tiny().fit(IMAGES[::2]),
            "images must include each of the 2 classes .*; it assigns none to class 1",
        ),
        (lambda: tiny().reconstruct(IMAGES * 3), r"images must be finite and in \[-1, 1\]"),
        (lambda: tiny().sample(labels=[2]), r"labels must be in 0..1"),
    ],
)
def test_invalid_arguments_raise_one_line(act, message):
    with pytest.raises(ValueError, match=message) as error:
        act()
    assert "\n" not in str(error.value)
