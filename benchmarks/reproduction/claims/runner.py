"""Runs the experiments of the claims, cheapest claim first, and writes their results.

A run is a folder `<runs>/<key>`. Its experiment keeps checkpoints there; `record.json` marks a
finished run. The command can be interrupted at any time: when it starts again, it reads finished
runs (those of the result files in the repository as well) and continues an unfinished run from its
checkpoint. The result of a claim is written when its last run is finished.
"""

import contextlib
import dataclasses
import json
import math
import pathlib
import statistics
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from absl import logging

from benchmarks.provenance import provenance
from benchmarks.reproduction.claims import Claim, Variant, claims, decisions, noted, rules
from benchmarks.reproduction.recorded import current
from kerasgan.io import files
from zoo import recipe

RESULTS = pathlib.Path(__file__).parents[2] / "results" / "claims"
RUNS = pathlib.Path("runs") / "claims"
OUTCOMES = (rules.EXACT, rules.HOLDS, rules.FAILS, rules.ANSWERED, rules.OPEN)
DIGITS = 5  # Significant digits of the numbers in result files.


def run(
    ids: Sequence[str] = (),
    seeds: int = 3,
    budget: int | None = None,
    runs: str | pathlib.Path = RUNS,
    results: str | pathlib.Path = RESULTS,
) -> dict[str, str]:
    """Run the experiments of claims that are not finished.

    A claim that cannot run on this machine is reported and skipped.

    Args:
        ids: Ids of the claims; empty for all.
        seeds: Number of runs of each variant, with seeds 0, 1, ...
        budget: Epochs of each training, instead of the claims' own. The results are then written
            to a subfolder of `runs`, because they are not comparable.
        runs: Folder of the runs.
        results: Folder of the result files.

    Returns:
        Outcomes of the finished claims: id -> outcome.

    Raises:
        ValueError: If an argument is invalid, or, after all claims, if a run failed.
    """
    if seeds < 1 or (budget is not None and budget < 1):
        raise ValueError(f"seeds and budget must be at least 1; received {seeds} and {budget}")
    runs, results = pathlib.Path(runs), pathlib.Path(results)
    known = finished(results)
    results = results if budget is None else runs / f"budget_{budget}"
    queue = sorted(
        (claim.at(budget) for claim in claims(ids)), key=lambda claim: claim.minutes(seeds)
    )
    total = sum(claim.minutes(seeds) for claim in queue)
    print(f"{len(queue)} claims, {seeds} seeds, about {total / 60:.1f} hours without finished runs")
    done, failed = {}, []
    for claim in queue:
        recorded = _recorded_seeds(results / f"{claim.id}.json")
        if recorded > seeds:
            print(f"{claim.id}: skipped, its result has more seeds ({recorded})", flush=True)
            continue
        reason = claim.missing()
        if reason:
            print(f"{claim.id}: cannot run here: {reason}", flush=True)
            continue
        try:
            result = perform(claim, seeds, runs, known)
        except Exception as error:  # Any failure of one claim must not stop the others.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"{claim.id}: failed: {reason} (traceback: {runs / 'failed.txt'})", flush=True)
            failed.append(claim.id)
            runs.mkdir(parents=True, exist_ok=True)
            with open(runs / "failed.txt", "a") as file:
                print(claim.id, *traceback.format_exception(error), sep="\n", file=file)
            continue
        write(
            results / f"{claim.id}.json",
            result | {"command": f"python -m benchmarks claims {claim.id}"},
        )
        keep_pictures(claim, runs, results / "pictures")
        done[claim.id] = result["outcome"]
        print(f"{claim.id}: {result['outcome']}: {result['finding']}", flush=True)
    if failed:
        raise ValueError(f"Runs of these claims failed: {', '.join(failed)}")
    return done


def _recorded_seeds(path):
    """Number of seeds of a result file; 0 if it is absent or broken."""
    try:
        return read(path)["seeds"]
    except ValueError:
        return 0


