"""The queue of the claims' runs: the cheapest claim first, each finished run written at once, none run twice.

A run is a folder `<runs>/<key>`, in which its experiment keeps checkpoints and `record.json` says that it is finished.
Killed at any time, the same command goes on: finished runs are read, those of the result files in the repository too,
and an unfinished one goes on from its checkpoint. When the last run of a claim is finished, its result is written.
"""

import contextlib
import dataclasses
import json
import pathlib
import time
import traceback

import keras
from absl import logging

from benchmarks import timing
from benchmarks.claims import claims, noted, verdicts
from kerasgan.io import files
from zoo import recipe

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "claims"
RUNS = pathlib.Path("runs") / "claims"
VERDICTS = (verdicts.HOLDS, verdicts.FAILS, verdicts.OPEN, verdicts.ANSWERED)
DIGITS = 5  # significant ones of the curves' numbers in result files


def run(ids=(), seeds=3, budget=None, runs=RUNS, results=RESULTS):
    """Runs what is not done yet of the named claims, or of all; a claim that cannot run says so, and the next comes.

    Args:
        ids: of claims.
        seeds: runs of an arm, of seeds 0, 1 ...
        budget: epochs of each training in place of the claims' own; the results are then written below `runs`, since
            they are others.
        runs, results: folders.

    Returns:
        The verdicts of those that are done: id -> verdict.

    Raises:
        ValueError: for bad arguments; and in the end, if a claim's run failed, which names it.
    """
    if seeds < 1 or (budget is not None and budget < 1):
        raise ValueError(f"seeds and budget must be at least 1; received {seeds} and {budget}")
    runs, results = pathlib.Path(runs), pathlib.Path(results)
    known = finished(results)
    results = results if budget is None else runs / f"budget_{budget}"
    queue = sorted(
        (claim.at(budget) for claim in claims(ids)), key=lambda claim: claim.minutes(seeds)
    )
    left = sum(claim.minutes(seeds) for claim in queue)
    print(
        f"{len(queue)} claims, {seeds} seeds, about {left / 60:.1f} hours if nothing were done yet"
    )
    done, stopped = {}, []
    for claim in queue:
        held = _seeds_of(results / f"{claim.id}.json")
        if held > seeds:
            print(
                f"{claim.id}: left alone: its result is of {held} seeds, more than {seeds}",
                flush=True,
            )
            continue
        reason = claim.missing()
        if reason:
            print(f"{claim.id}: cannot run here: {reason}", flush=True)
            continue
        try:
            result = perform(claim, seeds, runs, known)
        except Exception as error:  # whatever it is, the other claims still have their turn
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"{claim.id}: stopped: {reason} (all of it: {runs / 'stopped.txt'})", flush=True)
            stopped.append(claim.id)
            runs.mkdir(parents=True, exist_ok=True)
            with open(runs / "stopped.txt", "a") as file:
                print(claim.id, *traceback.format_exception(error), sep="\n", file=file)
            continue
        write(
            results / f"{claim.id}.json",
            result | {"command": f"python -m benchmarks claims {claim.id}"},
        )
        keep_pictures(claim, runs, results / "pictures")
        done[claim.id] = result["verdict"]
        print(f"{claim.id}: {result['verdict']}: {result['finding']}", flush=True)
    if stopped:
        raise ValueError(f"every run must come to its end; stopped: {', '.join(stopped)}")
    return done


def _seeds_of(path):
    """The seeds of the result in a file; 0 where there is none that can be read."""
    try:
        return read(path)["seeds"]
    except ValueError:
        return 0


def perform(claim, seeds, runs, known):
    """The result of a claim, after the runs that are missing. `known` gains what is run."""
    arms = {name: [] for name in claim.arms}
    for seed in range(seeds):
        for name, arm in claim.arms.items():
            key = arm.key(seed)
            if key not in known:
                known[key] = record(arm, seed, runs / key, f"{claim.id}, {name}, seed {seed}")
            arms[name].append(known[key])
    verdict, finding = claim.rule.discriminate(arms)
    return {
        "claim": claim.id,
        "verdict": verdict,
        "finding": finding,
        "rule": claim.rule.sentence(),
        "says": claim.says,
        "measures": verdicts.measures(claim.rule),
        "seeds": seeds,
        "minutes": round(sum(run["seconds"] for runs in arms.values() for run in runs) / 60, 1),
        "arms": {
            name: {"settings": claim.arms[name].settings, "runs": runs}
            for name, runs in arms.items()
        },
    }


