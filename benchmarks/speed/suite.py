"""All speed cases, and the result file.

`CASES` maps each case to its programs: the baseline first, then kerasgan. `SCALES` measures
kerasgan's steps at several sizes.

For training steps with a PyTorch baseline, the record also holds the arithmetic of the baseline's
step (counted by torch for convolutions and matrix products) and which share of the machine's
matrix multiplication rate each program reaches. kerasgan's step often needs less arithmetic for the
same result; its share refers to the baseline's arithmetic.
"""

import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed import (
    coopnet,
    hdgan,
    likelihood_models,
    metrics,
    mnist_gan,
    projected,
    stylegan2,
    stylex,
    timing,
)

RESULTS = Path(__file__).parents[1] / "results" / "speed.json"
PARTS = (
    mnist_gan,
    hdgan,
    projected,
    coopnet,
    stylex,
    stylegan2,
    likelihood_models,
    metrics,
)
# Case -> program -> function that builds it in its own process and returns its step.
CASES = {case: programs for part in PARTS for case, programs in part.CASES.items()}
# Case -> description of the size, the sizes, and a function that builds the step of one size.
SCALES = {case: scale for part in PARTS for case, scale in getattr(part, "SCALES", {}).items()}
CASES |= {
    case: {str(size): functools.partial(build, size) for size in sizes}
    for case, (_, sizes, build) in SCALES.items()
}
# Cases that are not training steps, or whose many small operations make the count meaningless.
WITHOUT_ARITHMETIC = {"attfind", *metrics.METRICS, *metrics.PACKAGES}
COMPILED = "torch_compiled"
# Cases of `check`: every kind of model and metric, at most a minute each.
FAST = (
    "mnist_gan_corrected",
    "coopnet_lean",
    "stylex_latents",
    "stylegan2",
    "vae",
    "flow",
    "kernel_distance",
    "precision_recall",
    "r_precision",
)


def compiled(build: Callable[[], Callable]) -> Callable:
    """Returns the PyTorch step that `build` returns, compiled by TorchInductor."""
    from benchmarks.speed.baselines import compiled as baseline

    return baseline.compiled(build)


# The training steps of PyTorch also run compiled, as a whole unless the case defines another way.
# The order is: peers, then kerasgan.
CASES |= {
    case: {"torch": programs["torch"], COMPILED: functools.partial(compiled, programs["torch"])}
    | {name: build for name, build in programs.items() if name != "torch"}
    for case, programs in CASES.items()
    if "torch" in programs and case not in WITHOUT_ARITHMETIC
}
BATCH_SIZES = {
    "MNIST GAN": mnist_gan.BATCH_SIZE,
    "HDGAN": hdgan.BATCH_SIZE,
    "CoopNet": coopnet.CHAINS,
    "StylEx": stylex.BATCH_SIZE,
    "StyleGAN2": stylegan2.BATCH_SIZE,
    "VAE and flow": likelihood_models.BATCH_SIZE,
    "Inception": metrics.INCEPTION_IMAGES,
}


def exponent(sizes: Sequence[float], milliseconds: Iterable[float]) -> float:
    """Fit `time ~ size ** exponent` by least squares of the logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in milliseconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum(
        (a - mean_x) ** 2 for a in x
    )


def arithmetic(case: str, medians: dict[str, float]) -> dict:
    """Measure the arithmetic of a case's PyTorch baseline and the rate of this machine.

    Args:
        case: Key of `CASES` with a program "torch".
        medians: Program -> median step time in milliseconds.

    Returns:
        `gflop`: billions of floating-point operations of the convolutions and matrix products of
        one step. `products_gflops`: operations per second of NumPy's product of two matrices of
        2,048 x 2,048. `share`: program -> `gflop` per median step time, divided by that rate.
    """
    import numpy as np

    from benchmarks.speed.baselines.flops import FlopCounter

    step, times = CASES[case]["torch"](), []
    with FlopCounter() as counter:
        step()
    one, other = np.random.default_rng(0).normal(size=(2, 2048, 2048)).astype("float32")
    for _ in range(6):
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    rate = 2 * 2048**3 / 1e9 / min(times)
    share = {name: counter.gflop / (median / 1000) / rate for name, median in medians.items()}
    return {"gflop": counter.gflop, "products_gflops": rate, "share": share}


def read(results: Path = RESULTS) -> dict[str, dict]:
    """Read a result file: case -> record. An absent file has no records.

    Raises:
        ValueError: If the file is not JSON.
    """
    if not results.exists():
        return {}
    try:
        return json.loads(results.read_text())
    except ValueError as error:
        raise ValueError(f"{results} is broken ({error}); repair or delete it") from None


def best_peer(record: dict) -> str:
    """Returns the name of the fastest program of a record other than the last one, kerasgan's."""
    *peers, _ = record["contestants"]
    return min(peers, key=lambda name: record["contestants"][name]["median_ms"])


