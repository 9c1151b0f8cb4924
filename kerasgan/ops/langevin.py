"""Short-run Langevin dynamics in one compiled loop.

The chains are images under an energy function, or latents given images.

Differences from the released ports:

- The gradient is of the sum over the batch, so a chain does not depend on the number of chains. One
  port used the mean for latents.
- No gradient of the weights is computed, and noise is sampled only if its scale is not 0. Both made
  each step of the PyTorch port slower.

Reference:
    Xie et al., 2016, "Cooperative Training of Descriptor and Generator Networks", equations 8 and
    17, https://arxiv.org/abs/1609.09408
"""

import math
from collections.abc import Callable

import keras
from keras import ops

from kerasgan import backend
from kerasgan.ops import replicas
from kerasgan.types import Tensor


def prior_rate(step_size: float | Tensor, sigma: float) -> float | Tensor:
    """Returns step_size^2 / (2 sigma^2), the fraction by which the prior shrinks `x` in one
    step.
    """
    return step_size**2 / (2 * sigma**2)


def langevin(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    steps: int | Tensor,
    step_size: float | Tensor,
    sigma: float = 1.0,
    noise: float | Tensor = 1.0,
    seed: keras.random.SeedGenerator | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Runs Langevin dynamics on p(x) proportional to exp(f(x)) N(x; 0, sigma^2 I), starting from
    `x`.

    Each step is

        x <- x - step_size^2 / 2 (x / sigma^2 - df/dx) + noise step_size e,   e ~ N(0, I)

    If f is a descriptor, `x` are images. If f = -|images - generator(z)|^2 / (2 s^2) and sigma is
    1, `x` are latents z, sampled from their posterior. There is no Metropolis step and no clipping.
    The memory does not grow with `steps`.

    Args:
        f: Function of x `[N, ...]`. Its outputs, one or more per chain, are summed.
        x: Initial states of the chains, float `[N, ...]`.
        steps: Number of steps, an integer or a scalar tensor.
        step_size: Step size, a float or a scalar tensor.
        sigma: Standard deviation of the Gaussian prior.
        noise: Scale of the noise, a float or a scalar tensor. 1 is Langevin dynamics; 0 is gradient
            ascent, and no noise is sampled.
        seed: `keras.random.SeedGenerator`. Required unless `noise` is 0.
        project: Function of x that is applied after each step, for example to restore known pixels.

    Returns:
        Tuple `(x, diagnostics)`. `x` is a constant with respect to all gradients. `diagnostics` is
        a dict of scalars, each a mean over chains and steps, where |.| is the norm of a chain's
        vector:

        - `drift`: |step without noise| / |x|.
        - `gradient`: The part of f in `drift`.
        - `noise`: Expected |noise term| / |x|.
        - `balance`: sigma^2 |df/dx| / |x|. At 1, the gradient of f and the prior balance.
        - `dead`: Share of chains with a zero gradient.

    Raises:
        ValueError: If there is noise but no `seed`.
    """
    if seed is None and not _is_zero(noise):
        raise ValueError(
            f"seed must be a SeedGenerator unless noise is 0; received None with noise {noise}"
        )
    x = ops.stop_gradient(ops.cast(x, "float32"))
    rate = step_size**2 / 2

    def injected():
        return noise * step_size * replicas.normal(ops.shape(x), seed)

    def step(_, state):
        x, sums = state
        gradient = ops.stop_gradient(backend.value_and_input_gradient(f, x)[1])
        drift = rate * (gradient - x / sigma**2)
        # A chain at 0 would make the means infinite.
        size, force = ops.maximum(norms(x), 1e-12), norms(gradient)
        observed = [
            norms(drift) / size,
            force / size,
            1.0 / size,
            ops.cast(ops.equal(force, 0.0), "float32"),
        ]
        x = x + drift
        if not _is_zero(noise):
            x = x + (
                injected()
                if _is_number(noise)
                else backend.cond(noise > 0, injected, lambda: ops.zeros_like(x))
            )
        x = x if project is None else project(x)
        return x, sums + ops.stack([ops.mean(value) for value in observed])

    x, sums = backend.fori_loop(0, steps, step, (x, ops.zeros((4,))))
    means = sums / ops.maximum(ops.cast(steps, "float32"), 1.0)
    drift, force, inverse, dead = ops.unstack(means, 4)
    dimensions = math.prod(x.shape[1:])
    return x, {
        "drift": drift,
        "gradient": rate * force,
        "noise": noise * step_size * dimensions**0.5 * inverse,
        "balance": sigma**2 * force,
        "dead": dead,
    }


def norms(x: Tensor) -> Tensor:
    """Returns the Euclidean norms `[N]` of the samples of x `[N, ...]`."""
    return ops.sqrt(ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape)))))


def _is_number(value):
    return isinstance(value, (int, float))


def _is_zero(value):
    return _is_number(value) and value == 0
