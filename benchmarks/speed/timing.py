"""Compares the step times of several programs on one machine.

A case maps the name of each program (`contestant` in the result files) to a function that builds
it. The built object is a function without arguments that runs one whole step and returns when the
step is complete.

Each program runs in a process of its own, so that the thread pools of torch and TensorFlow never
share a process and peak memory is measured separately. Environment variables fix the number of
threads. The processes alternate in blocks of steps (A B A B ...), so that slow changes of the
machine's speed affect all programs alike. The first step of each block is a warm-up and is not
timed.
"""

import contextlib
import importlib
import itertools
import json
import os
import select
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Collection
from typing import Any

from benchmarks.provenance import ROOT, provenance
from zoo import memory

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# Seconds between blocks. An idle OpenMP pool spins for up to 0.2 s before it releases its cores.
PAUSE = 0.3
# Smallest number of timed steps. Ten give a reliable median; the table names cases with fewer.
LEAST_STEPS, USUAL_STEPS = 4, 10


class Contestant:
    """One program of a case, in a process of its own.

    Args:
        module: Name of a module with a dictionary `CASES`.
        case: Key of `CASES`.
        name: Key of `CASES[case]`.
        threads: Number of threads.
        backend: Keras backend of the process.
    """

    def __init__(self, module: str, case: str, name: str, threads: int, backend: str):
        settings = dict.fromkeys(THREADS, str(threads)) | {
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.name, self.start, self.facts = name, dict[str, float](), dict[str, Any]()
        self.workers: list[float] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.timing", module, case, name],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin and self.process.stdout  # Both are pipes.
        self.questions, self.answers = self.process.stdin, self.process.stdout

    def times(self, steps: int) -> tuple[list[float], float]:
        """Run one untimed and `steps` timed steps.

        Returns:
            The seconds of each timed step, and the peak memory of the process so far in MiB.

        Raises:
            RuntimeError: If the process has ended.
        """
        self.ask(steps)
        return self.answer()

    def ask(self, steps: int) -> None:
        """Let the process run one untimed and `steps` timed steps, without waiting for them."""
        with contextlib.suppress(BrokenPipeError):  # Reported by `answer`.
            print(steps, file=self.questions, flush=True)

    def answer(self, limit: float | None = None) -> tuple[list[float], float]:
        """Wait for the steps of `ask`.

        `start` then holds the seconds in which the process built the program (with imports) and
        ran its first step (with tracing and compilation). `facts` holds the result of the module's
        function `facts`, if it has one, and `workers` the peak memory in MiB of each process that
        the program has started.

        Args:
            limit: Seconds after which the process is killed. `None` waits without a limit.

        Returns:
            See `times`.

        Raises:
            RuntimeError: If the process has failed or ended, or took longer than `limit`.
        """
        if limit is not None and not select.select([self.answers], [], [], max(limit, 0))[0]:
            self.process.kill()
            raise RuntimeError(f"{self.name} was stopped at its time limit")
        answer = self.answers.readline()
        if not answer:
            raise RuntimeError(
                f"{self.name} ended with exit code {self.process.wait()} before it had timed its "
                "steps"
            )
        answer = json.loads(answer)
        if "error" in answer:
            raise RuntimeError(f"{self.name} failed with {answer['error']}")
        self.start, self.facts = answer["start"], answer["facts"]
        self.workers = answer["workers_mib"]
        return answer["seconds"], answer["peak_mib"]

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # The process has already ended.
            self.questions.close()
        self.process.wait()
        self.answers.close()


def compare(
    module: str,
    case: str,
    names: list[str],
    *,
    steps: int = 12,
    block: int = 2,
    warmup: int = 3,
    threads: int = 2,
    backend: str = "tensorflow",
    program: str | None = None,
    optional: Collection[str] = (),
    limit: float | None = None,
) -> dict:
    """Time the programs `names` of `module.CASES[case]` in alternating blocks.

    Args:
        module: Name of a module with a dictionary `CASES`.
        case: Key of `CASES`.
        names: Keys of `CASES[case]`. The first one is the baseline.
        steps: Number of timed steps of each program, at least `LEAST_STEPS`.
        block: Number of consecutive steps of one program, from 1 to `steps`.
        warmup: Number of steps before the first block.
        threads: Number of threads of each program.
        backend: Keras backend.
        program: Module named in the recorded command. Defaults to `module`.
        optional: Names of programs that may fail before the first block. They are then left out,
            and listed in the record.
        limit: Seconds until the end of the warm-up after which an optional program counts as
            failed. `None` waits without a limit.

    Returns:
        A record for the result file. `ratios` holds, for each pair of programs, the median step
        time of the earlier one divided by that of the later one, block by block. A ratio above 1
        means that the later program is faster.

    Raises:
        ValueError: If `steps` or `block` is out of range.
        RuntimeError: If a process ends early.
    """
    if steps < LEAST_STEPS:
        raise ValueError(f"steps must be at least {LEAST_STEPS} for a median; received {steps}")
    if not 1 <= block <= steps:
        raise ValueError(
            f"block must be between 1 and the number of steps ({steps}); received {block}"
        )
    load = os.getloadavg()[0]
    contestants = [Contestant(module, case, name, threads, backend) for name in names]
    try:
        seconds: dict[str, list[list[float]]] = {name: [] for name in names}
        peaks, failed = {}, {}
        for contestant in list(contestants):
            try:
                contestant.ask(warmup)
                contestant.answer(limit if contestant.name in optional else None)
            except RuntimeError as error:
                if contestant.name not in optional:
                    raise
                failed[contestant.name] = str(error)
                contestant.close()
                contestants.remove(contestant)
        names = [contestant.name for contestant in contestants]
        for _ in range(-(-steps // block)):
            for contestant in contestants:
                time.sleep(PAUSE)
                measured, peaks[contestant.name] = contestant.times(block)
                seconds[contestant.name].append(measured)
    finally:
        for contestant in contestants:
            contestant.close()
    record: dict[str, Any] = {
        "case": case,
        "contestants": {
            each.name: summary(seconds[each.name], peaks[each.name])
            | {"start": each.start}
            | ({"workers_mib": each.workers} if each.workers else {})
            for each in contestants
        },
        "ratios": {},
    }
    for one, other in itertools.combinations(names, 2):
        blocks = zip(seconds[one], seconds[other], strict=True)
        ratios = [statistics.median(first) / statistics.median(second) for first, second in blocks]
        record["ratios"][f"{one} / {other}"] = {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
            "blocks": ratios,
        }
    if failed:
        record["failed"] = failed
    settings = {
        "steps": steps,
        "block": block,
        "warmup": warmup,
        "threads": threads,
        "keras_backend": backend,
    }
    command = shlex.join(["python", "-m", program or module, *sys.argv[1:]])
    record |= {"settings": settings, "load_before": load, "command": command}
    return record | provenance() | {"thread_variables": list(THREADS)}


def summary(blocks: list[list[float]], peak_mib: float) -> dict:
    """Summarize the step times of one program.

    Args:
        blocks: Seconds of each step, block by block.
        peak_mib: Peak memory in MiB.

    Returns:
        Median, minimum and maximum in milliseconds, number of steps, peak memory, and the times of
        all blocks in milliseconds.
    """
    every = [1000 * seconds for block in blocks for seconds in block]
    return {
        "median_ms": statistics.median(every),
        "min_ms": min(every),
        "max_ms": max(every),
        "steps": len(every),
        "peak_mib": peak_mib,
        "blocks_ms": [[1000 * seconds for seconds in block] for block in blocks],
    }


def serve(module: str, case: str, name: str) -> None:
    """Run in the process of a `Contestant`: read step counts from stdin, answer with times."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Redirect stdout to stderr, so that output of libraries is not mistaken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _answer(importlib.import_module(module), case, name, answers)
    except Exception as error:
        # Further lines are the source of the failure, with paths of this machine.
        reason = (str(error).splitlines() or [""])[0]
        print(json.dumps({"error": f"{type(error).__name__}: {reason}"}), file=answers, flush=True)
        raise


def _answer(loaded, case, name, answers):
    begin = time.perf_counter()
    step = loaded.CASES[case][name]()
    built, first = time.perf_counter() - begin, None
    for line in sys.stdin:
        begin = time.perf_counter()
        step()
        first = time.perf_counter() - begin if first is None else first
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        answer = {"seconds": seconds, "peak_mib": memory.peak_mib()}
        answer["start"] = {"build_seconds": built, "first_step_seconds": first}
        peaks = map(memory.peak_mib_of, memory.children(os.getpid()))
        answer["workers_mib"] = [mib for mib in peaks if mib]
        answer["facts"] = getattr(loaded, "facts", dict)()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
