"""StylEx: networks for a classifier, the gradients of each player, alternation, phases, files, and what is refused."""

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
from kerasgan.models.style_probe import Probe
from kerasgan.models.stylegan2 import Generator
from kerasgan.models.stylex import AUTHORS, BOTH, ENCODED, LATENTS, REPRODUCTION, StylEx

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (16, 8, 8, 1)).astype("float32")
IMAGES[::2, :, :4] = -0.9  # the two classes
TINY = {"capacity": 1, "max_channels": 4, "latent_dim": 3, "depth": 2}


def array(x):
    return np.array(ops.convert_to_numpy(x))


def classifier(size=8, channels=1, classes=2, end=None):
    """Batch norm and dropout, which must not act; the same weights on every backend; its classes are IMAGES' halves."""
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
    """Two blocks of 4 and 2 channels, w of 3 numbers; the same weights on every backend."""
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


def compiled(model, optimizer=keras.optimizers.Adam, rate=1e-2, judge_rate=None, **arguments):
    rates = {
        "generator": rate,
        "encoder": rate,
        "discriminator": rate if judge_rate is None else judge_rate,
    }
    model.compile(**{player: optimizer(rate) for player, rate in rates.items()}, **arguments)
    return model


def weights(*networks):
    return [np.array(w) for network in networks for w in network.get_weights()]


def moved(before, *networks):
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
    )  # there, one of the networks ignores the most channels
    own = Generator(16, 3, capacity=1, latent_dim=4, conditions=3)
    assert StylEx(classifier(16, 3, 3), generator=own, capacity=1).encoder.output_shape == (None, 4)


# === Pieces of the loss ===


@pytest.mark.backend
def test_stretching_spares_constant_images():
    images = IMAGES[:3].copy()
    images[1] = 0.3
    found = array(stylex.stretched(ops.convert_to_tensor(images)))
    np.testing.assert_allclose(found[[0, 2]].min((1, 2, 3)), -1, atol=1e-6)
    np.testing.assert_allclose(found[[0, 2]].max((1, 2, 3)), 1, atol=1e-6)
    np.testing.assert_array_equal(found[1], images[1])
    _, slope = backend.value_and_input_gradient(
        lambda x: ops.mean(ops.square(stylex.stretched(x))), images
    )
    assert np.isfinite(array(slope)).all() and np.abs(array(slope)[1]).max() > 0


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
        for name, value in model.compare(real, fake, logits, encoded).items()
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
    assert float(array(model.reconstruction(parts))) == pytest.approx(whole, rel=1e-4)
    other = tiny(
        reverse_kl=True, stretch=True, w_weight=0, perceptual=lambda x, y: ops.ones(16) * ops.max(y)
    )
    parts = {
        name: float(array(value))
        for name, value in other.compare(real, fake, logits, encoded).items()
    }
    assert parts["kl"] == pytest.approx(
        array(stylex.class_divergence(of_fake, array(logits))).mean(), rel=1e-4
    )
    assert (parts["w"], parts["perceptual"]) == (0, pytest.approx(1, abs=1e-5))


def test_the_classifiers_opinion_reaches_generator_and_encoder():
    model = tiny(rec_weight=0.0)
    real = ops.convert_to_tensor(IMAGES)
    logits = model.logits(real)
    _, pull = model.vjp(
        ("generator", "encoder"), lambda: model.drawn(real, logits, ENCODED, path=False)
    )
    compiled(model)  # for the scale of losses
    slopes = [array(s) for s in pull((ops.zeros((16, 8, 8, 1)), ops.ones(()), ops.zeros(6)))]
    largest = {
        v.path: np.abs(s).max()
        for v, s in zip(model.player_variables(model.players[:2]), slopes, strict=True)
    }
    assert all(
        largest[v.path] > 0 for v in (model.generator.constant, *model.encoder.trainable_variables)
    )


# === Styles ===


def test_batches_of_latents_and_of_images():
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
        )  # latents too are drawn under their image's conditions
        same = np.isclose(w[:, 0, :3], encoded, atol=1e-4).all(1)
        assert same.tolist() == [False] * first + [True] * (16 - first)
    w, found = model.batch_styles(real[:1], BOTH, conditions[:1])
    assert w.shape == (1, 2, 5) and found.shape == (1, 3)  # one image is encoded


