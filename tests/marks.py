"""Marks that depend on the backend."""

import keras
import pytest

# XLA compiles the steps of these tests for half a minute and more.
slow_on_jax = pytest.mark.nightly if keras.backend.backend() == "jax" else lambda test: test
# Graphs and XLA are compiled in several processes; PyTorch runs these tests in seconds.
slow_but_on_torch = pytest.mark.nightly if keras.backend.backend() != "torch" else lambda test: test
