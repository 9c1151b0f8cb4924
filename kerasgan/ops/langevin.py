"""Short-run Langevin dynamics as one compiled loop: of images under an energy, and of latents given
images (Xie et al., Cooperative Training of Descriptor and Generator Networks, arXiv 1609.09408,
equations 8 and 17).

Differences from the released ports:

- the gradient is of the sum over the batch, so a chain does not depend on how many there are; one
  port took the mean for latents;
- weights get no gradient, and noise is drawn only where it is used: in the PyTorch port both cost a
  step its time.
"""

import keras
from keras import ops

from kerasgan import backend


def prior_rate(step_size, sigma):
    """r = step_size^2 / (2 sigma^2): the share of x that the prior alone takes away in one step."""
    return step_size**2 / (2 * sigma**2)


def langevin(f, x, *, steps, step_size, sigma=1.0, noise=1.0, seed=None, project=None):
    """`steps` steps of Langevin dynamics on p(x) proportional to exp(f(x)) N(x; 0, sigma^2 I), from
    `x` on:

        x <- x - step_size^2 / 2 (x / sigma^2 - df/dx) + noise step_size e,   e ~ N(0, I)

    With f a descriptor these are images; with f = -|images - generator(z)|^2 / (2 s^2) and sigma 1,
    latents z from their posterior. No Metropolis step, no clipping. One loop on every backend: its
    memory does not grow with `steps`.

    Args:
        f: function of x [N, ...], whose outputs, one or more a chain, are summed.
        x: float [N, ...], where the chains start.
        steps: integer, a number or a tensor.
        step_size, noise: numbers or scalar tensors. Noise 1 is Langevin's; 0 is none, and then none
            is drawn.
        sigma: standard deviation of the Gaussian, which holds x at 0.
        seed: `keras.random.SeedGenerator`; needed where there is noise.
        project: function of x that is applied after each step, such as putting known pixels back;
            None is none.

    Returns:
        x, a constant to every gradient, and a dictionary of scalars, means over chains and steps
        (|.|: length of a chain's vector): `drift`, |step without noise| / |x|; `gradient`, its part
        from f; `noise`, that of the noise, as expected; `balance`, sigma^2 |df/dx| / |x|: at 1, f
        holds x against the Gaussian; `dead`, the share of chains whose gradient is 0.
    """
    if seed is None and not _is_zero(noise):
        raise ValueError(
            f"seed must be a SeedGenerator where there is noise; received None with noise {noise}"
        )
    x = ops.stop_gradient(ops.cast(x, "float32"))
    rate = step_size**2 / 2

    def injected():
        return noise * step_size * keras.random.normal(ops.shape(x), seed=seed)

    def step(_, state):
        x, sums = state
        gradient = ops.stop_gradient(backend.value_and_input_gradient(f, x)[1])
        drift = rate * (gradient - x / sigma**2)
        # 1e-12: a chain at 0 would make every mean infinite.
        size, pull = ops.maximum(norms(x), 1e-12), norms(gradient)
        seen = [
            norms(drift) / size,
            pull / size,
            1.0 / size,
            ops.cast(ops.equal(pull, 0.0), "float32"),
        ]
        x = x + drift
        if not _is_zero(noise):
            x = x + (
                injected()
                if _is_number(noise)
                else backend.cond(noise > 0, injected, lambda: ops.zeros_like(x))
            )
        x = x if project is None else project(x)
        return x, sums + ops.stack([ops.mean(value) for value in seen])

    x, sums = backend.fori_loop(0, steps, step, (x, ops.zeros((4,))))
    drift, pull, inverse, dead = ops.unstack(sums / ops.maximum(ops.cast(steps, "float32"), 1.0), 4)
    numbers = 1
    for side in x.shape[1:]:
        numbers *= side
    return x, {
        "drift": drift,
        "gradient": rate * pull,
        "noise": noise * step_size * numbers**0.5 * inverse,
        "balance": sigma**2 * pull,
        "dead": dead,
    }


def norms(x):
    """|x_n|, the Euclidean length of each sample of x [N, ...]: [N]."""
    return ops.sqrt(ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape)))))


def _is_number(value):
    return isinstance(value, (int, float))


def _is_zero(value):
    return _is_number(value) and value == 0
