"""Vendi score: closed forms, brute force, streams and parts."""

import numpy as np
import pytest

from kerasgan.metrics.vendi import merge, similarities, vendi_score

RANDOM = np.random.default_rng(0)


def brute_force(features):
    """The definition by the N x N similarities."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 1e-12]
    return np.exp(-(values * np.log(values)).sum())


@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (12, 12), (2, 3), (1, 4)])
def test_equals_the_definition(shape):
    features = RANDOM.normal(0.3, 1, shape)
    assert vendi_score(features) == pytest.approx(brute_force(features), rel=1e-9)


def test_groups_of_equal_images_have_a_closed_form():
    """Groups of orthogonal images with shares p have the exponential of the entropy of p."""
    rows = np.repeat(np.eye(6), [1, 2, 3, 4, 5, 5], axis=0) * 3
    shares = np.array([1, 2, 3, 4, 5, 5]) / 20
    assert vendi_score(rows) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-12)
    assert vendi_score(np.eye(6)) == pytest.approx(6, rel=1e-12)
    assert vendi_score(np.ones((9, 4))) == pytest.approx(1, rel=1e-12)


def test_streams_and_parts_of_devices_give_the_same_value():
    features = RANDOM.normal(0.3, 1, (50, 7)).astype("float32")
    whole = vendi_score(features)
    assert vendi_score(iter(np.array_split(features, 4))) == pytest.approx(whole, rel=1e-12)
    parts = merge(similarities(features[:13]), similarities(features[13:]))
    assert parts.count == 50 and vendi_score(parts) == pytest.approx(whole, rel=1e-12)


def test_bad_parts():
    with pytest.raises(ValueError, match=r"\[N, F\] and \[M, F\]; received \[4, 3\] and \[1, 2\]"):
        vendi_score([np.ones((2, 2)), np.ones((4, 3))])
    with pytest.raises(ValueError, match="the same number of features; received 2 and 3"):
        merge(similarities(np.ones((2, 2))), similarities(np.ones((2, 3))))
    with pytest.raises(ValueError, match="received no block"):
        vendi_score(iter([]))