def test_conditions_of_logits():
    model = tiny(condition_on="logits")
    logits = array(model.logits(ops.convert_to_tensor(IMAGES)))
    np.testing.assert_allclose(model.conditions_of(IMAGES), logits, rtol=1e-4, atol=1e-4)
    told = array(model.label_conditions(np.array([1, 0])))
    p = np.exp(told) / np.exp(told).sum(1, keepdims=True)
    np.testing.assert_allclose(p, [[0.005, 0.995], [0.995, 0.005]], atol=1e-4)
    assert model.sample(4, seed=0).shape == (4, 8, 8, 1)


@pytest.mark.parametrize(
    ("source", "halves"), [("z", LATENTS), ("encoder", ENCODED), ("both", BOTH)]
)
def test_path_lengths_are_taken_at_the_styles_of_their_source(source, halves, monkeypatch):
    """In any batch: with the turns' parity, the steps that are due may all be the latents'."""
    model = compiled(tiny(path_source=source, path_every=1, mixing=0.0), run_eagerly=True)
    seen, real = [], ops.convert_to_tensor(IMAGES)
    monkeypatch.setattr(
        model, "path_penalty", lambda w, noise: seen.append(array(w)) or ops.zeros(())
    )
    for latents in (LATENTS, BOTH, ENCODED):
        model.drawn(real, model.logits(real), latents)
        same = np.isclose(seen[-1][:, 0, :3], array(model.encoder(real)), atol=1e-4).all(1)
        assert same.tolist() == [False] * (8 * halves) + [True] * (16 - 8 * halves)


# === The gradients that players get ===


