"""The DAMSM loss, compared with explicit calculations."""

import numpy as np
import pytest

from kerasgan.losses.damsm import damsm_loss


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