def record(arm, seed, folder, what):
    """The record of a run: read if it is finished, else run to its end."""
    path = folder / "record.json"
    if path.exists():
        try:
            return read(path)
        except ValueError as error:
            print(f"{error}; the run goes on from what else is there", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{what}: about {arm.minutes():.1f} minutes, in {folder}", flush=True)
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    with open(folder / "output.txt", "a") as out, contextlib.redirect_stdout(out), quiet():
        found = arm.experiment.run(arm.settings, seed, folder)
    seconds = time.perf_counter() - start
    about = timing.provenance() | {"versions": recipe.versions()}
    about.pop("thread_variables")
    write(
        path,
        {"key": folder.name, "seed": seed, **rounded(found), "seconds": round(seconds, 1), **about},
    )
    return read(path)


@contextlib.contextmanager
def quiet():
    """Without Keras' progress bars: in a file, a bar is a line a step. Where Keras does not draw, it logs them."""
    before, verbosity = keras.config.is_interactive_logging_enabled(), logging.get_verbosity()
    keras.config.disable_interactive_logging()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if before:
            keras.config.enable_interactive_logging()


def finished(results):
    """The runs that the result files hold: key -> record. A broken file is told and left out."""
    known = {}
    for path in sorted(results.glob("*.json")):
        try:
            found = read(path)
        except ValueError as error:
            print(f"{error}; its claim is judged anew", flush=True)
            continue
        known |= {run["key"]: run for arm in found["arms"].values() for run in arm["runs"]}
    return known


def keep_pictures(claim, runs, folder):
    """Copies the samples of each arm's first seed, where a run has left some, to `<key>.png`."""
    for arm in claim.arms.values():
        picture = runs / arm.key(0) / "samples.png"
        if picture.exists():
            files.make_folder(folder)
            files.copy(picture, folder / f"{arm.key(0)}.png")


def rounded(value):
    """Numbers that JSON can hold, of few digits; infinite ones are 1e30, what is no number is None."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if value != value else float(f"{max(-1e30, min(value, 1e30)):.{DIGITS}g}")
    return value


def write(path, values):
    """`files.write_json`, in a folder that is made if need be."""
    files.make_folder(path.parent)
    files.write_json(path, values)


def read(path):
    """A record or a result. Raises ValueError, a line that names the file, for a broken one."""
    try:
        found = json.loads(path.read_text())
        runs = (
            [run for arm in found["arms"].values() for run in arm["runs"]]
            if "arms" in found
            else [found]
        )
        if not all(isinstance(run["measures"], dict) and run["key"] for run in runs):
            raise ValueError("a run without measures")
        if "arms" in found and (found["verdict"] not in VERDICTS or not runs):
            raise ValueError(f"the verdict {found['verdict']!r} of {len(runs)} runs")
        if "arms" in found and not (isinstance(found["seeds"], int) and found["finding"]):
            raise ValueError("no seeds or no finding")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is broken ({reason})") from None
    return found


# === What the tables show ===


@dataclasses.dataclass(frozen=True)
class State:
    """Where a claim stands: its `Claim` and its result, if there are; `broken` is what is wrong with a result file."""

    claim: object
    result: dict | None = None
    broken: str | None = None

    def needs(self, seeds=3):
        """What it takes to run it, on any machine."""
        if self.claim is None:
            return "no experiment yet"
        minutes = self.claim.minutes(seeds)
        time = f"{max(minutes, 1):.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        return f"ready to run: about {time} for {seeds} seeds"

    def told(self, runs=RUNS, seeds=3):
        """The verdict, or what is missing for one on this machine."""
        if self.result:
            return f"{self.result['verdict']}: {self.result['finding']}"
        if self.broken:
            return f"{self.broken}; the command makes it anew"
        if self.claim and self.claim.missing():
            return f"cannot run here: {self.claim.missing()}"
        keys = (
            [arm.key(seed) for seed in range(seeds) for arm in self.claim.arms.values()]
            if self.claim
            else []
        )
        done = sum((pathlib.Path(runs) / key / "record.json").exists() for key in keys)
        return self.needs(seeds) + (f", {done} of {len(keys)} runs done" if done else "")


def states(results=RESULTS):
    """id -> `State` of every row of noted_claims.csv."""
    ready, found = {claim.id: claim for claim in claims()}, {}
    for name in noted():
        path, result, broken = pathlib.Path(results) / f"{name}.json", None, None
        if path.exists():
            try:
                result = read(path)
            except ValueError as error:
                broken = str(error)
        found[name] = State(ready.get(name), result, broken)
    return found
