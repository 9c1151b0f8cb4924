"""Measures training steps on one GPU, on JAX and PyTorch, within a time limit.

    python -m benchmarks gpu                         every case, at most 10 minutes
    python -m benchmarks gpu --minutes=3 stylegan2_256_bfloat16
    python -m benchmarks gpu --tiny                  each model at toy size, on the CPU too

Each case has up to four programs: kerasgan on JAX and on PyTorch, and the PyTorch baseline, eager
and compiled. Each program runs in a process of its own. The programs of a case start and compile
together; then they alternate, and only one of them uses the GPU. A program that fails or hangs
is recorded as such and does not stop the others. Records are written to
`benchmarks/results/gpu.json` after each case, by device: `h100`, `h200`, `cpu`. Cases for which no
time is left are listed at the end; a further run with their names adds them.

TensorFlow is not needed. With `--tiny`, records go to `gpu_tiny.json` in the temporary folder.
"""

import dataclasses
import functools
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.provenance import ROOT, provenance
from benchmarks.speed import timing
from zoo import cli, lazy
from zoo.command import shell_command
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")
suite = lazy.module("benchmarks.speed.suite")

RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
ROUNDS = 3  # Each program runs this many pairs of an untimed and a timed block, time permitting.
# Variable for the processes: they build toy sizes and may run on the CPU.
TINY = "KERASGAN_BENCHMARK_TINY"
# Toy sizes are compiled without optimization, which takes XLA minutes on a CPU.
QUICK_XLA = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
COMPILED = "torch_compiled"
# Program -> Keras backend.
PROGRAMS = {"torch": "torch", COMPILED: "torch", "kerasgan_jax": "jax", "kerasgan_torch": "torch"}

# Image side -> settings of a "Default configuration" for one GPU in docs/configs.md of
# https://github.com/NVlabs/stylegan3. `published` is the seconds per 1000 images on an A100.
STYLEGAN2: dict[int, dict[str, float]] = {
    128: {"batch": 32, "gamma": 0.1024, "published": 6.79},
    256: {"batch": 16, "gamma": 0.8192, "published": 12.53},
}
# Further settings of these configurations: `--cbase=16384 --map-depth=2 --glr=0.0025 --dlr=0.0025`.
CHANNEL_BASE, MAX_CHANNELS, LATENT, DEPTH, RATE = 16384, 512, 512, 2, 0.0025
PENALTY_EVERY, PATH_EVERY = 16, 4


def tiny() -> bool:
    """Returns whether this process builds toy sizes."""
    return bool(os.environ.get(TINY))


def penalty_every() -> int:
    """Returns the number of steps between R1 penalties, which is also that of a block's steps.

    A block of steps is the unit of time. It holds each kind of StyleGAN2's steps.
    """
    return PATH_EVERY if tiny() else PENALTY_EVERY


# === Sizes ===


def stylegan2_sizes(size: int) -> dict[str, Any]:
    """Returns the sizes of StyleGAN2 with the channels of the published configuration.

    Generator and discriminator have `min(CHANNEL_BASE / side, MAX_CHANNELS)` channels at each side.
    """
    if tiny():
        shape = {"size": 8, "capacity": 2, "discriminator_capacity": 1, "max_channels": 8}
        return shape | {"latent": 8, "depth": DEPTH, "batch": 4, "gamma": 0.1}
    last = CHANNEL_BASE // size
    return {
        "size": size,
        "capacity": last // 2,
        "discriminator_capacity": last // 4,
        "max_channels": MAX_CHANNELS,
        "latent": LATENT,
        "depth": DEPTH,
        "batch": int(STYLEGAN2[size]["batch"]),
        "gamma": STYLEGAN2[size]["gamma"],
    }


def hdgan_sizes() -> dict[str, int]:
    """Returns the sizes of HDGAN: full width, and the authors' batch."""
    if tiny():
        return {"batch": 2, "width": 2, "size": 64}
    return {"batch": 16, "width": 128, "size": 256}


def coopnet_sizes() -> dict[str, int]:
    """Returns the sizes of CoopNet: the settings of the original port."""
    return {"batch": 4, "steps": 2} if tiny() else {"batch": 100, "steps": 10}


# === kerasgan ===


