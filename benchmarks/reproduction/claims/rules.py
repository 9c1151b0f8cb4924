"""Rules that turn the measures of all seeds into an outcome.

Outcomes are "holds", "does not hold", "not decided", "answered" for an open question of the
training notes, and "holds exactly" for what a calculation or a count settles (`Exactly`). The
other rules compare seeds by the sequential rule in `decisions`. Distances and times are compared by
their logarithms, because the distance of a collapsed run is a hundred times that of a good one.
"""

import dataclasses
import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.reproduction.claims import decisions
from benchmarks.reproduction.claims.decisions import Effect
from benchmarks.reproduction.claims.measures import (
    PHRASES as PHRASES,
    mean_and_deviation as mean_and_deviation,
    number as number,
    phrase as phrase,
    significant as significant,
)

HOLDS, FAILS, OPEN, ANSWERED = "holds", "does not hold", "not decided", "answered"
EXACT = "holds exactly"
SPREAD = "by the sequential test"
# An advantage below this ratio counts as none, and undecided claims are planned for it.
RELEVANT = 1.25


def measures(rule: Any) -> list[str]:
    """Return the names of the measures that a rule uses."""
    parts = getattr(rule, "rules", (rule,))
    return [*dict.fromkeys(part.measure.partition("@")[0] for part in parts)]


def decided(effect: Effect, comparisons: int = 1) -> str:
    """Return the outcome of the hypothesis that an effect is positive."""
    return {1: HOLDS, -1: FAILS, 0: OPEN}[decisions.sign(effect, comparisons)]


def joined(outcomes: Sequence[str]) -> str:
    """Return the outcome of a conjunction."""
    return next((x for x in (FAILS, OPEN, EXACT) if x in outcomes), HOLDS)


def _values(runs, measure, variants, log=False):
    """variant -> values of the seeds, or their logarithms."""
    found = {name: [number(run, measure) for run in runs[name]] for name in variants}
    if not log:
        return found
    return {name: [math.log(max(v, 1e-12)) for v in values] for name, values in found.items()}


def used(rule: Any) -> set[str]:
    """Return the names of the variants that a rule compares; the others are for information."""
    parts = getattr(rule, "rules", (rule,))
    names = [
        (
            getattr(part, "variant", None),
            *getattr(part, "others", ()),
            *getattr(part, "variants", ()),
        )
        for part in parts
    ]
    return {name for part in names for name in part if name}


def _label(name, labels):
    return (labels or {}).get(name, f"with {name}")


def _sentence(text):
    return text[0].upper() + text[1:] + "."


class _Rule:
    """Base of the rules: `comparisons` are the effects that must be positive."""

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return the effects of the rule: variant -> effect."""
        return {}

    def planned_seeds(self, runs: dict, total: int) -> int:
        """Return the number of seeds that would decide the undecided comparisons."""
        least = math.log(RELEVANT) if getattr(self, "log", False) else 0.0
        open_ones = [e for e in self.comparisons(runs).values() if decided(e, total) == OPEN]
        return max(
            (
                decisions.planned_seeds(
                    e.error * math.sqrt(e.seeds / 2), max(abs(e.estimate), least), total
                )
                for e in open_ones
                if math.isfinite(e.error)
            ),
            default=0,
        )

    def _reader(self, runs, labels):
        """Function of a variant's name: its phrase, with the measured value."""

        def read(name):
            values = [number(run, self.measure) for run in runs[name]]
            return f"{_label(name, labels)} ({mean_and_deviation(values)})"

        return read


def _size(effect, log):
    """Effect with its 95 % interval, as a phrase in parentheses; empty for a single seed."""
    if math.isinf(effect.error):
        return ""
    values = (effect.estimate, *effect.interval())
    if log:
        values = [math.exp(min(value, 50)) for value in values]
    estimate, low, high = (significant(value, 3) for value in values)
    return f"; {'ratio' if log else 'difference'} {estimate}, 95 % interval {low} to {high}"


