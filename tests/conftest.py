"""Sets the Keras backend before Keras is imported, and the same seed before every test."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA compiles a test's program for longer than it runs. `make nightly` compiles as users do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import keras
import pytest


@pytest.fixture(autouse=True)
def same_randomness():
    keras.utils.set_random_seed(0)
