"""Losses, compared with their closed forms."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import backend
from kerasgan.losses import adversarial, classes, variational
from kerasgan.losses.features import feature_matching
from kerasgan.losses.penalties import (
    path_lengths,
    r1_penalty,
    squared_gradient_norm,
    unit_gradient_norm,
    wgan_gp_penalty,
)

RNG = np.random.default_rng(0)
REAL, FAKE = (
    RNG.normal(0, 2, (6, 5)).astype("float32") for _ in range(2)
)  # Four classes and "fake".
LABELS = np.array([0, 3, 1, 1, 2, 0], "int32")
REAL_LOGITS, FAKE_LOGITS = (RNG.normal(0, 2, (6, 1)).astype("float32") for _ in range(2))


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def to_class(logits, labels):
    return -log_softmax(logits)[np.arange(len(logits)), labels].mean()


def check(value, expected):
    np.testing.assert_allclose(float(ops.convert_to_numpy(value)), expected, rtol=1e-5)


def test_adversarial_pair():
    sigmoid_real, sigmoid_fake = (1 / (1 + np.exp(-x)) for x in (REAL_LOGITS, FAKE_LOGITS))
    expected = -np.log(sigmoid_real).mean() - np.log(1 - sigmoid_fake).mean()
    check(adversarial.logistic_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected)
    check(
        adversarial.nonsaturating_generator_loss(FAKE_LOGITS, LABELS), -np.log(sigmoid_fake).mean()
    )
    check(
        adversarial.nonsaturating_generator_loss(np.full((2, 1), -200.0, "float32")), 200.0
    )  # No overflow.


def test_hinge_pair():
    expected = np.maximum(1 - REAL_LOGITS, 0).mean() + np.maximum(1 + FAKE_LOGITS, 0).mean()
    check(adversarial.hinge_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected)
    check(adversarial.hinge_generator_loss(FAKE_LOGITS, LABELS), -FAKE_LOGITS.mean())


def test_minmax_is_the_negative_discriminator_loss_and_saturates():
    check(
        adversarial.minmax_generator_loss(FAKE_LOGITS, LABELS),
        np.log(1 - 1 / (1 + np.exp(-FAKE_LOGITS))).mean(),
    )
    losing = np.full((2, 1), -20.0, "float32")  # The discriminator is certain.
    gradients = [
        np.abs(ops.convert_to_numpy(backend.value_and_input_gradient(loss, losing)[1])).max()
        for loss in (adversarial.minmax_generator_loss, adversarial.nonsaturating_generator_loss)
    ]
    assert gradients[0] < 1e-8 and gradients[1] == pytest.approx(0.5)


def test_wasserstein_pair():
    expected = FAKE_LOGITS.mean() - REAL_LOGITS.mean()
    check(adversarial.wasserstein_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected)
    check(adversarial.wasserstein_generator_loss(FAKE_LOGITS, LABELS), -FAKE_LOGITS.mean())


def test_label_smoothing_is_one_sided():
    real, fake = (1 / (1 + np.exp(-x)) for x in (REAL_LOGITS, FAKE_LOGITS))
    expected = -(0.9 * np.log(real) + 0.1 * np.log(1 - real)).mean() - np.log(1 - fake).mean()
    check(
        adversarial.smoothed_logistic_discriminator_loss(REAL_LOGITS, FAKE_LOGITS, LABELS), expected
    )


@pytest.mark.backend
def test_noisy_labels_flip_a_share_of_the_labels():
    real, fake = (np.full((20_000, 1), x, "float32") for x in (3.0, -2.0))
    plain, turned = (np.log1p(np.exp(-sign * np.array([3.0, 2.0]))) for sign in (1, -1))
    loss = adversarial.NoisyLabels(0.1, seed=1)
    first, second = (float(loss(real, fake, LABELS)) for _ in range(2))
    assert first != second  # New random labels in each call.
    assert first == pytest.approx((0.9 * plain + 0.1 * turned).sum(), abs=0.05)
    check(
        adversarial.NoisyLabels(0.0)(REAL_LOGITS, FAKE_LOGITS),
        float(adversarial.logistic_discriminator_loss(REAL_LOGITS, FAKE_LOGITS)),
    )
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert (copy.share, copy.seed) == (0.1, 1) and float(copy(real, fake)) == first
    with pytest.raises(
        ValueError, match="share must be at least 0 and less than 0.5 .*; received 0.5"
    ):
        adversarial.NoisyLabels(0.5)


def test_class_losses():
    real, fake = to_class(REAL, LABELS), to_class(FAKE, 4)
    check(classes.class_discriminator_loss(REAL, FAKE, LABELS), real + fake)
    check(classes.class_generator_loss(FAKE, LABELS), to_class(FAKE, LABELS))


def test_smoothing_of_the_training_notes_is_a_weight_on_the_fakes():
    check(
        classes.fake_weighted_class_discriminator_loss(REAL, FAKE, LABELS),
        to_class(REAL, LABELS) + 0.9 * to_class(FAKE, 4),
    )


def test_smoothing_of_the_paper_is_a_target():
    expected = 0.9 * to_class(REAL, LABELS) + 0.1 * to_class(REAL, 4) + to_class(FAKE, 4)
    check(classes.smoothed_class_discriminator_loss(REAL, FAKE, LABELS), expected)
    # The best logits of real images give the label 0.9 and "fake" 0.1.
    best = np.full((6, 5), -20.0, "float32")
    best[np.arange(6), LABELS], best[:, 4] = np.log(0.9), np.log(0.1)
    gradient = backend.value_and_input_gradient(
        lambda x: classes.smoothed_class_discriminator_loss(x, FAKE, LABELS), best
    )[1]
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), 0, atol=1e-6)


def test_feature_matching_has_gradients_of_the_fakes_only():
    real, fake = ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE)
    check(feature_matching(real, fake), ((REAL.mean(0) - FAKE.mean(0)) ** 2).mean())
    fake_slope = backend.value_and_input_gradient(lambda x: feature_matching(real, x), FAKE)[1]
    expected = np.tile(2 * (FAKE.mean(0) - REAL.mean(0)) / 5 / 6, (6, 1))
    np.testing.assert_allclose(ops.convert_to_numpy(fake_slope), expected, rtol=1e-4, atol=1e-7)
    real_slope = backend.value_and_input_gradient(lambda x: feature_matching(x, fake), REAL)[1]
    np.testing.assert_array_equal(ops.convert_to_numpy(real_slope), 0)


def test_squared_gradient_norm_of_a_linear_function():
    weights = RNG.normal(size=(3, 4, 2)).astype("float32")
    images = RNG.normal(size=(5, 3, 4, 2)).astype("float32")
    gradient = backend.value_and_input_gradient(
        lambda x: ops.sum(ops.multiply(x, weights), axis=(1, 2, 3)), images
    )[1]
    check(squared_gradient_norm(gradient), (weights**2).sum())
    check(unit_gradient_norm(gradient), (np.sqrt((weights**2).sum()) - 1) ** 2)


def test_penalties_of_a_quadratic_critic():
    real, fake = (
        ops.convert_to_tensor(RNG.normal(size=(5, 3, 4, 2)).astype("float32")) for _ in range(2)
    )

    def critic(x):
        return ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True) / 2  # Its gradient at x is x.  # noqa: E731

    at = ops.convert_to_numpy(real)
    check(r1_penalty(critic, real, fake, None), (at**2).sum((1, 2, 3)).mean() / 2)
    found = float(
        ops.convert_to_numpy(wgan_gp_penalty(critic, real, fake, keras.random.SeedGenerator(3)))
    )
    share = ops.convert_to_numpy(
        keras.random.uniform((5, 1, 1, 1), seed=keras.random.SeedGenerator(3))
    )
    lengths = np.sqrt(((at + share * (ops.convert_to_numpy(fake) - at)) ** 2).sum((1, 2, 3)))
    assert found == pytest.approx(((lengths - 1) ** 2).mean(), rel=1e-4)
    at_real = wgan_gp_penalty(critic, real, real, keras.random.SeedGenerator(3))
    check(at_real, float(unit_gradient_norm(real)))


def test_path_lengths_are_a_mean_over_layers():
    gradients = RNG.normal(size=(4, 3, 5)).astype("float32")
    expected = np.sqrt((gradients**2).sum(-1).mean(-1))
    np.testing.assert_allclose(ops.convert_to_numpy(path_lengths(gradients)), expected, rtol=1e-5)


def test_square_roots_of_zero_have_a_finite_gradient():
    zeros = np.zeros((2, 3, 4), "float32")
    for root in (unit_gradient_norm, path_lengths):
        gradient = ops.convert_to_numpy(backend.value_and_input_gradient(root, zeros)[1])
        np.testing.assert_array_equal(gradient, 0)


# === The ELBO ===


def test_divergence_of_normals_by_quadrature():
    mean, log_variance = RNG.normal(size=(2, 4, 3)).astype("float32")
    z = np.linspace(-15, 15, 20_001)[:, None, None]
    variance = np.exp(log_variance)
    log_q = -((z - mean) ** 2 / variance + log_variance + np.log(2 * np.pi)) / 2
    log_p = -(z**2 + np.log(2 * np.pi)) / 2
    expected = (np.exp(log_q) * (log_q - log_p)).sum(0).sum(-1) * (z[1, 0, 0] - z[0, 0, 0])
    found = ops.convert_to_numpy(variational.normal_kl_divergence(mean, log_variance))
    assert found.shape == (4,)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    nothing = variational.normal_kl_divergence(np.zeros((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(ops.convert_to_numpy(nothing), 0)


def test_likelihood_of_ink_and_elbo():
    images, logits = (
        np.sign(RNG.normal(size=(4, 3, 3, 1))).astype("float32"),
        RNG.normal(size=(4, 3, 3, 1)),
    )
    chance = 1 / (1 + np.exp(-logits))
    expected = np.log(np.where(images > 0, chance, 1 - chance)).sum((1, 2, 3))
    found = variational.bernoulli_log_likelihood(images, logits.astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5)
    divergence = np.arange(4.0, dtype="float32")
    check(
        variational.negative_elbo(found, ops.convert_to_tensor(divergence)),
        (divergence - expected).mean(),
    )
