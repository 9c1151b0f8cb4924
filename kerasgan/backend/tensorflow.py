"""TensorFlow: gradient tapes over the variables of one player, and fused kernels."""

import contextlib
import functools
import itertools
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

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

# Grappler's arithmetic optimization orders sums differently each time it traces a function. A
# resumed run would then differ from an uninterrupted one in the last bits. Without it, the steps
# of ConditionalGAN, CoopNet and StyleGAN2 are not slower.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def step(fn: Callable) -> Callable:
    @functools.wraps(fn)
    def wrapped(self, data):
        with marked_step():
            return fn(self, plain_data(data))

    return wrapped


def value_and_gradients(
    fn: Objective, variables: Sequence[keras.Variable]
) -> tuple[Any, list[Tensor]]:
    values = [v.value for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        objective, outputs = fn()
    return outputs, tape.gradient(objective, values, unconnected_gradients="zero")


def value_and_gradients_of_sum(
    fns: Sequence[Objective], variables: Sequence[keras.Variable]
) -> tuple[list[Any], list[Tensor]]:
    values = [v.value for v in variables]
    outputs: list[Any] = []
    sums: list[Tensor | None] = [None] * len(values)
    before: list[Tensor] = []
    for fn in fns:
        with (
            tf.control_dependencies(before),
            tf.GradientTape(watch_accessed_variables=False) as tape,
        ):
            tape.watch(values)
            objective, output = fn()
        gradients = tape.gradient(objective, values)
        before = [gradient for gradient in gradients if gradient is not None]
        outputs.append(output)
        sums = [
            b if a is None else a if b is None else a + b
            for a, b in zip(sums, gradients, strict=True)
        ]
    return outputs, [
        tf.zeros_like(v) if s is None else s for v, s in zip(values, sums, strict=True)
    ]


def vjp(
    fn: Callable[[], Any], variables: Sequence[keras.Variable]
) -> tuple[Any, Callable[[Any], list[Tensor]]]:
    values = [v.value for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        outputs = fn()

    def pull(cotangents):
        return tape.gradient(
            outputs, values, output_gradients=cotangents, unconnected_gradients="zero"
        )

    return outputs, pull


def value_and_input_gradient(fn: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    x = keras.tree.map_structure(tf.convert_to_tensor, x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        outputs = fn(x)
    return outputs, tape.gradient(first(outputs), x, unconnected_gradients="zero")


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor],
    variables: Sequence[keras.Variable],
) -> None:
    if replica()[1] > 1 and tf.distribute.has_strategy():
        return _apply_equal(optimizer, gradients, variables)
    sparse = any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
    if sparse or not is_plain_adam(optimizer) or tf.distribute.has_strategy():
        return optimizer.apply(gradients, variables)
    # Keras' Adam passes over the memory of each variable a dozen times. TensorFlow's kernel uses
    # the same formula in one pass.
    step = tf.cast(optimizer.iterations.value + 1, "float32")
    rate = tf.cast(optimizer.learning_rate, "float32")
    for gradient, variable in zip(gradients, variables, strict=True):
        index = optimizer._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=optimizer.beta_1**step,
            beta2_power=optimizer.beta_2**step,
            lr=rate,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )
    optimizer.iterations.assign_add(1)


def _apply_equal(optimizer, gradients, variables):
    """Performs a step with gradients that are equal on all replicas of a strategy."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Keras sums the gradients over replicas, after clipping. They are equal on all replicas here,
    # so the sum is disabled. Replicas run in threads that share the optimizer, so it is not
    # restored.
    object.__setattr__(inner, "_all_reduce_sum_gradients", _unsummed)
    optimizer.apply(gradients, variables)


def _unsummed(gradients_and_variables):
    return gradients_and_variables


def building() -> AbstractContextManager:
    return tf.init_scope()


def inference() -> AbstractContextManager:
    return contextlib.nullcontext()


_called: weakref.WeakSet = weakref.WeakSet()  # Networks of which `predict_one` made a row.


def predict_one(network: keras.Model, inputs: Any) -> Any:
    used = network in _called or network.predict_function is not None
    if used or network.distribute_strategy.num_replicas_in_sync > 1:
        return network.predict_on_batch(inputs)
    _called.add(network)
    return keras.tree.map_structure(lambda x: x.numpy(), network(inputs, training=False))


def cond(predicate: Tensor, true_fn: Callable[[], T], false_fn: Callable[[], T]) -> T:
    return tf.cond(predicate, true_fn, false_fn)


def cond_or_zero(predicate: Tensor, fn: Callable[[], Tensor]) -> Tensor:
    return tf.cond(predicate, fn, lambda: tf.zeros((), "float32"))


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, T], T], carry: T) -> T:
    return keras.ops.fori_loop(lower, upper, body, carry)


# Attribute of a tensor: a function that recomputes it from tensors that stay in memory anyway.
RECOMPUTE = "_recompute"


def remat(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def outer(*inputs):
        # `tf.custom_gradient` treats variables differently from inputs.
        inputs = [*map(tf.convert_to_tensor, inputs)]
        recomputes = [getattr(x, RECOMPUTE, None) for x in inputs]

        @tf.custom_gradient
        def call(*inputs):
            def gradient(cotangent):
                # Without the dependency, TensorFlow would merge the second computation with the
                # first one and keep its result in memory.
                with tf.control_dependencies([cotangent]):
                    recomputed = [
                        recompute() if recompute else tf.identity(x)
                        for recompute, x in zip(recomputes, inputs, strict=True)
                    ]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(recomputed)
                    outputs = fn(*recomputed)  # TensorFlow prunes the unused parts of the graph
                gradients = tape.gradient(outputs, recomputed, cotangent)
                # All gradients are complete, and their memory is free, before any is used.
                with tf.control_dependencies(gradients):
                    return [tf.identity(x) for x in gradients]

            return fn(*inputs), gradient

        return call(*inputs)

    return outer


def batch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    shape = tf.shape(x)
    channels = x.shape[-1]
    maps = x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, channels])
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    # The kernel returns the unbiased variance; Keras' moving variance is of the biased one.
    count = tf.cast(tf.size(maps) // channels, variance.dtype)
    variance = variance * (count - 1) / count

    def recompute():
        fixed = {"mean": mean, "variance": variance, "is_training": False}
        return tf.raw_ops.FusedBatchNormV3(
            x=maps, scale=gamma, offset=beta, epsilon=epsilon, **fixed
        ).y

    @tf.custom_gradient
    def rectified(y):
        def gradient(cotangent):
            with tf.control_dependencies([cotangent]):
                return tf.raw_ops.ReluGrad(gradients=cotangent, features=recompute())

        return tf.nn.relu(y), gradient

    y = rectified(y) if relu else y
    y = tf.reshape(y, shape) if maps is not x else y
    if relu and maps is x:
        setattr(y, RECOMPUTE, lambda: tf.nn.relu(recompute()))
    return y, mean, variance


def trains_convolutions(dtype: str) -> bool:
    return True


def prefers_matmul() -> bool:
    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())


def image_conv(x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str) -> Tensor:
    border = padding.upper()

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(cotangent):
            x_gradient = _image_gradient(
                cotangent, kernel, x.shape[1:3], y.shape[1:3], strides, padding
            )
            kernel_gradient = tf.raw_ops.Conv2DBackpropFilter(
                input=x,
                filter_sizes=kernel.shape,
                out_backprop=cotangent,
                strides=[1, *strides, 1],
                padding=border,
            )
            return x_gradient, kernel_gradient

        y = tf.nn.conv2d(x, kernel, strides, border)
        return y, gradient

    return convolve(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel))


def _image_gradient(cotangent, kernel, sides, outs, strides, padding):
    """Returns the gradient of a convolution with respect to its input `[N, H, W, C]`.

    A convolution of the cotangent computes the C channels of all pixels of a strides[0] x
    strides[1] block at once. The blocks are then moved to their places.

    Args:
        cotangent: Gradient with respect to the output.
        kernel: Kernel of the convolution.
        sides, outs: Height and width of the input and of the output.
        strides, padding: As in `image_conv`.
    """
    channels, maps = kernel.shape[2:]
    borders, before, blocks, extra = [[0, 0]], [], [], []
    for side, length, stride, out in zip(sides, kernel.shape[:2], strides, outs, strict=True):
        # The gradient at pixel i is the sum of cotangent[(i + first - a) / stride] kernel[a] over
        # each a for which the index is an integer.
        first = max((out - 1) * stride + length - side, 0) // 2 if padding == "same" else 0
        block, squares = -(-length // stride), -(-(side + first) // stride)
        borders.append([block - 1, max(squares - out, 0)])
        before.append(first)
        blocks.append(block)
        extra.append([0, block * stride - length])
    (high, wide), (down, right) = blocks, strides
    kernel = tf.reshape(
        tf.pad(kernel, [*extra, [0, 0], [0, 0]]), [high, down, wide, right, channels, maps]
    )
    kernel = tf.transpose(tf.reverse(kernel, [0, 2]), [0, 2, 5, 1, 3, 4])
    kernel = tf.reshape(kernel, [high, wide, maps, down * right * channels])
    y = tf.nn.conv2d(cotangent, kernel, 1, [*borders, [0, 0]])
    if down == right > 1:
        y = tf.nn.depth_to_space(y, down)
    elif down != right:
        _, rows, columns, _ = y.shape
        y = tf.reshape(y, [-1, rows, columns, down, right, channels])
        y = tf.reshape(
            tf.transpose(y, [0, 1, 3, 2, 4, 5]), [-1, rows * down, columns * right, channels]
        )
    return y[:, before[0] : before[0] + sides[0], before[1] : before[1] + sides[1]]


class _Untuned:
    """Wraps a distribution strategy. Its data sets are not tuned automatically by default."""

    def __init__(self, strategy):
        self._strategy = strategy

    def __getattr__(self, name):
        return getattr(self._strategy, name)

    def experimental_distribute_dataset(self, dataset):
        if dataset.options().autotune.enabled is None:
            options = tf.data.Options()
            options.autotune.enabled = False
            dataset = dataset.with_options(options)
        return self._strategy.experimental_distribute_dataset(dataset)


ONE_DEVICE = tf.distribute.get_strategy()  # TensorFlow's default strategy


# The cluster of this process. Each process has one device, and builds its model outside the
# strategy: its steps are those of a single device, whose collective operations are explicit.
_cluster: list[tf.distribute.Strategy] = []


def join_processes() -> None:
    if "TF_CONFIG" in os.environ and not _cluster:
        _cluster.append(tf.distribute.MultiWorkerMirroredStrategy())


def processes() -> tuple[int, int]:
    if not _cluster:
        return 0, 1
    resolver = _cluster[0].cluster_resolver
    return int(resolver.task_id), _cluster[0].num_replicas_in_sync


def lost_connection(error: Exception) -> bool:
    kinds = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    return isinstance(error, kinds)


def process_sum(x: np.ndarray) -> np.ndarray:
    return _process_sum(tf.constant(x)).numpy()


def consecutive_rows() -> bool:
    return False  # see `kerasgan.ops.replicas`


def replica() -> tuple[Any, int]:
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        return context.replica_id_in_sync_group, context.num_replicas_in_sync
    return processes() if in_step() else (0, 1)


GROUP_KEY = 7919  # any number that TensorFlow's strategies do not use
# All processes trace the same operations in the same order, and so count alike.
_instance_keys = itertools.count(1)


def all_sum(x: Tensor, overwrite: bool = False) -> Tensor:
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        return _strategy_sum(context, x)
    return _process_sum(tf.convert_to_tensor(x))


@tf.custom_gradient
def _process_sum(x):
    total = tf.raw_ops.CollectiveReduceV2(
        input=x,
        group_size=processes()[1],
        group_key=GROUP_KEY,
        instance_key=next(_instance_keys),
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
        communication_hint="auto",
        timeout_seconds=0,
    )
    return total, _process_sum


def _strategy_sum(context, x):
    if getattr(tf.compat.v1.get_default_graph(), "is_control_flow_graph", False):
        raise NotImplementedError(
            "tf.distribute strategies cannot synchronize replicas inside a branch or loop, which "
            "this model needs; use one process per device instead (--devices or TF_CONFIG)"
        )
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def without_autotune(strategy: Any) -> Any:
    # The tuning thread sleeps for up to a minute at a time. On a busy machine it can miss the
    # signal to end, and the next epoch then waits until it wakes up. Keras checks the types of
    # other strategies, so only the default one is wrapped.
    return _Untuned(strategy) if type(strategy) is type(ONE_DEVICE) else strategy


def restored_on_failure(model: keras.Model) -> AbstractContextManager:
    return contextlib.nullcontext()
