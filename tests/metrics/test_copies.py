"""Nearest neighbors, AuthPct and memorization: brute force and constructed copies."""

import numpy as np
import pytest

from kerasgan.metrics import nearest as module
from kerasgan.metrics.authpct import authpct
from kerasgan.metrics.memorization import memorization
from kerasgan.metrics.nearest import nearest

RANDOM = np.random.default_rng(0)
REAL, FAKE = RANDOM.normal(size=(60, 4)), RANDOM.normal(0.2, 1, (45, 4))


def distances(x, y):
    return np.sqrt(np.square(x[:, None] - y).sum(axis=2))


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("block", [4 * 16, 2**23])
def test_nearest_equals_a_full_sort(k, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    index, distance = (np.reshape(x, (45, k)) for x in nearest(FAKE, REAL, k=k))
    full = distances(FAKE, REAL)
    np.testing.assert_array_equal(index, np.argsort(full, axis=1)[:, :k])
    np.testing.assert_allclose(distance, np.sort(full, axis=1)[:, :k], rtol=1e-12)
    own = distances(REAL, REAL) + np.diag(np.full(60, np.inf))
    index, distance = (np.reshape(x, (60, k)) for x in nearest(REAL, REAL, np.arange(60), k))
    np.testing.assert_array_equal(index, np.argsort(own, axis=1)[:, :k])
    np.testing.assert_allclose(distance, np.sort(own, axis=1)[:, :k], rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_beyond_the_precision_of_float32(k):
    """Far from the origin, and with distances that float32 cannot tell apart."""
    base = RANDOM.normal(size=(40, 50))
    references = np.concatenate([base, base + RANDOM.normal(0, 1e-7, base.shape)]) + 1e4
    queries = references[::3] + RANDOM.normal(0, 1e-7, references[::3].shape)
    full = distances(queries, references)
    index, distance = (np.reshape(x, (len(queries), k)) for x in nearest(queries, references, k=k))
    np.testing.assert_array_equal(index, np.argsort(full, axis=1)[:, :k])
    np.testing.assert_allclose(distance, np.sort(full, axis=1)[:, :k], rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_equal_references_are_found_in_their_order(k):
    references = np.repeat(RANDOM.integers(0, 9, (6, 3)).astype("uint8"), 5, axis=0)
    index, distance = (np.reshape(x, (30, k)) for x in nearest(references, references, k=k))
    full = distances(references.astype(float), references.astype(float))
    np.testing.assert_array_equal(index, np.argsort(full, axis=1, kind="stable")[:, :k])
    assert not distance.any()


@pytest.mark.parametrize("k", [1, 2])
def test_many_ties_and_large_values(k):
    equal = np.full((300, 5), 7.0)
    index, distance = (np.reshape(x, (300, k)) for x in nearest(equal, equal, np.arange(300), k))
    assert not distance.any()
    np.testing.assert_array_equal(index[5:], np.tile(np.arange(k), (295, 1)))
    large = np.concatenate([REAL, FAKE]) * 1e25
    index, distance = (np.reshape(x, (105, k)) for x in nearest(large, large, k=k))
    full = distances(large, large)
    np.testing.assert_array_equal(index, np.argsort(full, axis=1)[:, :k])


def test_nearest_needs_k_references():
    with pytest.raises(ValueError, match=r"at least 3 references; received \[45, 4\] and \[2, 4\]"):
        nearest(FAKE, REAL[:2], k=3)


def test_authpct_equals_the_definition():
    full, own = distances(FAKE, REAL), distances(REAL, REAL) + np.diag(np.full(60, np.inf))
    near = full.argmin(axis=1)
    expected = 100 * np.mean(own.min(axis=1)[near] < full.min(axis=1))
    assert authpct(REAL, FAKE) == pytest.approx(expected) and 10 < expected < 90


def test_copies_are_not_authentic_and_noise_is():
    assert authpct(REAL, REAL[:20]) == 0
    assert authpct(REAL, FAKE + 100) == 100
    assert authpct(REAL, np.concatenate([REAL[:20], FAKE[:5] + 100])) == pytest.approx(20)


def test_memorization_equals_the_rule():
    near = np.sort(distances(FAKE, REAL), axis=1)
    found = memorization(REAL, FAKE, ratio=0.6)
    assert found["memorized"] == np.mean(near[:, 0] <= 0.6 * near[:, 1]) > 0
    assert found["nearest_ratio"] == pytest.approx(np.median(near[:, 0] / near[:, 1]))


def test_memorization_counts_copies_up_to_noise():
    copies = REAL[:30] + RANDOM.normal(0, 1e-3, (30, 4))
    assert memorization(REAL, np.concatenate([copies, FAKE + 100]))["memorized"] == 30 / 75
    # A training image that occurs twice hides its copies, as the module says.
    assert memorization(np.concatenate([REAL, REAL]), REAL[:5])["memorized"] == 0


@pytest.mark.parametrize("ratio", [0, 1, -0.1])
def test_ratio_of_memorization(ratio):
    with pytest.raises(ValueError, match="ratio must be above 0 and below 1; received"):
        memorization(REAL, FAKE, ratio)
