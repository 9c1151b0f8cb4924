"""The notes' claims as experiments: `python -m benchmarks claims`, an experiment family a file.

A claim has arms, each an experiment with settings; measures that each run gives; and a rule, fixed before the run,
that turns the seeds' measures into a verdict (`verdicts`). Most experiments train a recipe of zoo/ with a few settings
changed, at widths and budgets that two CPU cores can afford: what is found holds for those. Arms of equal settings are
one run, whichever claims ask for it (`runner`).
"""

import csv
import dataclasses
import hashlib
import importlib
import json
import pathlib
from collections.abc import Callable

FAMILIES = ("metrics", "mnist", "gan", "vae", "flow", "coopnet", "hdgan", "stylex")
NOTED = pathlib.Path(__file__).parents[1] / "noted_claims.csv"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What an arm runs.

    Attributes:
        name: part of a run's key: an experiment that changes its meaning takes another name.
        run: `(settings, seed, folder) -> dictionary`: `measures`, name to number; and, if there are, `curve`, a list of
            dictionaries with `epoch`, `picture`, a PNG of samples, and `protocol`, how the measures were got. Called
            again on the same folder, it goes on where it was stopped.
        minutes: `settings -> minutes` of a run on two CPU cores, about.
        missing: what this machine lacks, in a line, or None. Asked before a run.
        usual: settings that a run has anyway, such as those of a recipe's preset: an arm that names them runs what one
            runs that does not, and where they change, runs are others.
    """

    name: str
    run: Callable
    minutes: Callable
    missing: Callable = lambda: None
    usual: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Arm:
    """An experiment with its settings; `epochs` among them, where there is training, is its budget."""

    experiment: Experiment
    settings: dict

    def at(self, budget):
        """The arm at another number of epochs, if it has any."""
        if budget is None or "epochs" not in self.settings:
            return self
        return dataclasses.replace(self, settings=self.settings | {"epochs": budget})

    def minutes(self):
        return self.experiment.minutes(self.settings)

    def key(self, seed):
        """Name of the run's folder: runs of equal experiment, settings and seed are one."""
        what = json.dumps(
            [self.experiment.name, self.experiment.usual | self.settings, seed], sort_keys=True
        )
        return f"{self.experiment.name}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One row of noted_claims.csv as an experiment.

    Attributes:
        id: of the row.
        arms: name -> `Arm`; the first is what the others are compared with.
        rule: of `verdicts`.
        says: what is measured, on what, by which judge, and what the budget leaves open: a sentence or two.
    """

    id: str
    arms: dict
    rule: object
    says: str

    def at(self, budget):
        return dataclasses.replace(
            self, arms={name: arm.at(budget) for name, arm in self.arms.items()}
        )

    def missing(self):
        """What the first arm that cannot run lacks, or None."""
        return next(filter(None, (arm.experiment.missing() for arm in self.arms.values())), None)

    def minutes(self, seeds):
        return seeds * sum(arm.minutes() for arm in self.arms.values())


def claims(ids=()):
    """The claims of all families, or the named ones, in the order of noted_claims.csv. Raises ValueError for others."""
    found = {claim.id: claim for family in FAMILIES for claim in _family(family)}
    unknown = [name for name in ids if name not in found]
    if unknown:
        raise ValueError(f"a claim must be one of noted_claims.csv; received {unknown[0]!r}")
    return [found[name] for name in noted() if name in (ids or found)]


def _family(name):
    return importlib.import_module(f"benchmarks.claims.{name}").CLAIMS


def noted():
    """id -> row of noted_claims.csv: system, notes_file, claim, arms, measure, expected."""
    with open(NOTED, newline="") as file:
        return {row.pop("id"): row for row in csv.DictReader(file)}