def table(records: dict[str, dict]) -> list[str]:
    """Format records as the lines of a text table."""
    lines = [
        f"{'case':24}{'program':14}{'median ms':>10}{'min ms':>10}{'peak MiB':>10}"
        "   speed-up (min-max)"
    ]
    for case, record in records.items():
        baseline = best_peer(record)
        for name, measured in record["contestants"].items():
            ratio = record["ratios"].get(f"{baseline} / {name}") if case not in SCALES else None
            gain = (
                f"   {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
            )
            lines.append(
                f"{case:24}{name:14}{measured['median_ms']:10.1f}{measured['min_ms']:10.1f}"
                f"{measured['peak_mib']:10.0f}{gain}"
            )
        if case in SCALES:
            lines.append(
                f"{case:24}time ~ size ** {record['exponent']:.2f}, size: {record['sizes']}"
            )
    return lines


def slower(record: dict, before: dict) -> list[str]:
    """Returns a line for each peer to which kerasgan lost speed, beyond the recorded spread.

    A case is slower if the median of its ratios is below the smallest ratio of the recorded blocks.

    Args:
        record: Record of a new measurement.
        before: The kept record of the same case.
    """
    lines = []
    for pair, ratio in record["ratios"].items():
        kept = before["ratios"].get(pair)
        if kept and pair.endswith(" / kerasgan") and ratio["median"] < kept["min"]:
            lines.append(
                f"{record['case']}: {pair} is {ratio['median']:.2f}; "
                f"recorded {kept['median']:.2f} ({kept['min']:.2f} to {kept['max']:.2f})"
            )
    return lines


def check(cases: Sequence[str], *, results: Path = RESULTS, **settings: Any) -> None:
    """Measures cases again and compares them with the result file, which stays as it is.

    Args:
        cases: Keys of `CASES`; empty for `FAST`.
        results: Result file.
        **settings: Arguments of `timing.compare`.

    Raises:
        ValueError: If a case is unknown or has no record, or if kerasgan became slower.
    """
    records, lines = read(results), []
    for case in cases or FAST:
        if case not in CASES or case not in records:
            known = ", ".join(name for name in records if name in CASES)
            raise ValueError(f"a case to check must be one of {known}; received {case}")
    for case in cases or FAST:
        # A compiled program takes a minute to start, and is not always the faster peer.
        names = [name for name in CASES[case] if name != COMPILED]
        record = measure(case, names, **settings)
        print("\n".join(table({case: record})), flush=True)
        lines += slower(record, records[case])
    if lines:
        raise ValueError(f"slower than recorded: {'; '.join(lines)}")


def measure(case: str, names: Sequence[str], **settings: Any) -> dict:
    """Returns the record of some programs of a case, see `timing.compare`."""
    return timing.compare(
        "benchmarks.speed.suite",
        case,
        list(names),
        program="benchmarks.speed",
        optional=(COMPILED, "jax"),
        **settings,
    )


def results_of(backend: str) -> Path:
    """Returns the result file of a Keras backend."""
    return RESULTS if backend == "tensorflow" else RESULTS.with_stem(f"speed_{backend}")


def main(
    cases: Sequence[str], *, results: Path | None = None, programs: str = "", **settings: Any
) -> None:
    """Measure cases and write their records to the result file.

    Args:
        cases: Keys of `CASES`; empty for all.
        results: Result file. Records of other cases are kept. Defaults to that of the backend.
        programs: Comma-separated names of the programs to compare; empty for all of a case.
        **settings: Arguments of `timing.compare`. With another backend than TensorFlow, kerasgan
            is compared with eager PyTorch only.

    Raises:
        ValueError: If a case or program is unknown or the result file is broken.
    """
    # At the top it would load Keras into the processes of the peers, and count as their memory.
    from kerasgan.io import files

    for case in cases:
        if case not in CASES:
            raise ValueError(f"Unknown case {case}. Expected one of {', '.join(CASES)}.")
        for name in filter(None, programs.split(",")):
            if name not in CASES[case]:
                raise ValueError(
                    f"a program of {case} must be one of {', '.join(CASES[case])}; received {name}"
                )
    backend = settings.get("backend", "tensorflow")
    results = results or results_of(backend)
    records = read(results)
    for case in cases or CASES:
        names = [
            name
            for name in CASES[case]
            if (name in programs.split(",") if programs else True)
            and (backend == "tensorflow" or name not in (COMPILED, "jax"))
        ]
        record = measure(case, names, **settings)
        medians = {name: measured["median_ms"] for name, measured in record["contestants"].items()}
        if case in SCALES:
            description, sizes, _ = SCALES[case]
            record |= {"sizes": description, "exponent": exponent(sizes, medians.values())}
        elif "torch" in medians and case not in WITHOUT_ARITHMETIC:
            record["arithmetic"] = arithmetic(case, medians)
        records[case] = record
        files.make_folder(results.parent)
        files.write_json(results, records, indent=1)
        print("\n".join(table({case: records[case]})), flush=True)
