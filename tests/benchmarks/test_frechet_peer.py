"""What the Fréchet distance is timed against gives the same number."""

import numpy as np
import pytest

from benchmarks.peers import frechet as peer
from kerasgan.metrics.frechet import frechet_distance, statistics


def test_the_peers_ways_give_our_distance():
    one, other = (peer.made_up_features(images=500, features=40, seed=seed) for seed in (0, 1))
    pairs = [peer.numpy_statistics(features) for features in (one, other)]
    ours = statistics(one), statistics(other)
    np.testing.assert_allclose(ours[0].covariance, pairs[0][1], rtol=1e-12)
    assert frechet_distance(*ours) == pytest.approx(
        peer.product_eigenvalues_distance(*pairs), rel=1e-8
    )
    pytest.importorskip("scipy")
    assert frechet_distance(*ours) == pytest.approx(peer.matrix_root_distance(*pairs), rel=1e-8)
