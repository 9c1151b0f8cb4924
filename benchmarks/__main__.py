"""The suite: what can be reproduced, what has been, with what result, and what is missing for the rest.

    python -m benchmarks                       this list
    python -m benchmarks scores [ID …]         the notes' scores; --scale=drawn is the small ladder on drawn birds
    python -m benchmarks claims [ID …]         the notes' claims, as experiments
    python -m benchmarks speed [CASE …]        steps and metrics beside their peers
    python -m benchmarks report                one HTML page of all results
    python -m benchmarks tables                the tables of README.md and benchmarks/README.md

Each takes --help.
"""

import json
import pathlib
import runpy
import sys

RESULTS = pathlib.Path(__file__).parent / "results"
COMMANDS = ("scores", "claims", "speed", "report", "tables")


def main():
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        name = sys.argv.pop(1)
        return runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    if len(sys.argv) > 1 and sys.argv[1] not in ("--help", "-h"):
        raise SystemExit(
            f"error: a command must be one of {', '.join(COMMANDS)}; received {sys.argv[1]!r}"
        )
    print("\n".join([__doc__, *lines()]))


def lines():
    """The list, a line a row."""
    from benchmarks import scores  # not at the top: runpy runs them anew
    from benchmarks.claims import runner

    states = runner.states()
    found = [
        f"Claims, {sum(bool(state.result) for state in states.values())} of {len(states)} run:",
        "",
    ]
    found += [f"  {name:26} {state.told()}" for name, state in states.items()]
    records, rows = scores.read(), scores.rows()
    reproduced = sum(
        any(mode.startswith("noted") for mode in records.get(name, {})) for name in rows
    )
    found += ["", f"Scores, {reproduced} of {len(rows)} reproduced as noted:", ""]
    for name, row in rows.items():
        done = [
            f"{mode}: {scores.summary(kept['runs'])}"
            for mode, kept in records.get(name, {}).items()
        ]
        if not any(mode.startswith("noted") for mode in records.get(name, {})):
            lack = scores.missing(row)
            done.append(f"missing: {lack}" if lack else "ready to run")
        found.append(f"  {name:30} {scores.noted(row)}; {'; '.join(done)}")
    return found + ["", "Speed, times faster than the peer (min to max):", "", *speed()]


def speed(path=RESULTS / "speed.json"):
    """A line a case of speed.json."""
    if not path.exists():
        return ["  nothing yet"]
    try:
        records = json.loads(path.read_text())
        return [
            f"  {case:26} {pair}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            for case, record in records.items()
            if "ratios" in record
            for pair, ratio in record["ratios"].items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [
            f"  {path} is broken ({error}); python -m benchmarks speed makes it anew, once it is deleted"
        ]


if __name__ == "__main__":
    main()
