"""FD-infinity: the reference's draws, and no bias for normal distributions."""

import warnings

import numpy as np
import pytest

from kerasgan.metrics.fd_infinity import fd_infinity
from kerasgan.metrics.frechet import frechet_distance, statistics

RANDOM = np.random.default_rng(0)
REAL, FAKE = RANDOM.normal(size=(900, 6)), RANDOM.normal(0.3, 1.2, (700, 6))


def by_definition(real, fake, points, seed):
    """Subsets of dgm-eval, and least squares."""
    sizes = np.linspace(min(5000, max(len(fake) // 10, 2)), len(fake), points).astype("int32")
    random, found = np.random.default_rng(seed), []
    for size in sizes:
        subset = random.choice(fake, size, replace=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(frechet_distance(statistics(real), statistics(subset)))
    lines = np.stack([np.ones(points), 1 / sizes], axis=1)
    return np.linalg.lstsq(lines, np.array(found), rcond=None)[0][0]


@pytest.mark.parametrize("points", [2, 5, 15])
@pytest.mark.parametrize("seed", [0, 3])
def test_equals_the_definition(points, seed):
    expected = by_definition(REAL, FAKE, points, seed)
    assert fd_infinity(REAL, FAKE, points, seed) == pytest.approx(expected, rel=1e-9)
    assert fd_infinity(statistics(REAL), FAKE, points, seed) == pytest.approx(expected, rel=1e-9)


def test_subsets_with_fewer_images_than_features():
    real, fake = RANDOM.normal(size=(100, 30)), RANDOM.normal(size=(90, 30))
    with pytest.warns(UserWarning, match="not linear in subsets of 9 images and 30 features"):
        found = fd_infinity(real, fake, 6)
    assert found == pytest.approx(by_definition(real, fake, 6, 0), rel=1e-6)


def test_less_biased_than_the_distance():
    """The mean distance of normal features with the real mean and covariance is 0."""
    real = statistics(np.random.default_rng(9).normal(size=(100_000, 5)))
    sets = [np.random.default_rng(seed).normal(size=(400, 5)) for seed in range(30)]
    plain = np.mean([frechet_distance(real, statistics(x)) for x in sets])
    extrapolated = [fd_infinity(real, x) for x in sets]
    assert abs(np.mean(extrapolated)) < plain / 4


@pytest.mark.parametrize(
    ("fake", "points", "message"),
    [
        (FAKE[:19], 15, "features of at least 20 images; received 19"),
        (FAKE, 1, "points must be at least 2; received 1"),
        (FAKE[:, :5], 15, "same number of features; received 6 and 5"),
    ],
)
def test_bad_input(fake, points, message):
    with pytest.raises(ValueError, match=message):
        fd_infinity(statistics(REAL), fake, points)
