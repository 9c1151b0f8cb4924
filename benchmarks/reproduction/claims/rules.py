"""Rules that turn the measures of all seeds into an outcome.

Outcomes are "holds", "does not hold" and "not decided"; for an open question of the training notes,
"answered". A difference of two variants counts if it exceeds `K` standard errors, estimated from
the spread over the seeds. With three seeds and no true difference, this happens in a given
direction in one of seventeen comparisons. If both variants of a seed share a training run or
images, the spread of the per-seed differences is used (`paired=True`; one in eleven). Distances and
times are compared by their logarithms, because the distance of a collapsed run is a hundred times
that of a good one.
"""

import dataclasses
import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

K = 2.0
HOLDS, FAILS, OPEN, ANSWERED = "holds", "does not hold", "not decided", "answered"
SPREAD = f"by more than {K:g} standard errors over the seeds"
MARGIN = f"with a margin of {K:g} standard errors over the seeds"
# Measure -> phrase for sentences.
PHRASES = {
    "attribute_accuracy": "attribute accuracy",
    "best_is_last": "share of runs whose last checkpoint is the best",
    "bird_classifier_score": "classifier score",
    "bird_frechet_distance": "Fréchet distance",
    "bird_frechet_distance_128": "Fréchet distance at 128 pixels",
    "descriptor_digit_frechet_distance": "Fréchet distance of the descriptor",
    "digit_classifier_score": "classifier score",
    "digit_frechet_distance": "Fréchet distance",
    "drift": "relative gradient term",
    "exploded": "share of exploded runs",
    "fine_power": "relative fine-pattern power",
    "first_layer_gradient_norm": "gradient norm of the first layer",
    "first_lead": "early lead of the discriminator",
    "gain_with_size": "gain of the classifier score with image size",
    "generator_accuracy": "generator accuracy",
    "generator_digit_frechet_distance": "Fréchet distance of the generator",
    "heldout_agreement": "classifier agreement on reconstructions",
    "heldout_pixel": "reconstruction error",
    "impulse": "relative impulse noise",
    "inverse_error": "error of the inverse",
    "late_spread": "spread of the last checkpoints",
    "log_determinant_error": "error of the log-determinant",
    "milliseconds": "step time in milliseconds",
    "ms_ssim": "MS-SSIM of sample pairs",
    "rank_correlation": "rank correlation",
    "recognised_diversity": "relative diversity of recognized samples",
    "recovered": "recovery of the generator",
    "setback": "largest setback",
    "sharpness": "relative sharpness",
    "spikes": "number of reconstruction spikes",
    "stroke_width": "relative stroke width",
    "test_bits_per_dimension": "number of bits per dimension",
    "test_elbo": "test ELBO",
    "w_frechet": "Fréchet distance between the distributions of w",
    "warned": "share of runs with a warning",
}


