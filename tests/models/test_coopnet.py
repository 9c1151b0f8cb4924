"""CoopNet: published parameter counts, training steps in closed form and on three backends,
samples, completion, files, invalid settings, warnings, and rollbacks after divergence."""

import json
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan import callbacks
from kerasgan.io import checkpoints
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.models import coopnet, coopnet_diagnostics
from kerasgan.models.coopnet import CoopNet
from kerasgan.ops.langevin import prior_rate

NAME = keras.backend.backend()
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (16, 6, 6, 1)).astype("float32")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def generator(norm=True):
    middle = [BatchNormalization(), layers.LeakyReLU(0.2)] if norm else []
    last = layers.Conv2D(1, 3, padding="same", activation="tanh")
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(72), *middle, layers.Reshape((6, 6, 2)), last],
        name="generator",
    )


def descriptor():
    convolution = layers.Conv2D(3, 3, 2, padding="same")
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            convolution,
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(4),
        ],
        name="descriptor",
    )


def tiny(
    optimizer=keras.optimizers.SGD, rates=(1e-3, 1e-2), run_eagerly=NAME != "jax", **arguments
):
    """Runs eagerly by default, because compiling takes longer than the steps."""
    arguments = {"chains": 6, "steps": 3, "step_size": 0.1, "sigma": 1.0} | arguments
    model = CoopNet(arguments.pop("generator", None) or generator(), descriptor(), **arguments)
    model.compile(
        generator=optimizer(rates[0]), descriptor=optimizer(rates[1]), run_eagerly=run_eagerly
    )
    return model


def known_weights(model):
    """The same weights on every backend."""
    random = np.random.default_rng(5)
    for network in (model.generator, model.descriptor):
        for variable in network.trainable_variables:
            variable.assign(random.normal(0, 0.3, variable.shape).astype("float32"))


def weights(model):
    return [
        np.array(w)
        for network in (model.generator, model.descriptor)
        for w in network.get_weights()
    ]


def fit(model, epochs=1, **arguments):
    return model.fit(
        IMAGES, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **arguments
    ).history


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


# === Networks ===


@pytest.mark.parametrize(
    ("size", "channels", "published"),
    [
        (28, 1, (1_066_532, 3_445_377)),
        (32, 3, (2_012_388, 1_439_747)),
        (64, 3, (6_927_588, 5_127_683)),
    ],
)
def test_published_parameter_counts(size, channels, published):
    one, other = coopnet.build_descriptor(size, channels), coopnet.build_generator(size, channels)
    assert (count(one), count(other)) == published
    assert one.output_shape == (None, 1) and other.output_shape == (None, size, size, channels)
    assert not any(hasattr(layer, "moving_mean") for layer in one.layers)


def test_arguments_of_the_networks():
    images = array(coopnet.build_generator(28, 1, 1, latent_dim=5)(np.ones((2, 5), "float32")))
    assert images.shape == (2, 28, 28, 1) and np.abs(images).max() <= 1
    assert coopnet.build_descriptor(28, 1, 2, head=3).layers[-1].kernel.shape[-1] == 3
    for std, expected in (
        (0.01, 0.01),
        (None, 256**-0.5 / 3**0.5),
    ):  # Uniform within 1 / sqrt(inputs).
        kernel = coopnet.build_descriptor(28, 1, 4, initial_std=std).layers[-1].kernel
        assert array(kernel.value).std() == pytest.approx(expected, rel=0.05)
    with pytest.raises(ValueError, match="size must be one of 28, 32, 64; received 48"):
        coopnet.build_descriptor(48)
    with pytest.raises(ValueError, match="latent_dim must be at least 2"):
        coopnet.build_generator(28, latent_dim=1)
    with pytest.warns(UserWarning, match="latent_dim 8 is small"):
        coopnet.build_generator(32, 3, 1, latent_dim=8)


# === Training ===