def loss_of(model, real, latents, judged=True):
    """All that generator and encoder are to minimize, written down once more, in one piece."""

    def objective():
        logits = model.logits(real)
        conditions = ops.softmax(logits, axis=-1)
        w, encoded = model.batch_styles(real, latents, conditions)
        fake = model.generator([w, model.random_noise(ops.shape(real)[0])])
        loss = (
            model.generator_loss(model.discriminate(fake, conditions), None)
            if judged
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


def still(monkeypatch, model):
    """The same latents and noise each time."""
    draws = np.random.default_rng(8)
    latents, noise = (
        draws.normal(size=(64, 3)).astype("float32"),
        draws.random((32, 8, 8, 1)).astype("float32"),
    )
    monkeypatch.setattr(
        model, "random_latents", lambda count: ops.convert_to_tensor(latents)[:count]
    )
    monkeypatch.setattr(model, "random_noise", lambda count: ops.convert_to_tensor(noise)[:count])


def check_step(model, expected, latents):
    """SGD of rate 1 moves by the gradient, a discriminator of rate 0 stays."""
    compiled(model, keras.optimizers.SGD, 1.0, judge_rate=0.0, run_eagerly=True)
    variables = model.player_variables(("generator", "encoder"))
    before = [array(v.value) for v in variables]
    with_gradients = model.train_step if latents is None else lambda real: model.step(real, latents)
    with_gradients(ops.convert_to_tensor(IMAGES))
    for variable, old, slope in zip(variables, before, expected, strict=True):
        np.testing.assert_allclose(
            old - array(variable.value), slope, rtol=2e-3, atol=1e-5, err_msg=variable.path
        )


PLAIN = {
    "rec_weight": 2.0,
    "kl_weight": 0.7,
    "path_weight": 0.0,
    "mixing": 0.0,
    "penalty_weight": 0.0,
}


@pytest.mark.backend
def test_one_forward_gives_the_gradients_of_the_whole_loss(monkeypatch):
    model = tiny(**PLAIN)
    still(monkeypatch, model)
    with_latents = [array(g) for g in loss_of(model, ops.convert_to_tensor(IMAGES), BOTH)]
    assert all(np.abs(g).max() > 0 for g in with_latents[-2:])
    check_step(model, with_latents, BOTH)


def test_a_phase_of_its_own_for_the_reconstruction(monkeypatch):
    """There, the gradient of the discriminator's phase was thrown away before anything moved."""
    model = tiny(**PLAIN, alternation="none", rec_in_discriminator_phase="accumulate")
    still(monkeypatch, model)
    halves = ops.convert_to_tensor(IMAGES[:8]), ops.convert_to_tensor(IMAGES[8:])
    one, other = (
        loss_of(model, halves[0], ENCODED, judged=False),
        loss_of(model, halves[1], ENCODED),
    )
    check_step(model, [array(a) + array(b) for a, b in zip(one, other, strict=True)], None)
    assert int(array(model.optimizer["generator"].iterations)) == 1
    found = {}
    for phase in ("extra_step", "second_step"):
        model = tiny(**PLAIN, alternation="none", rec_in_discriminator_phase=phase)
        still(monkeypatch, model)
        compiled(model, keras.optimizers.SGD, 0.1, judge_rate=0.0, run_eagerly=True)
        logs = model.train_on_batch(IMAGES, return_dict=True)
        assert all(np.isfinite(float(value)) for value in logs.values())
        steps = [int(array(model.optimizer[player].iterations)) for player in model.players]
        assert steps == [2, 2, 1]
        found[phase] = array(model.encoder.trainable_variables[0].value)
    assert not np.array_equal(*found.values())
    model.train_on_batch(IMAGES[:1])  # a last batch of one image
    assert np.isfinite(array(model.encoder.trainable_variables[0].value)).all()


def test_judged_with_what_the_classifier_says_of_the_same_image(monkeypatch):
    """There, real images are judged with another batch's conditions."""
    model, judged = compiled(tiny(alternation="none"), run_eagerly=True), []
    judge = model.discriminate

    def recorded(x, conditions, **told):
        return judged.append((array(x), array(conditions))) or judge(x, conditions)  # noqa: E731

    monkeypatch.setattr(model, "judge", recorded)
    model.penalty_weight = model.path_weight = 0
    model.train_on_batch(IMAGES)
    says = array(ops.softmax(model.logits(ops.convert_to_tensor(IMAGES)), axis=-1))
    np.testing.assert_array_equal(judged[0][0], IMAGES)
    assert len(judged) == 3 and says.std(0).min() > 0.1
    for _, conditions in judged:
        np.testing.assert_allclose(conditions, says, atol=1e-5)


# === Training ===


@pytest.mark.backend
@pytest.mark.parametrize("alternation", ["step", "micro"])
def test_fit_moves_everyone_but_the_classifier(alternation):
    """In one compiled step, with whose turn it is or with penalties of second order in it."""
    weight = (
        {"penalty_weight": 0.1, "path_weight": 0.1}
        if alternation == "micro"
        else {
            "penalty_weight": 0.0,
            "path_weight": 0.0,
        }
    )
    model = compiled(tiny(alternation=alternation, path_every=1, penalty_every=1, **weight))
    networks = model.generator, model.encoder, model.discriminator
    before, says = weights(*networks), weights(model.classifier)
    history = model.fit(IMAGES, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == set(StylEx.reports) and np.isfinite(list(history.values())).all()
    assert min(history[name][-1] for name in ("pixel", "kl", "w", "perceptual")) > 0
    assert all(
        (history[name][-1] > 0) == (alternation == "micro") for name in ("penalty", "path_length")
    )
    assert np.mean(moved(before, *networks)) > 0.9 and np.mean(moved(says, model.classifier)) == 0
    assert (
        np.mean(
            moved(
                before[len(weights(model.generator)) :][: len(weights(model.encoder))],
                model.encoder,
            )
        )
        == 1
    )


def test_turns_by_the_step():
    model = compiled(
        tiny(alternation="step", path_weight=0.0, penalty_weight=0.0), run_eagerly=True
    )
    for encoder_moves in (False, True, False, True):  # nor by Adam's momentum in the latents' turn
        before = weights(model.generator), weights(model.encoder), weights(model.ema_encoder)
        model.train_on_batch(IMAGES)
        assert np.mean(moved(before[0], model.generator)) > 0.8
        assert any(moved(before[1], model.encoder)) == encoder_moves
    assert [int(array(model.optimizer[player].iterations)) for player in model.players] == [4, 2, 4]


def test_it_compiles_itself_and_learns_to_redraw(monkeypatch):
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
        average=0.5,
        path_weight=0.0,
        penalty_weight=0.0,
    )
    before = model.reconstruction_scores(IMAGES)
    model.fit(
        IMAGES, IMAGES[:, 0, 0, 0] > 0, batch_size=16, epochs=40, verbose=0
    )  # labels of any kind are ignored
    after = model.reconstruction_scores(IMAGES)
    assert set(after) == {"pixel", "agreement", "kl", "perceptual"}
    assert after["pixel"] < 0.8 * before["pixel"] and after["agreement"] >= 0.9
    scores = model.evaluate(IMAGES, batch_size=8, verbose=0, return_dict=True)
    assert scores["pixel"] == pytest.approx(after["pixel"], rel=0.3) and {
        "w",
        "reconstruction",
    } < set(scores)


def test_a_resumed_run_goes_on(tmp_path):
    def fresh():
        return compiled(
            tiny(alternation="step", seed=3, path_weight=0.0, penalty_weight=0.0), run_eagerly=True
        )

    def data():
        return Batches(
            IMAGES[:12], np.zeros(12, "int32"), 4, seed=1
        )  # three steps: whose turn it is must be kept

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
    assert checkpoints.resume(tmp_path, again) == 1 and int(array(again.turn)) == 1
    for model in (one, again):
        model.fit(data(), epochs=2, initial_epoch=1, verbose=0)
    for a, b in zip(one.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_realness_wants_a_discriminator_that_has_learnt(tmp_path):
    model = compiled(tiny())
    checkpoints.save(tmp_path, model, run="stylex", dataset="dots", size=8, epoch=1)
    path = checkpoints.latest(tmp_path)
    drawn = checkpoints.load_sampling_model(path)[0]
    with pytest.raises(
        ValueError, match="realness needs a model with a trained discriminator, .*; received one"
    ):
        Probe(drawn).realness(IMAGES)
    whole = checkpoints.load_sampling_model(path, ("E", "C", "D"))[0]
    assert drawn.not_loaded == ("D",) and whole.not_loaded == ()
    np.testing.assert_allclose(
        Probe(whole).realness(IMAGES), Probe(model).realness(IMAGES), atol=1e-4
    )


def test_gradients_of_many_batches_make_one_step():
    settings = REPRODUCTION | {
        "accumulate": 4,
        "alternation": "step",
        "path_weight": 0.0,
        "penalty_weight": 0.0,
    }
    model = stylex.build(classifier(), settings=settings, **TINY, run_eagerly=True)
    before = weights(model.generator), weights(model.encoder)
    for step in range(4):
        assert not any(moved(before[0], model.generator)) and not any(
            moved(before[1], model.encoder)
        ), step
        model.train_on_batch(IMAGES[4 * step : 4 * step + 4])
    assert (
        np.mean(moved(before[0], model.generator)) > 0.8
        and np.mean(moved(before[1], model.encoder)) > 0.8
    )


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({}, {"generator": 1, "encoder": 1}),
        ({"alternation": "step"}, {"generator": 1, "encoder": 0.5}),
        ({"rec_in_discriminator_phase": "accumulate"}, {"generator": 1, "encoder": 1}),
        ({"rec_in_discriminator_phase": "extra_step"}, {"generator": 2, "encoder": 2}),
        (
            {"rec_in_discriminator_phase": "second_step", "alternation": "step"},
            {"generator": 1.5, "encoder": 1},
        ),
    ],
)
def test_a_schedule_knows_how_often_each_player_moves(changes, updates):
    told = []
    settings = REPRODUCTION | changes
    model = stylex.build(
        classifier(),
        settings=settings,
        schedule=lambda rate, n: told.append(n) or rate,
        **TINY,
        run_eagerly=True,
    )
    for _ in range(2):
        model.train_on_batch(IMAGES[:4])
    assert dict(zip(model.players, told, strict=True)) == updates | {"discriminator": 1}
    assert {p: int(array(model.optimizer[p].iterations)) / 2 for p in model.players} == updates | {
        "discriminator": 1
    }


