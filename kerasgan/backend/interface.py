"""The interface that the module of each backend implements.

mypy compares the three modules with `Backend` (at the end of this file), and
`tests/test_backend.py` compares the signatures of the backend in use.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import keras
import numpy as np

from kerasgan.types import Tensor

T = TypeVar("T")
Objective = Callable[[], tuple[Tensor, Any]]
"""Function without arguments that returns a scalar objective and any outputs."""


class Backend(Protocol):
    """Functions that differ between TensorFlow, JAX and PyTorch."""

    # === Steps ===

    def step(self, fn: Callable) -> Callable:
        """Wraps `fn(self, data) -> logs` as the `train_step` or `test_step` of Keras' trainer."""

    def restored_on_failure(self, model: keras.Model) -> AbstractContextManager:
        """Returns a context that restores the model's variables if `fit` or `evaluate` fails."""

    # === Differentiation ===

    def value_and_gradients(
        self, fn: Objective, variables: Sequence[keras.Variable]
    ) -> tuple[Any, list[Tensor]]:
        """Returns the outputs of `fn() -> (objective, outputs)` and the objective's gradients."""

    def value_and_gradients_of_sum(
        self, fns: Sequence[Objective], variables: Sequence[keras.Variable]
    ) -> tuple[list[Any], list[Tensor]]:
        """Returns the list of outputs and the gradients of the sum of the objectives.

        The terms are differentiated one after the other, which limits the peak memory.
        """

    def vjp(
        self, fn: Callable[[], Any], variables: Sequence[keras.Variable]
    ) -> tuple[Any, Callable[[Any], list[Tensor]]]:
        """Returns `fn()` and its vector-Jacobian product function for `variables`."""

    def value_and_input_gradient(self, fn: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
        """Returns `fn(x)` and the differentiable gradient d sum(value) / dx.

        Args:
            fn: Function that returns `value` or `(value, extras)`.
            x: Tensor, or nested structure of tensors.
        """

    def remat(self, fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Returns a pure function with gradient checkpointing (rematerialization) on TensorFlow."""

    def apply(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """Performs one step of a Keras optimizer."""

    def building(self) -> AbstractContextManager:
        """Returns a context for building models.

        On JAX, functions that are compiled in it are not optimized, because each initial weight of
        a new shape needs a program of its own, which runs once. Training steps must not be compiled
        in it. On TensorFlow, a model that is built while a function is traced gets its weights at
        once, and not in each call of the function.
        """

    def inference(self) -> AbstractContextManager:
        """Returns a context for calls of networks outside of a step, without gradients.

        Without it, PyTorch keeps the intermediate results of a call as long as its outputs.
        """

    def predict_one(self, network: keras.Model, inputs: Any) -> Any:
        """Returns a network's outputs for a batch of one row, as `predict_on_batch` does.

        TensorFlow computes the first row without a graph. Tracing one takes longer than the row.
        """

    # === Control flow whose branches and bodies may update variables ===

    def cond(self, predicate: Tensor, true_fn: Callable[[], T], false_fn: Callable[[], T]) -> T:
        """Returns `true_fn()` if `predicate` is true and `false_fn()` otherwise."""

    def cond_or_zero(self, predicate: Tensor, fn: Callable[[], Tensor]) -> Tensor:
        """Returns `fn()`, a float32 scalar, if `predicate` is true, and 0.0 otherwise.

        Unlike `cond`, it may compute the gradient of `fn` in the same branch as its value. Then its
        gradient cannot be differentiated.
        """

    def fori_loop(self, lower: Any, upper: Any, body: Callable[[Any, T], T], carry: T) -> T:
        """Applies `carry = body(i, carry)` for i from `lower` to `upper` - 1 and returns it."""

    def frozen_moving_statistics(self, fn: Callable[[], Any]) -> Any:
        """Returns `fn()` and discards its updates of floating-point variables."""

    # === Replicas: the devices that share the batches of a training ===

    def join_processes(self) -> None:
        """Connects this process with the others that its launcher started, if any."""

    def processes(self) -> tuple[int, int]:
        """Returns the index of this process and the number of connected processes."""

    def lost_connection(self, error: Exception) -> bool:
        """Returns whether an error of a collective operation means that another process ended."""

    def process_sum(self, x: np.ndarray) -> np.ndarray:
        """Returns the sum of arrays of one shape over all processes, outside of steps."""

    def consecutive_rows(self) -> bool:
        """Returns whether a process computes consecutive rows of a batch, or every k-th row."""

    def replica(self) -> tuple[Any, int]:
        """Returns the index of the running replica and the number of replicas.

        A replica executes a step on its part of the batch only. JAX has one replica, because its
        compiler divides a step on the whole batch among the devices.
        """

    def all_sum(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Returns the sum of `x` over all replicas. It is differentiable any number of times.

        The gradient is the sum of the replicas' gradients, so that the objective that all replicas
        differentiate together is the sum of their objectives.

        Args:
            x: Tensor of the same shape on all replicas.
            overwrite: If `True`, the caller does not use `x` again, so that its memory can hold the
                sum.
        """

    # === Kernels ===

    def batch_norm(
        self, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns normalized `x`, the batch mean and the biased batch variance.

        Args:
            x: Tensor `[..., C]`, normalized over all axes but the last.
            gamma, beta: Scale and offset `[C]`.
            epsilon: Constant added to the variance.
            relu: If `True`, applies ReLU to the result.
        """

    def image_conv(self, x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str) -> Tensor:
        """Returns a convolution of images with few channels, `[N, H, W, C]`."""

    # === Properties of the device ===

    def trains_convolutions(self, dtype: str) -> bool:
        """Returns `False` for float16 with PyTorch on a CPU, and for bfloat16 with PyTorch on a CPU
        without bfloat16 kernels (those need AVX-512)."""

    def prefers_matmul(self) -> bool:
        """Returns whether matrix products are the fastest kernels (TensorFlow on CPUs)."""

    def without_autotune(self, strategy: Any) -> Any:
        """Returns a TensorFlow strategy for one device without automatic tuning of `tf.data`."""


if TYPE_CHECKING:
    from kerasgan.backend import jax, tensorflow, torch

    _tensorflow: Backend = tensorflow
    _jax: Backend = jax
    _torch: Backend = torch