@pytest.mark.backend
def test_one_step_in_closed_form(monkeypatch):
    """With linear networks, the gradient of f is constant and each value has a closed form."""
    latents = RNG.normal(size=(6, 3)).astype("float32")
    linear = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, use_bias=False), layers.Reshape((2, 2, 1))]
    )
    descriptor = keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(2, use_bias=False)]
    )
    model = CoopNet(
        linear,
        descriptor,
        chains=6,
        steps=2,
        step_size=0.15,
        sigma=0.8,
        noise=0.0,
        residual_std=0.5,
    )
    model.compile(generator=keras.optimizers.SGD(0.01), descriptor=keras.optimizers.SGD(0.02))
    known_weights(model)
    g, d = weights(model)
    monkeypatch.setattr(model, "_random_latents", lambda: ops.convert_to_tensor(latents))
    real = IMAGES[:5, :2, :2]
    logs = model.train_on_batch(real, return_dict=True)

    proposals, rate = latents @ g, 0.15**2 / 2
    revised = proposals
    for _ in range(2):
        revised = revised - rate * (revised / 0.8**2 - d.sum(1))
    gap = revised.mean(0) - real.reshape(5, 4).mean(0)
    np.testing.assert_allclose(weights(model)[1], d - 0.02 * np.stack([gap, gap], 1), atol=1e-5)
    gradient = latents.T @ (proposals - revised) / 0.5**2 / 6
    np.testing.assert_allclose(weights(model)[0], g - 0.01 * gradient, atol=1e-5)
    distance = revised - proposals
    expected = {
        "descriptor_loss": gap @ d.sum(1),
        "generator_loss": (distance**2).sum() / 6 / (2 * 0.5**2),
        "reconstruction": (distance**2).mean(),
        "travel": (np.linalg.norm(distance, axis=1) / np.linalg.norm(proposals, axis=1)).mean(),
        "travel_to_data": np.linalg.norm(distance, axis=1).mean()
        / np.linalg.norm(real.reshape(5, 4), axis=1).mean(),
        "spread": revised.std() / real.std(),
        "clipped": (np.abs(revised) > 1).mean(),
        "moment_gap": (gap**2).mean(),
        "noise": 0.0,
        "dead": 0.0,
    }
    assert {name: float(logs[name]) for name in expected} == pytest.approx(
        expected, rel=1e-3, abs=1e-5
    )


# Two steps from the same weights and latents without noise: summed mean weight change of each
# player, and `travel`.
AGREED = {"plain": (0.075524, 0.052012, 0.125485), "inferred": (0.074719, 0.052029, 0.125426)}


@pytest.mark.backend
@pytest.mark.parametrize("name", AGREED)
def test_two_steps_agree_on_three_backends(name, monkeypatch):
    options = (
        {"latent_steps": 3, "latent_step_size": 0.4, "clip": True} if name == "inferred" else {}
    )
    model = tiny(
        noise=0.0, steps=6, step_size=0.18, rates=(2e-3, 2e-2), run_eagerly=False, **options
    )
    known_weights(model)
    latents = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    monkeypatch.setattr(model, "_random_latents", lambda: ops.convert_to_tensor(latents))
    before = weights(model)
    for start in (0, 8):
        logs = model.train_on_batch(IMAGES[start : start + 8], return_dict=True)
    moved = [float(np.abs(a - b).mean()) for a, b in zip(before, weights(model), strict=True)]
    split = len(model.generator.weights)
    assert [sum(moved[:split]), sum(moved[split:]), float(logs["travel"])] == pytest.approx(
        AGREED[name], rel=1e-3
    )


@pytest.mark.backend
def test_fit_updates_both_players_with_any_batch_size():
    off = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.0])
    more = keras.optimizers.schedules.PiecewiseConstantDecay([1], [2.0, 4.0])
    model = tiny(keras.optimizers.Adam, run_eagerly=False, steps=more, noise=off)
    before = weights(model)
    history = model.fit(
        IMAGES[:13], np.arange(13), batch_size=8, epochs=2, verbose=0
    ).history  # Batches of 8 and of 5.
    assert set(history) == set(CoopNet.reports) and np.isfinite(list(history.values())).all()
    changed = [not np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True)]
    assert all(changed)
    assert history["noise"][0] > 0 == history["noise"][1]  # On, then off.
    scores = model.evaluate(IMAGES, verbose=0, return_dict=True)
    assert set(scores) == set(CoopNet.reports) and np.isfinite(list(scores.values())).all()


@pytest.mark.backend
def test_same_seed_same_run_and_noise_matters():
    def run(seed, noise=1.0):
        model = tiny(seed=seed, noise=noise)
        known_weights(model)
        fit(model)
        return weights(model)

    one = run(3)
    assert all(np.array_equal(a, b) for a, b in zip(one, run(3), strict=True))
    assert not all(np.allclose(a, b) for a, b in zip(one, run(4), strict=True))
    assert not all(np.allclose(a, b) for a, b in zip(one, run(3, noise=0.0), strict=True))


