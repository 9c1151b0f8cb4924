"""Measures the memory of scores for 1,000 to 20,000 images of 2,048 features.

    python -m benchmarks.speed.score_memory
    python -m benchmarks.speed.score_memory --sizes=1000,5000 frechet_distance vendi_score

Each formula runs in a process of its own, on features that lie in a file (`np.memmap`), as
`metrics.features.extract` leaves them. The number is the largest anonymous memory of the process
while the formula runs, minus that before it: pages of the file, which the system can drop at any
time, do not count. 20,000 images of 2,048 features are 164 MB in float32.

Results are written to benchmarks/results/score_memory.json.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from benchmarks.provenance import ROOT, provenance
from kerasgan.io import files
from zoo import cli
from zoo.settings import Checked, setting

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "score_memory.json"
FEATURES = 2048


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    sizes: str = setting("1000,5000,20000", "Comma-separated numbers of images of each side.")


def formulas() -> dict:
    """Returns name -> function of two sets of features `[N, F]`."""
    from kerasgan import metrics

    return {
        "frechet_distance": lambda *sides: metrics.frechet_distance(
            *map(metrics.statistics, sides)
        ),
        "kernel_distance": metrics.kernel_distance,
        "vendi_score": lambda real, fake: metrics.vendi_score(fake),
        "cmmd": metrics.cmmd,
        "memorization": metrics.memorization,
        "authpct": metrics.authpct,
        "precision_recall": metrics.precision_recall,
        "fd_infinity": metrics.fd_infinity,
    }


def anonymous_mib() -> float:
    """Returns the anonymous memory of this process in MiB (Linux)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon:"))) / 1024


def child(name: str, folder: str) -> None:
    """Runs a formula on the features in a folder and prints its seconds and MiB as JSON."""
    real, fake = (np.load(f"{folder}/{side}.npy", mmap_mode="r") for side in ("real", "fake"))
    formula = formulas()[name]
    formula(real[:1000], fake[:1000])  # Starts the threads of the linear algebra library.
    before, peak, done = anonymous_mib(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    formula(real, fake)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    print(json.dumps({"seconds": round(seconds, 2), "mib": round(peak[0] - before, 1)}))


def _write(path, features):
    files.write_atomically(path, lambda file: np.lib.format.write_array(file, features))


def command(options: Options, names: list[str]) -> None:
    """Measures the formulas and writes the result file."""
    from benchmarks.speed.baselines.frechet import random_features

    known = formulas()
    for name in names:
        if name not in known:
            raise ValueError(f"Unknown formula {name}. Expected one of {', '.join(known)}.")
    found: dict[str, dict[str, dict]] = {name: {} for name in names or known}
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for seed, side in enumerate(("real", "fake")):
                path = pathlib.Path(folder) / f"{side}.npy"
                features = random_features(size, FEATURES, seed)
                _write(path, features)
            del features
            for name, measured in found.items():
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.speed.score_memory", "child", name, folder],
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    raise RuntimeError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
                measured[str(size)] = json.loads(done.stdout.splitlines()[-1])
                print(f"{name:20} {size:6} images {measured[str(size)]}", flush=True)
    about = provenance() | {"features": FEATURES, "unit": "MiB of anonymous memory, above start"}
    files.write_json(RESULTS, {"formulas": found} | about)


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        usage = "[FORMULA ...] "
        cli.main(
            "benchmarks.speed.score_memory", Options, command, description=__doc__, usage=usage
        )


if __name__ == "__main__":
    main()
