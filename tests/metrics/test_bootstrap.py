"""Confidence intervals: known spreads, seeds, and halves."""

import numpy as np
import pytest

from kerasgan.metrics.bootstrap import intervals

VALUES = np.random.default_rng(0).normal(5, 2, 400)


def mean(rows):
    return {"mean": VALUES[rows].mean(), "unused": 0.0}


@pytest.mark.parametrize("halves", [False, True])
def test_the_interval_of_a_mean(halves):
    """The 95 % interval of a mean is 1.96 standard errors on each side."""
    center, error = VALUES.mean(), VALUES.std() / 20
    found = intervals(mean, 400, {"mean": center}, 2000, halves=halves)
    low, high = found["mean"]
    assert low == pytest.approx(center - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(center + 1.96 * error, abs=0.15 * error)


def test_the_bias_of_repetitions_is_removed():
    def distinct(rows):
        return {"distinct": len(set(rows.tolist()))}

    low, high = intervals(distinct, 400, {"distinct": 400}, 200)["distinct"]
    assert low < 400 < high and high - low < 50


def test_seeds():
    first = intervals(mean, 400, {"mean": 5.0}, 20)
    assert first == intervals(mean, 400, {"mean": 5.0}, 20)
    assert first != intervals(mean, 400, {"mean": 5.0}, 20, seed=1)


@pytest.mark.parametrize(("count", "resamples"), [(3, 100), (400, 9)])
def test_bad_input(count, resamples):
    with pytest.raises(ValueError, match=f"received {count} samples and {resamples} resamples"):
        intervals(mean, count, {"mean": 5.0}, resamples)