@pytest.mark.backend
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    names = dict(run="coopnet", dataset="dots", size=6)
    whole = tiny(keras.optimizers.Adam)
    known_weights(whole)
    half = tiny(keras.optimizers.Adam)
    known_weights(half)
    fit(whole, epochs=2)
    fit(half)
    checkpoints.save(tmp_path, half, epoch=1, **names)
    assert sorted(path.name.split("_")[3] for path in tmp_path.glob("*.h5")) == ["D", "G", "resume"]
    again = tiny(keras.optimizers.Adam)
    assert checkpoints.resume(tmp_path, again) == 1
    fit(again, epochs=2, initial_epoch=1)
    for one, other in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_latents_move_towards_the_images():
    model = tiny(generator=generator(norm=False), latent_step_size=0.05)
    latents = model.random_latents(6, seed=1)
    images = array(model.propose(model.random_latents(6, seed=2)))
    distance = lambda z: np.square(images - array(model.propose(z))).mean()  # noqa: E731
    assert distance(model.infer_latents(latents, images, steps=60)) < 0.5 * distance(latents)


# === Invalid settings and divergence ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": float("nan")}, "sigma must be above 0; received nan"),
        (
            {
                "step_size": keras.optimizers.schedules.PiecewiseConstantDecay(
                    [2000, 3000], [0.002, 0.03, 0.002]
                ),
                "sigma": 0.016,
            },
            "must be below 1, .* from step_size 0.03",
        ),
        (
            {"step_size": 0.023, "sigma": 0.016},
            r"must be below 1, .*; received 1\.03 from step_size 0\.023 and sigma",
        ),
        ({"chains": 1}, "chains must be at least 2; received 1"),
        ({"steps": -1}, "steps must be at least 0; received -1"),
        ({"noise": -0.5}, r"noise must be at least 0; received -0\.5"),
        ({"sigma": 0}, "sigma must be above 0; received 0"),
        (
            {"step_size": keras.optimizers.schedules.PiecewiseConstantDecay([50], [0.1, 2.0])},
            "must be below 1",
        ),
    ],
)
def test_invalid_settings(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        tiny(**arguments)
    assert "\n" not in str(error.value)


def test_invalid_networks():
    with pytest.raises(
        ValueError,
        match=r"descriptor must take the generator's images \[6, 6, 1\]; received \[28, 28, 1\]",
    ):
        CoopNet(generator(), coopnet.build_descriptor(28, 1, 1))
    normed = keras.Sequential(
        [keras.Input((6, 6, 1)), BatchNormalization(), layers.Flatten(), layers.Dense(1)]
    )
    with pytest.raises(ValueError, match="descriptor must not have batch normalization"):
        CoopNet(generator(), normed)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"step_size": 0.016}, "likely cause: step_size 0.016 "),
        ({"sigma": 0.002, "steps": 15}, "likely cause: sigma 0.002 "),
        ({"steps": 60}, "likely cause: steps 60 "),
    ],
)
def test_the_likely_cause_is_named(settings, cause):
    with pytest.warns(UserWarning, match="an explosion is likely; " + cause) as caught:
        CoopNet(generator(), descriptor(), **{"steps": 15, "step_size": 0.002} | settings)
    assert len(caught) == 1


def test_warnings_of_learning_rates():
    model = CoopNet(generator(), descriptor())  # The defaults cause no warning.
    sgd = keras.optimizers.SGD
    model.compile(generator=sgd(1e-4), descriptor=sgd(7e-3))
    with pytest.warns(
        UserWarning,
        match="an explosion is likely; likely cause: the descriptor's learning rate 0.07 ",
    ):
        model.compile(generator=sgd(1e-4), descriptor=sgd(0.07))
    with pytest.warns(
        UserWarning, match="usually 30 to 100 times the generator's; received 0.0001 and 0.001"
    ):
        model.compile(generator=sgd(1e-3), descriptor=sgd(1e-4))


