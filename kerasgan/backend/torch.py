"""PyTorch: `torch.autograd.grad` with respect to the variables of one player.

`backward` is never called, so the other players accumulate no gradients.
"""

import atexit
import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist
from keras.src.backend.torch.core import get_device

from kerasgan.backend.interface import Objective, T
from kerasgan.backend.scope import (
    first,
    frozen_moving_statistics,
    in_step,
    is_plain_adam,
    marked_step,
    plain_data,
)
from kerasgan.types import Tensor

__all__ = [
    "all_sum",
    "apply",
    "batch_norm",
    "process_sum",
    "building",
    "inference",
    "cond",
    "cond_or_zero",
    "fori_loop",
    "frozen_moving_statistics",
    "image_conv",
    "join_processes",
    "lost_connection",
    "predict_one",
    "processes",
    "replica",
    "consecutive_rows",
    "restored_on_failure",
    "prefers_matmul",
    "remat",
    "step",
    "vjp",
    "trains_convolutions",
    "without_autotune",
    "value_and_gradients",
    "value_and_gradients_of_sum",
    "value_and_input_gradient",
]

# A process that waits longer than this for another one fails.
TIMEOUT = datetime.timedelta(minutes=10)


def step(fn: Callable) -> Callable:
    @functools.wraps(fn)
    def wrapped(self, data):
        with (
            marked_step(),
            torch.no_grad(),
        ):  # `_gradients` callers record the graph where they need it
            return fn(self, plain_data(data))

    return wrapped


def _gradients(outputs, inputs, **options):
    if not inputs:  # a frozen player; torch refuses an empty list
        return []
    gradients = torch.autograd.grad(outputs, inputs, allow_unused=True, **options)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients, strict=True)]


def _detached(outputs):
    return keras.tree.map_structure(lambda x: x.detach() if torch.is_tensor(x) else x, outputs)


def value_and_gradients(
    fn: Objective, variables: Sequence[keras.Variable]
) -> tuple[Any, list[Tensor]]:
    with torch.enable_grad():
        objective, outputs = fn()
    if not objective.requires_grad:  # it depends on none of the variables
        return outputs, [torch.zeros_like(v.value) for v in variables]
    return _detached(outputs), _gradients(objective, [v.value for v in variables])


def value_and_gradients_of_sum(
    fns: Sequence[Objective], variables: Sequence[keras.Variable]
) -> tuple[list[Any], list[Tensor]]:
    outputs: list[Any] = []
    sums = [torch.zeros_like(v.value) for v in variables]
    for fn in fns:
        output, gradients = value_and_gradients(fn, variables)
        outputs.append(output)
        sums = [a + b for a, b in zip(sums, gradients, strict=True)]
    return outputs, sums


def vjp(
    fn: Callable[[], Any], variables: Sequence[keras.Variable]
) -> tuple[Any, Callable[[Any], list[Tensor]]]:
    with torch.enable_grad():
        outputs = fn()

    def pull(cotangents):
        pairs = [
            (y, c)
            for y, c in zip(
                keras.tree.flatten(outputs), keras.tree.flatten(cotangents), strict=True
            )
            if y.requires_grad
        ]
        if not pairs:  # no output depends on the variables
            return [torch.zeros_like(v.value) for v in variables]
        outs, cots = zip(*pairs, strict=True)
        return _gradients(outs, [v.value for v in variables], grad_outputs=cots)

    return _detached(outputs), pull


def value_and_input_gradient(fn: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    # Inside an objective, the gradient itself is differentiated.
    differentiable = torch.is_grad_enabled()

    def leaf(x):
        x = keras.ops.convert_to_tensor(x)
        return x if x.requires_grad else x.detach().requires_grad_()

    x = keras.tree.map_structure(leaf, x)
    leaves = keras.tree.flatten(x)
    with torch.enable_grad():
        outputs = fn(x)
        total = first(outputs).sum()
        if total.requires_grad:
            gradients = _gradients(total, leaves, create_graph=differentiable)
        else:  # the value does not depend on x
            gradients = [torch.zeros_like(x) for x in leaves]
    gradient = keras.tree.pack_sequence_as(x, gradients)
    return (outputs, gradient) if differentiable else (_detached(outputs), gradient)


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor],
    variables: Sequence[keras.Variable],
) -> None:
    values = [v.value for v in variables]
    on_cpu = all(value.device.type == "cpu" and value.is_contiguous() for value in values)
    with torch.no_grad():
        if not on_cpu or not is_plain_adam(optimizer):
            return optimizer.apply(gradients, variables)
        # Keras' Adam passes over the memory of each variable a dozen times; this kernel does once.
        step = int(optimizer.iterations.value) + 1
        indices = [optimizer._get_variable_index(v) for v in variables]
        torch._fused_adam_(
            values,
            [gradient.contiguous() for gradient in gradients],
            [optimizer._momentums[i].value for i in indices],
            [optimizer._velocities[i].value for i in indices],
            [],
            [torch.tensor(float(step)) for _ in values],
            lr=float(optimizer.learning_rate),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            weight_decay=0.0,
            # PyTorch adds epsilon after the correction of the bias, Keras before.
            eps=optimizer.epsilon / (1 - optimizer.beta_2**step) ** 0.5,
            amsgrad=False,
            maximize=False,
        )
        optimizer.iterations.assign_add(1)