def number(run: dict, measure: str) -> float:
    """Return a measure of a run.

    Args:
        run: Record with `measures` and an optional `curve`.
        measure: A name for the value at the end of the run (the last one of the curve if the final
            scores lack it), or `name@20%` for the newest value after 20 % of the epochs.

    Raises:
        ValueError: If the run has no such measure.
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
            f"The run has no measure {measure!r}; it has {', '.join(run['measures'])}."
        )
    return float(value)


def measures(rule: Any) -> list[str]:
    """Return the names of the measures that a rule uses."""
    parts = getattr(rule, "rules", (rule,))
    return [*dict.fromkeys(part.measure.partition("@")[0] for part in parts)]


def difference(
    one: Sequence[float], other: Sequence[float], paired: bool = False
) -> tuple[float, float]:
    """Return the difference of two means and its standard error, infinite for a single seed."""
    error = math.inf
    if paired and len(one) > 1:
        error = math.sqrt(
            statistics.variance([a - b for a, b in zip(one, other, strict=True)]) / len(one)
        )
    elif min(len(one), len(other)) > 1:
        error = math.sqrt(sum(statistics.variance(values) / len(values) for values in (one, other)))
    return statistics.mean(one) - statistics.mean(other), error


def decided(gap: float, error: float) -> str:
    """Return the outcome of the hypothesis `gap > 0` with the standard error `error`.

    A gap of 0 is not decided, also where all values are equal.
    """
    return HOLDS if gap > K * error else FAILS if gap < -K * error else OPEN


def joined(outcomes: Sequence[str]) -> str:
    """Return the outcome of a conjunction."""
    return FAILS if FAILS in outcomes else OPEN if OPEN in outcomes else HOLDS


def mean_and_deviation(values: Sequence[float]) -> str:
    """Format the mean and, for several values, the standard deviation."""
    text = significant(statistics.mean(values), 3)
    return text + (f" ± {significant(statistics.stdev(values), 2)}" if len(values) > 1 else "")


def significant(value: float, digits: int) -> str:
    """Format a number with some significant digits, without an exponent below one million."""
    return f"{float(f'{value:.{digits}g}'):g}"


def _values(runs, measure, variants, log=False):
    """variant -> values of the seeds, or their logarithms."""
    found = {name: [number(run, measure) for run in runs[name]] for name in variants}
    if not log:
        return found
    return {name: [math.log(max(v, 1e-12)) for v in values] for name, values in found.items()}


def _phrase(measure):
    name, at, share = measure.partition("@")
    phrase = PHRASES.get(name, name.replace("_", " "))
    return phrase + (f" after {share[:-1]} % of the training" if at else "")


def _label(name, labels):
    return (labels or {}).get(name, f"with {name}")


def _sentence(text):
    return text[0].upper() + text[1:] + "."


class _Rule:
    def _reader(self, runs, labels):
        """Function of a variant's name: its phrase, with the measured value."""

        def read(name):
            values = [number(run, self.measure) for run in runs[name]]
            return f"{_label(name, labels)} ({mean_and_deviation(values)})"

        return read


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
            f"the {_phrase(self.measure)} {self._comparison(_label(self.variant, labels), others)}"
        )
        return _sentence(f"{text}, {SPREAD}{paired}")

    def evaluate(self, runs: dict, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the outcome and the finding of `runs` (variant -> records of the seeds)."""
        values = _values(runs, self.measure, (self.variant, *self.others), self.log)
        sign, read, phrase = (
            1 if self.higher else -1,
            self._reader(runs, labels),
            _phrase(self.measure),
        )
        outcomes, sentences = [], []
        for other in self.others:
            gap, error = difference(values[self.variant], values[other], self.paired)
            outcome = decided(sign * gap - math.log(self.times), error)
            one, two = read(self.variant), read(other)
            if outcome == HOLDS:
                text = f"the {phrase} {self._comparison(one, two)}"
            elif self.times == 1 and outcome == FAILS:
                text = f"the {phrase} is {'lower' if self.higher else 'higher'} {one} than {two}"
            elif self.times == 1:
                text = f"the {phrase} {one} is within the seed-to-seed spread of that {two}"
            elif outcome == FAILS:
                text = f"it is not the case that the {phrase} {self._comparison(one, two)}"
            else:
                text = f"the seeds do not show whether the {phrase} {self._comparison(one, two)}"
            outcomes.append(outcome)
            sentences.append(_sentence(text))
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
            f"the {_phrase(self.measure)} {' and '.join(others)} differs by less than "
            f"{self._margin()} from that {first}, {MARGIN}{paired}"
        )

    def evaluate(self, runs: dict, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the outcome and the finding of `runs` (variant -> records of the seeds)."""
        values = _values(runs, self.measure, self.variants, self.log)
        read, phrase = self._reader(runs, labels), _phrase(self.measure)
        first, *others = self.variants
        margin = (
            math.log(1 + self.share)
            if self.log
            else self.share * abs(statistics.mean(values[first]))
        )
        words = {HOLDS: "differs by less", FAILS: "differs by more"}
        outcomes, sentences = [], []
        for other in others:
            gap, error = difference(values[other], values[first], self.paired)
            outcome = decided(margin - abs(gap), error) if margin != abs(gap) or error else HOLDS
            if outcome == OPEN:
                text = (
                    f"the seeds do not show whether the {phrase} {read(other)} differs by less "
                    f"than {self._margin()} from that {read(first)}"
                )
            else:
                text = (
                    f"the {phrase} {read(other)} {words[outcome]} than {self._margin()} from that "
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
    """

    measure: str
    variant: str
    low: float = -math.inf
    high: float = math.inf

    def _limits(self):
        if not math.isfinite(self.low):
            return f"at most {self.high:g}"
        if not math.isfinite(self.high):
            return f"at least {self.low:g}"
        return f"between {self.low:g} and {self.high:g}"

    def statement(self, labels: dict[str, str] | None = None) -> str:
        """Return the rule in words."""
        label = _label(self.variant, labels)
        return _sentence(f"the {_phrase(self.measure)} {label} is {self._limits()}, {MARGIN}")

    def evaluate(self, runs: dict, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the outcome and the finding of `runs` (variant -> records of the seeds)."""
        values = _values(runs, self.measure, [self.variant])[self.variant]
        mean = statistics.mean(values)
        error = (
            math.sqrt(statistics.variance(values) / len(values)) if len(values) > 1 else math.inf
        )
        room = min(mean - self.low, self.high - mean)
        outcome = decided(room, error) if room or error else HOLDS
        return outcome, _sentence(
            f"the {_phrase(self.measure)} {_label(self.variant, labels)} is "
            f"{mean_and_deviation(values)} (expected: {self._limits()})"
        )


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
            f"Which variant has the {extreme} {_phrase(self.measure)}, {SPREAD}? The training "
            "notes name no direction."
        )

    def evaluate(self, runs: dict, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the outcome and the finding of `runs` (variant -> records of the seeds)."""
        values, sign = (
            _values(runs, self.measure, self.variants, self.log),
            1 if self.higher else -1,
        )
        best = max(self.variants, key=lambda name: sign * statistics.mean(values[name]))
        gaps = {
            name: difference(values[best], values[name]) for name in self.variants if name != best
        }
        level = [name for name, (gap, error) in gaps.items() if decided(sign * gap, error) != HOLDS]
        worse = [name for name in gaps if name not in level]
        read, phrase = self._reader(runs, labels), _phrase(self.measure)
        sentences = []
        if worse:
            others = " and ".join(map(read, worse))
            order = "higher" if self.higher else "lower"
            sentences.append(_sentence(f"the {phrase} is {order} {read(best)} than {others}"))
        sentences += [
            _sentence(
                f"the {phrase} {read(name)} is within the seed-to-seed spread of that {read(best)}"
            )
            for name in level
        ]
        single = any(math.isinf(error) for _, error in gaps.values())
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

    def evaluate(self, runs: dict, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the outcome and the findings of `runs` (variant -> records of the seeds)."""
        found = [rule.evaluate(runs, labels) for rule in self.rules]
        findings = [finding for _, finding in found]
        outcomes = [outcome for outcome, _ in found if outcome != ANSWERED] or [ANSWERED]
        outcome = joined(outcomes) if outcomes != [ANSWERED] else ANSWERED
        sentences = re.split(r"(?<=\.) (?=[A-Z])", " ".join(findings))
        return outcome, " ".join(dict.fromkeys(sentences))
