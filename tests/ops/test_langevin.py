"""Langevin dynamics, compared with closed forms: contraction of Gaussians, moments of the noise."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.ops.langevin import langevin, prior_rate

X = np.random.default_rng(0).normal(size=(6, 4, 3, 2)).astype("float32")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def nothing(x):
    return 0.0 * x


def run(f=nothing, x=X, **arguments):
    arguments = {"steps": 5, "step_size": 0.2, "sigma": 0.5, "noise": 0.0} | arguments
    moved, health = langevin(f, x, **arguments)
    return array(moved), {name: float(value) for name, value in health.items()}


@pytest.mark.backend
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_the_prior_alone_contracts_by_one_minus_r_each_step(steps):
    moved, health = run(steps=steps)
    rate = prior_rate(0.2, 0.5)
    np.testing.assert_allclose(moved, X * (1 - rate) ** steps, rtol=1e-5)
    assert health["drift"] == pytest.approx(rate if steps else 0, rel=1e-4)
    assert (health["balance"], health["gradient"], health["noise"]) == (0, 0, 0)
    assert health["dead"] == (1 if steps else 0)


@pytest.mark.backend
def test_a_quadratic_f_moves_each_chain_to_its_closed_form():
    """f is the sum of k outputs -a/2 |x - m|^2 / k; its gradient is not divided by k again."""
    a, m, outputs = 3.0, 0.7, 4

    def f(x):
        return ops.repeat(
            -a / 2 / outputs * ops.sum(ops.square(x - m), axis=(1, 2, 3))[:, None], outputs, axis=1
        )

    moved, health = run(f, steps=6)
    rate, precision = 0.2**2 / 2, a + 1 / 0.5**2
    rest = a * m / precision
    np.testing.assert_allclose(
        moved, rest + (X - rest) * (1 - rate * precision) ** 6, rtol=1e-4, atol=1e-5
    )
    alone, _ = run(f, X[:1], steps=6)
    np.testing.assert_allclose(moved[:1], alone, atol=1e-6)  # The number of chains has no effect.
    assert health["dead"] == 0


@pytest.mark.backend
def test_health_of_one_step():
    f = lambda x: 2.0 * x  # noqa: E731
    _, health = run(f, steps=1, noise=0.5, seed=keras.random.SeedGenerator(0))
    norms = np.sqrt((X**2).sum((1, 2, 3)))
    numbers = np.sqrt(X[0].size)
    rate = 0.2**2 / 2
    drift = rate * (2 - X / 0.25)
    expected = {
        "drift": (np.sqrt((drift**2).sum((1, 2, 3))) / norms).mean(),
        "gradient": (rate * 2 * numbers / norms).mean(),
        "noise": (0.5 * 0.2 * numbers / norms).mean(),
        "balance": (0.25 * 2 * numbers / norms).mean(),
        "dead": 0.0,
    }
    assert health == pytest.approx(expected, rel=1e-4)


@pytest.mark.backend
def test_latents_reach_the_posterior_mean():
    """With a linear generator, the posterior of z given images is a Gaussian of known mean."""
    weights = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")
    images = np.random.default_rng(2).normal(size=(4, 5)).astype("float32")
    s = 0.5

    def f(z):
        return -ops.sum(ops.square(ops.subtract(images, ops.matmul(z, weights))), axis=-1) / (
            2 * s**2
        )

    z, _ = run(f, np.zeros((4, 3), "float32"), steps=140, step_size=0.3, sigma=1.0)
    mean = images @ weights.T @ np.linalg.inv(weights @ weights.T + s**2 * np.eye(3))
    np.testing.assert_allclose(z, mean, atol=1e-3)


@pytest.mark.backend
def test_moments_of_the_noise_and_its_determinism():
    zeros = np.zeros((200, 5, 5, 2), "float32")
    first, _ = run(x=zeros, steps=1, noise=1.0, seed=keras.random.SeedGenerator(3))
    assert abs(first.mean()) < 4 * 0.2 / np.sqrt(
        first.size
    )  # Four standard errors. Uniform numbers fail clearly.
    assert first.std() == pytest.approx(0.2, rel=0.03)
    assert (first**4).mean() / first.var() ** 2 == pytest.approx(
        3, abs=0.3
    )  # The value of a Gaussian.
    seed = keras.random.SeedGenerator(3)
    many, _ = run(x=zeros, steps=4, noise=0.5, seed=seed)
    rate = prior_rate(0.2, 0.5)
    variance = (0.5 * 0.2) ** 2 * sum((1 - rate) ** (2 * k) for k in range(4))
    assert many.var() == pytest.approx(variance, rel=0.05)
    again, _ = run(x=zeros, steps=4, noise=0.5, seed=keras.random.SeedGenerator(3))
    np.testing.assert_array_equal(many, again)
    assert not np.array_equal(
        run(x=zeros, steps=4, noise=0.5, seed=seed)[0], many
    )  # The state of the seed has changed.


@pytest.mark.backend
def test_without_noise_no_random_numbers_are_used():
    for noise in (0, 0.0, ops.convert_to_tensor(0.0)):
        seed = keras.random.SeedGenerator(3)
        before = array(seed.state)
        moved, health = run(noise=noise, seed=seed)
        np.testing.assert_allclose(moved, X * (1 - prior_rate(0.2, 0.5)) ** 5, rtol=1e-5)
        np.testing.assert_array_equal(before, array(seed.state))
        assert health["noise"] == 0
    with pytest.raises(
        ValueError, match="seed must be a SeedGenerator unless noise is 0; received None"
    ):
        run(noise=1.0)


@pytest.mark.backend
def test_schedules_receive_tensors():
    numbers = run(steps=3, step_size=0.1, noise=0.5, seed=keras.random.SeedGenerator(1))
    tensors = {"step_size": ops.convert_to_tensor(0.1), "noise": ops.convert_to_tensor(0.5)}
    moved, health = run(steps=ops.cast(3, "int32"), **tensors, seed=keras.random.SeedGenerator(1))
    np.testing.assert_allclose(moved, numbers[0], atol=1e-6)
    assert health == pytest.approx(numbers[1], rel=1e-4)


@pytest.mark.backend
def test_known_pixels_are_restored_after_each_step():
    mask = np.zeros((1, 4, 3, 1), "float32")
    mask[:, :2] = 1
    moved, _ = run(project=lambda x: ops.where(ops.equal(mask, 1), X, x))
    np.testing.assert_array_equal(moved[:, :2], X[:, :2])
    np.testing.assert_allclose(moved[:, 2:], X[:, 2:] * (1 - prior_rate(0.2, 0.5)) ** 5, rtol=1e-5)


@pytest.mark.backend
def test_no_gradient_flows_back_through_the_chain():
    weight = keras.Variable(2.0)

    def objective():
        moved, _ = langevin(lambda x: weight * x, X, steps=3, step_size=0.2, noise=0.0)
        loss = ops.sum(ops.square(moved)) + 3.0 * ops.convert_to_tensor(weight)
        return loss, loss

    _, (gradient,) = backend.value_and_gradients(objective, [weight])
    assert float(gradient) == 3.0


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="counts the operations of JAX's program"
)
def test_a_step_has_no_weight_gradients():
    import jax  # noqa: PLC0415

    network = keras.Sequential(
        [keras.Input((8, 8, 1)), *(keras.layers.Conv2D(2, 3, activation="tanh") for _ in range(3))]
    )
    x = np.zeros((2, 8, 8, 1), "float32")
    program = str(
        jax.make_jaxpr(lambda x: langevin(network, x, steps=4, step_size=0.1, noise=0.0)[0])(x)
    )
    assert (
        program.count("conv_general_dilated[") == 6
    )  # Per layer: a convolution and its gradient with respect to x.