def perform(claim: Claim, seeds: int, runs: pathlib.Path, known: dict[str, dict]) -> dict:
    """Run what is missing of a claim and return its result.

    After each look of the sequential rule (see `decisions`), a decided claim ends.

    Args:
        claim: The claim.
        seeds: Largest number of seeds.
        runs: Folder of the runs.
        known: Finished runs, key -> record. New runs are added.
    """
    found: dict[str, list[dict]] = {name: [] for name in claim.variants}
    seeds = min(seeds, claim.seeds)
    outcome = finding = ""
    for seed in range(seeds):
        for name, variant in claim.variants.items():
            if seed >= min(decisions.SPENT) and name not in rules.used(claim.rule):
                continue  # Variants for information get the seeds of the first look only.
            key = variant.key(seed)
            if key not in known:
                title = f"{claim.id}, {name}, seed {seed}"
                known[key] = record(variant, seed, runs / key, title)
            found[name].append(known[key])
        if seed + 1 == seeds or seed + 1 in decisions.SPENT:
            outcome, finding = claim.evaluate(found)
            if outcome != rules.OPEN:
                break
    return {
        "claim": claim.id,
        "outcome": outcome,
        "finding": finding,
        "rule": claim.statement(),
        "description": claim.description,
        "measures": rules.measures(claim.rule),
        "seeds": seed + 1,
        "minutes": round(sum(run["seconds"] for runs in found.values() for run in runs) / 60, 1),
        "variants": {
            name: {"settings": claim.variants[name].settings, "runs": runs}
            for name, runs in found.items()
        },
    }


