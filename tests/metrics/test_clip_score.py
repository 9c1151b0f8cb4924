"""CLIP score, and R-precision by a pair of encoders such as CLIP's."""

import numpy as np
import pytest

from kerasgan.metrics.clip_score import agreement, clip_score, merge
from kerasgan.metrics.r_precision import r_precision

RANDOM = np.random.default_rng(0)
IMAGES, TEXTS = RANDOM.normal(size=(2, 40, 6))


def test_equals_a_loop():
    values = [
        100 * max(0.0, float(x @ y) / (np.linalg.norm(x) * np.linalg.norm(y)))
        for x, y in zip(IMAGES, TEXTS, strict=True)
    ]
    assert clip_score(IMAGES, TEXTS) == pytest.approx((np.mean(values), np.std(values)), rel=1e-12)
    assert clip_score(IMAGES, TEXTS, 2.5)[0] == pytest.approx(np.mean(values) / 40, rel=1e-12)


def test_closed_forms():
    assert clip_score(IMAGES, 3 * IMAGES) == pytest.approx((100, 0), abs=1e-5)
    assert clip_score(IMAGES, -IMAGES) == (0, 0)
    mixed = np.concatenate([IMAGES[:30], -IMAGES[30:]])
    assert clip_score(IMAGES, mixed) == pytest.approx((75, 100 * (3 / 16) ** 0.5))


def test_streams_and_parts_add_up():
    whole = clip_score(IMAGES, TEXTS)
    blocks = zip(np.array_split(IMAGES, 5), np.array_split(TEXTS, 5), strict=True)
    assert clip_score(agreement(blocks)) == pytest.approx(whole, rel=1e-12)
    parts = [agreement([(IMAGES[rows], TEXTS[rows])]) for rows in (slice(7), slice(7, None))]
    assert clip_score(merge(*parts)) == pytest.approx(whole, rel=1e-12)


def test_r_precision_of_unnormalized_embeddings():
    texts = np.where(np.arange(40)[:, None] < 30, 5 * IMAGES, -IMAGES)
    assert r_precision(IMAGES, texts, candidates=10, splits=1)[0] == pytest.approx(0.75)


def test_bad_input():
    with pytest.raises(ValueError, match=r"one caption per image \(40\); received 39"):
        clip_score(IMAGES, TEXTS[:-1])
    with pytest.raises(ValueError, match="texts must be the embeddings of the captions"):
        clip_score(IMAGES)
    with pytest.raises(ValueError, match="received none"):
        clip_score(agreement([]))
