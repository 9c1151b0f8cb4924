"""torch: `torch.autograd.grad` with respect to one player's variables, so the other gathers no
stray gradients.
"""

import contextlib
import functools

import keras
import torch
from keras.src.backend.torch.core import get_device

from kerasgan.backend.scope import first, frozen_moving_statistics, plain_data

__all__ = [
    "apply",
    "batch_norm",
    "cond",
    "fori_loop",
    "frozen_moving_statistics",
    "image_conv",
    "restored_on_failure",
    "prefers_matmul",
    "remat",
    "step",
    "vjp",
    "trains_float16_convolutions",
    "without_autotune",
    "value_and_gradients",
    "value_and_gradients_of_sum",
    "value_and_input_gradient",
]


def step(fn):
    @functools.wraps(fn)
    def wrapped(self, data):
        with torch.no_grad():  # a graph is recorded only where a gradient is asked for
            return fn(self, plain_data(data))

    return wrapped


def _gradients(outputs, inputs, **options):
    if not inputs:  # a frozen player; torch refuses to differentiate by nothing
        return []
    gradients = torch.autograd.grad(outputs, inputs, allow_unused=True, **options)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients, strict=True)]


def _detached(outputs):
    return keras.tree.map_structure(lambda x: x.detach() if torch.is_tensor(x) else x, outputs)


def value_and_gradients(fn, variables):
    with torch.enable_grad():
        objective, outputs = fn()
    if not objective.requires_grad:  # nothing the player owns took part
        return outputs, [torch.zeros_like(v.value) for v in variables]
    return _detached(outputs), _gradients(objective, [v.value for v in variables])


def value_and_gradients_of_sum(fns, variables):
    outputs, sums = [], None
    for fn in fns:
        output, gradients = value_and_gradients(fn, variables)
        outputs.append(output)
        sums = gradients if sums is None else [a + b for a, b in zip(sums, gradients, strict=True)]
    return outputs, sums


def vjp(fn, variables):
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
        if not pairs:  # nothing the player owns took part
            return [torch.zeros_like(v.value) for v in variables]
        outs, cots = zip(*pairs, strict=True)
        return _gradients(outs, [v.value for v in variables], grad_outputs=cots)

    return _detached(outputs), pull


def value_and_input_gradient(fn, x):
    differentiable = (
        torch.is_grad_enabled()
    )  # inside another gradient, this one is differentiated in its turn

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
        else:  # x took no part
            gradients = [torch.zeros_like(x) for x in leaves]
    gradient = keras.tree.pack_sequence_as(x, gradients)
    return (outputs, gradient) if differentiable else (_detached(outputs), gradient)


def apply(optimizer, gradients, variables):
    with torch.no_grad():
        optimizer.apply(gradients, variables)


def cond(predicate, true_fn, false_fn):
    return true_fn() if bool(predicate) else false_fn()


def fori_loop(lower, upper, body, carry):
    for i in range(int(lower), int(upper)):
        carry = body(i, carry)
    return carry


def remat(fn):
    return fn


def batch_norm(x, gamma, beta, epsilon, relu=False):
    channels = x.shape[-1]
    count = x.numel() // channels
    if count == 1:  # torch's kernel refuses: the only value is its own mean
        mean = x.reshape(channels)
        y = (x - mean) * gamma * epsilon**-0.5 + beta
        return torch.relu(y) if relu else y, mean, torch.zeros_like(gamma)
    maps = x.movedim(-1, 1)  # a view: the kernel knows channels-last memory
    mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
    # momentum 1: the "running" statistics come out as the batch's own
    y = torch.batch_norm(
        maps, gamma, beta, mean, variance, True, 1.0, epsilon, torch.backends.cudnn.enabled
    )
    y = torch.relu(y) if relu else y
    return y.movedim(1, -1), mean, variance * (count - 1) / count


def without_autotune(strategy):
    return strategy


def trains_float16_convolutions() -> bool:
    return str(get_device()) != "cpu"


def prefers_matmul():
    return False


def image_conv(x, kernel, strides, padding):
    return keras.ops.conv(x, kernel, strides, padding, "channels_last")


def restored_on_failure(model):
    return contextlib.nullcontext()
