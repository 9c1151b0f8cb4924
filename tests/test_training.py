"""The contract of `AdversarialModel` on every backend, with a GAN as users write it."""

import functools

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasgan.callbacks
from kerasgan import backend
from kerasgan.datasets.batches import Batches
from kerasgan.ema import ema_copy
from kerasgan.io import checkpoints
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.losses.penalties import squared_gradient_norm
from kerasgan.training import AdversarialModel

pytestmark = pytest.mark.backend
NAME = keras.backend.backend()
REPORTS = {"generator_loss", "discriminator_loss"}  # By default, the players' losses.
DATA = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")


def generator(width=5):
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(width, use_bias=False),
            BatchNormalization(),
            layers.ReLU(),
            layers.Dense(4),
        ],
        name="generator",
    )


def discriminator(width=6):
    dropout = layers.Dropout(0.3, seed=1)  # Without a seed, torch would use its global generator.
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(width, "tanh"), dropout, layers.Dense(1)],
        name="discriminator",
    )


@keras.saving.register_keras_serializable("test_training")
class Tiny(AdversarialModel):
    def __init__(self, width=5, name=None):
        super().__init__(name=name)
        self.width = width
        self.generator, self.discriminator = generator(width), discriminator()
        self.ema_generator = ema_copy(self.generator)
        self.noise = keras.random.SeedGenerator(3)
        self.built = True

    def get_config(self):
        return {"width": self.width, "name": self.name}

    def checkpoint_networks(self):
        return {"generator": self.ema_generator, "discriminator": self.discriminator}

    def call(self, inputs, training=False):
        return self.generator(inputs, training=training)

    def fakes_for(self, real):
        return self.generator(
            keras.random.normal((ops.shape(real)[0], 3), seed=self.noise), training=True
        )

    def discriminate(self, images, training=True):
        return ops.cast(self.discriminator(images, training=training), "float32")

    def train_step(self, data):
        real = data[0] if isinstance(data, tuple) else data
        fake, vjp_fn = self.vjp("generator", lambda: self.fakes_for(real))

        def discriminator_loss():
            return ops.mean(
                ops.softplus(-self.discriminate(real)) + ops.softplus(self.discriminate(fake))
            )

        d_loss = self.minimize("discriminator", discriminator_loss)
        g_loss, gradient = self.value_and_input_gradient(
            lambda x: ops.mean(ops.softplus(-self.discriminate(x))), fake
        )
        self.apply_gradients("generator", vjp_fn(gradient))
        self.update_ema(self.ema_generator, self.generator, 0.9)
        return self.report(generator_loss=g_loss, discriminator_loss=d_loss)

    def test_step(self, data):
        return self.report(
            discriminator_loss=ops.mean(ops.softplus(-self.discriminate(data, training=False)))
        )


def tiny(cls=Tiny, optimizer=keras.optimizers.Adam, options=None, **arguments):
    keras.utils.set_random_seed(0)
    model = cls()
    model.compile(
        generator=optimizer(0.01, **(options or {})),
        discriminator=optimizer(0.02, **(options or {})),
        **arguments,
    )
    return model


def fit(model, epochs=1, **arguments):
    return model.fit(
        DATA, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **arguments
    ).history


@functools.cache
def one_epoch():
    """Returns the history and the variables of `tiny()` after one epoch, for comparisons."""
    model = tiny()
    return fit(model), everything(model)


def number(variable):
    return np.array(ops.convert_to_numpy(ops.copy(ops.convert_to_tensor(variable))))


def numbers(variables):
    return [number(v) for v in variables]


def everything(model):
    """Returns all variables that training changes, without the running means of metrics."""
    return numbers([*model.variables, *model.optimizer.variables])


