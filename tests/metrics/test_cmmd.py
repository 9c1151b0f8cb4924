"""CMMD: closed forms, brute force, and the authors' program."""

import sys

import numpy as np
import pytest

from kerasgan.metrics.cmmd import cmmd

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.normal(size=(70, 8)), RANDOM.normal(0.5, 1, (50, 8))


def brute_force(x, y, sigma, biased):
    def kernel(a, b):
        return np.exp(-np.square(a[:, None] - b).sum(axis=2) / (2 * sigma**2))

    def within(a):
        n, k = len(a), kernel(a, a)
        return k.mean() if biased else (k.sum() - n) / (n * (n - 1))

    return 1000 * (within(x) + within(y) - 2 * kernel(x, y).mean())


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("sigma", [0.7, 3.0, 10.0])
@pytest.mark.parametrize("block", [9, 64, 1024])
def test_equals_the_definition(sigma, biased, block, monkeypatch):
    monkeypatch.setattr(sys.modules["kerasgan.metrics.cmmd"], "BLOCK", block)
    expected = brute_force(ONE, OTHER, sigma, biased)
    found = cmmd(ONE, OTHER, sigma, biased=biased, normalize=False)
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)
    one, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ONE, OTHER))
    expected = brute_force(one, other, sigma, biased)
    assert cmmd(7 * ONE, OTHER, sigma, biased=biased) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_two_points_have_a_closed_form():
    """For the points x and y, MMD^2 is 2 (1 - k(x, y)); |x - y|^2 is 2 on the unit sphere."""
    x, y = np.repeat([[2.0, 0]], 5, axis=0), np.repeat([[0, 3.0]], 7, axis=0)
    assert cmmd(x, y) == pytest.approx(2000 * -np.expm1(-2 / 200), rel=1e-12)
    assert cmmd(x, x) == pytest.approx(0, abs=1e-12)


def test_the_unbiased_estimate_has_mean_zero_for_equal_distributions():
    values = [
        cmmd(*np.random.default_rng(seed).normal(size=(2, 40, 5)), 1.0, biased=False)
        for seed in range(60)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 60**0.5
    assert cmmd(*np.random.default_rng(0).normal(size=(2, 40, 5)), 1.0) > 0


def test_symmetric_and_float32_memmaps(tmp_path):
    assert cmmd(ONE, OTHER) == pytest.approx(cmmd(OTHER, ONE), rel=1e-9)
    np.save(tmp_path / "a.npy", ONE.astype("float32"))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert cmmd(mapped, OTHER) == pytest.approx(cmmd(ONE, OTHER), rel=1e-5)


def test_sigma_must_be_positive():
    with pytest.raises(ValueError, match="sigma must be above 0; received 0"):
        cmmd(ONE, OTHER, 0)
