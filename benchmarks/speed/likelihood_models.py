"""Speed of the training steps of the conditional VAE and of the normalizing flow, on digits."""

from collections.abc import Callable
from typing import Any

BATCH_SIZE = 64  # Default of `zoo.conditional_vae` and `zoo.flow`.


def step(model: Any, batch_size: int = BATCH_SIZE) -> Callable:
    """Build the training step of a compiled model on random images `[N, 28, 28, 1]`."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [batch_size, 28, 28, 1]).astype("float32")
    labels = random.integers(0, 10, batch_size).astype("int32")
    return lambda: model.train_on_batch(images, labels)


def vae(batch_size: int = BATCH_SIZE) -> Callable:
    """Build kerasgan's training step of the conditional VAE."""
    import keras

    from kerasgan.models.conditional_vae import ConditionalVAE

    keras.utils.set_random_seed(0)
    model = ConditionalVAE()
    model.compile(encoder=keras.optimizers.Adam(1e-3), decoder=keras.optimizers.Adam(1e-3))
    return step(model, batch_size)


def vae_baseline() -> Callable:
    """Build the training step of the PyTorch VAE."""
    from benchmarks.speed.baselines import vae

    return vae.training_step(BATCH_SIZE)


def flow(batch_size: int = BATCH_SIZE) -> Callable:
    """Build kerasgan's training step of the flow."""
    import keras

    from kerasgan.models.real_nvp import RealNVP

    keras.utils.set_random_seed(0)
    model = RealNVP()
    model.compile(flow=keras.optimizers.Adam(1e-3))
    return step(model, batch_size)


def flow_baseline() -> Callable:
    """Build the training step of the PyTorch flow."""
    from benchmarks.speed.baselines import flow

    return flow.training_step(BATCH_SIZE)


CASES = {
    "vae": {"torch": vae_baseline, "kerasgan": vae},
    "flow": {"torch": flow_baseline, "kerasgan": flow},
}
SCALES = {
    "vae_by_batch": ("images per batch", (32, 64, 128, 256), vae),
    "flow_by_batch": ("images per batch", (32, 64, 128), flow),
}
