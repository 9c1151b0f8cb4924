"""Experiments on the shipped presets: trained networks, sampled in other ways, without training.

A seed is the seed of the latents, so the spread is that of sampling; the findings hold for one
trained model each.
"""

import functools
import pathlib

import numpy as np

from benchmarks.reproduction.claims import Experiment
from benchmarks.reproduction.claims.exact import numbers
from benchmarks.reproduction.full_scale import sample
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.synthetic_birds import parse_caption, synthetic_birds
from kerasgan.io import presets
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.protocols.digits import score_digits, score_unlabelled_digits
from kerasgan.models.coopnet_diagnostics import impulse_noise
from zoo import text_gan

DIGITS, BIRDS = 1024, 192


@functools.cache
def _preset(name):
    return presets.load(name)


def latents(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Sample the conditional digit GAN, trained with normal latents, with other latents."""
    model, random = _preset("mnist_gan_digits"), np.random.default_rng(seed)
    labels = np.arange(1000, dtype="int32") % 10
    shape = (1000, model.latent_dim)
    z = {"normal": random.normal(size=shape), "uniform": random.uniform(size=shape)}
    network = model.ema_generator or model.generator
    images = network.predict([z[settings["latents"]].astype("float32"), labels], verbose=0)
    found, data = numbers(score_digits(images, labels)), load_digits("train")
    diversity = intra_class_diversity(images, labels) / intra_class_diversity(*data)
    return {"measures": found | {"intra_class_diversity": diversity}}


def chains(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Sample CoopNet in blocks of another size, or with other Langevin steps."""
    model = _preset("coopnet_digits")
    usual, step_size = model.chains, model.step_size
    try:
        model.chains = settings.get("chains", usual)
        model.step_size = settings.get("step_size", step_size)
        model.sampler.cache_clear()
        images = model.sample(
            DIGITS,
            seed=seed,
            by=settings.get("by", "generator"),
            steps=settings.get("steps"),
            statistics=settings.get("statistics", "batch"),
        )
    finally:
        model.chains, model.step_size = usual, step_size
        model.sampler.cache_clear()
    impulse = float(impulse_noise(images) / impulse_noise(load_digits("train")[0][:1000]))
    found = score_unlabelled_digits(images)
    return {"measures": numbers(found) | {"impulse": impulse}}


@functools.cache
def _birds():
    return synthetic_birds("test", BIRDS, seed=0, size=304)


@functools.cache
def _real(size):
    images = bird_attributes.resized(_birds().images[:, 24:280, 24:280], size)
    classifier = bird_attributes.load_bird_attribute_classifier()[0]
    return statistics(bird_attributes.features_and_heads(classifier, images)[0])


def birds(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Sample HDGAN's birds with batch norm in either mode, and with one or several captions.

    The attributes are those of the bird that the captions describe.
    """
    model, classifier = (
        _preset("hdgan_synthetic_birds_256"),
        bird_attributes.load_bird_attribute_classifier()[0],
    )
    encode, captions = text_gan.encoder("synthetic_birds_text"), _birds().captions
    count = settings.get("captions", 1)
    chosen = [[texts[(seed + i) % len(texts)] for i in range(count)] for texts in captions]
    flat = [text for texts in chosen for text in texts]
    embeddings = encode(flat).reshape(len(chosen), count, -1).mean(axis=1)
    latents = model.random_latents(len(chosen), seed)
    batches = [*sample(model, embeddings, latents, settings.get("training", False))]
    found: dict = {}
    mentioned = np.stack([parse_caption(text) for text in flat]) >= 0
    named = mentioned.reshape(len(chosen), count, -1).any(axis=1)
    for size in model.sizes:
        images = np.concatenate([batch[size] for batch in batches])
        features, heads = bird_attributes.features_and_heads(classifier, images)
        predicted = bird_attributes.attributes_from_heads(heads)
        correct = predicted == _birds().attributes[: len(predicted)]
        score = np.mean([inception_score(head, splits=1)[0] for head in heads])
        found |= {
            f"bird_attributes_{size}": float(correct.mean()),
            f"bird_classifier_score_{size}": float(score),
            f"bird_frechet_distance_{size}": frechet_distance(statistics(features), _real(size)),
        }
    found["gain_with_size"] = (
        found[f"bird_classifier_score_{max(model.sizes)}"]
        / found[f"bird_classifier_score_{min(model.sizes)}"]
    )
    return {"measures": found | {"named_attributes": float(named.mean())}}


LATENTS = Experiment("preset_latents", latents, lambda settings: 0.2)
CHAINS = Experiment("preset_chains", chains, lambda settings: 0.3)
BIRD_PRESET = Experiment("preset_birds", birds, lambda settings: 1.0)
