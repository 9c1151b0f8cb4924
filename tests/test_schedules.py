"""Learning rates as functions of the step."""

import keras
import numpy as np
import pytest

from kerasgan.schedules import FlatThenLinear, Halved


def test_flat_then_linear():
    schedule = FlatThenLinear(0.2, 100, end=0.1)
    rates = [float(schedule(step)) for step in (0, 49, 50, 75, 90, 95, 99, 500)]
    np.testing.assert_allclose(rates, [0.2, 0.2, 0.2, 0.1, 0.04, 0.02, 0.02, 0.02], rtol=1e-5)


def test_halved_at_the_epochs_of_hdgan():
    schedule = Halved(2e-4, epochs=100, steps_per_epoch=7)
    rates = [
        float(schedule(7 * (epoch - 1) + step))
        for epoch in (1, 99, 100, 199, 200, 500)
        for step in (0, 6)
    ]
    expected = [2e-4, 2e-4, 1e-4, 1e-4, 5e-5, 6.25e-6]
    np.testing.assert_allclose(rates, np.repeat(expected, 2), rtol=1e-5)


def test_serialization_and_errors():
    for schedule in (FlatThenLinear(0.2, 100, end=0.1), Halved(0.2, 10, 5)):
        optimizer = keras.optimizers.SGD(schedule)
        copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert copy.get_config() == optimizer.get_config()
    with pytest.raises(
        ValueError, match="epochs and steps_per_epoch must be at least 1; received 0 and 5"
    ):
        Halved(0.2, 0, 5)
    with pytest.raises(ValueError, match="steps must be at least 1; received 0"):
        FlatThenLinear(0.2, 0)
