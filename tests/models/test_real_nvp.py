"""RealNVP: determinant against a numeric Jacobian, inverse, density against closed forms."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.models import real_nvp as flows
from kerasgan.models.real_nvp import Couplings, RealNVP

RNG = np.random.default_rng(0)
IMAGES = (np.rint(RNG.uniform(0, 255, (32, 4, 4, 1))) / 127.5 - 1).astype("float32")
LABELS = (np.arange(32) % 3).astype("int32")


def randomized(couplings):
    """Sets random weights, because a flow is the identity at initialization."""
    for variable in couplings.variables:
        if variable.path.endswith(("kernel", "bias")):
            variable.assign(RNG.normal(0, 0.1, variable.shape))
    couplings.mean.assign(RNG.normal(size=couplings.mean.shape))
    couplings.deviation.assign(RNG.uniform(0.5, 2, couplings.deviation.shape))
    return couplings


def small(eager=True, **arguments):
    model = RealNVP(Couplings(4, scales=2, depth=4, width=4, classes=3), **arguments)
    model.compile(flow=keras.optimizers.Adam(1e-2), run_eagerly=eager)
    return model


def encoded(couplings, x, labels):
    return [
        np.array(ops.convert_to_numpy(y)) for y in couplings.encode(x.astype("float32"), labels)
    ]


@pytest.mark.backend
def test_inverse_is_exact():
    couplings = randomized(Couplings(8, 2, scales=2, depth=4, width=4, classes=3))
    x = RNG.normal(size=(5, 8, 8, 2)).astype("float32")
    latents, log_determinant = encoded(couplings, x, LABELS[:5])
    assert latents.shape == (5, 128) and log_determinant.shape == (5,)
    assert np.abs(latents.reshape(5, -1) - x.reshape(5, -1)).mean() > 0.1
    back, other = (
        couplings.predict([latents, y], verbose=0) for y in (LABELS[:5], (LABELS[:5] + 1) % 3)
    )
    np.testing.assert_allclose(back, x, atol=1e-4)
    assert np.abs(other - x).max() > 1e-2  # The flow depends on the class.


def test_log_determinant_is_that_of_a_numeric_jacobian():
    couplings = randomized(Couplings(4, scales=2, depth=4, width=4, classes=3))
    x, label, step = RNG.normal(size=(1, 4, 4, 1)), LABELS[1:2], 1e-2
    nudges = step * np.eye(16).reshape(16, 4, 4, 1)
    ahead, behind = (
        encoded(couplings, x + sign * nudges, np.repeat(label, 16))[0] for sign in (1, -1)
    )
    jacobian = (ahead - behind).astype("float64") / (2 * step)
    expected = np.linalg.slogdet(jacobian)[1]
    assert encoded(couplings, x, label)[1][0] == pytest.approx(expected, abs=0.02)
    assert abs(expected) > 0.1


def test_squeeze_and_masks():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    squeezed = ops.convert_to_numpy(flows.squeeze(x))
    assert squeezed.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(squeezed[0, 0, 0], x[0, :2, :2].reshape(-1))
    np.testing.assert_array_equal(ops.convert_to_numpy(flows.unsqueeze(squeezed)), x)
    for even in (0, 2):
        one, other = (flows.mask((2, 2, 4), index) for index in (even, even + 1))
        np.testing.assert_array_equal(one + other, 1)
        assert one.mean() == 0.5
    # The first mask is the checkerboard of pixels.
    board = ops.convert_to_numpy(flows.unsqueeze(flows.mask((2, 2, 4), 0)))[0, :, :, 0]
    np.testing.assert_array_equal(board, np.add.outer(np.arange(4), np.arange(4)) % 2)


def test_the_reported_derivative_of_logits_is_correct():
    ink = RNG.uniform(0.01, 0.99, (3, 2, 2, 1)).astype("float32")
    x, log_determinant = (ops.convert_to_numpy(y) for y in flows.to_logits(ink))
    np.testing.assert_allclose(1 / (1 + np.exp(-x)), ink, atol=1e-4)
    np.testing.assert_allclose(log_determinant, -np.log(ink * (1 - ink)).sum((1, 2, 3)), rtol=1e-3)


def test_log_prob_of_an_affine_flow_is_the_normal_density():
    model = small()  # The couplings are the identity, and `adapt` scales and shifts each pixel.
    mean, deviation = RNG.normal(size=(1, 4, 4, 1)), RNG.uniform(0.5, 2, (1, 4, 4, 1))
    model.flow.mean.assign(mean)
    model.flow.deviation.assign(deviation)
    found = model.log_prob(IMAGES, LABELS, seed=1)
    assert found.shape == (32,)
    noise = keras.random.uniform(IMAGES.shape, seed=keras.random.SeedGenerator(1))
    ink = (np.rint((IMAGES + 1) * 127.5) + ops.convert_to_numpy(noise)).astype("float64") / 256
    x = np.log(ink) - np.log1p(-ink)
    normal = -(((x - mean) / deviation) ** 2 + np.log(2 * np.pi)) / 2 - np.log(deviation)
    expected = (normal - np.log(ink) - np.log1p(-ink) - np.log(256)).sum((1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    bits = -expected.mean() / 16 / np.log(2)
    assert model.bits_per_dimension(IMAGES, LABELS, seed=1) == pytest.approx(bits, rel=1e-3)


def test_a_density_sums_to_one():
    """Densities at the middle of each level of one pixel, with the other pixels fixed."""
    model = small()
    model.flow.mean.assign(np.full((1, 4, 4, 1), 0.4))
    model.flow.deviation.assign(np.full((1, 4, 4, 1), 2.0))
    levels = np.repeat(np.arange(256)[:, None], 16, axis=1).reshape(-1, 4, 4, 1)
    ink = ((levels + 0.5) / 256).astype("float32")
    x, spread = flows.to_logits(ink)
    latents, log_determinant = model.flow.encode(x, np.zeros(256, "int32"))
    log_prob = ops.convert_to_numpy(
        flows.normal_log_prob(latents) + log_determinant + spread
    ) - 16 * np.log(256)
    assert np.exp(log_prob / 16).sum() == pytest.approx(
        1, abs=0.01
    )  # All 16 pixels are alike and independent.


def test_adapt_normalizes_the_data_to_mean_0_and_deviation_1():
    model = small()
    model.adapt(IMAGES)
    latents, _ = model._encode(IMAGES, LABELS, model.seed)
    latents = ops.convert_to_numpy(latents)
    np.testing.assert_allclose(latents.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(latents.std(0), 1, atol=1e-2)


@pytest.mark.backend
def test_fit_lowers_the_bits():
    model = small(eager=False)
    model.adapt(IMAGES)
    history = model.fit(IMAGES, LABELS, batch_size=16, epochs=12, verbose=0).history
    bits = history["bits_per_dimension"]
    assert set(history) == {"bits_per_dimension"} and bits[-1] < bits[0] - 0.05
    found = model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["bits_per_dimension"]
    assert found == pytest.approx(model.bits_per_dimension(IMAGES, LABELS), abs=0.1)


def test_another_prior_is_used_and_the_reported_bits_are_correct():
    def wide(latents):
        return flows.normal_log_prob(latents / 3)

    keras.utils.set_random_seed(1)
    model = small(prior=wide)
    loss, bits = (ops.convert_to_numpy(x) for x in model._pass((IMAGES, LABELS)))
    np.testing.assert_allclose(float(bits), model.bits_per_dimension(IMAGES, LABELS), atol=0.2)
    assert float(loss) != pytest.approx(float(bits) * 16 * np.log(2), rel=0.01)


def test_sample():
    model = small()
    one = model.sample(n=7, seed=5)
    assert one.shape == (7, 4, 4, 1) and one.dtype == np.float32 and np.abs(one).max() <= 1
    np.testing.assert_allclose((one + 1) * 127.5, np.rint((one + 1) * 127.5), atol=1e-3)
    np.testing.assert_allclose(
        one, model.sample(labels=np.arange(7) % 3, seed=5, batch_size=2), atol=0.01
    )
    assert not np.array_equal(one, model.sample(n=7, seed=6))
    assert model.sample(n=50, seed=0, temperature=0.1).std() < model.sample(n=50, seed=0).std()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Couplings(6, scales=2),
            "size must be a multiple of 2 .* received size 6 and 2 scales",
        ),
        (lambda: Couplings(4, depth=3), "depth must be a multiple of 4 .* received 3"),
        (lambda: small().sample(n=1, labels=[1]), "takes n or labels, one of them"),
        (lambda: small().sample(labels=[3]), r"labels must be in 0\.\.2"),
        (lambda: small().log_prob(IMAGES, LABELS + 1), r"labels must be in 0\.\.2"),
        (lambda: small().log_prob(IMAGES[:, :2], LABELS), "images must be"),
        (
            lambda: small().fit(IMAGES, LABELS[:5]),
            "labels must have 32 entries, one per image; received 5",
        ),
    ],
)
def test_errors_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_configuration_and_preset_round_trip(tmp_path):
    model = small(seed=4)
    randomized(model.flow)
    copy = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    )
    assert (
        json.dumps(copy.get_config()) == json.dumps(model.get_config())
        and copy.prior is flows.normal_log_prob
    )
    model.save_to_preset(tmp_path / "mine")
    loaded = RealNVP.from_preset(tmp_path / "mine")
    np.testing.assert_allclose(
        loaded.flow.mean, np.array(model.flow.mean).astype("float16"), rtol=1e-6
    )
    assert loaded.sample(n=6, seed=0).shape == (6, 4, 4, 1)