def stylegan2(size: int) -> tuple[Any, Any]:
    """Builds kerasgan's StyleGAN2. Returns the model and a batch."""
    import keras
    import numpy as np

    from kerasgan.models import stylegan2
    from kerasgan.ops.augment import translate

    sizes = stylegan2_sizes(size)
    size, shape = sizes["size"], {"max_channels": sizes["max_channels"]}
    gan = stylegan2.StyleGAN2(
        stylegan2.Generator(
            size,
            capacity=sizes["capacity"],
            latent_dim=sizes["latent"],
            depth=sizes["depth"],
            mapping_form="paper",
            **shape,
        ),
        stylegan2.build_discriminator(
            size, capacity=sizes["discriminator_capacity"], group=4, **shape
        ),
        gradient_penalty_weight=sizes["gamma"],
        gradient_penalty_every=penalty_every(),
        path_every=PATH_EVERY,
        augment=translate,
    )
    gan.compile(
        **{player: keras.optimizers.Adam(RATE, beta_1=0.0, beta_2=0.99) for player in gan.players}
    )
    images = np.random.default_rng(0).uniform(-1, 1, [sizes["batch"], size, size, 3])
    return gan, images.astype("float32")


def hdgan() -> tuple[Any, Any]:
    """Builds kerasgan's HDGAN. Returns the model and a batch."""
    from benchmarks.speed import hdgan

    sizes = hdgan_sizes()
    return hdgan.model_and_batch(sizes["batch"], sizes["width"], sizes["size"])


def coopnet() -> tuple[Any, Any]:
    """Builds kerasgan's CoopNet. Returns the model and a batch."""
    import numpy as np

    from kerasgan.models import coopnet

    sizes = coopnet_sizes()
    chains = {"chains": sizes["batch"], "batch_size": sizes["batch"], "steps": sizes["steps"]}
    model = coopnet.build(32, 3, settings=coopnet.PORT_CIFAR10 | chains)
    shape = [sizes["batch"], 32, 32, 3]
    return model, np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def kerasgan_block(build: Callable[[], tuple[Any, Any]], precision: str) -> Callable:
    """Builds a block of kerasgan's training steps: one `fit` on batches in host memory."""
    import keras

    device()  # Fails early without a GPU.
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    model, batch = build()

    class Same(keras.utils.PyDataset):
        num_batches = penalty_every()

        def __getitem__(self, index: int) -> Any:
            return batch

    def block():
        model.fit(Same(), epochs=1, verbose=0)
        synchronize(model)

    return block