def record(variant: Variant, seed: int, folder: pathlib.Path, title: str) -> dict:
    """Return the record of a run, after running it to its end if it is not finished.

    Args:
        variant: The variant.
        seed: Seed of the run.
        folder: Folder of the run.
        title: Name of the run for the printed line.
    """
    path = folder / "record.json"
    if path.exists():
        try:
            return read(path)
        except ValueError as error:
            print(f"{error}; the run continues from its checkpoint", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{title}: about {variant.minutes():.1f} minutes, in {folder}", flush=True)
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    with open(folder / "output.txt", "a") as out, contextlib.redirect_stdout(out), quiet():
        found = variant.experiment.run(variant.settings, seed, folder)
    seconds = time.perf_counter() - start
    about = provenance() | {"versions": recipe.versions()}
    write(
        path,
        {"key": folder.name, "seed": seed, **rounded(found), "seconds": round(seconds, 1), **about},
    )
    return read(path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context manager that disables Keras' progress bars, which would fill the output file."""
    before, verbosity = keras.config.is_interactive_logging_enabled(), logging.get_verbosity()
    keras.config.disable_interactive_logging()
    logging.set_verbosity(min(verbosity, logging.WARNING))  # Keras logs a bar that it cannot draw.
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if before:
            keras.config.enable_interactive_logging()


def finished(results: pathlib.Path) -> dict[str, dict]:
    """Return the runs in the result files: key -> record. Broken files are reported and skipped."""
    known: dict[str, dict] = {}
    for path in sorted(results.glob("*.json")):
        try:
            found = read(path)
        except ValueError as error:
            print(f"{error}; its claim is tested again", flush=True)
            continue
        known |= {run["key"]: run for part in found["variants"].values() for run in part["runs"]}
    return known


def keep_pictures(claim: Claim, runs: pathlib.Path, folder: pathlib.Path) -> None:
    """Copy the samples of each variant's first seed, if there are any, to `<folder>/<key>.png`."""
    for variant in claim.variants.values():
        picture = runs / variant.key(0) / "samples.png"
        if picture.exists():
            files.make_folder(folder)
            files.copy(picture, folder / f"{variant.key(0)}.png")


def rounded(value: Any) -> Any:
    """Round the floats of nested dicts and lists. Infinity becomes 1e30, NaN becomes `None`."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if value != value else float(f"{max(-1e30, min(value, 1e30)):.{DIGITS}g}")
    return value


def write(path: pathlib.Path, values: dict) -> None:
    """Write a JSON file, and its folder if necessary."""
    files.make_folder(path.parent)
    files.write_json(path, values)


def read(path: pathlib.Path) -> dict:
    """Read a record or a result, under current names.

    Raises:
        ValueError: If the file is broken. The message names the file.
    """
    try:
        found = current(json.loads(path.read_text()))
        is_result = "variants" in found
        runs = [found]
        if is_result:
            runs = [run for part in found["variants"].values() for run in part["runs"]]
        if not all(isinstance(run["measures"], dict) and run["key"] for run in runs):
            raise ValueError("a run has no measures")
        if is_result and (found["outcome"] not in OUTCOMES or not runs):
            raise ValueError(f"outcome {found['outcome']!r} of {len(runs)} runs")
        if is_result and not (isinstance(found["seeds"], int) and found["finding"]):
            raise ValueError("no seeds or no finding")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is broken ({reason})") from None
    return found


# === State of the claims, for tables and reports ===


@dataclasses.dataclass(frozen=True)
class State:
    """State of a claim.

    Attributes:
        claim: The `Claim`, or `None` if it has no experiment.
        result: The result, or `None`.
        broken: Error message of a broken result file, or `None`.
        plan: Sentences on the budget of a claim without a result.
    """

    claim: Claim | None
    result: dict | None = None
    broken: str | None = None

    plan: str = ""

    @property
    def outcome(self) -> str:
        """Outcome of the claim; "not decided" without a result."""
        return self.result["outcome"] if self.result else rules.OPEN

    def finding(self) -> str:
        """Return the finding, or, without a result, the budget that would decide the claim."""
        return self.result["finding"] if self.result else self.plan

    def needs(self, seeds: int = 3) -> str:
        """Return the time that the experiment takes."""
        if self.claim is None:
            return "no experiment yet"
        minutes = self.claim.minutes(seeds)
        time = f"{max(minutes, 1):.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        return f"ready to run: about {time} for {seeds} seeds"

    def describe(self, runs: str | pathlib.Path = RUNS, seeds: int = 3) -> str:
        """Return the outcome and the finding, or what is missing for them on this machine."""
        if self.result:
            return f"{self.result['outcome']}: {self.result['finding']}"
        if self.broken:
            return f"{self.broken}; the command creates it again"
        if self.claim and self.claim.missing():
            return f"cannot run here: {self.claim.missing()}"
        variants = self.claim.variants.values() if self.claim else []
        keys = [variant.key(seed) for seed in range(seeds) for variant in variants]
        done = sum((pathlib.Path(runs) / key / "record.json").exists() for key in keys)
        return self.needs(seeds) + (f", {done} of {len(keys)} runs done" if done else "")


def reworded(claim: Claim | None, result: dict) -> dict:
    """Return a result with the sentences of the current experiment.

    Result files keep the sentences and the outcome of their time; the current rule decides.
    """
    if claim is None or not claim.variants.keys() <= result["variants"].keys():
        return result
    runs = {name: part["runs"] for name, part in result["variants"].items()}
    outcome, finding = claim.evaluate(runs)
    return result | {
        "outcome": outcome,
        "finding": finding,
        "rule": claim.statement(),
        "description": claim.description,
    }


def states(results: str | pathlib.Path = RESULTS) -> dict[str, State]:
    """Return the `State` of every row of noted_claims.csv: id -> state."""
    ready, found = {claim.id: claim for claim in claims()}, {}
    for name in noted():
        path, result, broken = pathlib.Path(results) / f"{name}.json", None, None
        if path.exists():
            try:
                result = reworded(ready.get(name), read(path))
            except ValueError as error:
                broken = str(error)
        found[name] = State(ready.get(name), result, broken)
    runs = [run for s in found.values() if s.result for run in _runs(s.result)]
    return {
        name: state
        if state.result or state.claim is None
        else dataclasses.replace(state, plan=planned(state.claim, runs))
        for name, state in found.items()
    }


def _runs(result):
    """Runs of a result, each with the name of its group: equal variants of all seeds."""
    return [
        run | {"group": part["runs"][0]["key"]}
        for part in result["variants"].values()
        for run in part["runs"]
    ]


def planned(claim: Claim, runs: list[dict]) -> str:
    """Return the budget that would decide a claim without a result.

    Args:
        claim: The claim.
        runs: Finished runs of all claims. Those of the same experiment give the spread over seeds.
    """
    measure = rules.measures(claim.rule)[0]
    experiments = {variant.experiment.name for variant in claim.variants.values()}
    groups: dict = {}
    for run in runs:
        value = run["measures"].get(measure) or 0
        if value > 0 and any(run["key"].startswith(name) for name in experiments):
            groups.setdefault(run["group"], {})[run["key"]] = math.log(value)
    spreads = [statistics.stdev(g.values()) for g in groups.values() if len(g) > 1]
    if not spreads:
        return f"Not run yet. The first look takes {_time(claim.minutes(3))} on two CPU cores."
    # The median is robust against variants that collapse with some seeds.
    spread, count = statistics.median(spreads), max(len(claim.variants) - 1, 1)
    seeds = decisions.planned_seeds(spread, math.log(rules.RELEVANT), count)
    return (
        f"Not run yet. The {rules.phrase(measure)} of this experiment has a spread of "
        f"{100 * spread:.0f} % between seeds, so a difference of "
        f"{100 * (rules.RELEVANT - 1):.0f} % needs about {seeds} seeds: "
        f"{_time(claim.minutes(seeds))} on two CPU cores. The first look, with three seeds, takes "
        f"{_time(claim.minutes(3))}."
    )


def _time(minutes):
    return f"{max(minutes, 1):.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