def test_published_settings_raise_no_warning():
    for settings in coopnet.SETTINGS.values():
        model = coopnet.build(28, 1, settings=settings, width=1)
        assert model.descriptor_rate == pytest.approx(settings["descriptor_rate"])
        assert isinstance(model.optimizer["generator"], keras.optimizers.Adam)
    with pytest.raises(ValueError, match="settings must have exactly the keys of AUTHORS"):
        coopnet.build(28, 1, settings=coopnet.PORT | {"lr": 1})


def numbers(**changed):
    usual = {"balance": 5.0, "drift": 0.03, "travel_to_data": 0.5, "spread": 1.0}
    return usual | {"clipped": 0.5, "dead": 0.0, "impulse": 1.0} | changed


def test_alarms():
    alarm = tiny().alarm
    calm = [numbers() for _ in range(40)]
    assert alarm(calm) is None
    for high in (
        {"drift": 0.5},
        {"spread": 2.5},
    ):  # One or two such steps are not an alarm.
        assert alarm([*calm, *[numbers(**high)] * 2]) is None
        assert "three times in a row" in alarm([*calm, *[numbers(**high)] * 3])
    for changed, word in (
        ({"travel_to_data": 6.5}, "6.5 times the data's length"),
        ({"balance": 600.0}, "120 times its median"),
        ({"generator_loss": float("nan")}, "generator_loss is nan"),
    ):
        assert word in alarm([*calm, numbers(**changed)])
    growing = [
        numbers(balance=min(1e-6 * 1.25**i, 25.8)) for i in range(90)
    ]  # A descriptor that recovers.
    assert [i for i in range(1, 90) if alarm(growing[:i])] == []


def test_diagnoses():
    diagnose = tiny().diagnose
    assert diagnose(numbers(), 1000) == []
    assert diagnose(numbers(drift=0.2, balance=12, clipped=0.95, impulse=3), 100) == []
    assert len(diagnose(numbers(drift=0.2, balance=12, clipped=0.95, impulse=3), 1000)) == 4
    assert "too weak" in diagnose(numbers(balance=0.01, spread=0.2), 60)[0]
    assert "leaky" in diagnose(numbers(dead=0.5), 60)[0]


@pytest.mark.backend
def test_divergence_is_rolled_back_and_then_stops_training(capsys):
    """A huge learning rate always diverges. Weights, statistics and optimizers are restored."""
    model = tiny(keras.optimizers.Adam, rates=(1e-3, 1e-3), noise=0.0)
    fit(model)
    state = lambda: [array(v.value) for v in [*model.variables, *model.optimizer.variables]]  # noqa: E731
    good = state()
    model.optimizer["descriptor"].learning_rate = 1e6
    guard = callbacks.ExplosionGuard("descriptor", every=100)
    with pytest.raises(
        callbacks.ExplosionError, match=r"within 5 epochs: .*; likely cause: the descriptor's"
    ) as error:
        fit(model, epochs=20, callbacks=[guard])
    assert "\n" not in str(error.value)
    changed = [
        i for i, (a, b) in enumerate(zip(good, state(), strict=True)) if not np.array_equal(a, b)
    ]
    variables = [*model.variables, *model.optimizer.variables]
    allowed = {"learning_rate", "seed_generator_state"}
    assert {variables[i].name for i in changed} <= allowed
    assert float(model.optimizer["descriptor"].learning_rate) == pytest.approx(1e6 / 8)
    printed = capsys.readouterr().out
    assert printed.count("the descriptor's learning rate goes from") == 3


@pytest.mark.backend
def test_training_continues_after_a_rollback(capsys):
    model = tiny(keras.optimizers.Adam, rates=(1e-3, 1e-3), run_eagerly=False, noise=0.0)
    model.optimizer["descriptor"].learning_rate = 1e5
    guard = callbacks.ExplosionGuard("descriptor", factor=1e-8)
    recorded = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: recorded.append(dict(logs))
    )
    history = fit(model, epochs=3, callbacks=[guard, watch])
    assert history["rollbacks"] == [1, 1, 1]
    assert all(np.isfinite(list(logs.values())).all() for logs in recorded)
    assert np.isfinite(list(history.values())).all() and np.isfinite(weights(model)[0]).all()
    assert float(model.optimizer["descriptor"].learning_rate) == pytest.approx(1e-3)
    assert "back to step 0" in capsys.readouterr().out


