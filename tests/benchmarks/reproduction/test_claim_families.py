"""One claim of each family from the command to the result file, with tiny networks and few images.

A claim about the MNIST GAN is in test_claims.py.
"""

import dataclasses
import functools
import json

import numpy as np
import pytest

import zoo.conditional_vae
import zoo.coopnet
import zoo.flow
import zoo.stylex
from benchmarks.reproduction import claims, small_scale
from benchmarks.reproduction.claims import Variant, hdgan as hdgan_claims, runner
from benchmarks.reproduction.claims.rules import OPEN, All, Within, number
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.models.classifier import build_classifier
from zoo import recipe, text_gan

# Family -> claim, one of its variants, settings that make it small, and measures of its runs.
TINY = {
    "coopnet": (
        "coop-steps",
        "5",
        {"batch_size": 32, "chains": 8, "steps": 2, "width": 1, "latent_dim": 4, "noise_until": 1},
        {"impulse", "exploded", "descriptor_digit_frechet_distance", "fine_power"},
    ),
    "hdgan": (
        "hdgan-skip",
        "with",
        {"width": 2, "num_images": 24, "batch_size": 8},
        {"attribute_accuracy", "bird_frechet_distance", "bird_classifier_score", "ms_ssim"},
    ),
    "stylex": (
        "stylex-kl-scale",
        "10",
        {"batch_size": 4, "capacity": 1, "max_channels": 4, "latent_dim": 4, "depth": 1},
        {
            "heldout_pixel",
            "heldout_agreement",
            "sharpness",
            "digit_frechet_distance",
            "spikes",
            "w_frechet",
        },
    ),
    "vae": (
        "vae-elbo",
        "sign flipped",
        {"batch_size": 32, "width": 2, "latent_dim": 2},
        {"test_elbo"},
    ),
    "flow": (
        "flow-logprob",
        "summed over the batch",
        {"batch_size": 32, "width": 2, "depth": 4},
        {"test_bits_per_dimension"},
    ),
}


@pytest.fixture
def few(monkeypatch):
    """Few images, few samples to score, and no classifier to train first."""
    claims.claims()  # The modules of the claims read `small_scale.BIRDS` when they are imported.

    def first(load, count):
        return lambda *task: tuple(part[:count] for part in load(*task))

    for kind in (zoo.coopnet, zoo.conditional_vae, zoo.flow):
        monkeypatch.setattr(kind, "load", first(kind.load, 64))
    load_task = zoo.stylex.classifier.load

    def task(*given):
        parts = load_task(*given)
        return *((x[:8], y[:8]) for x, y in parts[:2]), parts[2]

    def untrained(given):
        (images, _), _, names = task(*given)
        network = build_classifier(images.shape[1], images.shape[-1], len(names), 2, 4)
        network.layers[-1].bias.assign(-np.median(network(images), axis=0))
        return network

    monkeypatch.setattr(zoo.stylex.classifier, "load", task)
    monkeypatch.setattr(zoo.stylex, "trained", untrained)
    monkeypatch.setattr(
        text_gan.synthetic,
        "synthetic_birds",
        lambda split, count, size: synthetic_birds(split, min(count, 24), 0, size),
    )
    monkeypatch.setattr(small_scale, "BIRDS", 32)
    monkeypatch.setattr(small_scale, "evaluate", functools.partial(small_scale.evaluate, count=32))
    for family, count in (("coopnet", 1000), ("stylex", 70)):
        monkeypatch.setattr(f"benchmarks.reproduction.claims.{family}.SAMPLES", count)
    caches = (text_gan.load, small_scale._real)
    [cached.cache_clear() for cached in caches]
    yield
    [cached.cache_clear() for cached in caches]


@pytest.mark.parametrize("variant", hdgan_claims.VARIANTS)
def test_variants_of_hdgan_have_the_settings_of_the_recipe(variant, few):
    preset = {"width": 2, "num_images": 24, "batch_size": 8} | {"damsm_weight": 0.0}
    plain = recipe.settings_of(small_scale.small_recipe(), r1_weight=0.3, **preset)
    model = hdgan_claims.build(hdgan_claims.Settings(**vars(plain), variant=variant))
    assert (model.r1_weight, model.seed, model.damsm_weight) == (0.3, 0, 0.0)
    assert model.compiled and set(model.discriminators) == {64}


@pytest.mark.filterwarnings("ignore:the Fréchet distance of")  # The samples are few.
@pytest.mark.parametrize("family", TINY)
def test_a_claim_of_each_family_has_a_result(family, few, tmp_path, monkeypatch):
    name, variant, small, measures = TINY[family]
    (claim,) = [claim for claim in claims._family(family) if claim.id == name]
    settings = claim.variants[variant].settings | small
    variants, rule = (
        {variant: Variant(claim.variants[variant].experiment, settings)},
        All(*(Within(m, variant, high=1e29) for m in measures)),
    )
    tiny = dataclasses.replace(claim, variants=variants, rule=rule)
    monkeypatch.setattr(claims, "_family", lambda requested: [tiny] if requested == family else [])
    done = runner.run(
        [name], seeds=1, budget=1, runs=tmp_path / "runs", results=tmp_path / "results"
    )
    found = json.loads((tmp_path / "runs" / "budget_1" / f"{name}.json").read_text())
    (run,) = found["variants"][variant]["runs"]
    assert done == {name: OPEN} and found["outcome"] == OPEN  # A single seed does not decide.
    assert all(np.isfinite(number(run, measure)) for measure in measures)
    assert found["variants"][variant]["settings"]["epochs"] == 1 and [
        row["epoch"] for row in run["curve"]
    ] in ([1], [])
    assert (tmp_path / "runs" / run["key"] / "record.json").exists()