@dataclasses.dataclass(frozen=True)
class Better(_Rule):
    """One variant is better than each of the others.

    Attributes:
        measure: Name of the measure, see `number`.
        variant: Name of the variant that should be better.
        others: Names of the other variants.
        higher: If `True`, higher values are better.
        log: If `True`, logarithms are compared.
        times: Required ratio of the values, with `log`. Below 1, the variant may be worse by up to
            this ratio.
        paired: If `True`, the variants of a seed share a training run or images.
    """

    measure: str
    variant: str
    others: tuple[str, ...]
    higher: bool = False
    log: bool = False
    times: float = 1.0
    paired: bool = False

    def _comparison(self, one, other):
        """The hypothesis as a phrase."""
        if self.times < 1:
            bound = f"at least {self.times:g}" if self.higher else f"at most {1 / self.times:.3g}"
            return f"is {bound} times as high {one} as {other}"
        factor = f" by a factor of at least {self.times:g}" if self.times != 1 else ""
        return f"is {'higher' if self.higher else 'lower'}{factor} {one} than {other}"

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        others = " and ".join(_label(name, labels) for name in self.others)
        paired = " of the paired differences" if self.paired else ""
        text = (
            f"the {phrase(self.measure)} {self._comparison(_label(self.variant, labels), others)}"
        )
        limit = f"; an advantage below a factor of {RELEVANT:g} counts as none"
        relevant = limit if self.log and self.times == 1 else ""
        return _sentence(f"{text}, {SPREAD}{paired}{relevant}")

    def _irrelevant(self, effect, total):
        """Whether an advantage of `RELEVANT` is excluded: a smaller one would not be worth it."""
        if not self.log or self.times != 1:
            return False
        return decisions.sign(effect.shifted(-math.log(RELEVANT)), total) < 0

    def _difference(self, runs, other):
        values = _values(runs, self.measure, (self.variant, other), self.log)
        return decisions.difference(values[self.variant], values[other], self.paired)

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return the effects of the rule: variant -> effect."""
        effects = {other: self._difference(runs, other) for other in self.others}
        return {
            other: (effect if self.higher else effect.negated()).shifted(-math.log(self.times))
            for other, effect in effects.items()
        }

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding of `runs` (variant -> records of the seeds).

        Args:
            runs: Dict from variant to the records of its seeds.
            labels: See `Claim`.
            total: Number of comparisons of the claim. Defaults to those of this rule.
        """
        read, measure = self._reader(runs, labels), phrase(self.measure)
        outcomes, sentences = [], []
        for other, effect in self.comparisons(runs).items():
            outcome = decided(effect, total or len(self.others))
            one, two = read(self.variant), read(other)
            if outcome == OPEN and self._irrelevant(effect, total or len(self.others)):
                outcome = FAILS
                word = "higher" if self.higher else "lower"
                text = (
                    f"the {measure} is not relevantly {word} (by a factor of {RELEVANT:g}) {one} "
                    f"than {two}"
                )
            elif outcome == HOLDS:
                text = f"the {measure} {self._comparison(one, two)}"
            elif self.times == 1 and outcome == FAILS:
                text = f"the {measure} is {'lower' if self.higher else 'higher'} {one} than {two}"
            elif self.times == 1:
                text = f"the {measure} {one} does not differ significantly from that {two}"
            elif outcome == FAILS:
                text = f"it is not the case that the {measure} {self._comparison(one, two)}"
            else:
                text = f"the seeds do not show whether the {measure} {self._comparison(one, two)}"
            outcomes.append(outcome)
            sentences.append(_sentence(text + _size(self._difference(runs, other), self.log)))
        return joined(outcomes), " ".join(sentences)