def test_path_lengths_are_the_first_steps_of_a_batch(monkeypatch):
    """One path length a batch, whose gradient moves what the first half's does."""

    def penalised(phase):
        model = tiny(
            **PLAIN | {"path_weight": 0.5},
            path_every=1,
            path_source="encoder",
            alternation="none",
            rec_in_discriminator_phase=phase,
        )
        still(monkeypatch, model)
        monkeypatch.setattr(
            model, "path_penalty", lambda w, noise: seen.append(array(w)) or ops.mean(ops.square(w))
        )
        return model

    halves, seen = (ops.convert_to_tensor(IMAGES[:8]), ops.convert_to_tensor(IMAGES[8:])), []
    model = penalised("accumulate")
    players = model.player_variables(("generator", "encoder"))

    def penalty():
        conditions = ops.softmax(model.logits(halves[0]), axis=-1)
        value = 0.5 * ops.mean(ops.square(model.batch_styles(halves[0], ENCODED, conditions)[0]))
        return value, value

    of_path = backend.value_and_gradients(penalty, players)[1]
    assert max(np.abs(array(slope)).max() for slope in of_path) > 1e-3
    parts = (
        of_path,
        loss_of(model, halves[0], ENCODED, judged=False),
        loss_of(model, halves[1], ENCODED),
    )
    expected = [sum(map(array, each)) for each in zip(*parts, strict=True)]
    first = array(
        model.batch_styles(halves[0], ENCODED, ops.softmax(model.logits(halves[0]), axis=-1))[0]
    )
    check_step(model, expected, None)
    np.testing.assert_allclose(seen, [first], rtol=1e-4, atol=1e-5)
    for phase in ("extra_step", "second_step"):
        seen.clear()
        compiled(
            model := penalised(phase), keras.optimizers.SGD, 0.1, judge_rate=0.0, run_eagerly=True
        )
        logs = model.train_on_batch(IMAGES, return_dict=True)
        np.testing.assert_allclose(seen, [first], rtol=1e-4, atol=1e-5)
        assert float(logs["path_penalty"]) == pytest.approx(0.5 * (first**2).mean(), rel=1e-4)


