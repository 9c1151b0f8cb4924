"""Lists what can be reproduced, the results so far, and what is missing for the rest.

    python -m benchmarks                          this list
    python -m benchmarks scores [ID ...]          scores of the training notes
    python -m benchmarks claims [ID ...]          claims of the training notes, as experiments
    python -m benchmarks quality [RECIPE ...]     presets trained with several seeds
    python -m benchmarks explosions [CAUSE ...]   exploding trainings of CoopNet
    python -m benchmarks attributes               attributes that AttFind finds in StylEx
    python -m benchmarks augmentation             effect of --augment on a small classifier
    python -m benchmarks precision [RECIPE ...]   trainings in bfloat16 against float32
    python -m benchmarks bird_bound               Fréchet distance of a perfect bird generator
    python -m benchmarks speed [CASE ...]         training steps and metrics against their baselines
    python -m benchmarks backends [RECIPE ...]    compile time, step time, memory on three backends
    python -m benchmarks sampling [PRESET ...]    time to the first sample, images per second
    python -m benchmarks devices [CASE ...]       two processes on two cores against one on one
    python -m benchmarks gpu [CASE ...]           training steps on one GPU, in 10 minutes
    python -m benchmarks report                   one HTML page of all results
    python -m benchmarks tables                   tables of README.md, docs/, benchmarks/README.md

Each command has --help.
"""

import json
import pathlib
import runpy
import sys

from zoo import cli

RESULTS = pathlib.Path(__file__).parent / "results"
# Command -> module.
COMMANDS = {
    "scores": "benchmarks.reproduction.scores",
    "claims": "benchmarks.reproduction.claims",
    "quality": "benchmarks.reproduction.quality",
    "explosions": "benchmarks.reproduction.explosions",
    "attributes": "benchmarks.reproduction.attributes",
    "augmentation": "benchmarks.reproduction.augmentation",
    "precision": "benchmarks.reproduction.precision",
    "bird_bound": "benchmarks.reproduction.bird_bound",
    "speed": "benchmarks.speed",
    "backends": "benchmarks.speed.backends",
    "sampling": "benchmarks.speed.sampling",
    "devices": "benchmarks.speed.devices",
    "gpu": "benchmarks.speed.gpu",
    "report": "benchmarks.report",
    "tables": "benchmarks.tables",
}


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        module = COMMANDS[sys.argv.pop(1)]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    arguments = sys.argv[1:]
    if cli.wants_help(arguments):
        cli.show(__doc__ or "")
    elif arguments:
        known = f"the commands are {', '.join(COMMANDS)}"
        cli.fail(f"unknown command {cli.with_nearest(arguments[0], COMMANDS, known)}")
    else:
        cli.show("\n".join([__doc__ or "", *lines()]))


def lines() -> list[str]:
    """Return the lines of the list."""
    # Not imported at the top, because `runpy` executes these modules again.
    from benchmarks.reproduction import noted_scores, scores
    from benchmarks.reproduction.claims import runner

    states = runner.states()
    found = [
        f"Claims: {sum(bool(state.result) for state in states.values())} of {len(states)} tested",
        "",
    ]
    found += [f"  {name:26} {state.describe()}" for name, state in states.items()]
    records, rows = scores.read(), noted_scores.rows()
    count = sum(scores.reproduced(row, records) for row in rows.values())
    found += ["", f"Scores: {count} of {len(rows)} reproduced with the full protocol", ""]
    for name, row in rows.items():
        done = [
            f"{mode}: {scores.summary(kept['runs'])}"
            for mode, kept in records.get(name, {}).items()
        ]
        if not scores.reproduced(row, records):
            lack = noted_scores.missing(row)
            done.append(f"missing: {lack}" if lack else "ready to run")
        found.append(f"  {name:30} {row.reported()}; {'; '.join(done)}")
    return found + ["", "Speed-up over the baseline (min to max):", "", *speed()]


def speed(path: pathlib.Path = RESULTS / "speed.json") -> list[str]:
    """Return one line per case of speed.json."""
    if not path.exists():
        return ["  no results yet"]
    try:
        records = json.loads(path.read_text())
        return [
            f"  {case:26} {pair}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            for case, record in records.items()
            if "ratios" in record
            for pair, ratio in record["ratios"].items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"  {path} is broken ({error}); delete it and run python -m benchmarks speed"]


if __name__ == "__main__":
    main()
