"""Marks that depend on the backend."""

import keras
import pytest

# XLA compiles the steps of these tests for half a minute and more.
slow_on_jax = pytest.mark.nightly if keras.backend.backend() == "jax" else lambda test: test
