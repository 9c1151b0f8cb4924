"""Peak memory of the programs of speed cases after each part: import, building, steps.

    python -m benchmarks.speed.step_memory                   the cases of the table
    python -m benchmarks.speed.step_memory --steps=3 hdgan

Each program runs in a process of its own. It imports its framework, builds its networks and runs
some steps. The numbers are the largest resident memory of the process so far. TensorFlow runs one
operation at a time, because the peak otherwise depends on the order of operations. Results are
written to `benchmarks/results/step_memory.json` after each case.
"""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.provenance import ROOT, provenance
from benchmarks.speed import suite
from benchmarks.speed.timing import THREADS
from zoo import cli, lazy
from zoo.command import shell_command
from zoo.memory import peak_mib
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")

RESULTS = ROOT / "benchmarks" / "results" / "step_memory.json"
CASES = ("mnist_gan_noted", "coopnet", "hdgan")
PROGRAMS = ("torch", "kerasgan")


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    steps: int = setting(4, "Number of steps.", least=2)
    threads: int = setting(2, "Number of threads.", least=1)


def worker(case: str, program: str, steps: int) -> dict[str, float]:
    """Returns the peak memory in MiB of this process after each part of a program."""
    importlib.import_module("torch" if program == "torch" else "keras")
    peaks = {"import": peak_mib()}
    step = suite.CASES[case][program]()
    peaks["building"] = peak_mib()
    for index in range(steps):
        step()
        peaks["last step" if index else "first step"] = peak_mib()
    return peaks


def measure(case: str, program: str, options: Options) -> dict[str, float]:
    """Returns the result of `worker` in a new process.

    Raises:
        RuntimeError: If the process fails.
    """
    settings = dict.fromkeys(THREADS, str(options.threads)) | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    settings["TF_NUM_INTEROP_THREADS"] = "1"
    arguments = ["--worker", case, program, str(options.steps)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.step_memory", *arguments],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{program} of {case} failed: {reason}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def command(options: Options, cases: list[str]) -> None:
    """Measures cases and writes their records."""
    known = [case for case, programs in suite.CASES.items() if set(PROGRAMS) <= set(programs)]
    for case in cases:
        if case not in known:
            raise ValueError(f"a case must be one of {', '.join(known)}; received {case!r}")
    records: dict[str, Any] = suite.read(RESULTS)
    about = provenance() | {"command": shell_command("benchmarks.speed.step_memory")}
    for case in cases or CASES:
        peaks = {program: measure(case, program, options) for program in PROGRAMS}
        records[case] = {"peak_mib": peaks} | dataclasses.asdict(options) | about
        files.make_folder(RESULTS.parent)
        files.write_json(RESULTS, records, indent=1)
        for program, found in peaks.items():
            numbers = ", ".join(f"{part} {peak:.0f}" for part, peak in found.items())
            print(f"{case:20}{program:10}{numbers} MiB", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        case, program, steps = sys.argv[2:]
        print(json.dumps(worker(case, program, int(steps))))
        return
    cli.main(
        "benchmarks.speed.step_memory", Options, command, description=__doc__, usage="[CASE ...] "
    )


if __name__ == "__main__":
    main()
