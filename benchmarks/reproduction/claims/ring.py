"""GANs on a ring of eight Gaussians, the usual small test of mode collapse.

Reference: Metz et al., 2016, "Unrolled Generative Adversarial Networks", section 3.3,
https://arxiv.org/abs/1611.02163. JAX compiles the whole training as one loop. The spread between
trainings is large, so each seed stands for `TRAININGS` independent trainings, which run side by
side; its measures are means over them (geometric means of distances). The networks are multilayer
perceptrons of two hidden layers; the losses are written out, so that an experiment does not depend
on the code it tests.
"""

import functools
import pathlib

import numpy as np

from benchmarks.reproduction.claims import Experiment, Variant

STEPS, HIDDEN, LATENT, BATCH, BUFFER = 4000, 64, 8, 64, 500
MODES, RADIUS, DEVIATION = 8, 2.0, 0.05
TRAININGS = 16  # Independent trainings of each seed.
USUAL = {
    "loss": "non-saturating",
    "penalty": "none",
    "critic_steps": 1,
    "generator_norm": False,
    "discriminator_norm": False,
    "replay": False,
    "batch": BATCH,
    "learning_rate": 1e-3,
}


def _points(random, n, jax):
    angle = jax.random.randint(random, (n,), 0, MODES) * (2 * np.pi / MODES)
    center = RADIUS * jax.numpy.stack([jax.numpy.cos(angle), jax.numpy.sin(angle)], axis=1)
    return center + DEVIATION * jax.random.normal(jax.random.split(random)[0], (n, 2))