@dataclasses.dataclass(frozen=True)
class Alike(_Rule):
    """No variant differs from the first one by more than a share, with a margin.

    Attributes:
        measure: Name of the measure, see `number`.
        variants: Names of the variants.
        share: Allowed difference, relative to the mean of the first variant.
        log: If `True`, logarithms are compared; the allowed ratio is `1 + share`.
        paired: If `True`, the variants of a seed share a training run or images.
    """

    measure: str
    variants: tuple[str, ...]
    share: float = 0.25
    log: bool = False
    paired: bool = False

    def _margin(self):
        if self.log and self.share >= 1:
            return f"a factor of {1 + self.share:g}"
        return f"{100 * self.share:g} %"

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        first, *others = (_label(name, labels) for name in self.variants)
        paired = " of the paired differences" if self.paired else ""
        return _sentence(
            f"the {phrase(self.measure)} {' and '.join(others)} differs by less than "
            f"{self._margin()} from that {first}, {SPREAD}{paired}"
        )

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return the margin minus the size of each difference: variant -> effect."""
        values = _values(runs, self.measure, self.variants, self.log)
        first, *others = self.variants
        margin = self.share * abs(statistics.mean(values[first]))
        margin = math.log(1 + self.share) if self.log else margin
        effects = {
            other: decisions.difference(values[other], values[first], self.paired)
            for other in others
        }
        return {
            other: dataclasses.replace(effect, estimate=margin - abs(effect.estimate))
            for other, effect in effects.items()
        }

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding; see `Better.evaluate`."""
        read, measure, first = self._reader(runs, labels), phrase(self.measure), self.variants[0]
        words = {HOLDS: "differs by less", FAILS: "differs by more"}
        outcomes, sentences = [], []
        for other, effect in self.comparisons(runs).items():
            outcome = decided(effect, total or len(self.variants) - 1)
            if outcome == OPEN and not effect.error and not effect.estimate:
                outcome = HOLDS  # All values are equal, and no margin was asked for.
            if outcome == OPEN:
                text = (
                    f"the seeds do not show whether the {measure} {read(other)} differs by less "
                    f"than {self._margin()} from that {read(first)}"
                )
            else:
                text = (
                    f"the {measure} {read(other)} {words[outcome]} than {self._margin()} from that "
                    f"{read(first)}"
                )
            outcomes.append(outcome)
            sentences.append(_sentence(text))
        return joined(outcomes), " ".join(sentences)


@dataclasses.dataclass(frozen=True)
class Within(_Rule):
    """The mean of a variant lies between two numbers, with a margin.

    Attributes:
        measure: Name of the measure, see `number`.
        variant: Name of the variant.
        low: Lower bound.
        high: Upper bound.
        log: If `True`, logarithms are compared.
    """

    measure: str
    variant: str
    low: float = -math.inf
    high: float = math.inf
    log: bool = False

    def _limits(self):
        if not math.isfinite(self.low):
            return f"at most {self.high:g}"
        if not math.isfinite(self.high):
            return f"at least {self.low:g}"
        return f"between {self.low:g} and {self.high:g}"

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        label = _label(self.variant, labels)
        return _sentence(f"the {phrase(self.measure)} {label} is {self._limits()}, {SPREAD}")

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return the distance of the mean from the nearer bound: variant -> effect."""
        values = _values(runs, self.measure, [self.variant], self.log)[self.variant]
        effect, low, high = decisions.mean_effect(values), self.low, self.high
        if self.log:
            low, high = (math.log(max(bound, 1e-12)) for bound in (low, high))
        room = min(effect.estimate - low, high - effect.estimate)
        return {self.variant: dataclasses.replace(effect, estimate=room)}

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding; see `Better.evaluate`."""
        effect = self.comparisons(runs)[self.variant]
        certain = not effect.error and not effect.estimate  # All values equal the bound.
        outcome = HOLDS if certain else decided(effect, total or 1)
        return outcome, self._finding(runs, labels)

    def _finding(self, runs, labels):
        values = _values(runs, self.measure, [self.variant])[self.variant]
        return _sentence(
            f"the {phrase(self.measure)} {_label(self.variant, labels)} is "
            f"{mean_and_deviation(values)} (expected: {self._limits()})"
        )


@dataclasses.dataclass(frozen=True)
class Exactly(Within):
    """A calculation or a count lies between two numbers, in every run: no statistics are needed.

    The bounds allow for rounding. Seeds are random inputs of the calculation.
    """

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        label = _label(self.variant, labels)
        return _sentence(f"the {phrase(self.measure)} {label} is {self._limits()}, exactly")

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return nothing: the rule has no statistical comparison."""
        return {}

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding; see `Better.evaluate`."""
        values = _values(runs, self.measure, [self.variant])[self.variant]
        inside = all(self.low <= value <= self.high for value in values)
        return EXACT if inside else FAILS, self._finding(runs, labels)