def building() -> AbstractContextManager:
    return contextlib.nullcontext()


def inference() -> AbstractContextManager:
    return torch.no_grad()


def predict_one(network: keras.Model, inputs: Any) -> Any:
    return network.predict_on_batch(inputs)


def cond(predicate: Tensor, true_fn: Callable[[], T], false_fn: Callable[[], T]) -> T:
    return true_fn() if bool(predicate) else false_fn()


def cond_or_zero(predicate: Tensor, fn: Callable[[], Tensor]) -> Tensor:
    return fn() if bool(predicate) else keras.ops.zeros((), "float32")


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, T], T], carry: T) -> T:
    for i in range(int(lower), int(upper)):
        carry = body(i, carry)
    return carry


def remat(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return fn


def batch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    channels = x.shape[-1]
    count = x.numel() // channels
    if count == 1:  # torch's kernel refuses a single value
        mean = x.reshape(channels)
        y = (x - mean) * gamma * epsilon**-0.5 + beta
        return torch.relu(y) if relu else y, mean, torch.zeros_like(gamma)
    maps = x.movedim(-1, 1)  # a view; the kernel supports channels-last memory
    mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
    # With momentum 1, the running statistics become those of the batch.
    y = torch.batch_norm(
        maps, gamma, beta, mean, variance, True, 1.0, epsilon, torch.backends.cudnn.enabled
    )
    y = torch.relu(y) if relu else y
    return y.movedim(1, -1), mean, variance * (count - 1) / count


def join_processes() -> None:
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():  # set by torchrun
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    # Without this, the threads of gloo sometimes abort the process at its end.
    atexit.register(_leave_processes)


def _leave_processes():
    if dist.is_initialized():
        dist.destroy_process_group()


def processes() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def lost_connection(error: Exception) -> bool:
    gloo = isinstance(error, RuntimeError) and "onnection" in str(error)
    return gloo or isinstance(error, dist.DistError)


def process_sum(x: np.ndarray) -> np.ndarray:
    values = torch.tensor(x, device=get_device())
    dist.all_reduce(values)
    return values.cpu().numpy()


def consecutive_rows() -> bool:
    return False  # see `kerasgan.ops.replicas`


def replica() -> tuple[Any, int]:
    return processes() if in_step() else (0, 1)


class _AllSum(torch.autograd.Function):
    @staticmethod
    def forward(context, x, overwrite):
        if overwrite:
            context.mark_dirty(x)
            total = x
        else:
            total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context, cotangent):
        return _AllSum.apply(cotangent, False), None


def all_sum(x: Tensor, overwrite: bool = False) -> Tensor:
    return _AllSum.apply(x, overwrite and x.is_contiguous())


def without_autotune(strategy: Any) -> Any:
    return strategy


def trains_convolutions(dtype: str) -> bool:
    if dtype == "float32" or str(get_device()) != "cpu":
        return True
    # Without oneDNN's kernels, PyTorch's own lack some gradients (its error: "slow_conv2d:
    # grad_weight must be contiguous").
    mkldnn = torch.backends.mkldnn.is_available()
    return dtype == "bfloat16" and mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def prefers_matmul() -> bool:
    return False


def image_conv(x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str) -> Tensor:
    if tuple(kernel.shape[:2]) == (1, 1):
        # On CPUs without AVX-512, PyTorch 2.13 has wrong gradients of 1 x 1 convolutions with
        # strides, and writes outside of their memory.
        x, strides = x[:, :: strides[0], :: strides[1]], (1, 1)
    return keras.ops.conv(x, kernel, strides, padding, "channels_last")


def restored_on_failure(model: keras.Model) -> AbstractContextManager:
    return contextlib.nullcontext()
