"""A claim of each family from its command to its result file, with tiny networks, few images and one epoch. (One about
the MNIST GAN is in test_claims.py.)"""

import dataclasses
import functools
import json

import numpy as np
import pytest

import zoo.conditional_vae
import zoo.coopnet
import zoo.flow
import zoo.stylex
from benchmarks import claims, scores
from benchmarks.claims import Arm, runner
from benchmarks.claims.verdicts import OPEN, All, Within, number
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.models.classifier import build_classifier
from zoo import text_gan

# family -> a claim, one of its arms, what makes it small, and measures that it must then have
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
        {"width": 2, "drawn": 24, "batch_size": 8},
        {"attribute_accuracy", "bird_frechet_distance", "bird_judge_score", "ms_ssim"},
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
    """Few images of everything, no classifier to train first, and few samples to score."""

    def first(load, count):
        return lambda *task: tuple(part[:count] for part in load(*task))

    for kind in (zoo.coopnet, zoo.conditional_vae, zoo.flow):
        monkeypatch.setattr(kind, "load", first(kind.load, 64))
    load_task = zoo.stylex.classifier.load

    def task(*told):
        parts = load_task(*told)
        return *((x[:8], y[:8]) for x, y in parts[:2]), parts[2]

    def untrained(told):
        (images, _), _, names = task(*told)
        network = build_classifier(images.shape[1], images.shape[-1], len(names), 2, 4)
        network.layers[-1].bias.assign(-np.median(network(images), axis=0))
        return network

    monkeypatch.setattr(zoo.stylex.classifier, "load", task)
    monkeypatch.setattr(zoo.stylex, "trained", untrained)
    monkeypatch.setattr(
        text_gan,
        "synthetic_birds",
        lambda split, count, size: synthetic_birds(split, min(count, 24), 0, size),
    )
    monkeypatch.setattr(scores, "BIRDS", 32)
    monkeypatch.setattr(scores, "judged", functools.partial(scores.judged, count=32))
    for family, count in (("coopnet", 1000), ("stylex", 70)):
        monkeypatch.setattr(f"benchmarks.claims.{family}.SAMPLES", count)
    caches = (text_gan.load, scores._real)
    [cached.cache_clear() for cached in caches]
    yield
    [cached.cache_clear() for cached in caches]


@pytest.mark.filterwarnings("ignore:the Fréchet distance of")  # of few
@pytest.mark.parametrize("family", TINY)
def test_a_claim_of_the_family_comes_to_a_result(family, few, tmp_path, monkeypatch):
    name, arm, small, measures = TINY[family]
    (claim,) = [claim for claim in claims._family(family) if claim.id == name]
    settings = claim.arms[arm].settings | small
    arms, rule = (
        {arm: Arm(claim.arms[arm].experiment, settings)},
        All(*(Within(m, arm, high=1e29) for m in measures)),
    )
    tiny = dataclasses.replace(claim, arms=arms, rule=rule)
    monkeypatch.setattr(claims, "_family", lambda asked: [tiny] if asked == family else [])
    done = runner.run(
        [name], seeds=1, budget=1, runs=tmp_path / "runs", results=tmp_path / "results"
    )
    found = json.loads((tmp_path / "runs" / "budget_1" / f"{name}.json").read_text())
    (run,) = found["arms"][arm]["runs"]
    assert done == {name: OPEN} and found["verdict"] == OPEN  # a single seed decides nothing
    assert all(np.isfinite(number(run, measure)) for measure in measures)
    assert found["arms"][arm]["settings"]["epochs"] == 1 and [
        row["epoch"] for row in run["curve"]
    ] in ([1], [])
    assert (tmp_path / "runs" / run["key"] / "record.json").exists()
