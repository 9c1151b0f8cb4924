"""Measures the peak memory of each process of `python -m zoo.evaluate --devices=2` (Linux).

    python -m benchmarks.speed.evaluation_memory
    KERAS_BACKEND=torch python -m benchmarks.speed.evaluation_memory --counts=5000,50000
    python -m benchmarks.speed.evaluation_memory --metrics=fid,kid --reference=digits

The preset `mnist_gan_digits` generates the samples, and its evaluation classifier computes the
features. The number is `VmHWM`, the largest resident memory of a process, with the pages of the
temporary files of features. Results are written to benchmarks/results/evaluation_memory.json.
"""

import dataclasses
import json
import shlex
import subprocess
import sys
import time

from benchmarks.provenance import ROOT, provenance
from kerasgan.io import files
from zoo import cli, lazy, memory
from zoo.settings import Checked, setting

keras = lazy.module("keras")

RESULTS = ROOT / "benchmarks" / "results" / "evaluation_memory.json"
COMMAND = (
    "-m zoo.evaluate --checkpoint=mnist_gan_digits --features=digit_classifier "
    "--metrics={metrics} --samples={count} --devices={devices}"
)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    counts: str = setting("5000,50000", "Comma-separated numbers of samples.")
    devices: int = setting(2, "Number of processes.", least=1)
    metrics: str = setting("is", "Comma-separated list of metrics, see zoo.evaluate.")
    reference: str | None = setting(None, "Reference images, see zoo.evaluate.")


def peaks(command: list[str]) -> dict[int, float]:
    """Runs a command and returns the peak memory of its processes in MiB, by process id."""
    found: dict[int, float] = {}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for pid in [process.pid, *memory.children(process.pid)]:
            if mib := memory.peak_mib_of(pid):
                found[pid] = round(mib, 1)
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with status {process.returncode}")
    return found


def command(options: Options) -> None:
    """Measures the peak memory for each number of samples and writes the result file."""
    measured = {}
    for count in map(int, options.counts.split(",")):
        rest = COMMAND.format(metrics=options.metrics, count=count, devices=options.devices)
        rest += f" --reference={options.reference}" if options.reference else ""
        start = time.perf_counter()
        found = sorted(peaks([sys.executable, *rest.split()]).values())
        seconds = round(time.perf_counter() - start, 1)
        measured[str(count)] = {"mib": found[-options.devices :], "seconds": seconds}
        print(f"{count:6} samples {measured[str(count)]}", flush=True)
    about = provenance() | dataclasses.asdict(options) | {"unit": "MiB, VmHWM of each process"}
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    name = keras.backend.backend()
    if options.metrics != "is":
        name += f"_{options.metrics.replace(',', '_')}"
    records[name] = {"samples": measured} | about
    files.write_json(RESULTS, records, indent=1)


def main() -> None:
    cli.main("benchmarks.speed.evaluation_memory", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
