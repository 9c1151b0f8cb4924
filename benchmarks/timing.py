"""Time contestants against each other on one machine: a process each, in turns, so that the machine's drift hits both.

A case is a table `{contestant: build}`; `build()` returns a function without arguments that takes one whole step and
returns when it is done. Each contestant lives in a process of its own (torch's and TensorFlow's threads never share
one; peak memory is the process's own) with its threads pinned by environment variables. The processes stay alive and
are asked in turn for a block of steps: A B A B … The first step of a block only wakes the process up and is not timed.
"""

import contextlib
import importlib
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

from zoo.memory import peak_mib

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "torch-fidelity")
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
REST = 0.3  # seconds between blocks: an idle OpenMP pool spins for up to 0.2 s before it sleeps and gives up its cores


class Contestant:
    """One side of a case in its own process; `times(n)` are the seconds of n steps after an untimed one."""

    def __init__(self, module, case, name, threads, backend):
        settings = dict.fromkeys(THREADS, str(threads)) | {
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.timing", module, case, name],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def times(self, steps):
        """Seconds of each of `steps` steps, and the process's peak memory so far in MiB."""
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            print(steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.name} ended with exit code {self.process.wait()} before it had timed its steps"
            )
        answer = json.loads(answer)
        return answer["seconds"], answer["peak_mib"]

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and said so
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def compare(module, case, names, *, steps=12, block=2, warmup=3, threads=2, backend="tensorflow"):
    """Time the contestants `names` of `module.CASES[case]` in alternating blocks; a record for a result file.

    `ratios` are, block by block, the first contestant's median over the other's: above 1, the other is faster.
    """
    if steps < 10:
        raise ValueError(
            f"steps must be at least 10 (fewer make no median to rely on); received {steps}"
        )
    if not 1 <= block <= steps:
        raise ValueError(
            f"block must be between 1 and the number of steps, {steps}; received {block}"
        )
    load = os.getloadavg()[0]
    contestants = [Contestant(module, case, name, threads, backend) for name in names]
    try:
        seconds, peaks = {name: [] for name in names}, {}
        for contestant in contestants:
            contestant.times(warmup)
        for _ in range(-(-steps // block)):
            for contestant in contestants:
                time.sleep(REST)
                taken, peaks[contestant.name] = contestant.times(block)
                seconds[contestant.name].append(taken)
    finally:
        for contestant in contestants:
            contestant.close()
    record = {
        "case": case,
        "contestants": {name: summary(seconds[name], peaks[name]) for name in names},
        "ratios": {},
    }
    for name in names[1:]:
        pairs = zip(seconds[names[0]], seconds[name], strict=True)
        ratios = [statistics.median(first) / statistics.median(other) for first, other in pairs]
        record["ratios"][f"{names[0]} / {name}"] = {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
            "blocks": ratios,
        }
    settings = {
        "steps": steps,
        "block": block,
        "warmup": warmup,
        "threads": threads,
        "keras_backend": backend,
    }
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    return record | {"settings": settings, "load_before": load, "command": command} | provenance()


def summary(blocks, peak_mib):
    every = [1000 * seconds for block in blocks for seconds in block]
    return {
        "median_ms": statistics.median(every),
        "min_ms": min(every),
        "max_ms": max(every),
        "steps": len(every),
        "peak_mib": peak_mib,
        "blocks_ms": [[1000 * seconds for seconds in block] for block in blocks],
    }


def provenance():
    """What a number is worth nothing without, beside its command: commit, machine, versions."""
    return {
        "commit": commit(),
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "thread_variables": list(THREADS),
    }


def commit():
    """The commit that is checked out, "+changes" if the tree differs from it, results aside; None outside a
    repository."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    try:
        head = git("rev-parse", "HEAD")
    except FileNotFoundError:
        return None
    if head.returncode:
        return None
    changes = git("status", "--porcelain", "--", ".", ":!benchmarks/results").stdout.strip()
    return head.stdout.strip() + ("+changes" if changes else "")


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def serve(module, case, name):
    """A contestant's process: read a number of steps from stdin, answer with their seconds, until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # what a library prints must not be taken for an answer
    step = importlib.import_module(module).CASES[case][name]()
    for line in sys.stdin:
        step()
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "peak_mib": peak_mib()}), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
