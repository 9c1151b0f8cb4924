"""The statistical decision of a claim: a sequential test that was fixed before the runs.

A claim starts with three seeds. While it is undecided, two more seeds are added, up to nine. Each
look spends a part of the permitted error, `SPENT`, so that a claim without a true difference gets
a decision, in either direction, in at most 5 % of all cases, however often one looks. The first
look may spend most, because most claims end there. The critical values are those of Student's t
distribution: with a few seeds the spread itself is uncertain.

`planned_seeds` is the power analysis of an undecided claim.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

# Number of seeds at a look -> share of false decisions that this look may add.
SPENT = {3: 0.03, 5: 0.01, 7: 0.005, 9: 0.005}
POWER = 0.8  # Probability that a planned experiment finds the planned difference.


@dataclasses.dataclass(frozen=True)
class Effect:
    """Estimated difference of two means, or distance of a mean from a number.

    Attributes:
        estimate: The estimate.
        error: Standard error, infinite if it is unknown.
        freedom: Degrees of freedom of the standard error.
        seeds: Number of seeds of each variant.
    """

    estimate: float
    error: float
    freedom: float
    seeds: int

    def shifted(self, by: float) -> "Effect":
        """Return the effect plus a number."""
        return dataclasses.replace(self, estimate=self.estimate + by)

    def negated(self) -> "Effect":
        """Return the effect with the opposite sign."""
        return dataclasses.replace(self, estimate=-self.estimate)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of a single look."""
        if math.isinf(self.error):
            return -math.inf, math.inf
        half = quantile(1 - level, self.freedom) * self.error
        return self.estimate - half, self.estimate + half


def quantile(two_sided: float, freedom: float) -> float:
    """Return the two-sided critical value of Student's t distribution.

    With t = sqrt(freedom) * tan(angle), the density of the angle is cos(angle)^(freedom - 1).
    """
    angles = np.linspace(0, math.pi / 2, 4_001)
    density = np.cos(angles) ** (max(freedom, 1) - 1)
    below = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    angle = np.interp((1 - two_sided) * below[-1], below, angles)
    return float(math.sqrt(max(freedom, 1)) * math.tan(angle))


def mean_effect(values: Sequence[float]) -> Effect:
    """Return the mean of values as an `Effect`."""
    n = len(values)
    error = math.sqrt(statistics.variance(values) / n) if n > 1 else math.inf
    return Effect(statistics.mean(values), error, max(n - 1, 1), n)


def difference(one: Sequence[float], other: Sequence[float], paired: bool = False) -> Effect:
    """Return the difference of two means.

    Args:
        one: Values of the seeds.
        other: Values of the seeds of the other variant.
        paired: If `True`, the spread of the differences of equal seeds is used. It is smaller where
            the variants share a training run or images.
    """
    if paired:
        return mean_effect([a - b for a, b in zip(one, other, strict=True)])
    estimate, seeds = statistics.mean(one) - statistics.mean(other), min(len(one), len(other))
    if seeds < 2:
        return Effect(estimate, math.inf, 1, seeds)
    parts = [statistics.variance(values) / len(values) for values in (one, other)]
    squares = [part**2 / (len(v) - 1) for part, v in zip(parts, (one, other), strict=True)]
    # Degrees of freedom by Welch and Satterthwaite: the variants may differ in their spread.
    freedom = sum(parts) ** 2 / sum(squares) if any(squares) else seeds - 1
    return Effect(estimate, math.sqrt(sum(parts)), freedom, seeds)


def permitted(seeds: int) -> float:
    """Return the share of false decisions that the look at a number of seeds may add."""
    return SPENT[max((look for look in SPENT if look <= seeds), default=3)]


def sign(effect: Effect, comparisons: int = 1) -> int:
    """Decide whether an effect is positive (1), negative (-1), or undecided (0).

    Args:
        effect: The effect.
        comparisons: Number of comparisons of which a negative one refutes the claim. The claim
            holds only if all are positive, so a positive decision needs no correction.
    """
    if math.isinf(effect.error) or not effect.estimate:
        return 0
    share = permitted(effect.seeds) / (1 if effect.estimate > 0 else comparisons)
    critical = quantile(share, effect.freedom)
    return int(math.copysign(1, effect.estimate)) * (abs(effect.estimate) > critical * effect.error)


def planned_seeds(deviation: float, size: float, comparisons: int = 1, most: int = 999) -> int:
    """Return the number of seeds that finds a difference with probability `POWER`.

    Args:
        deviation: Standard deviation over seeds of one variant.
        size: Difference to be found, in the same unit.
        comparisons: See `sign`.
        most: Largest answer.
    """
    size = max(abs(size), 1e-12)
    for seeds in range(3, most):
        freedom = 2 * (seeds - 1)
        needed = quantile(permitted(seeds) / comparisons, freedom)
        needed += quantile(2 * (1 - POWER), freedom)
        if size >= needed * deviation * math.sqrt(2 / seeds):
            return seeds
    return most
