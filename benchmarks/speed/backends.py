"""Compile time, step time and memory of every recipe's training step on the three backends.

    python -m benchmarks backends                    every recipe, about an hour on an idle machine
    python -m benchmarks backends --policies=float32,mixed_bfloat16 mnist_gan coopnet
    python -m benchmarks backends --backends=jax --preset=quick stylegan2

Each combination runs in a process of its own: the preset's model and one batch of its data. The
first step includes tracing and compilation; `compile_seconds` is its time minus that of a usual
step. JAX' cache of compiled programs is off. Results are written to
`benchmarks/results/backends.json` after each combination.
"""

import dataclasses
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.provenance import ROOT, provenance
from benchmarks.speed.timing import THREADS
from zoo import cli, lazy
from zoo.command import shell_command
from zoo.memory import peak_mib
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")
suite = lazy.module("benchmarks.speed.suite")

RESULTS = ROOT / "benchmarks" / "results" / "backends.json"
BACKENDS = ("tensorflow", "jax", "torch")
POLICIES = ("float32", "mixed_bfloat16")
RECIPES = (
    "mnist_gan",
    "conditional_vae",
    "flow",
    "coopnet",
    "stylegan2",
    "stylex",
    "birds_256",
    "projected_birds",
)
# Steps after the first that are not timed: PyTorch chooses convolution kernels in them.
WARMUP = 1
# Fewer birds than the presets have, because generating them takes minutes.
FEWER_IMAGES = 64


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    preset: str = setting("quick", "Preset of each recipe.")
    backends: str = setting(",".join(BACKENDS), "Comma-separated Keras backends.")
    policies: str = setting("float32", "Comma-separated dtype policies of Keras.")
    steps: int = setting(8, "Number of timed steps.", least=2)
    threads: int = setting(2, "Number of threads.", least=1)
    limit: int = setting(300, "Seconds after which a combination is stopped.", least=1)


def worker(recipe_name: str, preset: str, policy: str, steps: int) -> dict[str, Any]:
    """Trains a recipe's model on one batch and returns seconds and MiB.

    Args:
        recipe_name: Name of a module of `zoo` with a `RECIPE`.
        preset: Name of a preset.
        policy: Dtype policy.
        steps: Number of timed steps.
    """
    import keras
    import numpy as np

    from zoo import recipe

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    kind = importlib.import_module(f"zoo.{recipe_name}").RECIPE
    settings = recipe.settings_of(kind, preset)
    if kind.dataset(settings) == "synthetic_birds":
        settings = dataclasses.replace(settings, num_images=FEWER_IMAGES)
    begin = time.perf_counter()
    batch = kind.data(settings)[0]
    data_seconds, begin = time.perf_counter() - begin, time.perf_counter()
    model = kind.build(settings)
    build_seconds, times, processor = time.perf_counter() - begin, [], []
    for _ in range(1 + WARMUP + steps):
        begin, begin_processor = time.perf_counter(), time.process_time()
        logs = model.train_on_batch(*batch, return_dict=True)
        for value in logs.values():
            np.asarray(keras.ops.convert_to_numpy(value))  # Waits for the step.
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    usual = times[1 + WARMUP :]
    return {
        "data_seconds": data_seconds,
        "build_seconds": build_seconds,
        "compile_seconds": max(times[0] - statistics.median(usual), 0.0),
        # Processor time depends little on other programs that share the core.
        "compile_processor_seconds": max(
            processor[0] - statistics.median(processor[1 + WARMUP :]), 0.0
        ),
        "step_processor_ms": 1000 * statistics.mean(processor[1 + WARMUP :]),
        # The mean, because a model may alternate between steps of different lengths.
        "step_ms": 1000 * statistics.mean(usual),
        "steps_ms": [1000 * each for each in usual],
        "images": len(batch[0]) if not isinstance(batch[0], dict) else settings.batch_size,
        "peak_mib": peak_mib(),
        "finite": all(np.isfinite(float(np.mean(value))) for value in logs.values()),
    }


def measure(recipe_name: str, backend: str, policy: str, options: Options) -> dict[str, Any]:
    """Returns the record of one combination; `failed` holds the reason if there is no result."""
    settings = dict.fromkeys(THREADS, str(options.threads)) | {
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }
    arguments = ["--worker", recipe_name, options.preset, policy, str(options.steps)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        try:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.speed.backends", *arguments],
                cwd=ROOT,
                env=os.environ | settings,
                stdout=out,
                stderr=errors,
                timeout=options.limit,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"stopped after {options.limit} s"}
        except subprocess.CalledProcessError:
            errors.seek(0)
            return {"failed": _reason(errors.read())}
        out.seek(0)
        return json.loads(out.read().strip().splitlines()[-1])


def _reason(errors):
    """Returns the line of a traceback that names the exception. JAX prints further lines."""
    lines = errors.strip().splitlines() or ["no message"]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (named or lines)[-1][:200]


def command(options: Options, recipes: list[str]) -> None:
    """Measures combinations and writes their records."""
    chosen = [part.strip() for part in options.backends.split(",")]
    policies = [part.strip() for part in options.policies.split(",")]
    for rule, given, allowed in (
        ("recipe", recipes, RECIPES),
        ("backend", chosen, BACKENDS),
        ("policy", policies, POLICIES),
    ):
        for name in given:
            if name not in allowed:
                raise ValueError(f"a {rule} must be one of {', '.join(allowed)}; received {name!r}")
    records = suite.read(RESULTS)
    about = provenance() | {
        "command": shell_command("benchmarks backends"),
        "load_before": None,
    }
    for name in recipes or RECIPES:
        for policy in policies:
            for backend in chosen:
                about["load_before"] = os.getloadavg()[0]
                record = measure(name, backend, policy, options)
                kept = records.setdefault(name, {}).setdefault(policy, {})
                kept[backend] = record | dataclasses.asdict(options) | about
                files.make_folder(RESULTS.parent)
                files.write_json(RESULTS, records, indent=1)
                print(line(name, policy, backend, record), flush=True)


def line(name: str, policy: str, backend: str, record: dict[str, Any]) -> str:
    """Returns a record as a line of text."""
    text = f"{name:18}{policy:16}{backend:12}"
    if "failed" in record:
        return f"{text}{record['failed']}"
    return (
        f"{text}compile {record['compile_seconds']:6.1f} s, step {record['step_ms']:7.0f} ms, "
        f"{record['peak_mib']:6.0f} MiB; processor time "
        f"{record['compile_processor_seconds']:.1f} s and {record['step_processor_ms']:.0f} ms"
    )


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        name, preset, policy, steps = sys.argv[2:]
        print(json.dumps(worker(name, preset, policy, int(steps))))
        return
    cli.main("benchmarks backends", Options, command, description=__doc__, usage="[RECIPE ...] ")


if __name__ == "__main__":
    main()
