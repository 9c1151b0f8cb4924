"""Trains presets with several seeds and records their scores, for the tables of trained models.

    python -m benchmarks quality                              presets of zoo.mnist_gan
    python -m benchmarks quality birds_64 birds_256           stages on synthetic birds, hours
    python -m benchmarks quality mnist_gan --presets=best --seeds=0

Each run is `python -m zoo.RECIPE --preset=... --seed=...` in a folder below --runs. The folder of
seed 0 is the default folder of that command. An interrupted run continues from its checkpoint; a
finished run is not repeated. Records are written to benchmarks/results/RECIPE.json with command,
commit, machine, versions and curve. A grid of samples of seed 0 is saved next to them.
"""

import csv
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.provenance import provenance
from benchmarks.reproduction import records
from zoo import cli, lazy, recipe
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")

RESULTS = pathlib.Path(__file__).parents[1] / "results"
# Default presets and seeds of each recipe.
RUNS = {
    "mnist_gan": (("best", "corrected", "noted"), (0, 1, 2)),
    "birds_64": (("long", "longer", "longest"), (0,)),
    "birds_256": (("long",), (0,)),
    "coopnet": (("digits",), (0, 1, 2)),
    "stylex": (("digits_8_9",), (0,)),
}


def record(
    name: str, preset: str, seed: int, folder: pathlib.Path, flags: Sequence[str] = ()
) -> dict:
    """Train one run in a process of its own and return its record.

    Args:
        name: Name of the recipe.
        preset: Preset of the recipe.
        seed: Seed.
        folder: Folder of the run.
        flags: Further flags of the command.
    """
    command = ["-m", f"zoo.{name}", f"--preset={preset}", f"--seed={seed}", *flags]
    subprocess.run([sys.executable, *command, f"--folder={folder}"], check=True)
    found = json.loads((folder / "scores.json").read_text())
    scores = {k: v for k, v in found.items() if isinstance(v, (int, float))}
    with open(folder / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    settings = json.loads((folder / "settings.json").read_text())
    versions = json.loads((folder / "versions.json").read_text())
    scored = [(row, scores.keys() & {k for k, v in row.items() if v}) for row in log]
    return provenance() | {
        "command": " ".join(["python", *command]),
        "scores": scores,
        "protocol": found.get("protocol"),
        "seconds": round(sum(float(row["seconds"]) for row in log)),
        "curve": [
            {k: float(row[k]) for k in ("epoch", *sorted(names))} for row, names in scored if names
        ],
        "settings": {
            k: v
            for k, v in settings.items()
            if k not in ("title", "description", "recipe", "command")
        },
        "peak_memory_mib": versions.pop("peak_memory_mib"),
        "versions": versions,
    }


def summary(runs: list[dict]) -> dict[str, dict[str, tuple[float, float, int]]]:
    """Summarize records over their seeds.

    Returns:
        Preset -> score -> (mean, standard deviation, number of seeds).
    """
    found: dict[str, dict] = {}
    for preset in dict.fromkeys(r["preset"] for r in runs):
        chosen = [r for r in runs if r["preset"] == preset]
        found[preset] = {}
        for name in (*chosen[0]["scores"], "seconds", "peak_memory_mib"):
            values = [r["scores"].get(name, r.get(name)) for r in chosen]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found[preset][name] = (statistics.mean(values), deviation, len(values))
    return found


def read(name: str, results: pathlib.Path = RESULTS) -> list[dict]:
    """Return the records of a recipe. An absent file has no records."""
    return records.read(results / f"{name}.json")


def run(
    name: str,
    presets: Sequence[str],
    seeds: Sequence[int],
    runs: str | pathlib.Path,
    results: pathlib.Path = RESULTS,
) -> None:
    """Train the runs of a recipe that have no record.

    Args:
        name: Name of the recipe.
        presets: Presets.
        seeds: Seeds of each preset.
        runs: Folder of the runs.
        results: Folder of the results.
    """

    def make(preset, seed):
        folder = pathlib.Path(runs) / recipe.folder_name(name, preset, seed)
        folder.mkdir(parents=True, exist_ok=True)
        made = record(name, preset, seed, folder)
        if seed == 0:
            files.copy(
                sorted((folder / "grids").glob("epoch_*.png"))[-1], results / f"{name}_{preset}.png"
            )
        return made

    wanted = [{"preset": preset, "seed": seed} for seed in seeds for preset in presets]
    records.complete(results / f"{name}.json", wanted, make)


def _defaults(part):
    """Default presets (0) or seeds (1) of all recipes, for the help text."""
    return "; ".join(
        f"{','.join(map(str, default[part]))} ({name})" for name, default in RUNS.items()
    )


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    presets: tuple[str, ...] = setting((), f"Presets to train. Default: {_defaults(0)}.")
    seeds: tuple[str, ...] = setting((), f"Seeds of each preset. Default: {_defaults(1)}.")
    runs: str = setting("runs", "Folder of the runs.")


def command(options: Options, names: list[str]) -> None:
    """Trains the runs that have no record, and prints means and deviations."""
    names = names or ["mnist_gan"]
    for name in names:
        if name not in RUNS:
            raise ValueError(f"Unknown recipe {name}. Expected one of {', '.join(RUNS)}.")
    for name in names:
        seeds = records.numbers("seeds", options.seeds) or RUNS[name][1]
        run(name, options.presets or RUNS[name][0], seeds, options.runs)
        for preset, scores in summary(read(name)).items():
            print(
                preset,
                {
                    key: f"{mean:.3f} ± {deviation:.3f}"
                    for key, (mean, deviation, _) in scores.items()
                },
            )


def main() -> None:
    cli.main("benchmarks quality", Options, command, description=__doc__, usage="[RECIPE ...] ")


if __name__ == "__main__":
    main()
