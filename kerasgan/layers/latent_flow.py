"""Conditional flow from normal noise to the distribution of latents."""

import math
from typing import Any

import keras
from keras import layers, ops

from kerasgan.ops.precision import full_precision
from kerasgan.types import Shape, Tensor

# Frequencies of the sines and cosines of the time; 1 is half a period from time 0 to 1.
FREQUENCIES = (0.5, 1.0, 2.0, 4.0)


@keras.saving.register_keras_serializable("kerasgan")
class LatentFlow(layers.Layer):
    """Moves noise to latents along the velocity that a small network predicts.

    Inputs: `[noise, conditions]`, of shapes `[N, L]` and `[N, D]`. Output: latents `[N, L]`.

    The latents are the solution, at time 1, of the differential equation `dx / dt = velocity(x, t,
    conditions)` that starts with the noise at time 0. The midpoint method solves it. The velocity
    is 0 at initialization, so the layer starts as the identity. `kerasgan.latents.LatentPrior`
    trains it.

    Args:
        width: Units of the hidden layers.
        depth: Number of residual blocks.
        condition_dim: Units of the condition's code.
        steps: Number of steps of the midpoint method. Each evaluates the velocity twice.
        **arguments: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: An argument is smaller than 1.

    Reference:
        Lipman et al., 2022, "Flow Matching for Generative Modeling",
        https://arxiv.org/abs/2210.02747
    """

    def __init__(
        self,
        width: int = 256,
        depth: int = 3,
        condition_dim: int = 48,
        steps: int = 4,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self.width, self.depth, self.condition_dim, self.steps = width, depth, condition_dim, steps
        for name in ("width", "depth", "condition_dim", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")

    def build(self, input_shape: list[Shape]) -> None:
        latents, conditions = input_shape
        known = (None, self.condition_dim + 2 * len(FREQUENCIES))
        hidden = (None, self.width)
        self.code = self._dense(self.condition_dim, conditions, "code")
        self.first = self._dense(self.width, latents, "first")
        self.blocks = [
            (
                self._dense(2 * self.width, known, f"affine_{index}", zero=True),
                self._dense(self.width, hidden, f"in_{index}"),
                self._dense(self.width, hidden, f"out_{index}", zero=True),
            )
            for index in range(self.depth)
        ]
        self.last = self._dense(latents[-1], hidden, "last", zero=True)
        self.built = True

    def _dense(self, units, input_shape, name, zero=False):
        start = "zeros" if zero else "glorot_uniform"
        layer = layers.Dense(units, kernel_initializer=start, name=name, dtype=self.dtype_policy)
        layer.build(input_shape)
        return layer

    def velocity(self, latents: Tensor, times: Tensor, codes: Tensor) -> Tensor:
        """Velocity `[N, L]` of latents `[N, L]` at times `[N, 1]`, given `codes` of conditions."""
        angles = math.pi * times * ops.convert_to_tensor([FREQUENCIES], times.dtype)
        known = ops.concatenate([codes, ops.sin(angles), ops.cos(angles)], axis=-1)
        x = self.first(latents)
        for affine, enter, leave in self.blocks:
            scale, shift = ops.split(affine(known), 2, axis=-1)
            x = x + leave(ops.silu(enter(_normalized(x) * (1.0 + scale) + shift)))
        return full_precision(self.last(_normalized(x)))

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, conditions = inputs
        codes, x = self.code(conditions), full_precision(x)
        for step in range(self.steps):
            time = step / self.steps * ops.ones_like(x[:, :1])
            middle = x + self.velocity(x, time, codes) * (0.5 / self.steps)
            x = x + self.velocity(middle, time + 0.5 / self.steps, codes) / self.steps
        return x

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        names = ("width", "depth", "condition_dim", "steps")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _normalized(x):
    """Values of each row with mean 0 and variance 1."""
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3)
