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
from benchmarks.reproduction import claims, small_scale
from benchmarks.reproduction.claims import Variant, hdgan as hdgan_claims, runner, small_stylex
from benchmarks.reproduction.claims.rules import OPEN, All, Within, number
from kerasgan.datasets.synthetic_birds import synthetic_birds
from zoo import recipe, text_gan

# Family -> claim, one of its variants, settings that make it small, and measures of its runs.
TINY = {
    "coopnet": (
        "coop-lr-small",
        "0.007",
        {"batch_size": 32, "chains": 8, "steps": 2, "width": 1, "noise_until": 1},
        {"impulse", "exploded", "descriptor_digit_frechet_distance", "fine_power"},
    ),
    "hdgan": (
        "hdgan-layernorm",
        "layer norm",
        {"width": 2, "num_images": 24, "batch_size": 8},
        {"attribute_accuracy", "bird_frechet_distance", "bird_classifier_score", "ms_ssim"},
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
    monkeypatch.setattr(
        text_gan.synthetic,
        "synthetic_birds",
        lambda split, count, size: synthetic_birds(split, min(count, 24), 0, size),
    )
    monkeypatch.setattr(small_scale, "BIRDS", 32)
    monkeypatch.setattr(small_scale, "evaluate", functools.partial(small_scale.evaluate, count=32))
    monkeypatch.setattr("benchmarks.reproduction.claims.coopnet.SAMPLES", 1000)
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


# Trainings of recipes that have tests of their own.
SLOW = "hdgan", "flow", "coopnet"


@pytest.mark.filterwarnings("ignore:the Fréchet distance of")  # The samples are few.
@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[pytest.mark.nightly] if name in SLOW else []) for name in TINY],
)
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


@pytest.mark.nightly
def test_two_trainings_of_the_small_stylex_share_a_model_but_not_their_weights():
    settings, repeated = {"steps": 16, "learning_rate": 1e-3}, []
    for seed, rate in ((0, 1e-3), (0, 1e-2), (0, 1e-3)):
        found = small_stylex.train(settings | {"learning_rate": rate}, seed, None)
        repeated.append(found["measures"]["heldout_pixel"])
        assert {"sharpness", "spikes", "w_frechet", "heldout_agreement"} <= set(found["measures"])
    assert repeated[0] == pytest.approx(repeated[2], rel=1e-3) and repeated[0] != repeated[1]
