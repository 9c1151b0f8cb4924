"""The baselines of the metrics give the same numbers as kerasgan."""

import importlib.util

import numpy as np
import pytest

from benchmarks.speed import metrics as cases
from benchmarks.speed.baselines import dgm_eval, metrics as baseline, ms_ssim as ms_ssim_baseline
from benchmarks.speed.baselines.frechet import random_features
from kerasgan.metrics.authpct import authpct
from kerasgan.metrics.cmmd import cmmd
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.fd_infinity import fd_infinity
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.memorization import memorization
from kerasgan.metrics.ms_ssim import WEIGHTS, ms_ssim
from kerasgan.metrics.r_precision import r_precision
from kerasgan.metrics.vendi import vendi_score

FEATURES = [random_features(200, 24, seed=seed) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (kernel_distance, baseline.kernel_distance, (*FEATURES, 4, 50)),
        (inception_score, baseline.inception_score, [cases.logits(200, 30)]),
        (precision_recall, baseline.precision_recall, FEATURES),
        (density_coverage, baseline.density_coverage, FEATURES),
        (intra_class_diversity, baseline.intra_class_diversity, cases.labelled(40, [5, 5, 1], 4)),
    ],
)
def test_baselines_give_the_same_numbers(ours, theirs, arguments):
    assert theirs(*arguments) == pytest.approx(ours(*arguments), rel=1e-9)


@pytest.mark.parametrize(
    ("ours", "name"),
    [(fd_infinity, "fd_infinity"), (authpct, "authpct"), (cmmd, "cmmd")]
    + [(memorization, "memorization"), (vendi_score, "vendi_score")],
)
def test_baselines_of_newer_scores_give_the_same_numbers(ours, name):
    """The baselines use the precision of their programs, float32 for features and kernels."""
    sets = [random_features(400, 24, seed=seed) for seed in (0, 1)]
    arguments = sets[:1] if name == "vendi_score" else sets
    theirs = getattr(dgm_eval, name)(*arguments)
    # The difference of three mean kernels near 1, times 1,000, has an error of 1e-4 in float32.
    assert theirs == pytest.approx(ours(*arguments), rel=1e-4, abs=1e-3 * (name == "cmmd"))


@pytest.mark.parametrize("name", cases.PACKAGES)
def test_packages_give_the_same_numbers(name):
    package, formula, *_ = cases.PACKAGES[name]
    if not importlib.util.find_spec({"clean_fid": "cleanfid"}.get(package, package)):
        pytest.skip(f"{package} is not installed")
    size = (1100, 24) if formula == "kernel_distance" else (200, 24)
    theirs, found = cases.package(package, formula, *size)(), cases.ours(formula, *size)()
    if isinstance(found, dict):
        expected = [theirs["precision"], theirs["recall"]]
        # torch-fidelity calls the first set the generated one.
        assert sorted(expected) == pytest.approx(sorted(found.values()))
    elif package == "torch_fidelity":
        assert [*theirs.values()] == pytest.approx(found, rel=1e-3)  # In float32.
    else:  # clean-fid draws other subsets.
        first = found[0] if isinstance(found, tuple) else found
        assert theirs == pytest.approx(first, rel=0.1 if isinstance(found, tuple) else 1e-6)


def test_ms_ssim_equals_kerasgans():
    """kerasgan divides the paper's weights by their sum; the baseline computes in float32."""
    one, other = (images[..., :1] for images in cases.image_pairs(2, 176))
    np.testing.assert_allclose(
        ms_ssim_baseline.ms_ssim(one, other), ms_ssim(one, other) ** sum(WEIGHTS), rtol=1e-5
    )


def test_r_precision_equals_kerasgans_for_any_candidates():
    images, labels = cases.labelled(60, [8], 6)
    texts = np.where(
        np.arange(60)[:, None] % 3, images, -images
    )  # A third of the captions are opposite to their images.
    expected = r_precision(images, texts, labels, candidates=20, splits=2)
    assert baseline.r_precision(images, texts, labels, candidates=20, splits=2) == pytest.approx(
        expected
    )
    assert expected == pytest.approx((2 / 3, 0))


@pytest.mark.parametrize("name", cases.METRICS)
def test_both_functions_of_a_metric_exist(name):
    for build in cases.CASES[name].values():
        module, function, _ = build.args
        assert callable(getattr(importlib.import_module(module), function))
