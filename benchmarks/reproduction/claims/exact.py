"""Checks that settle a claim by a calculation or a count: no training, seconds each.

Each function is the `run` of an `Experiment`. The seed chooses random inputs, so that a check that
holds for several seeds does not hold by accident.
"""

import json
import math
import pathlib

import keras
import numpy as np
from keras import ops

from benchmarks.reproduction.claims import Experiment
from benchmarks.reproduction.recorded import current
from benchmarks.reproduction.variants.conditional_vae import sigma_divergence
from kerasgan import backend
from kerasgan.losses import adversarial, classes, penalties
from kerasgan.losses.variational import normal_kl_divergence
from kerasgan.models import hdgan, mnist_gan

STEPS = 300  # Settings of the Dirac-GAN.
RESULTS = pathlib.Path(__file__).parents[2] / "results"


def _numpy(x):
    return np.asarray(ops.convert_to_numpy(x), "float64")


def evidence_bound(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Check the ELBO in a model whose evidence and posterior are known.

    The code z is N(0, 1) and the observation x is N(z, 1), so x is N(0, 2) and the posterior of z
    is N(x / 2, 1 / 2). The ELBO of that posterior equals the evidence log p(x); any other
    distribution has a lower one.
    """
    random = np.random.default_rng(seed)
    x = math.sqrt(2) * random.normal(size=200)
    evidence = -0.5 * np.log(4 * np.pi) - x**2 / 4

    def bound(mean, variance, divergence=normal_kl_divergence):
        mean, variance = np.broadcast_arrays(mean, variance)
        kl = divergence(mean[:, None].astype("float32"), np.log(variance)[:, None])
        likelihood = -0.5 * np.log(2 * np.pi) - ((x - mean) ** 2 + variance) / 2
        return likelihood - _numpy(kl)

    others = [
        bound(x / 2 + random.normal(0, 1, 200), np.exp(random.normal(0, 1, 200))) for _ in range(10)
    ]
    variances = np.linspace(0.05, 1.5, 291)
    best = {
        name: variances[np.argmax([bound(x / 2, v, divergence).mean() for v in variances])]
        for name, divergence in (("right", normal_kl_divergence), ("sigma", sigma_divergence))
    }
    far = bound(x / 2 + 1000.0, 0.5)
    return {
        "measures": {
            "gap_at_posterior": float(np.abs(bound(x / 2, 0.5) - evidence).max()),
            "excess_over_evidence": float(max((other - evidence).max() for other in others)),
            "best_variance": float(best["right"]),
            "best_variance_with_sigma": float(best["sigma"]),
            "lowest_bound": float(far.max()),
        }
    }


def detached_features(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Compare one training step with and without feature matching, from equal weights."""
    images = np.random.default_rng(seed).uniform(-1, 1, (32, 28, 28, 1)).astype("float32")
    labels = np.arange(32, dtype="int32") % 10

    def weights(weight):
        keras.utils.set_random_seed(seed)
        noted = settings["model"] == "noted"
        group = {"group": mnist_gan.GROUP} if noted else {}
        model = mnist_gan.MnistGAN(
            mnist_gan.build_generator(width=8),
            mnist_gan.build_discriminator(reproduce_training_notes=True)
            if noted
            else mnist_gan.build_discriminator(**group),
            reproduce_training_notes=noted,
            feature_matching_weight=weight,
            seed=seed,
        )
        model.compile(
            generator=keras.optimizers.Adam(1e-3),
            discriminator=keras.optimizers.Adam(1e-3),
            jit_compile=False,
        )
        model.train_on_batch(images, labels)
        return [_numpy(w) for w in model.generator.trainable_variables]

    pairs = zip(weights(0.0), weights(100.0), strict=True)
    return {"measures": {"weight_difference": max(float(np.abs(a - b).max()) for a, b in pairs)}}


def smoothing(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Measure how the discriminator's loss pushes back against high confidence.

    The measure is the derivative of the loss with respect to the confidence margin, at a margin of
    8: positive if the loss grows with more confidence.
    """
    loss = {
        "noted": classes.fake_weighted_class_discriminator_loss,
        "paper": classes.smoothed_class_discriminator_loss,
        "off": classes.class_discriminator_loss,
    }[settings["loss"]]
    random = np.random.default_rng(seed)
    labels = np.arange(10, dtype="int32")

    def value(margin):
        noise = random.normal(0, 0.1, (10, 11))
        real, fake = noise.copy(), noise.copy()
        # The margin over the fake class for real images, and over the other classes for fakes.
        real[np.arange(10), labels] += margin
        real[:, :10] -= 20 * (1 - np.eye(10))
        fake[:, 10] += margin
        return float(loss(real.astype("float32"), fake.astype("float32"), labels))

    state = random.bit_generator.state
    ends = []
    for margin in (7.5, 8.5):
        random.bit_generator.state = state
        ends.append(value(margin))
    logits = random.normal(0, 3, (50, 11)).astype("float32")
    real = np.zeros((50, 11), "float32")
    fifty = np.arange(50, dtype="int32") % 10

    def gradient(discriminator_loss):
        objective = lambda x: discriminator_loss(real, x, fifty)  # noqa: E731
        return _numpy(backend.value_and_input_gradient(objective, logits)[1])

    ours, theirs = gradient(loss), gradient(classes.class_discriminator_loss)
    scaled = np.abs(ours - 0.9 * theirs).max() / np.abs(theirs).max()
    return {"measures": {"push_back": ends[1] - ends[0], "scaling_error": float(scaled)}}


def manual_rate(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Apply the rule of the training notes to the recorded accuracies of a training.

    "if d_acc > 0.95: d_lr -= 0.0001", once per epoch. The measures are the rate at the end and the
    first epoch after which it is not positive.
    """
    found = current(json.loads((RESULTS / "claims" / f"{settings['claim']}.json").read_text()))
    runs = found["variants"][settings["variant"]]["runs"]
    (run,) = [run for run in runs if run["seed"] == seed]
    rate, frozen = settings["rate"], len(run["curve"]) + 1
    for row in run["curve"]:
        if (row["real_accuracy"] + row["fake_accuracy"]) / 2 > 0.95:
            rate = round(rate - 1e-4, 10)
        if rate <= 0:
            frozen = min(frozen, row["epoch"])
    return {"measures": {"final_rate": rate, "frozen_after": frozen}}


def saturation(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Measure the gradient of the generator's loss where the discriminator wins.

    The logits are near -8: the discriminator gives fakes a probability of 0.0003.
    """
    loss = {
        "min-max": adversarial.minmax_generator_loss,
        "non-saturating": adversarial.nonsaturating_generator_loss,
    }[settings["loss"]]
    logits = np.random.default_rng(seed).normal(-8, 0.2, (64, 1)).astype("float32")
    gradient = _numpy(backend.value_and_input_gradient(loss, logits)[1]) * len(logits)
    return {"measures": {"loss_gradient": float(np.abs(gradient).mean())}}


def dirac(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train the Dirac-GAN (Mescheder et al., 2018, arXiv 1801.04406, section 2).

    The data are the point 0, the generator is a point, and the discriminator is D(x) = slope * x.
    The measure is the distance from the equilibrium after `STEPS` alternating steps, relative to
    the start.
    """
    point, slope = np.random.default_rng(seed).uniform(0.5, 1.5, 2).astype("float32")
    start, rate = math.hypot(point, slope), 0.1
    weight = settings["penalty"]

    def gradient(loss, x):
        x = np.array([[x]], "float32")
        return float(_numpy(backend.value_and_input_gradient(loss, x)[1])[0, 0])

    def discriminator_loss(d, real=0.0):
        fake = point
        loss = adversarial.logistic_discriminator_loss(d * real, d * fake)
        # The gradient of D is its slope, so R1 is slope^2 / 2.
        return loss + weight * penalties.squared_gradient_norm(d) / 2

    for _ in range(STEPS):
        slope -= rate * gradient(discriminator_loss, slope)
        point -= rate * gradient(
            lambda x, slope=slope: adversarial.minmax_generator_loss(slope * x), point
        )
    return {"measures": {"relative_distance": math.hypot(point, slope) / start}}


def pair_interaction(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Measure how far the logit of an image-caption pair depends on both together.

    For two images and two captions, D(i, c) - D(i, c') - D(i', c) + D(i', c') is 0 for every sum of
    a function of the image and a function of the caption. It is divided by the deviation of the
    logits.
    """
    keras.utils.set_random_seed(seed)
    network = hdgan.build_discriminator(
        64, 8, embedding_dim=64, extra_conv=settings["extra_conv"], norm=settings["norm"]
    )
    random = np.random.default_rng(seed)
    images = random.uniform(-1, 1, (2, 16, 64, 64, 3)).astype("float32")
    captions = random.normal(size=(2, 16, 64)).astype("float32")
    logits = {
        (i, j): _numpy(network([images[i], captions[j]], training=False)[0])
        for i in (0, 1)
        for j in (0, 1)
    }
    mixed = logits[0, 0] - logits[0, 1] - logits[1, 0] + logits[1, 1]
    deviation = np.std(np.stack([*logits.values()]))
    return {"measures": {"interaction": float(np.abs(mixed).max() / deviation)}}


def normalized_pairs(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Measure the first normalized features of HDGAN's generator in training mode.

    The measure is the mean correlation of the features of two samples of a batch, and the share of
    the features' variance that their signs explain.
    """
    keras.utils.set_random_seed(seed)
    network = hdgan.build_generator((64,), 8, embedding_dim=64)
    norm = next(x for x in network.layers if "batch_normalization" in x.name)
    first = keras.Model(network.inputs, norm.output)
    random, n = np.random.default_rng(seed), settings["batch"]
    shapes = [(n, x.shape[-1]) for x in network.inputs]
    inputs = [random.normal(size=shape).astype("float32") for shape in shapes]
    x = _numpy(first(inputs, training=True))
    x = x / np.sqrt((x**2).mean(axis=0, keepdims=True))
    correlations = np.corrcoef(x)[np.triu_indices(n, 1)]
    signs = 1 - ((x - np.sign(x)) ** 2).mean() / (x**2).mean()
    return {"measures": {"feature_correlation": correlations.mean(), "explained_by_signs": signs}}


def scaled_loss(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Train a small network twice with Adam, the second time with the loss times a factor."""
    random = np.random.default_rng(seed)
    x, y = (random.normal(size=(64, n)).astype("float32") for n in (8, 1))

    def trained(factor):
        keras.utils.set_random_seed(seed)
        network = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
        )
        network.compile(
            keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.9),
            lambda y, p: factor * ops.mean(ops.square(y - p)),
            jit_compile=False,
        )
        start = np.concatenate([w.ravel() for w in network.get_weights()])
        network.fit(x, y, batch_size=64, epochs=100, verbose=0, shuffle=False)
        return np.concatenate([w.ravel() for w in network.get_weights()]) - start

    one, other = trained(1.0), trained(settings["factor"])
    return {
        "measures": {"step_difference": float(np.linalg.norm(one - other) / np.linalg.norm(one))}
    }


def recorded(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Read a training that another benchmark has recorded.

    The settings are the file in benchmarks/results and `where`, the fields of the record. The
    record's seed is the seed.
    """
    records = current(json.loads((RESULTS / settings["file"]).read_text()))
    wanted = settings["where"] | {"seed": seed}
    (found,) = [record for record in records if wanted.items() <= record.items()]
    measures = numbers(found["scores"])
    if "rollbacks" in found:
        measures["exploded"] = int(bool(found["rollbacks"] or found["stopped"]))
    rows = [row for row in found["curve"] if any("frechet_distance" in name for name in row)]
    name = "generator_digit_frechet_distance"
    distances = [row[name] for row in rows if name in row]
    if len(distances) > 3:
        late = distances[len(distances) // 2 :]
        steps = [abs(math.log(b / a)) for a, b in zip(late, late[1:], strict=False)]
        measures |= {"checkpoint_gap": math.exp(sum(steps) / len(steps)) - 1}
    return {
        "measures": measures,
        "curve": rows,
        "source": {name: found.get(name) for name in ("command", "commit", "seconds")},
    }


def recorded_scores(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Read a small run of `python -m benchmarks scores --scale=small`."""
    records = current(json.loads((RESULTS / "scores.json").read_text()))
    run = records[settings["row"]]["small, inference mode"]["runs"][seed]
    return {"measures": numbers(run)}


def numbers(scores: dict) -> dict:
    """Return the numeric entries of a dict of scores."""
    return {name: value for name, value in scores.items() if isinstance(value, (int, float))}


def recorded_curves(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Compare checkpoints within the recorded CoopNet trainings of a seed.

    The measures are means over the trainings, from the second third of the epochs on: the rank
    correlation of reconstruction loss and Fréchet distance, the change of the logarithmic distance
    where the loss falls suddenly (by more than twice the usual change), and the share of
    trainings whose last checkpoint is the best.
    """
    runs: dict = {}
    for claim in settings["claims"]:
        found = current(json.loads((RESULTS / "claims" / f"{claim}.json").read_text()))
        for variant in found["variants"].values():
            runs |= {run["key"]: run for run in variant["runs"] if run["seed"] == seed}
    name, correlations, drops, last = "generator_digit_frechet_distance", [], [], []
    for run in runs.values():
        rows = [row for row in run["curve"] if row.get(name)]
        rows = rows[len(rows) // 3 :]
        loss, distance = (np.log([row[key] for row in rows]) for key in ("reconstruction", name))
        ranks = [np.argsort(np.argsort(values)) for values in (loss, distance)]
        correlations.append(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
        change = np.diff(loss)
        sudden = change < -2 * np.median(np.abs(change))
        drops += [*np.diff(distance)[sudden]]
        last.append(float(distance[-1] == distance.min()))
    return {
        "measures": {
            "rank_correlation": float(np.mean(correlations)),
            "change_at_drops": float(np.mean(drops)) if drops else 0.0,
            "drops": len(drops),
            "best_is_last": float(np.mean(last)),
            "trainings": len(runs),
        }
    }


def _experiment(run, name):
    return Experiment(f"exact_{name}", run, lambda settings: 0.1)


EVIDENCE = _experiment(evidence_bound, "evidence_bound")
DETACHED = _experiment(detached_features, "detached_features")
SMOOTHING = _experiment(smoothing, "smoothing")
MANUAL_RATE = _experiment(manual_rate, "manual_rate")
SATURATION = _experiment(saturation, "saturation")
DIRAC = _experiment(dirac, "dirac")
INTERACTION = _experiment(pair_interaction, "pair_interaction")
PAIRS = _experiment(normalized_pairs, "normalized_pairs")
SCALED_LOSS = _experiment(scaled_loss, "scaled_loss")
RECORDED = Experiment("recorded", recorded, lambda settings: 0.1)
RECORDED_SCORES = Experiment("recorded_scores", recorded_scores, lambda settings: 0.1)
RECORDED_CURVES = Experiment("recorded_curves", recorded_curves, lambda settings: 0.1)
