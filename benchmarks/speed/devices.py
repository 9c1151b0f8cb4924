"""Throughput of one process per core: two processes on two cores against one process on one core.

    python -m benchmarks devices                    both models, three rounds; an idle machine
    python -m benchmarks devices --steps=4 --rounds=1 --width=2 --size=64 mnist_gan hdgan
    python -m benchmarks devices --paper            traffic of 8 and 64 GPUs at full width, computed

Both runs train on the same batches, so the ratio of step times is the ratio of throughputs; 2 would
be perfect. Every process counts the bytes that it gives to collective operations and their number.
On TensorFlow, operations of both branches of a condition count.

The bound of the ratio is measured by two processes that exchange nothing, each with half of the
batch on its own core: they share the caches and the memory of the machine, but need not wait for
each other. Every exchange records when each process enters and leaves it. A process waits until the
last one has entered, and the rest is the transfer. On TensorFlow, other operations may run
meanwhile. Results are written to `benchmarks/results/devices_speed.json`.
"""

import dataclasses
import functools
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.provenance import ROOT, provenance
from benchmarks.speed import hdgan, mnist_gan
from benchmarks.speed.timing import THREADS
from zoo import cli, lazy
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
distribution = lazy.module("kerasgan.distribution")
files = lazy.module("kerasgan.io.files")

RESULTS = ROOT / "benchmarks" / "results" / "devices_speed.json"
WARMUP = 3  # Number of steps before the timed ones.
CASES: dict[str, Callable] = {
    # Case -> function of the options that returns the model and the arrays of a batch.
    "hdgan": lambda options: hdgan.model_and_batch(8, options.width, options.size),
    "mnist_gan": lambda options: mnist_gan.model_and_batch(False, 128, 2 * options.width),
}
# Bytes per second that a device can send: NVLink of an H100; 100 Gbit/s of a machine of 8 devices.
NVLINK, ETHERNET, MACHINE = 450e9, 100e9 / 8, 8


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    steps: int = setting(10, "Number of timed steps of each run.", least=1)
    rounds: int = setting(3, "Number of runs of each kind, which alternate.", least=1)
    width: int = setting(32, "Width of HDGAN. MnistGAN has twice as many channels.", least=1)
    size: int = setting(256, "Largest images of HDGAN in pixels.", choices=(64, 128, 256))
    backend: str = setting("tensorflow", "Keras backend.", choices=("tensorflow", "torch"))
    batch_statistics: str = setting(
        "batch",
        "Statistics of batch normalization: of the whole batch, or of the rows of each device.",
        choices=("batch", "device"),
    )
    gradient_exchange: str = setting(
        "float32",
        "Dtype of the gradients that devices exchange.",
        choices=("float32", "bfloat16"),
    )
    paper: bool = setting(False, "Print the computed traffic of many GPUs, without measuring.")


# === One process ===


class Traffic:
    """Counts and times the collective operations in this process from now on.

    Args:
        rows: Number of rows of this process in a batch, the unknown dimension of a graph.

    Attributes:
        bytes: Number of bytes given to collective operations.
        exchanges: Number of collective operations.
    """

    MOST = 1000  # Largest number of exchanges in a graph.

    def __init__(self, rows: int):
        self.rows, self.bytes, self.exchanges = rows, 0, 0
        self._spans: list[tuple[float, float]] = []  # PyTorch: of the current step
        module = sys.modules[f"kerasgan.backend.{keras.backend.backend()}"]
        if keras.backend.backend() == "torch":
            self._replace(module.dist, "all_reduce", self._exchange_now)
        else:
            self._tf = module.tf
            # An operation of the graph writes the times of its exchange into its row.
            self._times = self._tf.Variable(np.zeros([self.MOST, 2]), trainable=False)
            self._replace(self._tf.raw_ops, "CollectiveReduceV2", self._exchange_in_graph)

    def _replace(self, owner, name, method):
        setattr(owner, name, functools.partial(method, getattr(owner, name)))

    def reset(self) -> None:
        """Forgets the exchanges so far."""
        self.bytes, self.exchanges, self._spans = 0, 0, []

    def spans(self) -> list:
        """Returns the times of each exchange of the last step, pairs of begin and end."""
        if keras.backend.backend() != "torch":
            return self._times.numpy()[: self.exchanges].tolist()
        spans, self._spans = self._spans, []
        return spans

    def _count(self, x):
        self.exchanges += 1
        size = math.prod(self.rows if side is None else side for side in x.shape)
        dtype = keras.backend.standardize_dtype(x.dtype)
        self.bytes += size * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)

    def _exchange_now(self, exchange, x):
        self._count(x)
        begin = time.time()
        exchange(x)
        self._spans.append((begin, time.time()))

    def _exchange_in_graph(self, exchange, **options):
        tf, place = self._tf, self.exchanges
        self._count(options["input"])
        with tf.control_dependencies([options["input"]]):
            begin = tf.timestamp()
        with tf.control_dependencies([begin]):
            total = exchange(**options)
        with tf.control_dependencies([total]):
            self._times.scatter_nd_update([[place]], [tf.stack([begin, tf.timestamp()])])
        return total


