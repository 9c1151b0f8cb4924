"""The sequential rule on simulated claims: how often it decides wrongly, and how often at all."""

import math

import numpy as np
import pytest

from benchmarks.reproduction.claims import decisions
from benchmarks.reproduction.claims.decisions import Effect, difference, mean_effect, sign

LOOKS = tuple(decisions.SPENT)


def sequential(gap, random, paired=False, deviations=(1.0, 1.0)):
    """Decision and number of seeds of one simulated claim with a true gap."""
    common = random.normal(0, 3, LOOKS[-1]) if paired else 0.0
    one = gap + common + random.normal(0, deviations[0], LOOKS[-1])
    other = common + random.normal(0, deviations[1], LOOKS[-1])
    for look in LOOKS:
        found = sign(difference(one[:look], other[:look], paired))
        if found:
            break
    return found, look


@pytest.mark.parametrize(
    ("paired", "deviations"), [(False, (1.0, 1.0)), (False, (1.0, 4.0)), (True, (1.0, 1.0))]
)
def test_without_a_difference_at_most_one_claim_in_twenty_is_decided(paired, deviations):
    random, count = np.random.default_rng(0), 600
    wrong = [sequential(0.0, random, paired, deviations)[0] for _ in range(count)]
    # Three standard errors of the simulation above the promise of 5 %.
    assert np.mean(np.abs(wrong)) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)
    assert np.mean(np.abs(wrong)) > 0.005  # The rule is not so strict that it never decides.


def test_the_fixed_two_standard_errors_would_decide_too_often():
    """The test above can fail: a rule without the correction for looks does."""
    random, wrong = np.random.default_rng(0), []
    for _ in range(300):
        one, other = random.normal(size=(2, LOOKS[-1]))
        effects = [difference(one[:look], other[:look]) for look in LOOKS]
        wrong.append(any(abs(e.estimate) > 2 * e.error for e in effects))
    assert np.mean(wrong) > 0.1


@pytest.mark.parametrize("gap", [3.0, -3.0])
def test_a_large_difference_is_found_early_and_in_its_direction(gap):
    random = np.random.default_rng(1)
    found = [sequential(gap, random) for _ in range(200)]
    assert np.mean([outcome == np.sign(gap) for outcome, _ in found]) > 0.95
    assert np.mean([look for _, look in found]) < 6


def test_pairs_find_what_the_spread_of_the_seeds_hides():
    random = np.random.default_rng(2)
    paired = [sequential(3.0, random, True)[0] for _ in range(100)]
    alone = [sequential(3.0, random, deviations=(3.2, 3.2))[0] for _ in range(100)]
    assert np.mean(paired) > 0.9 > 0.7 > np.mean(alone)


def test_the_looks_spend_five_percent_together():
    assert sum(decisions.SPENT.values()) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("two_sided", "freedom", "value"),
    [(0.05, 1, 12.706), (0.05, 4, 2.776), (0.01, 8, 3.355), (0.05, 1000, 1.962), (0.03, 2, 5.643)],
)
def test_critical_values_of_students_t(two_sided, freedom, value):
    assert decisions.quantile(two_sided, freedom) == pytest.approx(value, rel=1e-3)


def test_intervals_cover_the_truth():
    random = np.random.default_rng(3)
    effects = [mean_effect(random.normal(5, 1, 4)) for _ in range(500)]
    covered = [low < 5 < high for low, high in (effect.interval() for effect in effects)]
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0]])
def test_too_little_is_not_decided(values):
    assert sign(difference(values, [0.0] * len(values))) in (0, 1)
    assert sign(mean_effect([1.0])) == 0


def test_refuting_one_of_many_comparisons_needs_more_than_one():
    effect = Effect(-3.4, 1.0, 4.0, 3)
    assert sign(effect) == -1 and sign(effect, comparisons=4) == 0
    assert sign(effect.negated(), comparisons=4) == 1  # A claim holds only if all parts hold.


def test_planned_seeds_reach_the_promised_power():
    random, size = np.random.default_rng(4), 1.5
    seeds = decisions.planned_seeds(1.0, size)
    found = [
        sign(difference(size + random.normal(size=seeds), random.normal(size=seeds)))
        for _ in range(400)
    ]
    assert np.mean(found) > decisions.POWER - 0.08
    assert decisions.planned_seeds(2.0, size) > seeds > decisions.planned_seeds(0.5, size)
