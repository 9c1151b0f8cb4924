"""Training on several devices.

A training on k devices equals the training on one device with the same seed, data and batch size,
up to rounding. JAX divides the steps of one process among its devices. TensorFlow and PyTorch run
one process per device, which exchange gradients and batch statistics (`kerasgan.ops.replicas`).

The guide "Several devices" in `docs/guides/several_devices.md` explains the launchers.
"""

import functools
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan import backend
from kerasgan.datasets.epochs import Rows, rows_of
from kerasgan.ops import replicas


def start(
    devices: int | None = None,
    batch_statistics: str = "batch",
    gradient_exchange: str = "float32",
) -> None:
    """Connects the processes and divides the work among devices. Call it before building a model.

    The launcher's environment defines the processes: `TF_CONFIG` (TensorFlow), `torchrun` (PyTorch)
    or a JAX coordinator. Only the first process prints.

    Args:
        devices: Number of devices of this process on JAX. Ignored with several JAX processes, which
            use all their devices, and on TensorFlow and PyTorch, which have one process per device.
            To have two devices on a CPU, JAX needs the environment variable
            `XLA_FLAGS=--xla_force_host_platform_device_count=2`.
        batch_statistics: `"batch"` normalizes by the statistics of the whole batch, so that the
            result does not depend on the number of devices. `"device"` normalizes by those of the
            rows of each device, which saves most exchanges. TensorFlow and PyTorch only.
        gradient_exchange: Dtype of the exchanged gradients. `"bfloat16"` halves the traffic and
            rounds the gradients to 8 significant bits, as PyTorch's `bf16_compress_hook` does.
            Optimizers still compute in float32. TensorFlow and PyTorch only.

    Raises:
        ValueError: If JAX finds fewer devices, or an argument is invalid.
    """
    if batch_statistics not in ("batch", "device"):
        raise ValueError(
            f"batch_statistics must be 'batch' or 'device'; received {batch_statistics!r}"
        )
    if gradient_exchange not in ("float32", "bfloat16"):
        raise ValueError(
            f"gradient_exchange must be 'float32' or 'bfloat16'; received {gradient_exchange!r}"
        )
    if keras.backend.backend() == "jax":
        if batch_statistics == "device":
            raise ValueError(
                "batch_statistics='device' needs TensorFlow or PyTorch: JAX computes the "
                "statistics of the whole batch"
            )
        if gradient_exchange != "float32":
            raise ValueError(
                "gradient_exchange='bfloat16' needs TensorFlow or PyTorch: on JAX, the compiler "
                "exchanges the gradients"
            )
    replicas.use_device_statistics(batch_statistics == "device")
    replicas.use_gradient_dtype(gradient_exchange)
    backend.join_processes()
    if not is_chief():
        sys.stdout = _Silent()
    if keras.backend.backend() == "jax":
        found = keras.distribution.list_devices()
        count = len(found) if backend.processes()[1] > 1 else devices or 1
        if count > len(found):
            raise ValueError(
                f"devices must be at most {len(found)}, the number of devices that JAX finds; "
                f"received {devices}. On a CPU, set "
                f"XLA_FLAGS=--xla_force_host_platform_device_count={devices}"
            )
        if count > 1:
            keras.distribution.set_distribution(
                DataParallel(devices=found[:count], auto_shard_dataset=False)
            )


def is_chief() -> bool:
    """Returns whether this process writes files and prints. It is the first of the processes."""
    return backend.processes()[0] == 0


class DataParallel(keras.distribution.DataParallel):
    """`keras.distribution.DataParallel` that accepts batches of any size.

    If the size of a batch is not a multiple of the number of devices, each device computes the
    whole batch. `sample` therefore takes any number of images. With several processes, only the
    data of `fit` and `evaluate` are divided, because no process could read all rows of a divided
    result of `predict`.
    """

    steps = False  # True while a step of `fit` or `evaluate` runs.

    def get_data_layout(self, data_shape: Sequence[int]) -> keras.distribution.TensorLayout:
        count = processes()[1]
        divides = data_shape[0] % (self.device_mesh.devices.size // count) == 0
        if divides and (count == 1 or self.steps):
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def divided(function: Callable | None) -> Callable | None:
    """Returns Keras' training or test function such that JAX processes divide its data."""
    parallel = keras.distribution.distribution()
    if function is None or processes()[1] == 1 or not isinstance(parallel, DataParallel):
        return function

    @functools.wraps(function)
    def steps(*arguments):
        parallel.steps = True
        try:
            return function(*arguments)
        finally:
            parallel.steps = False

    return steps


class _Silent(io.TextIOBase):
    """Text stream that drops what is written to it."""

    def write(self, text: str) -> int:
        return len(text)


def processes() -> tuple[int, int]:
    """Returns the index of this process and the number of processes."""
    return backend.processes()


def any_process(condition: bool) -> bool:
    """Returns whether a condition is true in any process. All processes must call this."""
    return bool(summed(np.array([float(condition)]))[0])


def summed(x: np.ndarray) -> np.ndarray:
    """Returns the sum of an array over the processes. All processes must call this."""
    return x if processes()[1] == 1 else backend.process_sum(x)


def exchanged(x: np.ndarray) -> np.ndarray:
    """Returns the arrays of all processes, `[processes, ...]`. They must have the same shape.

    All processes must call this.
    """
    index, count = processes()
    if count == 1:
        return x[None]
    placed = np.zeros((count, *x.shape))
    placed[index] = x
    return summed(placed)


def shard(data: Any) -> Any:
    """Returns the part of a data set that this process reads.

    Args:
        data: `keras.utils.PyDataset` of whole batches, whose size must be a multiple of the number
            of devices. An `EpochDataset` reads only the images of this process.

    Raises:
        TypeError: If there are several processes and `data` is not a `PyDataset`.
    """
    index, count = backend.processes()
    parallel = keras.distribution.distribution()
    devices = count if parallel is None else parallel.device_mesh.devices.size
    if devices == 1 or data is None:
        return data
    if count == 1 and not isinstance(data, keras.utils.PyDataset):
        return data
    if not isinstance(data, keras.utils.PyDataset):
        raise TypeError(
            "training with several processes needs a keras.utils.PyDataset, such as those of "
            f"kerasgan.datasets; received {type(data).__name__}"
        )
    return _Shard(data, Rows(index, count, devices, backend.consecutive_rows()))


class _Shard(keras.utils.PyDataset):
    """Rows of each batch that belong to one process."""

    def __init__(self, data: keras.utils.PyDataset, own: Rows):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._data, self._own = data, own

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._data, name)

    @property
    def num_batches(self) -> int | None:
        return self._data.num_batches

    def __getitem__(self, index: int) -> Any:
        return rows_of(self._data, index, self._own)

    def on_epoch_begin(self) -> None:
        self._data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._data.on_epoch_end()


def synchronize(model: keras.Model) -> None:
    """Assigns the values of the first process to the variables of a model in all processes."""
    index, count = backend.processes()
    if count == 1:
        return
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    variables = [*model.variables, *optimizer]
    # Float64 represents seeds and counters exactly.
    values = [np.asarray(keras.ops.convert_to_numpy(v), "float64").ravel() for v in variables]
    flat = np.concatenate(values)
    flat = backend.process_sum(flat if index == 0 else np.zeros_like(flat))
    start = 0
    for variable in variables:
        size = int(np.prod(variable.shape))
        value = flat[start : start + size].reshape(variable.shape)
        variable.assign(value.astype(variable.dtype))
        start += size
