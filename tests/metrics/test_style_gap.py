import numpy as np
import pytest

from kerasgan.metrics.style_gap import probe_auc, style_gap


def test_equal_and_different_distributions():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 4000, 3))
    same = style_gap(one, other)
    assert same["w_frechet"] < 0.02 and same["w_norm_ratio"] == pytest.approx(1, abs=0.03)
    assert same["w_probe_auc"] == pytest.approx(0.5, abs=0.03)
    apart = style_gap(one, 2 * other + [3.0, 0, 0])
    assert apart["w_frechet"] == pytest.approx(
        9 + 3, rel=0.1
    )  # From the means, and 1 per deviation.
    assert apart["w_norm_ratio"] > 2 and 0.85 < apart["w_probe_auc"] < 1
    assert style_gap(one, other + [0, 50.0, 0])["w_probe_auc"] == 1


def test_the_probe_is_tested_on_held_out_vectors():
    """With as many dimensions as vectors, a probe separates any two training sets."""
    auc = [
        probe_auc(*np.random.default_rng(seed).normal(size=(2, 40, 60)), seed) for seed in range(20)
    ]
    assert np.mean(auc) == pytest.approx(0.5, abs=0.1)
    assert probe_auc(np.zeros((8, 2)), np.zeros((8, 2))) == 0.5  # Ties only.


@pytest.mark.parametrize("shapes", [((4, 2), (4, 3)), ((3, 2), (9, 2)), ((4,), (4,))])
def test_shapes_that_cannot_be_compared(shapes):
    with pytest.raises(
        ValueError, match=r"Expected styles \[N, D\] and \[M, D\], at least 4 each; received"
    ):
        style_gap(*map(np.zeros, shapes))
