import numpy as np
import pytest

from kerasgan.metrics.r_precision import caption_precision, r_precision

RANDOM = np.random.default_rng(0)
TEXTS = RANDOM.normal(size=(300, 16))


def test_own_captions_rank_first():
    assert r_precision(TEXTS * RANDOM.uniform(1, 9, (300, 1)), TEXTS) == (
        1,
        0,
    )  # The cosine ignores lengths.
    assert r_precision(-TEXTS, TEXTS) == (0, 0)


def test_chance_is_one_in_a_hundred():
    mean, deviation = r_precision(RANDOM.normal(size=(3000, 4)), RANDOM.normal(size=(3000, 4)))
    assert 0.004 < mean < 0.018 and 0 < deviation < 0.02
    mean, _ = r_precision(
        RANDOM.normal(size=(3000, 4)), RANDOM.normal(size=(3000, 4)), candidates=2
    )
    assert mean == pytest.approx(0.5, abs=0.03)


def test_the_deviation_is_over_splits():
    images = np.concatenate([TEXTS[:150], -TEXTS[150:]])
    assert r_precision(images, TEXTS, splits=2) == (0.5, 0.5)
    assert r_precision(images, TEXTS, splits=1) == (0.5, 0)


def test_captions_of_the_same_class_are_no_candidates():
    classes = np.arange(300) // 3
    texts = TEXTS[classes * 3]  # Three images of a class share a caption.
    assert r_precision(texts, texts, classes) == (1, 0)
    assert (
        r_precision(texts, texts, candidates=300)[0] == 0
    )  # Without classes they tie, which is a miss.
    assert r_precision(np.ones((200, 4)), np.ones((200, 4)))[0] == 0


def test_the_seed_chooses_the_candidates():
    noisy = TEXTS + 2 * RANDOM.normal(size=TEXTS.shape)
    assert r_precision(noisy, TEXTS, seed=1) == r_precision(noisy, TEXTS, seed=1)
    assert len({r_precision(noisy, TEXTS, seed=seed) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TEXTS, TEXTS[:9]), r"images and texts \[N, D\]; received \[300, 16\] and \[9, 16\]"),
        ((TEXTS, TEXTS * np.nan), "Embeddings must be finite"),
        ((TEXTS, TEXTS, np.arange(9)), r"Expected 300 classes, one per image; received \[9\]"),
        ((TEXTS[:50], TEXTS[:50]), "candidates must be between 2 and 50, .* image 0; received 100"),
        (
            (TEXTS, TEXTS, np.arange(300) // 250),
            "candidates must be between 2 and 51, .* image 0; received 100",
        ),
        (
            (TEXTS, TEXTS, None, 100, 301),
            r"splits must be between 1 and the number of images \(300\); received 301",
        ),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        r_precision(*arguments)


def test_all_captions_are_candidates():
    own = RANDOM.integers(0, 12, 60)
    images = TEXTS[own] + 0.01 * RANDOM.normal(size=(60, 16))
    assert caption_precision(images, TEXTS[:12], own) == 1
    assert caption_precision(images, TEXTS[:12], (own + 1) % 12) == 0
    assert caption_precision(np.ones((5, 16)), np.ones((3, 16)), np.zeros(5, int)) == 0  # ties
    random = RANDOM.normal(size=(4000, 16))
    chance = caption_precision(random, TEXTS[:12], RANDOM.integers(0, 12, 4000))
    assert chance == pytest.approx(1 / 12, abs=0.02)


@pytest.mark.parametrize(
    ("texts", "own", "message"),
    [
        (TEXTS[:1], [0, 0], "at least 2 captions; received 1"),
        (TEXTS[:3], [0, 3], "one index below 3 per image"),
        (TEXTS[:3], [0], "one index below 3 per image"),
        (TEXTS[:3, :4], [0, 1], r"images \[N, D\] and texts \[C, D\]"),
        (TEXTS[:3] * np.nan, [0, 1], "must be finite"),
    ],
)
def test_bad_candidates_are_refused(texts, own, message):
    with pytest.raises(ValueError, match=message):
        caption_precision(TEXTS[:2], texts, np.array(own))
