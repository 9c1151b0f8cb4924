"""What the metrics are timed against gives the same numbers."""

import importlib

import numpy as np
import pytest

from benchmarks import speed
from benchmarks.peers import metrics as peer, ms_ssim as ms_ssim_peer
from benchmarks.peers.frechet import made_up_features
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.ms_ssim import WEIGHTS, ms_ssim
from kerasgan.metrics.r_precision import r_precision

FEATURES = [made_up_features(200, 24, seed=seed) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (kernel_distance, peer.kernel_distance, (*FEATURES, 4, 50)),
        (inception_score, peer.inception_score, [speed.logits(200, 30)]),
        (precision_recall, peer.precision_recall, FEATURES),
        (density_coverage, peer.density_coverage, FEATURES),
        (intra_class_diversity, peer.intra_class_diversity, speed.labelled(40, [5, 5, 1], 4)),
    ],
)
def test_peers_give_our_numbers(ours, theirs, arguments):
    assert theirs(*arguments) == pytest.approx(ours(*arguments), rel=1e-9)


def test_ms_ssim_is_ours():
    """In float32; and our weights are those of the paper over their sum."""
    one, other = (images[..., :1] for images in speed.pairs(2, 176))
    np.testing.assert_allclose(
        ms_ssim_peer.ms_ssim(one, other), ms_ssim(one, other) ** sum(WEIGHTS), rtol=1e-5
    )


def test_r_precision_is_ours_whatever_is_drawn():
    images, labels = speed.labelled(60, [8], 6)
    texts = np.where(
        np.arange(60)[:, None] % 3, images, -images
    )  # a third of the captions are as far as can be
    expected = r_precision(images, texts, labels, candidates=20, splits=2)
    assert peer.r_precision(images, texts, labels, candidates=20, splits=2) == pytest.approx(
        expected
    )
    assert expected == pytest.approx((2 / 3, 0))


@pytest.mark.parametrize("name", speed.METRICS)
def test_a_metrics_case_finds_both_functions(name):
    for build in speed.CASES[name].values():
        module, function, _ = build.args
        assert callable(getattr(importlib.import_module(module), function))
