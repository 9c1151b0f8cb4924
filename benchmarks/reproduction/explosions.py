"""Provokes exploding trainings of CoopNet on digits, by the causes named in the training notes.

    python -m benchmarks explosions                          defaults and each cause, seeds 0, 1, 2
    python -m benchmarks explosions "sigma / 8" --seeds=0

All runs take about an hour and a half on two cores. Each run is `zoo.coopnet --preset=quick` at
width 16, in a folder below --runs. An interrupted run continues from its checkpoint; a finished run
is not repeated. Records are written to benchmarks/results/explosions.json.
"""

import dataclasses
import pathlib
import warnings
from collections.abc import Sequence

from benchmarks.provenance import provenance
from benchmarks.reproduction import records
from zoo import cli, coopnet, lazy, recipe
from zoo.settings import Checked, setting

callbacks = lazy.module("kerasgan.callbacks")
training = lazy.module("benchmarks.reproduction.claims.training")

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "explosions.json"
BASE = {
    "width": 16,
    "epochs": 15,
    "noise_until": 5,
    "grid_every": 15,
    "checkpoint_every": 5,
    "score_every": 0,
}
# Cause -> changed settings, and the beginning of the cause's name in `CoopNet.causes`. The preset
# has a descriptor rate of 0.007, a step size of 0.002, 10 steps and a sigma of 0.016. The defaults
# run for 2,046 steps.
CAUSES: dict[str, tuple[dict, str]] = {
    "defaults": ({"epochs": 33, "noise_until": 11}, ""),
    "descriptor rate x 10": ({"descriptor_rate": 0.07}, "the descriptor's learning rate"),
    "descriptor rate x 30": ({"descriptor_rate": 0.21}, "the descriptor's learning rate"),
    "step size x 8": ({"step_size": 0.016}, "step_size"),
    "steps x 6, step size x 2": ({"steps": 60, "step_size": 0.004}, "steps"),
    "sigma / 8": ({"sigma": 0.002}, "sigma"),
}


def record(cause: str, seed: int, folder: pathlib.Path, changes: dict | None = None) -> dict:
    """Train one run and return its record.

    Args:
        cause: Key of `CAUSES`.
        seed: Seed.
        folder: Folder of the run.
        changes: Further changes of the settings.

    Returns:
        Dict with
        - `refused`: error message if the settings were rejected, else `None`;
        - `warned`: warnings before the training;
        - `rollbacks`: number of rollbacks;
        - `stopped`: error message if the training was stopped, else `None`;
        - `named`: likely cause according to the model, which depends on the settings only; `None`
          if all settings are within the published range;
        - `expected`: beginning of the name of the provoked cause;
        - `scores`: scores of the last complete epoch (`generator_...`, `descriptor_...`), if any;
        - `curve`, `settings`, `command` and the provenance.
    """
    chosen = BASE | CAUSES[cause][0] | (changes or {})
    settings = recipe.settings_of(coopnet.RECIPE, "quick", **chosen, seed=seed)
    found = dict.fromkeys(("refused", "stopped", "named")) | {
        "warned": [],
        "scores": {},
        "rollbacks": 0,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            kind, _, causes = coopnet.build(settings).causes().partition(": ")
        except ValueError as error:
            found["refused"] = str(error)
        else:
            found["named"] = causes.partition(" (")[0] if kind == "likely cause" else None
            found |= _trained(settings, folder)
    found["warned"] = [*dict.fromkeys(str(warning.message) for warning in caught)]
    command = f'python -m benchmarks explosions "{cause}" --seeds={seed}'
    return found | {
        "expected": CAUSES[cause][1],
        "command": command,
        "settings": chosen,
        "curve": training.curve(folder),
        **provenance(),
    }


def _trained(settings, folder):
    try:
        scores = training.numbers(recipe.run(coopnet.RECIPE, settings, folder))
        return {"scores": scores, "rollbacks": int(training.curve(folder)[-1]["rollbacks"])}
    except callbacks.NonFiniteLossError as error:
        scores = (
            training.numbers(training.score_last(coopnet.RECIPE, settings, folder))
            if training.curve(folder)
            else {}
        )
        return {
            "stopped": str(error),
            "scores": scores,
            "rollbacks": getattr(error, "rollbacks", 0),
        }


def read(results: pathlib.Path = RESULTS) -> list[dict]:
    """Return the records. An absent file has no records."""
    return records.read(results)


def run(
    causes: Sequence[str],
    seeds: Sequence[int],
    runs: str | pathlib.Path,
    results: pathlib.Path = RESULTS,
    changes: dict | None = None,
) -> None:
    """Train the runs that have no record.

    Args:
        causes: Keys of `CAUSES`.
        seeds: Seeds of each cause.
        runs: Folder of the runs.
        results: Result file.
        changes: Further changes of the settings.
    """

    def make(cause, seed):
        folder = (
            pathlib.Path(runs) / f"{''.join(c if c.isalnum() else '_' for c in cause)}_seed{seed}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        return record(cause, seed, folder, changes)

    records.complete(
        results, [{"cause": cause, "seed": seed} for seed in seeds for cause in causes], make
    )


def correctly_named(record: dict) -> bool | None:
    """Return whether the model named the provoked cause.

    `None` means that no cause was provoked, or that the settings were rejected.
    """
    if not record["expected"] or record["refused"]:
        return None
    return (record["named"] or "").startswith(record["expected"])


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    seeds: tuple[str, ...] = setting(("0", "1", "2"), "Seeds of each cause.")
    runs: str = setting("runs/explosions", "Folder of the runs.")


def command(options: Options, causes: list[str]) -> None:
    """Trains the runs that have no record, and prints all records."""
    for cause in causes:
        if cause not in CAUSES:
            raise ValueError(f"Unknown cause {cause}. Expected one of {', '.join(CAUSES)}.")
    run(causes or list(CAUSES), records.numbers("seeds", options.seeds), options.runs)
    for r in read():
        events = (
            "rejected"
            if r["refused"]
            else f"{len(r['warned'])} warnings, {r['rollbacks']} rollbacks"
        )
        stopped, wrong = (
            ", stopped" if r["stopped"] else "",
            " (wrong)" if correctly_named(r) is False else "",
        )
        print(
            f"{r['cause']}, seed {r['seed']}: {events}{stopped}; likely cause: {r['named']}{wrong}"
        )


def main() -> None:
    cli.main("benchmarks explosions", Options, command, description=__doc__, usage="[CAUSE ...] ")


if __name__ == "__main__":
    main()
