"""Rules that turn the seeds' measures into a verdict: holds, does not hold, not decided; or, of a question, answered.

A difference of two arms' means counts if it is more than `K` standard errors, taken from the spread over seeds: of two
arms of three seeds that do not differ, one comparison in seventeen comes out in a given direction by chance. Where the
arms of a seed are the same training or images, drawn or scored in two ways, it is the seeds' differences that spread
(`paired`; by chance one in eleven). Distances and times are compared by their logarithms: a collapsed run's distance is
a hundred times a good one's.
"""

import dataclasses
import math
import statistics

K = 2.0
HOLDS, FAILS, OPEN, ANSWERED = "holds", "does not hold", "not decided", "answered"
SPREAD = f"by more than {K:g} standard errors over the seeds"
PAIRED = ", of the differences seed by seed"


def number(run, measure):
    """A run's measure: `name`, at the end, or `name@20%`, the newest of the curve when a fifth of it is done.

    At the end, what the last scores do not have is the curve's last.

    Raises:
        ValueError: the run has no such measure.
    """
    name, at, share = measure.partition("@")
    value = None if at else run["measures"].get(name)
    known = [row for row in run.get("curve", []) if row.get(name) is not None]
    if value is None and known:
        limit = float(share.rstrip("%") or 100) / 100 * run["curve"][-1]["epoch"]
        value = next(
            (row[name] for row in reversed(known) if row["epoch"] <= limit), known[0][name]
        )
    if value is None:
        raise ValueError(
            f"a measure must be of the run's, {', '.join(run['measures'])}; received {measure!r}"
        )
    return float(value)


def measures(rule):
    """The names of what a rule looks at."""
    parts = getattr(rule, "rules", (rule,))
    return [*dict.fromkeys(part.measure.partition("@")[0] for part in parts)]


def difference(one, other, paired=False):
    """Mean of `one` less mean of `other`, two lists of numbers, and its standard error; infinite for a single seed."""
    error = math.inf
    if paired and len(one) > 1:
        error = math.sqrt(
            statistics.variance([a - b for a, b in zip(one, other, strict=True)]) / len(one)
        )
    elif min(len(one), len(other)) > 1:
        error = math.sqrt(sum(statistics.variance(values) / len(values) for values in (one, other)))
    return statistics.mean(one) - statistics.mean(other), error


def decided(gap, error):
    """Whether a gap that the claim wants above 0 is so, is not, or is lost in the spread; as where all are equal, at a
    floor that no arm left."""
    return HOLDS if gap > K * error else FAILS if gap < -K * error else OPEN


def joined(verdicts):
    """Of parts that must all hold."""
    return FAILS if FAILS in verdicts else OPEN if OPEN in verdicts else HOLDS


def _values(runs, measure, arms, log=False):
    """arm -> the seeds' numbers, of these arms; logarithms of positive ones where `log`."""
    found = {arm: [number(run, measure) for run in runs[arm]] for arm in arms}
    return (
        {arm: [math.log(max(v, 1e-12)) for v in values] for arm, values in found.items()}
        if log
        else found
    )


def said(values):
    """Mean ± standard deviation of a list of numbers."""
    mean = statistics.mean(values)
    return f"{mean:.3g}" + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")


def _told(runs, measure, arms):
    return ", ".join(f"{arm} {said([number(run, measure) for run in runs[arm]])}" for arm in arms)


@dataclasses.dataclass(frozen=True)
class Better:
    """One arm is ahead of each of the others.

    Attributes:
        measure: see `number`.
        arm, others: names of arms.
        higher: whether more is better.
        log: compare logarithms.
        times: with `log`, how many times ahead it must be; below 1, how far behind it may be.
        paired: whether the arms of a seed are the same training, or the same images.
    """

    measure: str
    arm: str
    others: tuple
    higher: bool = False
    log: bool = False
    times: float = 1.0
    paired: bool = False

    def sentence(self):
        more, spread = "higher" if self.higher else "lower", SPREAD + PAIRED * self.paired
        if self.times < 1:
            worse = (
                f"less than {self.times:g} times"
                if self.higher
                else f"more than {1 / self.times:.3g} times"
            )
            return f"{self.measure} of {self.arm} is not {worse} that of {', '.join(self.others)}, {spread}"
        least = f", {self.times:g} times or more," if self.times != 1 else ""
        return f"{self.measure} of {self.arm} is {more}{least} than of {', '.join(self.others)}, {spread}"

    def discriminate(self, runs):
        values, sign = (
            _values(runs, self.measure, (self.arm, *self.others), self.log),
            1 if self.higher else -1,
        )
        verdicts = []
        for other in self.others:
            gap, error = difference(values[self.arm], values[other], self.paired)
            verdicts.append(decided(sign * gap - math.log(self.times), error))
        return joined(
            verdicts
        ), f"{self.measure}: {_told(runs, self.measure, (self.arm, *self.others))}"


