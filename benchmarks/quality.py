"""Train presets over several seeds and keep their scores: the numbers behind the README's table of the MNIST GAN.

    python -m benchmarks.quality                              best, corrected and noted, seeds 0, 1 and 2
    python -m benchmarks.quality --presets=best --seeds=0

Each run is `python -m zoo.mnist_gan --preset=… --seed=…` in a folder of its own below --runs: killed, it goes on where
it stopped, and a finished one is not run again. The record of each goes to benchmarks/results/mnist_gan.json, with its
command, commit, machine, versions and curve; a grid of samples of seed 0 lies beside it.
"""

import csv
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

from absl import flags

from benchmarks import timing
from zoo import recipe

RESULTS = pathlib.Path(__file__).parent / "results"
SCORES = ("label_accuracy", "classes_covered", "intra_class_diversity", "digit_frechet_distance", "digit_frechet_ratio")


def record(preset, seed, folder):
    """Trains one run in a process of its own and returns its record."""
    command = ["-m", "zoo.mnist_gan", f"--preset={preset}", f"--seed={seed}"]
    subprocess.run([sys.executable, *command, f"--folder={folder}"], check=True)
    scores = json.loads((folder / "scores.json").read_text())
    with open(folder / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    settings = json.loads((folder / "settings.json").read_text())
    versions = json.loads((folder / "versions.json").read_text())
    curve = [{k: float(row[k]) for k in ("epoch", *SCORES)} for row in log if row.get("digit_frechet_ratio")]
    return timing.provenance() | {
        "preset": preset,
        "seed": seed,
        "command": " ".join(["python", *command]),
        "scores": {name: scores[name] for name in (*SCORES, "digit_frechet_floor")},
        "protocol": scores["protocol"],
        "seconds": round(sum(float(row["seconds"]) for row in log)),
        "curve": curve,
        "settings": {k: v for k, v in settings.items() if k not in ("title", "description", "recipe", "command")},
        "peak_memory_mib": versions.pop("peak_memory_mib"),
        "versions": versions,
    }


def summary(records):
    """`preset -> score -> (mean, standard deviation, seeds)` over the seeds of the records."""
    presets = dict.fromkeys(r["preset"] for r in records)
    found = {}
    for preset in presets:
        runs = [r for r in records if r["preset"] == preset]
        found[preset] = {}
        for name in (*SCORES, "seconds", "peak_memory_mib"):
            values = [r["scores"].get(name, r.get(name)) for r in runs]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found[preset][name] = (statistics.mean(values), deviation, len(values))
    return found


def run(presets, seeds, runs, results=RESULTS):
    path = results / "mnist_gan.json"
    records = json.loads(path.read_text()) if path.exists() else []
    for seed in seeds:
        for preset in presets:
            if any((r["preset"], r["seed"]) == (preset, seed) for r in records):
                print(f"{preset} with seed {seed} is done")
                continue
            folder = pathlib.Path(runs) / f"mnist_gan_{preset}_seed{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            records.append(record(preset, seed, folder))
            path.write_text(json.dumps(records, indent=1) + "\n")
            if seed == 0:
                shutil.copy(sorted((folder / "grids").glob("epoch_*.png"))[-1], results / f"mnist_gan_{preset}.png")


def shell(arguments):
    run(flags.FLAGS.presets, [int(seed) for seed in flags.FLAGS.seeds], flags.FLAGS.runs)
    for preset, scores in summary(json.loads((RESULTS / "mnist_gan.json").read_text())).items():
        print(preset, {name: f"{mean:.3f} ± {deviation:.3f}" for name, (mean, deviation, _) in scores.items()})


if __name__ == "__main__":
    flags.DEFINE_list("presets", ["best", "corrected", "noted"], "of zoo.mnist_gan")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "of each preset")
    flags.DEFINE_string("runs", "runs", "folder of the runs' folders")
    recipe.start(shell)