@pytest.mark.backend
def test_non_finite_weights_after_the_last_step_of_an_epoch_are_rolled_back(capsys):
    model = tiny(keras.optimizers.Adam, rates=(1e-3, 1e-3), run_eagerly=False, noise=0.0)

    def broken(epoch, logs):
        if epoch == 0:
            bias = model.descriptor.trainable_variables[-1]
            bias.assign(bias * float("nan"))

    breaks = keras.callbacks.LambdaCallback(on_epoch_end=broken)
    history = fit(model, epochs=2, callbacks=[breaks, callbacks.ExplosionGuard("descriptor")])
    assert (
        history["rollbacks"] == [1, 1]
        and np.isfinite(np.concatenate([w.ravel() for w in weights(model)])).all()
    )
    assert "trainable variables are not finite; back to step 0" in capsys.readouterr().out


def test_a_rollback_of_the_last_step_keeps_the_means_of_the_others(monkeypatch):
    model, steps = tiny(keras.optimizers.Adam, rates=(1e-3, 1e-3), noise=0.0), []

    def alarm(recent):
        steps.append(recent[-1])
        return "reason" if len(steps) == len(IMAGES) // 8 else None

    monkeypatch.setattr(model, "alarm", alarm)
    history = fit(model, callbacks=[callbacks.ExplosionGuard("descriptor")])
    kept = [step["reconstruction"] for step in steps[:-1]]
    assert history["rollbacks"] == [1] and history["reconstruction"][0] == pytest.approx(
        np.mean(kept), rel=1e-4
    )


def test_a_resumed_fit_continues_to_count_rollbacks(tmp_path):
    def continue_fit(rate, **epochs):
        model.optimizer["descriptor"].learning_rate = rate
        log = tmp_path / "log.csv"
        guard = callbacks.ExplosionGuard(
            "descriptor", factor=1e-8, max_rollbacks=2, window=3, log=log
        )
        return fit(model, callbacks=[guard, callbacks.CSVLog(log)], **epochs)

    model = tiny(keras.optimizers.Adam, rates=(1e-3, 1e-3), run_eagerly=False, noise=0.0)
    assert continue_fit(1e5, epochs=2)["rollbacks"] == [1, 1]
    assert continue_fit(1e-3, epochs=3, initial_epoch=1)["rollbacks"] == [
        1,
        1,
    ]  # It repeats one of the two epochs in the log.
    with pytest.raises(callbacks.ExplosionError, match="after 2 roll-backs within 3 epochs"):
        continue_fit(1e5, epochs=4, initial_epoch=2)


def test_guard_errors():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model = CoopNet(generator(), descriptor(), chains=6)
    model.compile(generator=keras.optimizers.SGD(1e-4), descriptor=keras.optimizers.SGD(schedule))
    with pytest.raises(
        ValueError, match="must be a number, so that it can be lowered; received a schedule"
    ):
        fit(model, callbacks=[callbacks.ExplosionGuard("descriptor")])
    with pytest.raises(ValueError, match="factor must be between 0 and 1"):
        callbacks.ExplosionGuard("descriptor", factor=2)


def test_a_drop_is_marked_and_the_checkpoint_before_it_is_kept(tmp_path, capsys):
    model = tiny()
    mark = callbacks.DropDetector(tmp_path, epochs=3)
    for epoch, value in enumerate([1.0, 0.9, 1.1, 0.8, 0.3, 0.5]):
        logs = {"reconstruction": value}
        mark.on_epoch_end(epoch, logs)
        assert logs["reconstruction_drop"] == (epoch == 4)
        checkpoints.save(
            tmp_path, model, epoch=epoch + 1, run="coopnet", dataset="dots", size=6, keep=1
        )
    kept = sorted(path.name for path in (tmp_path / "before_drop").glob("*.h5"))
    assert kept == [f"coopnet_dots_6_{letter}_epoch_4.h5" for letter in ("D", "G", "resume")]
    assert "reconstruction drops to 0.3" in capsys.readouterr().out


def test_progress_line(capsys):
    model = tiny()
    model.fit(
        IMAGES, batch_size=8, verbose=2, callbacks=[callbacks.ProgressBar(["drift", "balance"])]
    )
    printed = capsys.readouterr().out
    assert "drift" in printed and "balance" in printed and "impulse" not in printed


