"""Matching-aware losses, by hand."""

import numpy as np
import pytest
from keras import ops

from kerasgan.losses.matching import matching_aware_loss, squared_error, unconditional_loss


def logits(*values):
    return ops.convert_to_tensor(np.array(values, "float32").reshape(1, -1, 1, 1))


def test_by_hand():
    real, wrong, fake = logits(1, 3), logits(0, 2), logits(-1, 1)
    assert float(squared_error(real, 1.0)) == 2
    assert float(matching_aware_loss(real, wrong, fake)) == pytest.approx(2 + (2 + 1) / 2)
    assert float(unconditional_loss(real, wrong, fake)) == pytest.approx(1 + (1 + 2) / 2)


def test_perfect_discriminators_lose_nothing():
    one, nothing = logits(1, 1), logits(0, 0)
    assert float(matching_aware_loss(one, nothing, nothing)) == 0
    assert float(unconditional_loss(one, one, nothing)) == 0