def synchronize(model: Any = None) -> None:
    """Waits for the work that this process gave to the device."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    if model is not None and "jax" in sys.modules:
        import jax

        jax.block_until_ready([variable.value for variable in model.variables])


# === The PyTorch baselines ===


def stylegan2_baseline(size: int, compiled: Callable | None) -> Callable:
    """Builds the training step of StyleGAN2 in PyTorch. Only steps without penalty are compiled."""
    from benchmarks.speed.baselines import stylegan2

    sizes = stylegan2_sizes(size)
    return stylegan2.training_step(
        sizes.pop("batch"),
        penalty=True,
        path=True,
        penalty_every=penalty_every(),
        path_every=PATH_EVERY,
        compiled=compiled,
        classes=1,
        colours=3,
        **sizes,
    )


def hdgan_baseline(compiled: Callable | None) -> Callable:
    """Builds the training step of HDGAN in PyTorch."""
    from benchmarks.speed.baselines import hdgan

    sizes = hdgan_sizes()
    return hdgan.training_step(
        sizes["batch"], sizes["width"], largest=sizes["size"], compiled=compiled
    )


def coopnet_baseline(compiled: Callable | None) -> Callable:
    """Builds the training step of CoopNet in PyTorch."""
    from benchmarks.speed.baselines import coopnet

    sizes = coopnet_sizes()
    step = coopnet.training_step(sizes["batch"], sizes["batch"], sizes["steps"], as_ported=False)
    return compiled(step) if compiled else step


def torch_block(build: Callable[[Any], Callable], precision: str, compiled: bool) -> Callable:
    """Builds a block of training steps of a PyTorch baseline.

    Toy sizes skip TorchInductor, which takes minutes on a CPU.
    """
    import torch

    device()
    place = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(place)
    backend = "aot_eager" if tiny() else "inductor"
    step = build(functools.partial(torch.compile, backend=backend) if compiled else None)
    # Cached casts of weights would miss the update between the two phases of a step.
    cast = torch.autocast(
        place,
        dtype=None if precision == "float32" else getattr(torch, precision),
        enabled=precision != "float32",
        cache_enabled=False,
    )

    def block():
        for _ in range(penalty_every()):
            with cast:
                step()
        synchronize()

    return block


# === The device ===


def device() -> str:
    """Returns the name of this process's device, and sets PyTorch to its fastest products.

    Raises:
        RuntimeError: If the Keras backend has no GPU and the sizes are not tiny.
    """
    if os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        found = jax.devices()[0]
        name = "" if found.platform == "cpu" else found.device_kind
    else:
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
        # JAX does this by default, and stylegan3 lets cuDNN choose its algorithms by trial.
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    if not name and not tiny():
        raise RuntimeError(f"{os.environ.get('KERAS_BACKEND')} finds no GPU")
    return name or "cpu"


def label(name: str) -> str:
    """Returns the key of a device in the results: `h100` for "NVIDIA H100 80GB HBM3"."""
    found = re.search(r"\b([a-z]{1,3}\d{2,4})\b", name.lower())
    return found[1] if found else re.sub(r"\W+", "_", name.lower()).strip("_")


def facts() -> dict[str, Any]:
    """Returns the device of this process and the peak of its memory in MiB, `None` on the CPU.

    The peak is that of the arrays, including temporary ones; unused memory of the allocator does
    not count.
    """
    name, peak = device(), None
    if name != "cpu" and os.environ["KERAS_BACKEND"] == "jax":
        import jax

        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    elif name != "cpu":
        import torch

        peak = torch.cuda.max_memory_allocated()
    return {"device": name, "peak_device_mib": peak and peak / 2**20}


# === The cases ===

MODELS: dict[str, tuple[Callable, Callable, Callable]] = {
    f"stylegan2_{size}": (
        functools.partial(stylegan2, size),
        functools.partial(stylegan2_baseline, size),
        functools.partial(stylegan2_sizes, size),
    )
    for size in STYLEGAN2
} | {
    "hdgan": (hdgan, hdgan_baseline, hdgan_sizes),
    "coopnet": (coopnet, coopnet_baseline, coopnet_sizes),
}
# Model and precision, the most important ones first, because time may run out.
ORDER = (
    ("stylegan2_256", "bfloat16"),
    ("hdgan", "bfloat16"),
    ("coopnet", "float32"),
    ("stylegan2_128", "bfloat16"),
    ("stylegan2_256", "float32"),
    ("stylegan2_128", "float32"),
    ("stylegan2_256", "float16"),
    ("stylegan2_128", "float16"),
    ("coopnet", "bfloat16"),
)


def _programs(model, precision):
    build, baseline, _ = MODELS[model]
    ours = functools.partial(kerasgan_block, build, precision)
    theirs = functools.partial(torch_block, baseline, precision)
    return {
        "torch": functools.partial(theirs, False),
        COMPILED: functools.partial(theirs, True),
        "kerasgan_jax": ours,
        "kerasgan_torch": ours,
    }


TINY_CASES = 3  # Of `ORDER`: each model once, and two precisions.
# Case -> program -> function that builds it in its own process and returns a block of steps.
CASES = {f"{model}_{precision}": _programs(model, precision) for model, precision in ORDER}

# === The measurement ===


def compare(case: str, names: list[str], seconds: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measures programs of a case within a time limit.

    Args:
        case: Key of `CASES`.
        names: Keys of `CASES[case]`.
        seconds: Time limit. Three quarters of it are for starting and compiling.
        rounds: Number of turns of each program.

    Returns:
        `programs`: name -> measurements; `failed`: name -> reason.
    """
    start, failed = time.monotonic(), dict[str, str]()
    left = lambda share=1.0: start + share * seconds - time.monotonic()  # noqa: E731
    threads = max(1, (os.cpu_count() or 1) // len(names))
    running = [
        timing.Contestant("benchmarks.speed.gpu", case, name, threads, PROGRAMS[name])
        for name in names
    ]
    blocks: dict[str, list[float]] = {name: [] for name in names}
    peaks = {}

    def run(contestant, share):
        try:
            measured, peaks[contestant.name] = contestant.answer(left(share))
            blocks[contestant.name] += measured
        except RuntimeError as error:
            if not blocks[contestant.name]:
                failed[contestant.name] = str(error)
            running.remove(contestant)
            _end(contestant)

    every = list(running)
    try:
        for contestant in every:
            contestant.ask(0)
        for contestant in every:
            run(contestant, 0.75)
        for _ in range(rounds):
            for contestant in list(running):
                if left() > 0:
                    contestant.ask(1)
                    run(contestant, 1.0)
    finally:
        for contestant in every:
            _end(contestant)
    failed |= {
        name: f"{name} had no time for a turn"
        for name in names
        if not blocks[name] and name not in failed
    }
    return {
        "programs": {
            each.name: {
                "seconds_per_step": statistics.median(blocks[each.name]) / penalty_every(),
                "blocks_seconds": blocks[each.name],
                "peak_host_mib": peaks[each.name],
            }
            | each.start
            | each.facts
            for each in every
            if blocks[each.name]
        },
        "failed": failed,
    }


def _end(contestant):
    if contestant.process.poll() is None:
        contestant.process.kill()
    contestant.close()


def measure(case: str, names: list[str], seconds: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Returns the record of a case, see `compare`."""
    model, precision = case.rsplit("_", 1)
    sizes = MODELS[model][2]()
    measured = compare(case, names, seconds, rounds)
    for program in measured["programs"].values():
        program["seconds_per_kimg"] = 1000 * program["seconds_per_step"] / sizes["batch"]
    if model.startswith("stylegan2"):
        every = {"penalty_every": penalty_every(), "path_every": PATH_EVERY}
        sizes |= every | {"augment": "translate"}
    settings = {"precision": precision, "block": penalty_every(), "tf32": True, "tiny": tiny()}
    record = measured | {"settings": settings | sizes, "seconds_limit": seconds}
    return record | {"command": shell_command("benchmarks gpu")} | provenance()


def lines(device: str, case: str, record: dict[str, Any]) -> list[str]:
    """Formats a record as lines of text."""
    text = [f"{case} on {device}"]
    for name, found in record["programs"].items():
        memory = found["peak_device_mib"]
        text.append(
            f"  {name:16}{found['seconds_per_kimg']:10.3f} s/kimg"
            f"{1000 * found['seconds_per_step']:10.1f} ms/step"
            f"{found['first_step_seconds']:8.1f} s first block"
            + (f"{memory:10.0f} MiB" if memory else "")
        )
    return text + [f"  {name:16}failed: {reason}" for name, reason in record["failed"].items()]


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    minutes: float | None = setting(
        None, "Time limit of the whole command. Default: 10, or 2 with --tiny.", above=0.0
    )
    tiny: bool = setting(False, "Toy sizes, on the CPU too.")
    rounds: int = setting(ROUNDS, "Largest number of turns of each program.", least=1)
    programs: str = setting(
        ",".join(PROGRAMS), f"Programs, separated by commas: {', '.join(PROGRAMS)}."
    )
    results: str | None = setting(None, "Result file. Records of other cases are kept.")


def command(options: Options, cases: list[str]) -> None:
    """Measures the cases."""
    minutes = options.minutes or (2.0 if options.tiny else 10.0)
    end, names = time.monotonic() + 60 * minutes, options.programs.split(",")
    for what, given, known in (("case", cases, CASES), ("program", names, PROGRAMS)):
        for name in given:
            if name not in known:
                raise ValueError(f"a {what} must be one of {', '.join(known)}; received {name}")
    import torch

    if options.tiny:
        os.environ[TINY] = "1"
        os.environ.setdefault("XLA_FLAGS", QUICK_XLA)
    elif not torch.cuda.is_available():
        raise ValueError("the benchmark needs a GPU that PyTorch finds; --tiny needs none")
    else:  # A kept program would hide the time of its compilation.
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    device = label(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"
    # JAX would take most of the memory from the other programs.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    default = Path(tempfile.gettempdir(), "gpu_tiny.json") if options.tiny else RESULTS
    path = Path(options.results) if options.results else default
    records, missed = suite.read(path), []
    todo = list(cases or list(CASES)[: TINY_CASES if options.tiny else None])
    while todo:
        left, share = end - time.monotonic(), 2.0 / (1 + len(todo))
        case = todo.pop(0)
        if left < (1 if options.tiny else 20):
            missed.append(case)
            continue
        record = measure(case, names, left * share, options.rounds)
        records.setdefault(device, {})[case] = record
        print("\n".join(lines(device, case, record)), flush=True)
        files.make_folder(path.parent)
        files.write_json(path, records, indent=1)
    if missed:
        print(f"no time was left for {', '.join(missed)}")
    print(f"records: {path}")


def main() -> None:
    os.environ["KERAS_BACKEND"] = "torch"  # For this process, which only writes files.
    cli.main("benchmarks gpu", Options, command, description=__doc__, usage="[CASE ...] ")


if __name__ == "__main__":
    main()