def test_a_distance_of_the_classifiers_layers_is_rebuilt_on_the_classifier():
    judge = classifier()
    name = ClassifierDistance(judge).maps[0]
    model = StylEx(judge, **TINY, perceptual=ClassifierDistance(judge, [name]))
    again = StylEx.from_config(model.get_config())
    assert again.perceptual.classifier is again.classifier and again.perceptual.maps == (name,)


def test_settings_become_a_model():
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
        and other.penalty is penalties.unit_gradient_norm
        and other.stretch
    )
    with pytest.raises(
        ValueError,
        match=r"settings must be those of REPRODUCTION.*; received others in \['steps'\]",
    ):
        stylex.build(classifier(), settings=AUTHORS | {"steps": 1}, **TINY)


# === Use ===


def test_reconstructions_are_drawn_from_the_encoders_w():
    """There, they were moved towards the mean w of the mapping network."""
    model = tiny()
    encoded = array(model.encoder(IMAGES))
    np.testing.assert_allclose(model.encode(IMAGES, batch_size=7), encoded, atol=1e-4)
    conditions = array(ops.softmax(model.logits(ops.convert_to_tensor(IMAGES)), axis=-1))
    np.testing.assert_allclose(model.conditions_of(IMAGES), conditions, atol=1e-5)
    w = np.repeat(np.concatenate([encoded, conditions], 1)[:, None], 2, axis=1)
    noise = np.repeat(model.noise, 16, axis=0)
    drawn = np.clip(array(model.generator([w, noise])), -1, 1)
    found = model.reconstruct(IMAGES)
    np.testing.assert_allclose(found, drawn, atol=1e-4)
    assert found.dtype == np.float32 and drawn.std() > 0.03
    styles, colours = model.styles(IMAGES)
    assert [s.shape for s in styles] == [
        (16, size) for size in model.generator.style_sizes
    ] and len(colours) == 2
    again = array(
        model.generator.draw(
            [*map(ops.convert_to_tensor, styles)],
            [*map(ops.convert_to_tensor, colours)],
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


def test_gap_of_the_two_kinds_of_w():
    model = tiny()
    of_latents, encoded = model.w_samples(IMAGES, seed=1)
    assert of_latents.shape == encoded.shape == (16, 3)
    np.testing.assert_allclose(encoded, model.encode(IMAGES), atol=1e-5)
    np.testing.assert_array_equal(of_latents, model.w_samples(IMAGES, seed=1)[0])
    gap = model.w_gap(IMAGES)
    assert set(gap) == {"w_frechet", "w_norm_ratio", "w_probe_auc"} and gap["w_frechet"] > 0


def test_files(tmp_path):
    model = tiny(alternation="step", path_source="z", kl_weight=2.0)
    pictures, samples = model.reconstruct(IMAGES), model.sample(labels=[0, 1], seed=1)
    model.save_to_preset(tmp_path / "preset")
    assert {path.name for path in (tmp_path / "preset").glob("*.h5")} == {"G.h5", "E.h5", "C.h5"}
    again = StylEx.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(again.reconstruct(IMAGES), pictures, atol=0.05)  # half precision
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
        keras.saving.load_model(tmp_path / "model.keras").reconstruct(IMAGES), pictures
    )


# === What is refused ===


def flat(*widths):
    """A classifier of another form."""
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3), *widths])


