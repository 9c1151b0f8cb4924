"""Time from the start of Python to the first sample of each preset, and its sampling rate.

    python -m benchmarks sampling                    every preset, three rounds, an idle machine
    python -m benchmarks sampling --images=64 mnist_gan_digits

The first number is the time until a new process has printed that its work is done: `import keras`
alone, and a preset that is loaded and samples one image. The second is images per second of
`sample`, after a first call, and of `zoo.sample`, which writes them to an HDF5 file. Results are
written to `benchmarks/results/sampling.json` after each preset.
"""

import dataclasses
import os
import pathlib
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
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")
suite = lazy.module("benchmarks.speed.suite")

RESULTS = ROOT / "benchmarks" / "results" / "sampling.json"
PRESETS = (
    "mnist_gan_digits",
    "coopnet_digits",
    "stylex_digits_8_9",
    "hdgan_synthetic_birds_256",
    "projected_text_gan_synthetic_birds_256",
)
# Target of the time to the first sample: a multiple of that of `import keras`, plus seconds.
LIMIT = (1.2, 0.5)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    rounds: int = setting(3, "Number of processes of each kind, which alternate.", least=1)
    images: int = setting(192, "Number of images of the sampling rate.", least=1)
    threads: int = setting(2, "Number of threads.", least=1)
    backend: str = setting("tensorflow", "Keras backend.", choices=("tensorflow", "jax", "torch"))


# === In processes of their own ===


def imports() -> None:
    """Imports Keras."""
    import keras  # noqa: F401


def inputs(model: Any, count: int) -> dict[str, Any]:
    """Returns the arguments of `model.sample` for a number of images."""
    if model.conditioning == "captions":
        return {"captions": ["a small red bird with a yellow belly"] * count}
    if model.conditioning == "labels":
        return {"labels": [index % model.classes for index in range(count)]}
    return {"n": count}


def first_sample(preset: str) -> None:
    """Loads a preset and generates an image."""
    from kerasgan.io import presets

    model = presets.load(preset)
    model.sample(seed=0, **inputs(model, 1))


def rates(preset: str, count: str) -> None:
    """Prints the images per second of `sample`, and of `zoo.sample` with an HDF5 file."""
    from kerasgan.io import presets
    from zoo import sample

    model, number = presets.load(preset), int(count)
    arguments = inputs(model, number)
    model.sample(seed=0, **arguments)
    begin = time.perf_counter()
    model.sample(seed=1, **arguments)
    alone = number / (time.perf_counter() - begin)
    caption = tuple(arguments["captions"][:1]) if "captions" in arguments else ()
    with tempfile.TemporaryDirectory() as folder:
        options = sample.Options(
            checkpoint=preset, out=os.path.join(folder, "samples.h5"), n=number, caption=caption
        )
        write = {"labels": sample.write_labels, "captions": sample.write_captions}
        write_samples = write.get(model.conditioning, sample.write_unconditional)
        write_samples(model, options, pathlib.Path(options.out), {})
        begin = time.perf_counter()
        write_samples(model, options, pathlib.Path(options.out), {})
        written = number / (time.perf_counter() - begin)
    print(alone, written)


JOBS = {job.__name__: job for job in (imports, first_sample, rates)}

# === The measurement ===


def process(options: Options, *arguments: str) -> tuple[float, list[float]]:
    """Runs a job in a new process.

    Returns:
        The seconds until it has printed its last line, and the numbers in the line before.

    Raises:
        RuntimeError: If the process fails.
    """
    settings = dict.fromkeys(THREADS, str(options.threads)) | {
        "KERAS_BACKEND": options.backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONDONTWRITEBYTECODE": "",  # Compiled modules, as in an installed package.
    }
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.sampling", "--job", *arguments],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        lines: list[str] = []
        for line in child.stdout:
            if line.strip() == "done":
                return time.perf_counter() - begin, [float(x) for x in (lines or [""])[-1].split()]
            lines.append(line)
    raise RuntimeError(f"{' '.join(arguments)} ended with exit code {child.returncode}")


def measure(preset: str, options: Options) -> dict[str, Any]:
    """Returns the record of a preset."""
    seconds: dict[str, list[float]] = {"import_keras": [], "first_sample": []}
    for _ in range(options.rounds):
        seconds["import_keras"].append(process(options, "imports")[0])
        seconds["first_sample"].append(process(options, "first_sample", preset)[0])
    _, (alone, written) = process(options, "rates", preset, str(options.images))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    target = LIMIT[0] * medians["import_keras"] + LIMIT[1]
    return medians | {
        "target": target,
        "rounds_seconds": seconds,
        "images_per_second": alone,
        "images_per_second_to_file": written,
    }


def command(options: Options, presets: list[str]) -> None:
    """Measures presets and writes their records."""
    for name in presets:
        if name not in PRESETS:
            raise ValueError(f"a preset must be one of {', '.join(PRESETS)}; received {name!r}")
    records = suite.read(RESULTS)
    about = provenance() | {"command": shell_command("benchmarks sampling")}
    for name in presets or PRESETS:
        load = os.getloadavg()[0]
        record = measure(name, options)
        records.setdefault(name, {})[options.backend] = (
            record | dataclasses.asdict(options) | {"load_before": load} | about
        )
        files.make_folder(RESULTS.parent)
        files.write_json(RESULTS, records, indent=1)
        print(
            f"{name:40} import keras {record['import_keras']:5.2f} s, first sample "
            f"{record['first_sample']:5.2f} s (target {record['target']:5.2f}), "
            f"{record['images_per_second']:7.1f} images/s, to a file "
            f"{record['images_per_second_to_file']:7.1f}",
            flush=True,
        )


def main() -> None:
    if sys.argv[1:2] == ["--job"]:
        JOBS[sys.argv[2]](*sys.argv[3:])
        print("done", flush=True)
        return
    cli.main("benchmarks sampling", Options, command, description=__doc__, usage="[PRESET ...] ")


if __name__ == "__main__":
    main()
