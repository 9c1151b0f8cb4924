"""Matching-aware losses, compared with explicit calculations."""

import numpy as np
import pytest
from keras import ops

from kerasgan.losses.matching import (
    matching_aware_loss,
    squared_error,
    unconditional_loss,
)


def logits(*values):
    return ops.convert_to_tensor(np.array(values, "float32").reshape(1, -1, 1, 1))


def test_least_squares():
    real, wrong, fake = logits(1, 3), logits(0, 2), logits(-1, 1)
    assert float(squared_error(real, 1.0)) == 2
    assert float(matching_aware_loss(real, wrong, fake)) == pytest.approx(2 + (2 + 1) / 2)
    assert float(unconditional_loss(real, wrong, fake)) == pytest.approx(1 + (1 + 2) / 2)


def test_logistic():
    real, wrong, fake = logits(1, 3), logits(0, 2), logits(-1, 1)
    cost = lambda *values: np.mean(np.log1p(np.exp(values)))  # noqa: E731
    pair = cost(-1, -3) + (cost(0, 2) + cost(-1, 1)) / 2
    assert float(matching_aware_loss(real, wrong, fake, "logistic")) == pytest.approx(pair)
    image = (cost(-1, -3) + cost(0, -2)) / 2 + cost(-1, 1)
    assert float(unconditional_loss(real, wrong, fake, "logistic")) == pytest.approx(image)


def test_perfect_discriminators_have_zero_loss():
    one, nothing = logits(1, 1), logits(0, 0)
    assert float(matching_aware_loss(one, nothing, nothing)) == 0
    assert float(unconditional_loss(one, one, nothing)) == 0
