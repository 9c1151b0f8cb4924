"""Period-2 artifacts and pixel diversity, on images whose answer is known."""

import numpy as np
import pytest

from kerasgan.metrics.image_statistics import mean_pixel_distance, period_two_peak


def test_white_noise_has_no_peak_and_a_mesh_has_one():
    noise = np.random.default_rng(0).normal(size=(64, 32, 32, 3))
    assert period_two_peak(noise) == pytest.approx(1.0, abs=0.1)
    mesh = 0.3 * (np.indices((32, 32))[0] % 2)[None, :, :, None]
    assert period_two_peak(noise + mesh) > 1.5


def test_distance_of_constant_images():
    group = np.stack([np.full((4, 4, 3), value) for value in (0.0, 1.0, 3.0)])
    assert mean_pixel_distance(group[None]) == pytest.approx(2.0)