def test_impulse_noise_is_the_distance_from_the_median():
    images = RNG.uniform(-1, 1, (2, 7, 6, 2)).astype("float32")
    expected = [
        abs(images[n, i, j, c] - np.median(images[n, i - 1 : i + 2, j - 1 : j + 2, c]))
        for n in range(2)
        for i in range(1, 6)
        for j in range(1, 5)
        for c in range(2)
    ]
    assert float(coopnet_diagnostics.impulse_noise(ops.convert_to_tensor(images))) == pytest.approx(
        np.mean(expected), rel=1e-5
    )


# === Inference ===


@pytest.mark.backend
def test_calibration_does_not_change_the_model():
    model = tiny()
    found = model.calibrate_langevin(IMAGES, target=0.02)
    assert model.step_size == 0.1
    gradient = array(model.input_gradient(model.score, ops.convert_to_tensor(IMAGES)))
    gradient_length = np.linalg.norm((gradient - IMAGES).reshape(16, -1), axis=1).mean()
    size = np.linalg.norm(IMAGES.reshape(16, -1), axis=1).mean()
    assert found["step_size"] ** 2 / 2 * gradient_length / size == pytest.approx(0.02, rel=1e-4)
    assert found["drift"] == pytest.approx(0.1**2 / 2 * gradient_length / size, rel=1e-4)
    assert found["prior_rate"] == pytest.approx(prior_rate(found["step_size"], 1.0))


@pytest.mark.backend
def test_samples_come_in_blocks_of_the_chains():
    model = tiny(steps=4)
    known_weights(model)
    fit(model)
    before = weights(model)
    images = model.sample(8, seed=5)
    assert images.shape == (8, 6, 6, 1) and images.dtype == np.float32 and np.abs(images).max() <= 1
    latents = model.random_latents(8, seed=5)
    block = array(model.frozen_moving_statistics(lambda: model.propose(latents[:6])))
    np.testing.assert_allclose(
        images[:6], block, atol=1e-5
    )  # Batch statistics of exactly six chains.
    running = model.sample(8, seed=5, statistics="running")
    np.testing.assert_allclose(running, array(model.propose(latents, training=False)), atol=1e-5)
    assert not np.allclose(images, running, atol=1e-3)
    revised = model.sample(8, seed=5, by="descriptor")
    expected = np.clip(array(model.revise(block, steps=4, step_size=0.1)[0]), -1, 1)
    np.testing.assert_allclose(revised[:6], expected, atol=1e-5)
    np.testing.assert_array_equal(revised, model.sample(8, seed=5, by="descriptor"))
    assert all(
        np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True)
    )  # Sampling changes no weights.
    known_weights(model)  # A compiled function uses the current weights.
    assert not np.allclose(images, model.sample(8, seed=5), atol=1e-4)
    assert (
        model.sampling_protocol("descriptor")["steps"] == 4
        and "6 chains" in model.sampling_protocol()["statistics"]
    )


@pytest.mark.backend
def test_recalibrated_statistics_are_the_means_over_batches():
    model = tiny()
    known_weights(model)
    model.recalibrate(batches=3, seed=2)
    latents = model.random_latents(18, seed=2)
    kernel, bias = [np.array(w) for w in model.generator.get_weights()[:2]]
    outputs = (latents @ kernel + bias).reshape(3, 6, -1)
    norm = model.generator.layers[1]
    np.testing.assert_allclose(array(norm.moving_mean.value), outputs.mean(1).mean(0), atol=1e-5)
    np.testing.assert_allclose(array(norm.moving_variance.value), outputs.var(1).mean(0), atol=1e-4)
    assert norm.momentum == 0.99


@pytest.mark.backend
def test_revisions_end_at_the_samples_of_the_descriptor():
    model = tiny(steps=2)
    known_weights(model)
    images, energies = model.revisions(7, seed=5)
    assert images.shape == (3, 7, 6, 6, 1) and energies.shape == (3, 7)
    np.testing.assert_allclose(images[0], model.sample(7, seed=5), atol=1e-6)
    revised = model.sample(7, seed=5, by="descriptor")
    np.testing.assert_allclose(images[2], revised, atol=1e-5)
    x = images[0]
    prior = np.square(x).sum(axis=(1, 2, 3)) / (2 * model.sigma**2)
    np.testing.assert_allclose(energies[0], prior - array(model.score(x)), rtol=1e-4)
    assert model.revisions(2, seed=0, steps=0)[1].shape == (1, 2)