CONSTANT = np.concatenate([IMAGES[:2], np.full((1, 8, 8, 1), -1, "float32")])
PARTED = [layers.Flatten(), layers.Dense(2), layers.Dense(2)]


@pytest.mark.backend
@pytest.mark.parametrize("way", ["moments", "mmd"])
def test_styles_of_images_are_pulled_to_those_of_latents(way):
    """By the encoder's steps alone: generator and discriminator stand still."""

    def gap(model):
        return abs(model.encode(IMAGES).mean() - model.w_samples(IMAGES)[0].mean())

    weights = {
        "rec_weight": 0.0,
        "kl_weight": 0.0,
        "perceptual_weight": 0.0,
        "w_weight": 0.0,
        "path_weight": 0.0,
    }
    model = tiny(**PLAIN | weights, alternation="none", average=None, w_match=way)
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
            "classifier must be a built Keras model of one input and one output; received NoneType",
        ),
        (
            lambda: StylEx(keras.Sequential([layers.Dense(2)])),
            "classifier must be a built Keras model",
        ),
        (
            lambda: StylEx(classifier(28)),
            r"a side that is a power of two from 8; received \(28, 28, 1\)",
        ),
        (
            lambda: StylEx(classifier(4)),
            r"a side that is a power of two from 8; received \(4, 4, 1\)",
        ),
        (
            lambda: StylEx(classifier(classes=1)),
            r"logits \[N, K\] of at least two classes; received \(1,\)",
        ),
        (lambda: StylEx(flat()), "of at least two classes; received"),
        (
            lambda: StylEx(classifier(end="softmax")),
            "must give logits; logits of eight gives probabilities",
        ),
        (
            lambda: StylEx(classifier(end="sigmoid")),
            "must give logits; logits of eight gives probabilities",
        ),
        (
            lambda: StylEx(flat(*PARTED, layers.Softmax())),
            "must give logits; softmax.* gives probabilities",
        ),
        (
            lambda: StylEx(flat(*PARTED, layers.Lambda(ops.softmax))),
            "must give logits; lambda.* gives probabilities",
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
            r"generator must draw \(8, 8, 1\) under 2 conditions",
        ),
        (
            lambda: tiny(encoder=stylex.build_encoder(8, 1, capacity=1, latent_dim=9)),
            "encoder must turn",
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
            "accumulate must be 1 where each batch has an extra step, .*; received 2",
        ),
        (lambda: tiny(condition_on="labels"), "condition_on must be one of probabilities, logits"),
        (lambda: tiny().fit(IMAGES[:, :4]), r"images must be \[N, 8, 8, 1\]"),
        (
            lambda: tiny().fit(CONSTANT),
            "images must not be constant .*; received 1 such, the first is number 2",
        ),
        (lambda: tiny().fit(IMAGES[::2]), "images must be of all 2 classes .*; it sees none of 1"),
        (lambda: tiny().reconstruct(IMAGES * 3), r"images must be finite and in \[-1, 1\]"),
        (lambda: tiny().sample(labels=[2]), r"labels must be in 0..1"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message) as error:
        act()
    assert "\n" not in str(error.value)