@dataclasses.dataclass(frozen=True)
class Reached(Within):
    """One run is enough: a claim that something works, or that something cannot work.

    Attributes:
        refutes: If `True`, a run within the bounds refutes the claim.
    """

    refutes: bool = False

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        label = _label(self.variant, labels)
        end = " refutes the claim" if self.refutes else " shows the claim"
        return _sentence(f"one run whose {phrase(self.measure)} {label} is {self._limits()}{end}")

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return nothing: the rule has no statistical comparison."""
        return {}

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding; see `Better.evaluate`."""
        values = _values(runs, self.measure, [self.variant])[self.variant]
        reached = [value for value in values if self.low <= value <= self.high]
        outcome = (FAILS if self.refutes else HOLDS) if reached else OPEN
        text = f"the {phrase(self.measure)} {_label(self.variant, labels)} is "
        text += f"{self._limits()} in {len(reached)} of {len(values)} runs "
        return outcome, _sentence(text + f"({mean_and_deviation(values)})")


@dataclasses.dataclass(frozen=True)
class Best(_Rule):
    """An open question of the training notes: which variant is best?

    Attributes:
        measure: Name of the measure, see `number`.
        variants: Names of the variants.
        higher: If `True`, higher values are better.
        log: If `True`, logarithms are compared.
    """

    measure: str
    variants: tuple[str, ...]
    higher: bool = False
    log: bool = False

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the question in words."""
        extreme = "highest" if self.higher else "lowest"
        return (
            f"Which variant has the {extreme} {phrase(self.measure)}, {SPREAD}? The training "
            "notes name no direction."
        )

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the finding; see `Better.evaluate`."""
        values, sign = (
            _values(runs, self.measure, self.variants, self.log),
            1 if self.higher else -1,
        )
        best = max(self.variants, key=lambda name: sign * statistics.mean(values[name]))
        effects = {
            name: decisions.difference(values[best], values[name])
            for name in self.variants
            if name != best
        }
        oriented = {
            name: effect if self.higher else effect.negated() for name, effect in effects.items()
        }
        level = [name for name, e in oriented.items() if decided(e) != HOLDS]
        read, measure = self._reader(runs, labels), phrase(self.measure)
        order = "higher" if self.higher else "lower"
        sentences = [
            _sentence(
                f"the {measure} is {order} {read(best)} than {read(name)}"
                + _size(effects[name], self.log)
            )
            for name in effects
            if name not in level
        ]
        sentences += [
            _sentence(
                f"the {measure} {read(best)} does not differ significantly from that {read(name)}"
                + _size(effects[name], self.log)
            )
            for name in level
        ]
        single = any(math.isinf(effect.error) for effect in effects.values())
        return OPEN if single else ANSWERED, " ".join(sentences)


@dataclasses.dataclass(frozen=True, init=False)
class All:
    """Conjunction of several rules.

    Attributes:
        rules: The rules.
    """

    rules: tuple

    def __init__(self, *rules: Any):
        object.__setattr__(self, "rules", rules)

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rules in words."""
        return " ".join(rule.statement(labels) for rule in self.rules)

    def planned_seeds(self, runs: dict, total: int) -> int:
        """Return the number of seeds that would decide the undecided comparisons."""
        return max(rule.planned_seeds(runs, total) for rule in self.rules)

    def comparisons(self, runs: dict) -> dict[str, Effect]:
        """Return the effects of all rules."""
        return {
            f"{index}: {name}": effect
            for index, rule in enumerate(self.rules)
            for name, effect in rule.comparisons(runs).items()
        }

    def evaluate(
        self, runs: dict, labels: dict[str, str] | None = None, total: int | None = None
    ) -> tuple[str, str]:
        """Return the outcome and the findings; see `Better.evaluate`."""
        total = max(len(self.comparisons(runs)), 1)
        found = [rule.evaluate(runs, labels, total) for rule in self.rules]
        findings = [finding for _, finding in found]
        outcomes = [outcome for outcome, _ in found if outcome != ANSWERED] or [ANSWERED]
        outcome = joined(outcomes) if outcomes != [ANSWERED] else ANSWERED
        sentences = re.split(r"(?<=\.) (?=[A-Z])", " ".join(findings))
        return outcome, " ".join(dict.fromkeys(sentences))