@pytest.mark.backend
def test_interpolation_connects_two_latents():
    model = tiny(generator=generator(norm=False))
    images = model.interpolate(rows=2, columns=3, seed=4)
    left, right = model.random_latents(4, seed=4).reshape(2, 2, 3)
    expected = array(model.propose(np.stack([left, (left + right) / 2, right], 1).reshape(6, 3)))
    np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize("by", ["generator", "descriptor"])
def test_completion_keeps_known_pixels_and_infers_hidden_ones(by):
    model = tiny(generator=generator(norm=False), sigma=3.0, step_size=0.01, latent_step_size=0.05)
    truth = array(model.propose(model.random_latents(4, seed=8)))
    mask = np.ones((6, 6, 1), "float32")
    mask[3:] = 0
    hidden = np.where(mask == 1, truth, np.nan).astype("float32")
    completed = model.complete(hidden, mask, by=by, latent_steps=150, seed=1)
    np.testing.assert_allclose(completed[:, :3], truth[:, :3], atol=1e-6)
    random = model.complete(hidden, mask, by=by, latent_steps=0, seed=1)
    error = lambda x: np.square(x - truth)[:, 3:].mean()  # noqa: E731
    assert error(completed) < 0.7 * error(random)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(0), "n must be an integer of at least 1; received 0"),
        (lambda m: m.sample(2, by="descriptor", steps=-1), "steps must be at least 0; received -1"),
        (lambda m: m.recalibrate(0), "batches must be an integer of at least 1; received 0"),
        (lambda m: m.calibrate_langevin(IMAGES, target=-1), "target must be above 0; received -1"),
        (lambda m: m.sample(2, by="discriminator"), "by must be generator or descriptor"),
        (
            lambda m: m.sample(2, statistics="moving"),
            "statistics batch or running; received 'generator' and 'moving'",
        ),
        (lambda m: m.generate(np.zeros((2, 4))), r"latents must be \[N, 3\]; received \[2, 4\]"),
        (lambda m: m.complete(IMAGES, np.full((6, 6, 1), 0.5)), "mask must be 0 or 1"),
        (lambda m: m.complete(IMAGES, np.ones((5, 6, 1))), "mask must be 0 or 1"),
        (lambda m: m.complete(IMAGES * 200, np.ones((6, 6, 1))), r"\[-1, 1\]"),
        (lambda m: m.fit(IMAGES * 200, verbose=0), r"\[-1, 1\]"),
        (lambda m: m.calibrate_langevin(IMAGES[..., 0]), "images must be a float array"),
    ],
)
def test_invalid_input_raises_a_one_line_message(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(tiny())
    assert "\n" not in str(error.value)


@pytest.mark.backend
def test_configuration_and_preset_round_trip(tmp_path):
    off = keras.optimizers.schedules.PiecewiseConstantDecay([4000], [1.0, 0.0])
    model = tiny(noise=off, chains=5, latent_steps=2, clip=True)
    copy = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    )
    assert type(copy) is CoopNet and json.dumps(copy.get_config()) == json.dumps(model.get_config())
    model.save_to_preset(tmp_path / "mine")
    loaded = CoopNet.from_preset(tmp_path / "mine")  # Not compiled: schedules are at their end.
    assert loaded.chains == 5 and loaded.final_value("noise") == 0
    for by in model.players:
        np.testing.assert_allclose(
            loaded.sample(5, seed=0, by=by), model.sample(5, seed=0, by=by), atol=0.02
        )


def test_defaults_cause_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CoopNet()


def test_configurations_with_earlier_argument_names_load():
    config = json.dumps(tiny().get_config())
    old = json.loads(config)
    old["deviation"] = old.pop("residual_std")
    assert json.dumps(CoopNet.from_config(old).get_config()) == config


def test_declarations_and_arguments_of_sample():
    model = tiny()
    assert model.conditioning is None and model.sampling_networks == ("generator", "descriptor")
    assert model.evaluation_protocol is None and "by" in model.sample_options
    with pytest.raises(ValueError, match="a CoopNet has no classes"):
        model.sample(labels=[1])
    blocks = model.sample(4, seed=1, batch_size=4)
    expected = array(
        model.frozen_moving_statistics(lambda: model.propose(model.random_latents(4, seed=1)))
    )
    np.testing.assert_allclose(blocks, expected, atol=1e-5)
