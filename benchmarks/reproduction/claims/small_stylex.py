"""StylEx at 16 pixels: small enough that many settings can be compared with several seeds.

Data: 800 eights and nines, padded to 32 pixels and halved. The classifier, the networks and the
training are those of `kerasgan.models.stylex` with few channels. Settings that are not part of the
compiled step (learning rates) share one compiled model.
"""

import functools
import pathlib
import time

import keras
import numpy as np

from benchmarks.reproduction.claims import Experiment
from benchmarks.reproduction.claims.image_measures import sharpness
from kerasgan.datasets.digits import load_digits
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.models import stylex

SIZE, BATCH, STEPS, EVERY = 16, 16, 240, 12
NETWORKS = {"capacity": 2, "max_channels": 32, "latent_dim": 32, "depth": 2}
# The form of the authors with the settings of the recipe's small presets.
USUAL = {
    "gradient_penalty_weight": 1.0,
    "path_weight": 0.0,
    "rec_weight": 5.0,
    "learning_rate": 1e-3,
    "encoder_rate": 1.0,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "ema_decay": 0.99,
    "alternation": "step",
}
RATES = ("learning_rate", "encoder_rate", "discriminator_rate")


@functools.cache
def data() -> tuple:
    """Return training and held-out images with labels, and the classifier."""

    def load(split):
        images, labels = load_digits(split)
        chosen = np.isin(labels, (8, 9))
        images = np.pad(images[chosen], ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
        halved = images.reshape(len(images), SIZE, 2, SIZE, 2, 1).mean(axis=(2, 4))
        return halved.astype("float32"), (labels[chosen] == 9).astype("int32")

    train, heldout = load("train"), load("test")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    classifier = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Conv2D(16, 3, 2, "same", activation="relu", name="first"),
            layers.Conv2D(32, 3, 2, "same", activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    classifier.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    classifier.fit(*train, batch_size=32, epochs=6, verbose=0)
    return train, heldout, classifier


def _model(static, seed):
    settings = stylex.AUTHORS | dict(static)
    return stylex.build(
        data()[2], settings=settings, **NETWORKS, encoder_gain=0.1, seed=seed, jit_compile=False
    )


@functools.lru_cache(1)
def _compiled(static):
    return _model(static, 0)


def _restart(model, fresh):
    """Give a compiled model the initial weights and the learning rates of a new one."""
    for old, new in zip(model.variables, fresh.variables, strict=True):
        old.assign(new)
    for player in model.players:
        optimizer = model.optimizer[player]
        rate = float(fresh.optimizer[player].learning_rate)
        for variable in optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        optimizer.learning_rate = rate


def train(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train a small StylEx and measure reconstructions, samples and spikes.

    The reconstruction loss is averaged over `EVERY` steps. A spike is such a mean above 1.5 times
    the median of the five before it; all that follow a non-finite loss count as well.
    """
    settings = USUAL | settings
    steps, batch = settings.pop("steps", STEPS), settings.pop("batch", BATCH)
    static = tuple(sorted((k, v) for k, v in settings.items() if k not in RATES))
    rates = {k: settings[k] for k in RATES if k in settings}
    model = _compiled(static)
    keras.utils.set_random_seed(seed)
    fresh = _model((*static, *rates.items()), seed)
    _restart(model, fresh)
    (images, labels), (heldout, _), _ = data()
    random, curve, start = np.random.default_rng(seed), [], time.perf_counter()
    halves = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    for step in range(1, steps + 1):
        rows = np.concatenate([random.choice(half, batch // 2) for half in halves])
        logs = model.train_on_batch(images[rows], return_dict=True)
        if step % EVERY == 0:
            loss = float(logs["reconstruction"])  # Mean over the steps since the last reset.
            model.reset_metrics()
            row = {"epoch": step, "seconds": time.perf_counter() - start, "reconstruction": loss}
            if step in (steps // 4, steps // 2, 3 * steps // 4, steps):
                scores = model.reconstruction_scores(heldout)
                row |= {f"heldout_{name}": float(value) for name, value in scores.items()}
            curve.append(row)
            if not np.isfinite(loss):
                break
    losses = [row["reconstruction"] for row in curve]
    spikes = [loss > 1.5 * np.median(losses[i : i + 5]) for i, loss in enumerate(losses[5:])]
    left = steps // EVERY - len(losses) + (not np.isfinite(losses[-1]))
    reconstructed, samples = model.reconstruct(heldout), model.sample(600, seed=1)
    known = np.isfinite(reconstructed).all() and np.isfinite(samples).all()
    measures = {name: value for name, value in curve[-1].items() if name.startswith("heldout")}
    measures |= {"spikes": int(sum(spikes)) + left, "diverged": int(left > 0)}
    if known:
        features = keras.Model(data()[2].inputs[0], data()[2].get_layer("second").output)
        real, fake = (
            statistics(np.asarray(features(x)).mean(axis=(1, 2))) for x in (images, samples)
        )
        measures |= {
            "sharpness": sharpness(reconstructed) / sharpness(heldout),
            "small_digit_frechet_distance": frechet_distance(real, fake),
            "w_frechet": float(model.w_gap(heldout)["w_frechet"]),
        }
    return {"measures": measures, "curve": curve}


SMALL_STYLEX = Experiment("small_stylex", train, lambda settings: 0.5, usual=USUAL)
