"""Losses against their closed forms."""

import numpy as np
from keras import ops

from kerasgan import backend
from kerasgan.losses import adversarial, classes
from kerasgan.losses.features import feature_matching
from kerasgan.losses.penalties import path_lengths, squared_slope, unit_slope

RNG = np.random.default_rng(0)
REAL, FAKE = (RNG.normal(0, 2, (6, 5)).astype("float32") for _ in range(2))  # 4 classes and "fake"
LABELS = np.array([0, 3, 1, 1, 2, 0], "int32")
REAL_LOGITS, FAKE_LOGITS = (RNG.normal(0, 2, (6, 1)).astype("float32") for _ in range(2))


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def to_class(logits, labels):
    return -log_softmax(logits)[np.arange(len(logits)), labels].mean()


def check(value, expected):
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_adversarial_pair():
    sigmoid_real, sigmoid_fake = (1 / (1 + np.exp(-x)) for x in (REAL_LOGITS, FAKE_LOGITS))
    expected = -np.log(sigmoid_real).mean() - np.log(1 - sigmoid_fake).mean()
    check(adversarial.logistic_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected)
    check(adversarial.nonsaturating_generator_loss(FAKE_LOGITS, LABELS), -np.log(sigmoid_fake).mean())
    check(adversarial.nonsaturating_generator_loss(np.full((2, 1), -200.0, "float32")), 200.0)  # no overflow


def test_hinge_pair():
    expected = np.maximum(1 - REAL_LOGITS, 0).mean() + np.maximum(1 + FAKE_LOGITS, 0).mean()
    check(adversarial.hinge_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected)
    check(adversarial.hinge_generator_loss(FAKE_LOGITS, LABELS), -FAKE_LOGITS.mean())


def test_class_losses():
    real, fake = to_class(REAL, LABELS), to_class(FAKE, 4)
    check(classes.class_discriminator_loss(REAL, FAKE, LABELS), real + fake)
    check(classes.class_generator_loss(FAKE, LABELS), to_class(FAKE, LABELS))


def test_noted_smoothing_is_a_weight_on_the_fakes():
    check(classes.noted_class_discriminator_loss(REAL, FAKE, LABELS), to_class(REAL, LABELS) + 0.9 * to_class(FAKE, 4))


def test_papers_smoothing_is_a_target():
    expected = 0.9 * to_class(REAL, LABELS) + 0.1 * to_class(REAL, 4) + to_class(FAKE, 4)
    check(classes.smoothed_class_discriminator_loss(REAL, FAKE, LABELS), expected)
    # the best real logits give the label 0.9 and "fake" 0.1
    best = np.full((6, 5), -20.0, "float32")
    best[np.arange(6), LABELS], best[:, 4] = np.log(0.9), np.log(0.1)
    slope = backend.value_and_input_gradient(
        lambda x: classes.smoothed_class_discriminator_loss(x, FAKE, LABELS), best
    )[1]
    np.testing.assert_allclose(ops.convert_to_numpy(slope), 0, atol=1e-6)


def test_feature_matching_moves_the_fakes_alone():
    real, fake = ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE)
    check(feature_matching(real, fake), ((REAL.mean(0) - FAKE.mean(0)) ** 2).mean())
    fake_slope = backend.value_and_input_gradient(lambda x: feature_matching(real, x), FAKE)[1]
    expected = np.tile(2 * (FAKE.mean(0) - REAL.mean(0)) / 5 / 6, (6, 1))
    np.testing.assert_allclose(ops.convert_to_numpy(fake_slope), expected, rtol=1e-4, atol=1e-7)
    real_slope = backend.value_and_input_gradient(lambda x: feature_matching(x, fake), REAL)[1]
    np.testing.assert_array_equal(ops.convert_to_numpy(real_slope), 0)


def test_squared_slope_of_a_linear_function():
    weights = RNG.normal(size=(3, 4, 2)).astype("float32")
    images = RNG.normal(size=(5, 3, 4, 2)).astype("float32")
    slope = backend.value_and_input_gradient(lambda x: ops.sum(ops.multiply(x, weights), axis=(1, 2, 3)), images)[1]
    check(squared_slope(slope), (weights**2).sum())
    check(unit_slope(slope), (np.sqrt((weights**2).sum()) - 1) ** 2)


def test_path_lengths_are_a_mean_over_layers():
    gradients = RNG.normal(size=(4, 3, 5)).astype("float32")
    expected = np.sqrt((gradients**2).sum(-1).mean(-1))
    np.testing.assert_allclose(ops.convert_to_numpy(path_lengths(gradients)), expected, rtol=1e-5)


def test_roots_of_nothing_have_a_finite_slope():
    zeros = np.zeros((2, 3, 4), "float32")
    for root in (unit_slope, path_lengths):
        slope = ops.convert_to_numpy(backend.value_and_input_gradient(root, zeros)[1])
        np.testing.assert_array_equal(slope, 0)
