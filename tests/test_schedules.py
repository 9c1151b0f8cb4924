"""Learning rates as functions of the step."""

import keras
import numpy as np
import pytest

from kerasgan.schedules import FlatThenLinear


def test_flat_then_linear():
    schedule = FlatThenLinear(0.2, 100, end=0.1)
    rates = [float(schedule(step)) for step in (0, 49, 50, 75, 90, 95, 99, 500)]
    np.testing.assert_allclose(rates, [0.2, 0.2, 0.2, 0.1, 0.04, 0.02, 0.02, 0.02], rtol=1e-5)


def test_serialization_and_errors():
    optimizer = keras.optimizers.SGD(FlatThenLinear(0.2, 100, end=0.1))
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.get_config() == optimizer.get_config()
    with pytest.raises(ValueError, match="steps must be at least 1; received 0"):
        FlatThenLinear(0.2, 0)
