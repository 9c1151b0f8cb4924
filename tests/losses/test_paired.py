"""Losses of all pairs of a batch, compared with explicit sums."""

import numpy as np
import pytest
from keras import ops

from kerasgan.losses import paired

RANDOM = np.random.default_rng(0)
REAL, FAKE = RANDOM.normal(size=(4, 4)).astype("float32"), RANDOM.normal(size=4).astype("float32")
OFF = ~np.eye(4, dtype=bool)


def number(x):
    return float(ops.convert_to_numpy(x))


@pytest.mark.backend
def test_matching_hinge():
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    expected = (
        relu(1 - REAL.diagonal()).mean()
        + 0.3 * relu(1 + FAKE).mean()
        + 0.7 * relu(1 + REAL[OFF]).mean()
    )
    assert number(paired.matching_hinge_loss(REAL, FAKE, 0.7)) == pytest.approx(expected, rel=1e-5)


def test_relativistic():
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    assert number(paired.relativistic_loss(FAKE, FAKE)) == pytest.approx(np.log(2), rel=1e-5)
    differences = (REAL - REAL.diagonal()[:, None])[OFF]
    assert number(paired.relativistic_matching_loss(REAL)) == pytest.approx(
        softplus(differences).mean(), rel=1e-5
    )


def test_contrastive_is_small_only_for_a_large_diagonal():
    good, bad = 20 * np.eye(4, dtype="float32"), np.zeros((4, 4), "float32")
    assert number(paired.contrastive_matching_loss(good)) < 1e-3
    assert number(paired.contrastive_matching_loss(bad)) == pytest.approx(np.log(4), rel=1e-5)