def worker(case: str, core: int, parts: int, options: Options) -> dict:
    """Trains on one core and returns times, bytes and exchanges of a step.

    Args:
        case: Key of `CASES`.
        core: Number of the core.
        parts: Number of parts of the batch; the process trains on the first one only.
        options: Flags.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    distribution.start(
        batch_statistics=options.batch_statistics, gradient_exchange=options.gradient_exchange
    )
    model, batch = CASES[case](options)
    batch = tuple(x[: len(x) // parts] for x in batch)

    class Same(keras.utils.PyDataset):  # type: ignore[name-defined]
        num_batches = WARMUP + options.steps

        def __getitem__(self, index: int) -> Any:
            return batch

    traffic = Traffic(len(batch[0]) // distribution.processes()[1])
    times, cpu, spans = [], [], []
    traced = options.backend == "tensorflow"  # A graph is traced once, in the first step.

    def begin(logs):
        traffic.reset()  # without the exchange of the initial weights

    def timed(batch, logs):
        for value in logs.values():
            np.asarray(value)  # Waits for the step.
        times.append(time.perf_counter())
        cpu.append(time.process_time())
        spans.append(traffic.spans())
        if batch == WARMUP - 1 and not traced:
            traffic.reset()

    timer = keras.callbacks.LambdaCallback(on_train_begin=begin, on_train_batch_end=timed)
    model.fit(Same(), epochs=1, verbose=0, callbacks=[timer])
    steps = 1 if traced else options.steps
    return {
        "seconds": (times[-1] - times[WARMUP - 1]) / options.steps,
        "cpu_seconds": (cpu[-1] - cpu[WARMUP - 1]) / options.steps,
        "bytes": traffic.bytes / steps,
        "exchanges": traffic.exchanges / steps,
        "spans": spans[WARMUP:],
    }


# === The measurement ===


def run(case: str, devices: int, options: Options, apart: bool = False) -> list[dict]:
    """Runs one process on each of the first cores. Returns their records.

    Args:
        case: Key of `CASES`.
        devices: Number of processes.
        options: Flags.
        apart: If `True`, the processes exchange nothing, and each trains on its part of the batch.
    """
    settings = dict.fromkeys(THREADS, "1") | {
        "KERAS_BACKEND": options.backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    joined = devices > 1 and not apart
    places = _places(devices, options.backend) if joined else [{}] * devices
    parts = devices if apart else 1
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0] * devices
    if devices > len(cores):
        raise ValueError(f"the benchmark needs {devices} cores; received {len(cores)}")
    flags = json.dumps(dataclasses.asdict(options))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.devices", case, str(core), str(parts), flags],
            cwd=ROOT,
            env=os.environ | settings | place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core, place in zip(cores, places, strict=False)
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise RuntimeError(f"a process of {case} ended with status {process.returncode}")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def _places(devices, name):
    command = "from zoo import launch; import json; print(json.dumps(launch.environments({})))"
    output = subprocess.run(
        [sys.executable, "-c", command.format(devices)],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": name},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(output.stdout.splitlines()[-1])


def measure(case: str, options: Options) -> dict:
    """Alternates runs of three kinds, and returns the record of a case.

    The kinds are one process, two processes, and two processes that exchange nothing.
    """
    load = os.getloadavg()[0]
    runs: dict[str, list[list[dict]]] = {"1": [], "2": [], "apart": []}
    for _ in range(options.rounds):
        runs["1"].append(run(case, 1, options))
        runs["2"].append(run(case, 2, options))
        runs["apart"].append(run(case, 2, options, apart=True))
    seconds = {kind: [_mean(found, "seconds") for found in runs[kind]] for kind in runs}
    cpu = {kind: [_mean(found, "cpu_seconds") for found in runs[kind]] for kind in runs}
    exchanges = [exchange_seconds([each["spans"] for each in found]) for found in runs["2"]]
    first = runs["2"][0][0]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "throughput_ratio": _ratio(seconds, "2"),
        "bound": _ratio(seconds, "apart"),
        "waiting_seconds": [waiting for waiting, _ in exchanges],
        "transfer_seconds": [transfer for _, transfer in exchanges],
        "bytes_per_step": first["bytes"],
        "exchanges_per_step": first["exchanges"],
        "settings": dataclasses.asdict(options),
        "load_before": load,
        "command": shlex.join(["python", "-m", "benchmarks", "devices", *sys.argv[1:]]),
    } | provenance()


def _mean(records, key):
    return statistics.fmean(record[key] for record in records)


def _ratio(seconds, kind):
    ratios = [one / two for one, two in zip(seconds["1"], seconds[kind], strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def exchange_seconds(spans: list) -> tuple[float, float]:
    """Returns the seconds of waiting and of transfer in a step, sums over its exchanges.

    Both are means over processes and steps.

    Args:
        spans: Times of begin and end of each exchange, `[processes, steps, exchanges, 2]`.
    """
    begin, end = np.moveaxis(np.array(spans), -1, 0)
    ready = begin.max(axis=0)  # when the last process has entered
    return (
        float((ready - begin).sum(axis=-1).mean()),
        float((end - ready).sum(axis=-1).mean()),
    )


# === On paper ===


def traffic(networks: dict[str, list], calls: dict[str, int]) -> tuple[int, int]:
    """Returns the bytes of gradients and of batch statistics that a step exchanges per device.

    Args:
        networks: Dict from player to its networks.
        calls: Dict from player to the number of passes of its networks in a step. Batch
            normalization exchanges two numbers per channel in the forward and in the backward pass.
    """
    gradients = batch_statistics = 0
    for player, owned in networks.items():
        for network in owned:
            gradients += 4 * sum(math.prod(v.shape) for v in network.trainable_variables)
            norms = [
                layer
                for layer in network._flatten_layers()
                if isinstance(layer, keras.layers.BatchNormalization)
            ]
            channels = sum(layer.moving_mean.shape[0] for layer in norms)
            batch_statistics += 4 * 2 * 2 * channels * calls[player]
    return gradients, batch_statistics


def paper_rows() -> list[str]:
    """Returns the lines of the table of many GPUs, in Markdown."""
    from kerasgan.models import hdgan as networks, mnist_gan as digits

    sizes = networks.SIZES
    models = {
        "HDGAN, width 128, 256 pixels": {
            "generator": [networks.build_generator(sizes)],
            "discriminator": [networks.build_discriminator(size) for size in sizes],
        },
        "MnistGAN, width 64": {
            "generator": [digits.build_generator(width=64)],
            "discriminator": [digits.build_discriminator(width=32)],
        },
    }
    rows = [
        "| model | gradients | batch statistics | 8 GPUs, NVLink | 64 GPUs, 100 Gbit/s |",
        "|---|---|---|---|---|",
    ]
    for name, players in models.items():
        calls = {"generator": 1, "discriminator": 4}  # real, mismatched, fake twice
        gradients, batches = traffic(players, calls)
        rows.append(
            f"| {name} | {gradients / 1e6:,.1f} MB | {batches / 1e6:.2f} MB "
            f"| {1000 * ring(gradients, 8, NVLINK):.2f} ms "
            f"| {1000 * ring(gradients, 64 // MACHINE, ETHERNET):,.1f} ms |"
        )
    return rows


def ring(size: float, members: int, rate: float) -> float:
    """Returns the seconds of a ring all-reduce: each member sends 2 (k - 1) / k of the bytes."""
    return 2 * (members - 1) / members * size / rate


# === The command ===


def command(options: Options, cases: list[str]) -> None:
    """Measures the cases, or prints the computed table."""
    if options.paper:
        print("\n".join(paper_rows()))
        return
    for case in cases:
        if case not in CASES:
            raise ValueError(f"a case must be one of {', '.join(CASES)}; received {case}")
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for case in cases or CASES:
        statistics_of = "" if options.batch_statistics == "batch" else "_device_statistics"
        dtype = "" if options.gradient_exchange == "float32" else "_bfloat16"
        name = f"{case}_{options.backend}{statistics_of}{dtype}"
        record = records[name] = measure(case, options)
        ratio = record["throughput_ratio"]
        print(
            f"{case} on {options.backend}: {ratio['median']:.2f} times the throughput "
            f"({ratio['min']:.2f} to {ratio['max']:.2f}), {record['bytes_per_step'] / 1e6:.2f} MB "
            f"in {record['exchanges_per_step']:.0f} exchanges per step; without exchanges "
            f"{record['bound']['median']:.2f} times"
        )
        files.write_json(RESULTS, records, indent=1)


def main() -> None:
    cli.main("benchmarks devices", Options, command, description=__doc__, usage="[CASE ...] ")


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[4].startswith("{"):
        name, core, parts, flags = sys.argv[1:]
        answer = worker(name, int(core), int(parts), Options(**json.loads(flags)))
        # `distribution.start` silenced the standard output of the other processes.
        os.write(1, (json.dumps(answer) + "\n").encode())
    else:
        main()