def _network(random, inputs, outputs, jax):
    sizes = (inputs, HIDDEN, HIDDEN, outputs)
    keys = jax.random.split(random, 3)
    return [
        (jax.random.normal(key, (a, b)) * np.sqrt(2 / a), jax.numpy.zeros(b))
        for key, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def _apply(weights, x, norm=False):
    import jax

    for index, (kernel, bias) in enumerate(weights):
        x = x @ kernel + bias
        if index < 2:
            if norm:
                x = (x - x.mean(axis=0)) / jax.numpy.sqrt(x.var(axis=0) + 1e-5)
            x = jax.nn.leaky_relu(x, 0.2)
    return x


def _adam(weights, gradient, state, step, rate, beta_1=0.5, beta_2=0.9):
    import jax

    def moved(w, g, m, v):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g * g
        size = rate / (jax.numpy.sqrt(v / (1 - beta_2**step)) + 1e-8)
        return w - size * m / (1 - beta_1**step), m, v

    parts = jax.tree.map(moved, weights, gradient, *state)
    is_part = lambda x: isinstance(x, tuple) and len(x) == 3  # noqa: E731
    pick = lambda i: jax.tree.map(lambda part: part[i], parts, is_leaf=is_part)  # noqa: E731
    return pick(0), (pick(1), pick(2))


def _zeros(weights):
    import jax

    return tuple(jax.tree.map(jax.numpy.zeros_like, weights) for _ in range(2))


@functools.lru_cache
def _training(items):
    """Return a compiled function: seeds -> samples of the trained generators, and data."""
    import jax
    from jax import numpy as jnp

    settings = dict(items)
    batch = settings["batch"]
    adam = functools.partial(_adam, rate=settings["learning_rate"])
    generate = functools.partial(_apply, norm=settings["generator_norm"])
    score = functools.partial(_apply, norm=settings["discriminator_norm"])

    def discriminator_loss(weights, real, fake, random):
        r, f = score(weights, real), score(weights, fake)
        if settings["loss"] == "wasserstein":
            loss = f.mean() - r.mean()
        else:
            loss = jax.nn.softplus(-r).mean() + jax.nn.softplus(f).mean()
        slope = jax.vmap(jax.grad(lambda x: score(weights, x[None])[0, 0]))
        if settings["penalty"] == "wgan_gp":
            share = jax.random.uniform(random, (len(real), 1))
            norms = jnp.sqrt((slope(real + share * (fake - real)) ** 2).sum(axis=1) + 1e-12)
            loss += 10 * ((norms - 1) ** 2).mean()
        return loss

    def generator_loss(weights, critic, z):
        f = score(critic, generate(weights, z))
        if settings["loss"] == "wasserstein":
            return -f.mean()
        if settings["loss"] == "min-max":
            return -jax.nn.softplus(f).mean()
        return jax.nn.softplus(-f).mean()

    def step(carry, index):
        g, d, g_state, d_state, buffer, random = carry
        random, *keys = jax.random.split(random, 6)
        real = _points(keys[0], batch, jax)
        fake = generate(g, jax.random.normal(keys[1], (batch, LATENT)))
        if settings["replay"]:
            # Keep the fakes with the lowest scores; half of the fakes come from them.
            known = jnp.concatenate([buffer, fake])
            buffer = known[jnp.argsort(score(d, known)[:, 0])[:BUFFER]]
            old = buffer[jax.random.randint(keys[4], (batch // 2,), 0, BUFFER)]
            fake = jnp.concatenate([fake[: batch - batch // 2], old])
        gradient = jax.grad(discriminator_loss)(d, real, fake, keys[2])
        d, d_state = adam(d, gradient, d_state, index + 1.0)
        every = settings["critic_steps"]
        z = jax.random.normal(keys[3], (batch, LATENT))
        moved, moved_state = adam(
            g, jax.grad(generator_loss)(g, d, z), g_state, index // every + 1.0
        )
        turn = (index + 1) % every == 0
        choose = lambda a, b: jax.tree.map(lambda x, y: jnp.where(turn, x, y), a, b)  # noqa: E731
        g, g_state = choose(moved, g), choose(moved_state, g_state)
        return (g, d, g_state, d_state, buffer, random), None

    @jax.jit
    @jax.vmap
    def run(seed):
        random, *keys = jax.random.split(jax.random.key(seed), 5)
        g, d = _network(keys[0], LATENT, 2, jax), _network(keys[1], 2, 1, jax)
        buffer = generate(g, jax.random.normal(keys[3], (BUFFER, LATENT)))
        carry = (g, d, _zeros(g), _zeros(d), buffer, random)
        (g, *_), _ = jax.lax.scan(step, carry, jnp.arange(STEPS * settings["critic_steps"]))
        # Batch norm uses batches of the training's size.
        z = jax.random.normal(keys[2], (1024 // batch, batch, LATENT))
        samples = jax.vmap(lambda part: generate(g, part))(z).reshape(-1, 2)
        return samples, _points(keys[3], len(samples), jax)

    return run


# Settings of the cooperative training on the ring.
COOPERATIVE = {
    "descriptor_rate": 3e-3,
    "generator_rate": 1e-4,
    "chains": 64,
    "steps": 20,
    "step_size": 0.1,
    "noise_share": 1 / 3,  # Share of the training with Langevin noise.
    "latent_dim": LATENT,
}


@functools.lru_cache
def _cooperative(items):
    """Return a compiled function: seeds -> samples of the generators after 20 % and at the end."""
    import jax
    from jax import numpy as jnp

    settings = dict(items)
    chains, size, latent = (settings[name] for name in ("chains", "step_size", "latent_dim"))
    energy_slope = jax.grad(lambda x, d: _apply(d, x).sum() - (x**2).sum() / (2 * RADIUS**2))

    def step(carry, index):
        g, d, g_state, d_state, random = carry
        random, *keys = jax.random.split(random, 4)
        z = jax.random.normal(keys[0], (chains, latent))
        noisy = (index < settings["noise_share"] * STEPS).astype("float32")

        def langevin(x, key):
            noise = noisy * size * jax.random.normal(key, x.shape)
            return x + 0.5 * size**2 * energy_slope(x, d) + noise, None

        proposals = _apply(g, z)
        revised, _ = jax.lax.scan(langevin, proposals, jax.random.split(keys[1], settings["steps"]))
        real = _points(keys[2], BATCH, jax)
        gradient = jax.grad(lambda d: _apply(d, revised).mean() - _apply(d, real).mean())(d)
        d, d_state = _adam(d, gradient, d_state, index + 1.0, settings["descriptor_rate"])
        gradient = jax.grad(lambda g: ((_apply(g, z) - revised) ** 2).mean())(g)
        g, g_state = _adam(g, gradient, g_state, index + 1.0, settings["generator_rate"])
        return (g, d, g_state, d_state, random), None

    @jax.jit
    @jax.vmap
    def run(seed):
        random, *keys = jax.random.split(jax.random.key(seed), 5)
        g, d = _network(keys[0], latent, 2, jax), _network(keys[1], 2, 1, jax)
        carry, z = (g, d, _zeros(g), _zeros(d), random), jax.random.normal(keys[2], (1024, latent))
        found = []
        for start, end in ((0, STEPS // 5), (STEPS // 5, STEPS)):
            carry, _ = jax.lax.scan(step, carry, jnp.arange(start, end))
            found.append(_apply(carry[0], z))
        return (*found, _points(keys[3], len(z), jax))

    return run


def _mean_distance(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1)).mean()


def energy_distance(samples: np.ndarray, data: np.ndarray) -> float:
    """Return the energy distance of two sets of points `[N, 2]`; coordinates are clipped."""
    samples = np.nan_to_num(samples, nan=1e3, posinf=1e3, neginf=-1e3).clip(-1e3, 1e3)
    found = 2 * _mean_distance(samples, data) - _mean_distance(samples, samples)
    return float(max(found - _mean_distance(data, data), 1e-6))


def _seeds(seed):
    """Seeds of the independent trainings. No two seeds share one."""
    return np.arange(TRAININGS) + TRAININGS * seed


def _geometric_mean(values):
    return float(np.exp(np.mean(np.log(values))))


def train(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train GANs on the ring and compare their samples with the data.

    The measures are the geometric mean of the energy distances of samples and data, and the means
    of the share of samples within four standard deviations of a mode and of the number of modes
    with a share of 1 % or more.
    """
    angles = np.arange(MODES) * 2 * np.pi / MODES
    centers = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    run = _training(tuple(sorted((USUAL | settings).items())))
    distances, shares, modes = [], [], []
    for samples, data in zip(*(np.asarray(x, "float64") for x in run(_seeds(seed))), strict=True):
        to_centers = np.sqrt(((samples[:, None] - centers[None]) ** 2).sum(axis=-1))
        near = to_centers.min(axis=1) < 4 * DEVIATION
        counts = np.bincount(to_centers.argmin(axis=1)[near], minlength=MODES)
        distances.append(energy_distance(samples, data))
        shares.append(near.mean())
        modes.append((counts >= 0.01 * len(samples)).sum())
    return {
        "measures": {
            "energy_distance": _geometric_mean(distances),
            "good_share": float(np.mean(shares)),
            "modes": float(np.mean(modes)),
        }
    }


def cooperate(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train descriptors and generators on the ring cooperatively, as CoopNet does."""
    run = _cooperative(tuple(sorted((COOPERATIVE | settings).items())))
    early, late, data = (np.asarray(x, "float64") for x in run(_seeds(seed)))
    return {
        "measures": {
            name: _geometric_mean(
                [energy_distance(*pair) for pair in zip(samples, data, strict=True)]
            )
            for name, samples in (("early_energy_distance", early), ("energy_distance", late))
        }
    }


def _missing():
    import importlib.util

    return None if importlib.util.find_spec("jax") else "the package jax"


RING = Experiment(
    "rings", train, lambda settings: 0.2 * settings.get("critic_steps", 1), _missing, usual=USUAL
)
COOPERATIVE_RING = Experiment(
    "cooperative_rings", cooperate, lambda settings: 0.6, _missing, usual=COOPERATIVE
)
SETUP = (
    "GANs on a ring of eight Gaussians in two dimensions (multilayer perceptrons, 4,000 generator "
    "updates); images are not tested. The energy distance compares 1,024 samples with data. A seed "
    f"stands for {TRAININGS} independent trainings, whose geometric mean counts. "
)
COOPERATIVE_SETUP = (
    "A descriptor and a generator trained cooperatively on a ring of eight Gaussians in two "
    "dimensions (multilayer perceptrons, 4,000 updates); images are not tested. The energy "
    "distance compares 1,024 samples of the generator with data. A seed stands for "
    f"{TRAININGS} independent "
    "trainings, whose geometric mean counts. "
)


def variants(changes: dict[str, dict], experiment: Experiment = RING) -> dict[str, Variant]:
    """Create variants on the ring: name -> changed settings."""
    return {name: Variant(experiment, changed) for name, changed in changes.items()}