def same(one, other):
    return len(one) == len(other) > 0 and all(
        np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


def moved(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


# === fit ===


def test_fit_changes_all_expected_variables():
    model = tiny()
    groups = {
        "generator": model.generator.trainable_variables,
        "discriminator": model.discriminator.trainable_variables,
        "averaged": [v for v in model.ema_generator.variables if "float" in v.dtype],
        "batch norm": model.generator.non_trainable_variables,
        "seeds": [model.noise.state, model.discriminator.layers[1].seed_generator.state],
        "metrics": model.metrics_variables,
    }
    for player in model.players:
        groups[f"{player}'s Adam"] = [
            v for v in model.optimizer[player].variables if "learning_rate" not in v.path
        ]
    before = {name: numbers(group) for name, group in groups.items()}
    history = fit(model)
    stuck = [
        name
        for name, group in groups.items()
        if not before[name] or not all(moved(before[name], numbers(group)))
    ]
    assert stuck == []
    assert set(history) == REPORTS and np.isfinite(list(history.values())).all()
    assert [int(number(model.optimizer[player].iterations)) for player in model.players] == [3, 3]


def test_compiled_equals_eager():
    model = tiny(run_eagerly=True)
    history, (compiled_history, compiled) = fit(model), one_epoch()
    for name in REPORTS:
        np.testing.assert_allclose(history[name], compiled_history[name], rtol=1e-5, atol=1e-5)
    for one, other in zip(everything(model), compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly")
def test_the_step_is_traced_once():
    # A variable that is created in the first step makes TensorFlow trace it twice.
    calls = []

    class Counts(Tiny):
        def train_step(self, *arguments):
            calls.append(1)
            return super().train_step(*arguments)

    fit(tiny(Counts))
    assert len(calls) == 1


def test_train_on_batch_evaluate_and_predict():
    model = tiny()
    before = everything(model)
    losses = model.train_on_batch(DATA[:8], return_dict=True)
    assert set(losses) == REPORTS and np.isfinite(list(map(float, losses.values()))).all()
    assert any(moved(before, everything(model)))
    before = everything(model)
    scores = model.evaluate(DATA, batch_size=8, verbose=0, return_dict=True)
    logits = number(model.discriminator(DATA, training=False))
    assert list(scores) == ["discriminator_loss"]
    np.testing.assert_allclose(
        scores["discriminator_loss"], np.logaddexp(0, -logits).mean(), rtol=1e-5
    )
    latents = DATA[:5, :3]
    np.testing.assert_allclose(
        model.predict(latents, verbose=0), number(model.generator(latents)), atol=1e-6
    )
    assert same(before, everything(model))


def test_evaluate_without_a_test_step_raises():
    class Trains(AdversarialModel):
        players = ("critic",)

        def __init__(self):
            super().__init__()
            self.critic = discriminator()

        def train_step(self, data):
            return self.report(
                critic_loss=self.minimize("critic", lambda: ops.mean(self.critic(data)))
            )

    model = Trains()
    model.compile(critic="sgd")
    with pytest.raises(NotImplementedError, match="evaluate needs Trains.test_step"):
        model.evaluate(DATA, verbose=0)


def test_validation_in_fit():
    history = fit(tiny(), validation_data=(DATA,))
    assert np.isfinite(history["val_discriminator_loss"]).all()


@pytest.mark.skipif(NAME != "tensorflow", reason="of tf.data")
def test_no_epoch_waits_for_autotuning_of_the_data(monkeypatch):
    import tensorflow as tf

    tuned = []

    def distribute(self, dataset, options=None):
        tuned.append(dataset.options().autotune.enabled)
        return dataset

    monkeypatch.setattr(
        type(tf.distribute.get_strategy()), "experimental_distribute_dataset", distribute
    )
    fit(tiny(), validation_data=(DATA,))
    assert tuned == [False, False]


def test_steps_per_execution():
    if NAME == "torch":
        with pytest.raises(ValueError, match="steps_per_execution"):
            fit(tiny(steps_per_execution=2))
        return
    model = tiny(steps_per_execution=2)
    fit(model)
    for one, other in zip(everything(model), one_epoch()[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_gradient_accumulation():
    model = tiny(options={"gradient_accumulation_steps": 2})
    for player in model.players:
        before = numbers(model.player_variables(player))
        model.train_on_batch(DATA[:8])
        assert not any(moved(before, numbers(model.player_variables(player))))
        model.train_on_batch(DATA[8:16])
        assert all(moved(before, numbers(model.player_variables(player))))


def test_the_ema_of_an_optimizer_is_copied_to_the_weights():
    model = tiny(optimizer=keras.optimizers.SGD, options={"use_ema": True, "ema_momentum": 0.5})
    before = [numbers(model.player_variables(player)) for player in model.players]
    fit(model)
    for player, start in zip(model.players, before, strict=True):
        averages = [number(v) for v in model.optimizer[player].variables if "average" in v.path]
        assert same(numbers(model.player_variables(player)), averages)
        assert all(moved(start, averages))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = tiny()
        before = {player: numbers(model.player_variables(player)) for player in model.players}
        history = fit(model, epochs=2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(list(history.values())).all()
    for player in model.players:
        assert all(moved(before[player], numbers(model.player_variables(player))))
        scaled = isinstance(model.optimizer[player], keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")


def test_loss_scaling_does_not_change_the_step():
    """Losses are scaled by powers of two before the backward pass, and gradients are unscaled."""

    def scaled(rate):
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(rate), initial_scale=2.0**10
        )

    models = tiny(optimizer=keras.optimizers.SGD), tiny(optimizer=scaled)
    for model in models:
        fake, vjp_fn = model.vjp("generator", lambda model=model: model.fakes_for(DATA))
        model.apply_gradients("generator", vjp_fn(ops.ones_like(fake)))
        extra = lambda model=model: ops.mean(model.discriminate(model.fakes_for(DATA)))  # noqa: E731
        model.minimize("discriminator", extra), model.minimize(model.players, extra)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# === minimize, vjp, input_gradient, lazy_regularization ===


@pytest.mark.parametrize(
    ("player", "other"), [("generator", "discriminator"), ("discriminator", "generator")]
)
def test_minimize_changes_only_its_player(player, other):
    model = tiny()
    own, others = model.player_variables(player), model.player_variables(other)
    before, before_others = numbers(own), numbers(others)
    state = numbers(model.optimizer[other].variables)
    model.minimize(
        player, lambda: ops.mean(ops.softplus(-model.discriminate(model.fakes_for(DATA))))
    )
    assert all(moved(before, numbers(own)))
    assert same(before_others, numbers(others)) and same(
        state, numbers(model.optimizer[other].variables)
    )
    assert int(number(model.optimizer[player].iterations)) == 1


def test_minimize_sum_minimizes_the_sum_of_the_losses():
    """Each loss may update seeds and moving averages; they are evaluated in order."""

    def losses(model):
        first, second = model.discriminator.trainable_variables[:2]
        return [
            lambda: (ops.mean(ops.softplus(-model.discriminate(model.fakes_for(DATA)))), "extra"),
            lambda: ops.sum(ops.square(first)),
            lambda: ops.sum(second) * ops.mean(model.discriminate(model.fakes_for(DATA))),
        ]

    one, other = tiny(optimizer=keras.optimizers.SGD), tiny(optimizer=keras.optimizers.SGD)
    (value, word), second, third = one.minimize_sum("discriminator", losses(one))

    def total():
        first, *others = [fn() for fn in losses(other)]
        return first[0] + sum(others)

    expected = number(other.minimize("discriminator", total))
    np.testing.assert_allclose(number(value + second + third), expected, rtol=1e-5)
    assert word == "extra" and int(number(one.optimizer["discriminator"].iterations)) == 1
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_allclose(number(a), number(b), rtol=1e-5, atol=1e-6)


def test_players_with_a_common_loss_are_updated_together():
    def loss(model):
        return lambda: (
            ops.mean(ops.square(model.generator(DATA[:, :3]))) + ops.mean(model.discriminator(DATA))
        )

    both, each = tiny(optimizer=keras.optimizers.SGD), tiny(optimizer=keras.optimizers.SGD)
    both.minimize(("generator", "discriminator"), loss(both))
    each.minimize("generator", loss(each)), each.minimize("discriminator", loss(each))
    for a, b in zip(both.get_weights(), each.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_vjp_and_apply_gradients_equal_minimize():
    def loss(model, fake):
        return ops.mean(ops.softplus(-model.discriminator(fake, training=False)))

    direct, traced = tiny(optimizer=keras.optimizers.SGD), tiny(optimizer=keras.optimizers.SGD)
    value = direct.minimize("generator", lambda: loss(direct, direct.fakes_for(DATA)))
    fake, vjp_fn = traced.vjp("generator", lambda: traced.fakes_for(DATA))
    traced_value, gradient = traced.value_and_input_gradient(lambda x: loss(traced, x), fake)
    before = traced.get_weights()
    traced.apply_gradients("generator", vjp_fn(gradient))
    np.testing.assert_allclose(number(value), number(traced_value), rtol=1e-6)
    for a, b in zip(direct.get_weights(), traced.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert any(
        moved(before, traced.get_weights())
    )  # The forward pass also updates batch norm averages and seeds.


def test_unused_variables_have_a_zero_gradient():
    model = tiny()
    constant = ops.convert_to_tensor(DATA)
    gradient = model.input_gradient(lambda x: ops.sum(constant), DATA)
    np.testing.assert_array_equal(number(gradient), np.zeros_like(DATA))
    _, vjp_fn = model.vjp("generator", lambda: constant * 2.0)
    gradients = vjp_fn(constant)
    assert [g.shape for g in numbers(gradients)] == [
        tuple(v.shape) for v in model.player_variables("generator")
    ]
    assert not any(g.any() for g in numbers(gradients))
    before = numbers(model.player_variables("generator"))
    model.minimize("generator", lambda: ops.mean(constant))
    assert same(before, numbers(model.player_variables("generator")))


@keras.saving.register_keras_serializable("test_training")
class Bowl(layers.Layer):
    """Energy k / 2 ||x||^2 of each sample: [N, F] -> [N]."""

    def build(self, shape):
        self.stiffness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(0.5), name="stiffness"
        )

    def call(self, x):
        return 0.5 * self.stiffness * ops.sum(ops.square(x), axis=-1)


class Descriptor(AdversarialModel):
    """Model with an energy as its only player and Langevin dynamics in its step."""

    players = ("descriptor",)
    reports = ("descriptor_loss", "penalty")

    def __init__(self, step=0.3, steps=4, loop="fori_loop"):
        super().__init__()
        self.descriptor = keras.Sequential([keras.Input((4,)), Bowl()])
        self.noise, self.step, self.steps, self.loop = (
            keras.random.SeedGenerator(5),
            step,
            steps,
            loop,
        )
        self.x = self.add_weight(shape=(8, 4), initializer="zeros", trainable=False, name="x")

    def langevin(self, x):
        def move(_, x):
            noise = keras.random.normal((8, 4), seed=self.noise)
            return (
                x - self.step**2 / 2 * self.input_gradient(self.descriptor, x) + self.step * noise
            )

        if self.loop == "fori_loop":
            return backend.fori_loop(0, self.steps, move, x)
        for i in range(self.steps):
            x = move(i, x)
        return x

    def train_step(self, data):
        self.x.assign(self.langevin(data))

        def loss():
            penalty = squared_gradient_norm(self.input_gradient(self.descriptor, data))
            return penalty, penalty

        loss, penalty = self.minimize("descriptor", loss)
        lazy = self.lazy_regularization(3, "descriptor", lambda: penalty)
        return self.report(descriptor_loss=loss, penalty=lazy)


@pytest.mark.parametrize("loop", ["unrolled", "fori_loop"])
def test_langevin_in_the_step_equals_the_closed_form(loop):
    model = Descriptor(loop=loop)
    model.compile(descriptor=keras.optimizers.SGD(0.0))
    model.fit(DATA[:8], batch_size=8, epochs=1, shuffle=False, verbose=0)
    seeds = keras.random.SeedGenerator(5)
    noise = [number(keras.random.normal((8, 4), seed=seeds)) for _ in range(4)]
    shrink = 1 - 0.3**2 / 2 * 0.5
    expected = shrink**4 * DATA[:8] + 0.3 * sum(shrink ** (3 - i) * noise[i] for i in range(4))
    np.testing.assert_allclose(number(model.x), expected, rtol=1e-5, atol=1e-6)
    assert all(np.abs(noise[i] - noise[j]).min() > 0 for i in range(4) for j in range(i))
    np.testing.assert_array_equal(number(model.noise.state), number(seeds.state))


def test_second_order_penalty_equals_the_closed_form():
    model = Descriptor(steps=1)
    model.compile(descriptor=keras.optimizers.SGD(0.1))
    history = model.fit(DATA[:8], batch_size=8, epochs=1, verbose=0).history
    squares = (DATA[:8] ** 2).sum(-1).mean()
    # The gradient is k x, the penalty k^2 mean ||x||^2, and its derivative by k 2 k mean ||x||^2.
    np.testing.assert_allclose(history["descriptor_loss"][0], 0.5**2 * squares, rtol=1e-5)
    np.testing.assert_allclose(
        number(model.descriptor.variables[0]), 0.5 - 0.1 * 2 * 0.5 * squares, rtol=1e-5
    )


def test_lazy_regularization_runs_in_every_kth_update_from_the_first():
    class Lazy(AdversarialModel):
        players = ("critic",)
        reports = ("critic_loss", "due")

        def __init__(self):
            super().__init__()
            self.critic = discriminator()
            self.noise = keras.random.SeedGenerator(0)

        def train_step(self, data):
            def loss():
                due = self.lazy_regularization(
                    3, "critic", lambda: 1.0 + 0.0 * keras.random.uniform((), seed=self.noise)
                )
                return ops.mean(self.critic(data)) * 0.0, due

            loss, due = self.minimize("critic", loss)
            return self.report(critic_loss=loss, due=due)

    model = Lazy()
    model.compile(critic="sgd")
    fired, states = [], []
    for _ in range(7):
        model.reset_metrics()
        fired.append(float(model.train_on_batch(DATA[:8], return_dict=True)["due"]))
        states.append(int(number(model.noise.state)[1]))
    assert fired == [1, 0, 0, 1, 0, 0, 1]
    assert states == [1, 1, 1, 2, 2, 2, 3]  # The branch changes state only in steps that run it.


def test_frozen_moving_statistics_keep_averages_and_advance_seeds():
    model = tiny()
    averages, seed = numbers(model.generator.non_trainable_variables), number(model.noise.state)
    frozen = model.frozen_moving_statistics(lambda: model.fakes_for(DATA))
    assert same(averages, numbers(model.generator.non_trainable_variables))
    assert not np.array_equal(seed, number(model.noise.state))
    model.noise.state.assign(seed)
    np.testing.assert_allclose(number(frozen), number(model.fakes_for(DATA)), atol=1e-6)
    assert all(moved(averages, numbers(model.generator.non_trainable_variables)))


# === Results equal to plain NumPy on every backend ===


class Given(AdversarialModel):
    """GAN with batch norm, R1, Adam and momentum, whose real images and noise come as data."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(3, use_bias=False),
                BatchNormalization(epsilon=1e-3),
                layers.Activation("tanh"),
                layers.Dense(2, use_bias=False),
            ]
        )
        self.discriminator = keras.Sequential(
            [keras.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1, use_bias=False)]
        )

    def train_step(self, data):
        real, noise = data

        def discriminator_loss():
            fake = self.generator(noise, training=True)
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
            penalty = squared_gradient_norm(self.input_gradient(self.discriminator, real))
            return (
                ops.mean(ops.softplus(-real_logits))
                + ops.mean(ops.softplus(fake_logits))
                + 0.5 * penalty
            )

        def generator_loss():
            return ops.mean(ops.softplus(-self.discriminator(self.generator(noise, training=True))))

        d_loss = self.minimize("discriminator", discriminator_loss)
        return self.report(
            discriminator_loss=d_loss, generator_loss=self.minimize("generator", generator_loss)
        )


def gradient_of(fn, x, step=1e-5):
    """Returns the gradient of a scalar function by central differences in float64."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (fn(up) - fn(down)) / (2 * step)
    return gradient


def numeric_gradients(fn, weights):
    """Returns the gradients with respect to each array of a list."""
    return [
        gradient_of(lambda w, i=i: fn([*weights[:i], w, *weights[i + 1 :]]), weights[i])
        for i in range(len(weights))
    ]


def test_three_steps_equal_plain_numpy():
    rng = np.random.default_rng(7)
    shapes = {"generator": [(2, 3), (3,), (3,), (3, 2)], "discriminator": [(2, 3), (3,), (3, 1)]}
    weights = {player: [rng.normal(size=shape) for shape in s] for player, s in shapes.items()}
    reals, noises = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2))

    model = Given()
    for player in model.players:
        for variable, weight in zip(model.player_variables(player), weights[player], strict=True):
            variable.assign(weight.astype("float32"))
    model.compile(
        generator=keras.optimizers.Adam(0.05, beta_1=0.5, epsilon=1e-3),
        discriminator=keras.optimizers.SGD(0.1, momentum=0.9),
    )
    got = []
    for real, noise in zip(reals, noises, strict=True):
        model.reset_metrics()
        logs = model.train_on_batch(
            real.astype("float32"), noise.astype("float32"), return_dict=True
        )
        got.append([float(logs["discriminator_loss"]), float(logs["generator_loss"])])

    def generate(g, noise):
        x = noise @ g[0]
        x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3) * g[1] + g[2]
        return np.tanh(x) @ g[3]

    def discriminate_array(d, x):
        return np.tanh(x @ d[0] + d[1]) @ d[2]

    def input_gradient_of(d, x):  # For tanh(x w + b) v.
        return ((1 - np.tanh(x @ d[0] + d[1]) ** 2) * d[2][:, 0]) @ d[0].T

    def d_loss(g, d, real, noise):
        logistic = (
            np.logaddexp(0, -discriminate_array(d, real)).mean()
            + np.logaddexp(0, discriminate_array(d, generate(g, noise))).mean()
        )
        return logistic + 0.5 * (input_gradient_of(d, real) ** 2).sum(-1).mean()

    def g_loss(g, d, noise):
        return np.logaddexp(0, -discriminate_array(d, generate(g, noise))).mean()

    g, d = weights["generator"], weights["discriminator"]
    speed, first, second = [0.0] * 3, [0.0] * 4, [0.0] * 4
    expected = []
    for t, (real, noise) in enumerate(zip(reals, noises, strict=True), 1):
        losses = [d_loss(g, d, real, noise)]
        grads = numeric_gradients(functools.partial(d_loss, g, real=real, noise=noise), d)
        speed = [0.9 * s - 0.1 * gradient for s, gradient in zip(speed, grads, strict=True)]
        d = [w + s for w, s in zip(d, speed, strict=True)]
        losses.append(g_loss(g, d, noise))
        grads = numeric_gradients(functools.partial(g_loss, d=d, noise=noise), g)
        first = [0.5 * m + 0.5 * gradient for m, gradient in zip(first, grads, strict=True)]
        second = [
            0.999 * v + 0.001 * gradient**2 for v, gradient in zip(second, grads, strict=True)
        ]
        rate = 0.05 * np.sqrt(1 - 0.999**t) / (1 - 0.5**t)
        g = [w - rate * m / (np.sqrt(v) + 1e-3) for w, m, v in zip(g, first, second, strict=True)]
        expected.append(losses)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    for player, reference in (("generator", g), ("discriminator", d)):
        for variable, weight in zip(model.player_variables(player), reference, strict=True):
            np.testing.assert_allclose(number(variable), weight, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(
    NAME != "tensorflow", reason="JAX always compiles; torch.compile needs a compiler"
)
def test_xla_equals_the_graph_without_xla():
    reals, noises = DATA[:, :2], DATA[:, 2:]
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = Given()
        model.compile(generator="sgd", discriminator="sgd", jit_compile=jit_compile)
        history = model.fit(reals, noises, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        losses.append([history["generator_loss"], history["discriminator_loss"]])
        assert model.jit_compile == jit_compile
    np.testing.assert_allclose(*losses, rtol=1e-5)


# === Errors ===


def test_compile_errors():
    model, adam = Tiny(), keras.optimizers.Adam()
    with pytest.raises(
        ValueError, match=r"one optimizer for each player, .*; received \['generator'\]"
    ):
        model.compile(generator="adam")
    with pytest.raises(ValueError, match=r"received \['critic', 'discriminator', 'generator'\]"):
        model.compile(generator="adam", discriminator="adam", critic="adam")
    with pytest.raises(ValueError, match="received one object twice"):
        model.compile(generator=adam, discriminator=adam)
    model.discriminator = keras.Sequential([layers.Dense(1)], name="forgotten")
    with pytest.raises(
        ValueError, match=r"must be built before compile .*received unbuilt \['forgotten'\]"
    ):
        model.compile(generator="adam", discriminator="adam")


def test_unknown_names():
    model = tiny()
    with pytest.raises(ValueError, match=r"a player is one of .*; received 'critic'"):
        model.minimize("critic", lambda: 0.0)
    with pytest.raises(ValueError, match=r"named by its player, .*; received 'critic'"):
        model.optimizer["critic"]
    with pytest.raises(
        ValueError,
        match=r"report takes the names in the class attribute `reports`, .*received \['typo'\]",
    ):
        model.report(typo=0.0)
    with pytest.raises(ValueError, match="gradients belong to a player"):
        model.optimizer.apply([])


@pytest.mark.skipif(
    NAME != "jax", reason="elsewhere variables are changed in place, whoever holds them"
)
def test_a_variable_outside_the_model_raises():
    stray = [keras.Variable(0.0, name="counter")]

    class Strays(Tiny):
        def train_step(self, data):
            stray[0].assign(stray[0] + 1.0)
            return super().train_step(data)

    with pytest.raises(ValueError, match="only variables of the model .*; received counter"):
        fit(tiny(Strays))


# === Callbacks ===


class Pictures(Tiny):
    def train_step(self, data):
        return super().train_step(ops.reshape(data[0], (-1, 4)))


def run(model, epochs, **arguments):
    """Returns the generator's losses of a `fit` whose batches differ in each epoch."""
    batches = Batches(np.tanh(DATA).reshape(24, 2, 2, 1), np.arange(24) % 3, 8, seed=1)
    return model.fit(batches, epochs=epochs, verbose=0, **arguments).history["generator_loss"]


@functools.cache
def uninterrupted():
    model = tiny(Pictures)
    return run(model, 3), everything(model)


def test_the_scheduler_of_keras_raises_and_names_ours():
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    with pytest.raises(
        ValueError, match=r"belongs to a player, .*callbacks.LearningRateScheduler\("
    ) as error:
        fit(tiny(), callbacks=[callback])
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="a learning rate belongs to a player"):
        tiny().optimizer.learning_rate = 0.1


def test_our_scheduler_changes_the_rate_of_its_player():
    model = tiny()
    halved = kerasgan.callbacks.LearningRateScheduler("generator", lambda epoch, rate: rate / 2)
    fit(model, epochs=2, callbacks=[halved])
    rates = [float(number(model.optimizer[player].learning_rate)) for player in model.players]
    np.testing.assert_allclose(rates, [0.0025, 0.02], rtol=1e-6)


def test_backup_and_restore_continues_an_interrupted_fit(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path)

    with pytest.raises(KeyboardInterrupt):
        run(tiny(Pictures), 3, callbacks=[backup(), Stop()])
    resumed = tiny(Pictures)
    losses, weights = uninterrupted()
    assert run(resumed, 3, callbacks=[backup()]) == losses[1:]
    assert same(weights, everything(resumed))


@pytest.mark.skipif(NAME != "tensorflow", reason="Keras' TensorBoard writes through TensorFlow")
@pytest.mark.skipif(
    not kerasgan.callbacks.tensorboard_supports_players(),
    reason="this Keras asks the model for one rate",
)
def test_tensorboard(tmp_path):
    fit(tiny(), callbacks=keras.callbacks.TensorBoard(tmp_path, update_freq="epoch"))
    assert list(tmp_path.rglob("events.out.tfevents.*"))


# === Saving ===


def test_keras_file_round_trip(tmp_path):
    model = tiny()
    fit(model)
    model.save(tmp_path / "tiny.keras")
    loaded = keras.models.load_model(tmp_path / "tiny.keras")
    assert type(loaded) is Tiny and loaded.compiled
    for player in model.players:
        assert same(
            numbers(model.optimizer[player].variables), numbers(loaded.optimizer[player].variables)
        )
    assert same(everything(model), everything(loaded))
    fit(model), fit(loaded)
    assert same(everything(model), everything(loaded))


def test_weights_file_holds_each_variable_once(tmp_path):
    model = tiny()
    fit(model)
    model.save_weights(tmp_path / "tiny.weights.h5")
    found = {}
    with h5py.File(tmp_path / "tiny.weights.h5") as file:
        file.visititems(
            lambda path, item: (
                found.update({path: item.shape}) if isinstance(item, h5py.Dataset) else None
            )
        )
    stored = [path for path in found if path.startswith("optimizer/")]
    assert len(stored) == len(model.optimizer.variables)
    assert {path.split("/")[1] for path in stored} == {"generator", "discriminator"}
    fresh = tiny()
    fresh.load_weights(tmp_path / "tiny.weights.h5")
    assert same(everything(model), everything(fresh))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    half = tiny(Pictures)
    first = run(half, 2)
    checkpoints.save(tmp_path, half, run="tiny", dataset="dots", size=2, epoch=2)
    keras.utils.set_random_seed(99)  # No result may depend on global random generators.
    resumed = Pictures()
    resumed.compile(
        generator=keras.optimizers.Adam(0.01), discriminator=keras.optimizers.Adam(0.02)
    )
    assert checkpoints.resume(tmp_path, resumed) == 2
    losses, weights = uninterrupted()
    assert first + run(resumed, 3, initial_epoch=2) == losses
    assert same(weights, everything(resumed))
