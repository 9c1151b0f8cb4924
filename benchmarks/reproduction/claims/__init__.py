"""Claims of the training notes as experiments; each family of experiments has a module.

A claim compares variants. A variant is an experiment with settings; each run of it, with one seed,
yields named measures. A rule turns the measures of all seeds into an outcome (see `rules`). Most
experiments train a recipe of `zoo` with a few settings changed, at widths and budgets that two CPU
cores can run, so the findings hold for those sizes. Variants with equal settings share their runs,
also across claims (see `runner`).
"""

import csv
import dataclasses
import hashlib
import importlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.reproduction.claims import rules
from benchmarks.reproduction.recorded import recorded_settings

FAMILIES = ("metrics", "mnist", "gan", "vae", "flow", "coopnet", "hdgan", "stylex")
NOTED = pathlib.Path(__file__).parents[1] / "noted_claims.csv"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment that variants run with their settings.

    Attributes:
        name: Part of the key of each run. An experiment that changes its meaning needs a new name.
        run: Function `(settings, seed, folder) -> dict`. The dict has `measures` (name to number)
            and may have `curve` (a list of dicts with `epoch`), `picture` (a PNG of samples) and
            `protocol` (how the measures were taken). A call on the folder of an interrupted run
            continues it.
        minutes: Function `settings -> minutes`: approximate duration of a run on two CPU cores.
        missing: Function that returns what this machine lacks, in one line, or `None`.
        usual: Settings that a run has by default, such as those of a recipe's preset. They are part
            of the key: a variant that repeats them shares the run of one that does not.
    """

    name: str
    run: Callable[[dict, int, pathlib.Path], dict]
    minutes: Callable[[dict], float]
    missing: Callable[[], str | None] = lambda: None
    usual: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Variant:
    """An experiment with settings. The setting `epochs` is the training budget, if there is one."""

    experiment: Experiment
    settings: dict

    def at(self, budget: int | None) -> "Variant":
        """Return the variant with another number of epochs; unchanged if it does not train."""
        if budget is None or "epochs" not in self.settings:
            return self
        return dataclasses.replace(self, settings=self.settings | {"epochs": budget})

    def minutes(self) -> float:
        """Return the approximate minutes of one run on two CPU cores."""
        return self.experiment.minutes(self.settings)

    def key(self, seed: int) -> str:
        """Return the name of the run's folder. Equal experiment, settings and seed: equal key."""
        settings = recorded_settings(self.experiment.usual | self.settings)
        content = json.dumps([self.experiment.name, settings, seed], sort_keys=True)
        return f"{self.experiment.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A row of noted_claims.csv as an experiment.

    Attributes:
        id: Identifier of the row.
        variants: Dict from name to `Variant`. The others are compared with the first one.
        rule: Rule from `rules`.
        description: Measures, data, classifier, and questions that the budget leaves open.
        labels: Dict from the name of a variant to a phrase for sentences, such as "with hard
            labels". The default phrase is "with" and the name.
        seeds: Largest number of seeds, where more would not mean anything.
    """

    id: str
    variants: dict[str, Variant]
    rule: Any
    description: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: int = 9

    def at(self, budget: int | None) -> "Claim":
        """Return the claim with another number of epochs in all its variants."""
        return dataclasses.replace(
            self, variants={name: variant.at(budget) for name, variant in self.variants.items()}
        )

    def missing(self) -> str | None:
        """Return what the first variant that cannot run lacks, or `None`."""
        lacks = (variant.experiment.missing() for variant in self.variants.values())
        return next(filter(None, lacks), None)

    def minutes(self, seeds: int) -> float:
        """Return the approximate minutes of all runs on two CPU cores."""
        return seeds * sum(variant.minutes() for variant in self.variants.values())

    def evaluate(self, runs: dict[str, list[dict]]) -> tuple[str, str]:
        """Return the outcome and the finding, in sentences, of runs (variant -> one per seed)."""
        outcome, finding = self.rule.evaluate(runs, self.labels)
        if outcome == rules.OPEN:
            seeds = self.rule.planned_seeds(runs, max(len(self.rule.comparisons(runs)), 1))
            if seeds:
                finding += f" {self.plan(seeds)}"
        return outcome, finding

    def plan(self, seeds: int) -> str:
        """Return a sentence on the budget that would decide the claim."""
        hours = self.minutes(seeds) / 60
        time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        return f"About {seeds} seeds would decide this: {time} on two CPU cores."

    def statement(self) -> str:
        """Return the rule in words."""
        return self.rule.statement(self.labels)


def claims(ids: Sequence[str] = ()) -> list[Claim]:
    """Return the claims `ids`, or all claims, in the order of noted_claims.csv.

    Raises:
        ValueError: If an id is not in noted_claims.csv.
    """
    found = {claim.id: claim for family in FAMILIES for claim in _family(family)}
    unknown = [name for name in ids if name not in found]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a claim of noted_claims.csv")
    return [found[name] for name in noted() if name in (ids or found)]


def _family(name):
    return importlib.import_module(f"benchmarks.reproduction.claims.{name}").CLAIMS


def noted() -> dict[str, dict[str, str]]:
    """Read noted_claims.csv: id -> the other columns of the row."""
    with open(NOTED, newline="") as file:
        return {row.pop("id"): row for row in csv.DictReader(file)}
