"""Matching-aware losses, compared with explicit calculations."""

import numpy as np
import pytest
from keras import ops

from kerasgan.losses.matching import (
    damsm_loss,
    matching_aware_loss,
    squared_error,
    unconditional_loss,
)


def logits(*values):
    return ops.convert_to_tensor(np.array(values, "float32").reshape(1, -1, 1, 1))


def test_least_squares():
    real, wrong, fake = logits(1, 3), logits(0, 2), logits(-1, 1)
    assert float(squared_error(real, 1.0)) == 2
    assert float(matching_aware_loss(real, wrong, fake)) == pytest.approx(2 + (2 + 1) / 2)
    assert float(unconditional_loss(real, wrong, fake)) == pytest.approx(1 + (1 + 2) / 2)


def test_logistic():
    real, wrong, fake = logits(1, 3), logits(0, 2), logits(-1, 1)
    cost = lambda *values: np.mean(np.log1p(np.exp(values)))  # noqa: E731
    pair = cost(-1, -3) + (cost(0, 2) + cost(-1, 1)) / 2
    assert float(matching_aware_loss(real, wrong, fake, "logistic")) == pytest.approx(pair)
    image = (cost(-1, -3) + cost(0, -2)) / 2 + cost(-1, 1)
    assert float(unconditional_loss(real, wrong, fake, "logistic")) == pytest.approx(image)


def test_perfect_discriminators_have_zero_loss():
    one, nothing = logits(1, 1), logits(0, 0)
    assert float(matching_aware_loss(one, nothing, nothing)) == 0
    assert float(unconditional_loss(one, one, nothing)) == 0


def test_damsm_is_the_cross_entropy_of_cosines_in_both_directions():
    random = np.random.default_rng(0)
    images, texts = random.normal(size=(2, 4, 6))
    cosine = (images @ texts.T) / np.outer(
        np.linalg.norm(images, axis=1), np.linalg.norm(texts, axis=1)
    )
    odds = np.exp(10 * cosine)
    expected = -np.mean(np.log(np.diag(odds) / odds.sum(0))) - np.mean(
        np.log(np.diag(odds) / odds.sum(1))
    )
    found = float(damsm_loss(images.astype("float32"), 3 * texts.astype("float32")))
    assert found == pytest.approx(expected, rel=1e-4)
    assert float(damsm_loss(images, images)) < found < float(damsm_loss(images, -images))


def test_damsm_also_contrasts_images_with_further_captions():
    images, texts, others = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts, others)]
    odds, beside = np.exp(10 * unit[0] @ unit[1].T), np.exp(10 * unit[0] @ unit[2].T)
    right = np.diag(odds)
    expected = -np.mean(np.log(right / (odds.sum(1) + beside.sum(1)))) - np.mean(
        np.log(right / odds.sum(0))
    )
    assert float(damsm_loss(images, texts, others=others)) == pytest.approx(expected, rel=1e-4)