@dataclasses.dataclass(frozen=True)
class Alike:
    """No arm differs from the first by more than a share, with K standard errors to spare.

    Attributes:
        measure: see `number`.
        arms: names.
        share: what counts as no difference, of the first arm's mean.
        log: compare logarithms; the share is then a ratio less 1.
        paired: whether the arms of a seed are the same training, or the same images.
    """

    measure: str
    arms: tuple
    share: float = 0.25
    log: bool = False
    paired: bool = False

    def sentence(self):
        first, *others = self.arms
        return (
            f"{self.measure} of {', '.join(others)} is within {100 * self.share:g} % of {first}'s, with {K:g} standard "
            f"errors over the seeds to spare{PAIRED * self.paired}"
        )

    def discriminate(self, runs):
        values, verdicts = _values(runs, self.measure, self.arms, self.log), []
        first, *others = self.arms
        margin = (
            math.log(1 + self.share)
            if self.log
            else self.share * abs(statistics.mean(values[first]))
        )
        for other in others:
            gap, error = difference(values[other], values[first], self.paired)
            verdicts.append(
                decided(margin - abs(gap), error) if margin != abs(gap) or error else HOLDS
            )
        return joined(verdicts), f"{self.measure}: {_told(runs, self.measure, self.arms)}"


@dataclasses.dataclass(frozen=True)
class Within:
    """An arm's mean lies between two numbers, with K standard errors to spare."""

    measure: str
    arm: str
    low: float = -math.inf
    high: float = math.inf

    def sentence(self):
        limits = (
            f"{self.low:g} to {self.high:g}"
            if math.isfinite(self.low)
            else f"at most {self.high:g}"
        )
        limits = limits if math.isfinite(self.high) else f"at least {self.low:g}"
        return f"{self.measure} of {self.arm} is {limits}, with {K:g} standard errors over the seeds to spare"

    def discriminate(self, runs):
        values = _values(runs, self.measure, [self.arm])[self.arm]
        mean = statistics.mean(values)
        error = (
            math.sqrt(statistics.variance(values) / len(values)) if len(values) > 1 else math.inf
        )
        room = min(mean - self.low, self.high - mean)
        verdict = decided(room, error) if room or error else HOLDS
        return verdict, f"{self.measure}: {_told(runs, self.measure, [self.arm])}"


@dataclasses.dataclass(frozen=True)
class Best:
    """An open question: which arm is ahead of each of the others? The answer may be that the spread hides it."""

    measure: str
    arms: tuple
    higher: bool = False
    log: bool = False

    def sentence(self):
        more = "highest" if self.higher else "lowest"
        return f"which arm's {self.measure} is {more}, {SPREAD}; no direction was noted"

    def discriminate(self, runs):
        values, sign = _values(runs, self.measure, self.arms, self.log), 1 if self.higher else -1
        best = max(self.arms, key=lambda arm: sign * statistics.mean(values[arm]))
        gaps = {arm: difference(values[best], values[arm]) for arm in self.arms if arm != best}
        level = [arm for arm, (gap, error) in gaps.items() if decided(sign * gap, error) != HOLDS]
        answer = f"{best} is ahead of " + (
            ", ".join(arm for arm in gaps if arm not in level) or "none"
        )
        answer += f"; {', '.join(level)} cannot be told from it" if level else ""
        if any(math.isinf(error) for _, error in gaps.values()):
            return OPEN, answer
        return ANSWERED, f"{answer}. {self.measure}: {_told(runs, self.measure, self.arms)}"


@dataclasses.dataclass(frozen=True, init=False)
class All:
    """Every one of several rules."""

    rules: tuple

    def __init__(self, *rules):
        object.__setattr__(self, "rules", rules)

    def sentence(self):
        return "; and ".join(rule.sentence() for rule in self.rules)

    def discriminate(self, runs):
        verdicts, findings = zip(*(rule.discriminate(runs) for rule in self.rules), strict=True)
        verdicts = [verdict for verdict in verdicts if verdict != ANSWERED] or [ANSWERED]
        return joined(verdicts) if verdicts != [ANSWERED] else ANSWERED, "; ".join(
            _told_once(findings)
        )


def _told_once(findings):
    """Without those that say of a measure what another one says as well: `x: a 1` beside `x: a 1, b 2`."""
    parts = [*dict.fromkeys(tuple(finding.split(": ", 1)) for finding in findings)]
    covered = lambda name, arms: any(name == n and arms != a and arms in a for n, a in parts)  # noqa: E731
    return [f"{name}: {arms}" for name, arms in parts if not covered(name, arms)]
