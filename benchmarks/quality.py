"""Train presets over several seeds and keep their scores: the numbers behind the README's tables of trained models.

    python -m benchmarks.quality                              zoo.mnist_gan's best, corrected and noted, seeds 0, 1, 2
    python -m benchmarks.quality birds_64 birds_256           the long runs of the drawn birds, one after the other
    python -m benchmarks.quality mnist_gan --presets=best --seeds=0

Each run is `python -m zoo.RECIPE --preset=… --seed=…` in a folder of its own below --runs, that of seed 0 where the
same run by hand would be: killed, it goes on where it stopped, and a finished one is not run again. The record of each
goes to benchmarks/results/RECIPE.json, with its command, commit, machine, versions and curve; a grid of samples of seed
0 lies beside it.
"""

import csv
import json
import pathlib
import statistics
import subprocess
import sys

from absl import flags

from benchmarks import records, timing
from kerasgan.io import files
from zoo import recipe

RESULTS = pathlib.Path(__file__).parent / "results"
# Presets and seeds of each recipe that are run where none are named.
RUNS = {
    "mnist_gan": (("best", "corrected", "noted"), (0, 1, 2)),
    "birds_64": (("long", "longer", "longest"), (0,)),
    "birds_256": (("long",), (0,)),
    "coopnet": (("digits",), (0, 1, 2)),
    "stylex": (("digits_8_9",), (0,)),
}


def record(name, preset, seed, folder):
    """Trains one run in a process of its own and returns what is to be kept of it."""
    command = ["-m", f"zoo.{name}", f"--preset={preset}", f"--seed={seed}"]
    subprocess.run([sys.executable, *command, f"--folder={folder}"], check=True)
    found = json.loads((folder / "scores.json").read_text())
    scores = {k: v for k, v in found.items() if isinstance(v, (int, float))}
    with open(folder / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    settings = json.loads((folder / "settings.json").read_text())
    versions = json.loads((folder / "versions.json").read_text())
    scored = [(row, scores.keys() & {k for k, v in row.items() if v}) for row in log]
    return timing.provenance() | {
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


def summary(runs):
    """`preset -> score -> (mean, standard deviation, seeds)` over the seeds of the records `runs`."""
    found = {}
    for preset in dict.fromkeys(r["preset"] for r in runs):
        of = [r for r in runs if r["preset"] == preset]
        found[preset] = {}
        for name in (*of[0]["scores"], "seconds", "peak_memory_mib"):
            values = [r["scores"].get(name, r.get(name)) for r in of]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found[preset][name] = (statistics.mean(values), deviation, len(values))
    return found


def read(name, results=RESULTS):
    """The records of a recipe's runs; none where nothing was run."""
    return records.read(results / f"{name}.json")


def run(name, presets, seeds, runs, results=RESULTS):
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


def shell(arguments):
    names = arguments[1:] or ["mnist_gan"]
    for name in names:
        if name not in RUNS:
            raise ValueError(f"a recipe must be one of {', '.join(RUNS)}; received {name}")
    for name in names:
        presets, seeds = flags.FLAGS.presets or RUNS[name][0], flags.FLAGS.seeds or RUNS[name][1]
        run(name, presets, [int(seed) for seed in seeds], flags.FLAGS.runs)
        for preset, scores in summary(read(name)).items():
            print(
                preset,
                {
                    key: f"{mean:.3f} ± {deviation:.3f}"
                    for key, (mean, deviation, _) in scores.items()
                },
            )


if __name__ == "__main__":
    flags.DEFINE_list("presets", [], "of the recipe; the recipe's usual ones by default")
    flags.DEFINE_list("seeds", [], "of each preset; the recipe's usual ones by default")
    flags.DEFINE_string("runs", "runs", "folder of the runs' folders")
    recipe.start(shell)
