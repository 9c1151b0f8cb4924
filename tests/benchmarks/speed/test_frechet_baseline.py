"""The baselines of the Fréchet distance give the same number as kerasgan."""

import numpy as np
import pytest

from benchmarks.speed.baselines import frechet as baseline
from kerasgan.metrics.frechet import frechet_distance, statistics


def test_baselines_give_the_same_distance():
    one, other = (baseline.random_features(images=500, features=40, seed=seed) for seed in (0, 1))
    pairs = [baseline.numpy_statistics(features) for features in (one, other)]
    ours = statistics(one), statistics(other)
    np.testing.assert_allclose(ours[0].covariance, pairs[0][1], rtol=1e-12)
    assert frechet_distance(*ours) == pytest.approx(
        baseline.product_eigenvalues_distance(*pairs), rel=1e-8
    )
    pytest.importorskip("scipy")
    assert frechet_distance(*ours) == pytest.approx(baseline.matrix_root_distance(*pairs), rel=1e-8)
