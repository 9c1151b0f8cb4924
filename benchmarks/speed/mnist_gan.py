"""Speed of the training step of the conditional MNIST GAN."""

from collections.abc import Callable
from typing import Any

BATCH_SIZE = 128


def model_and_batch(as_noted: bool, batch_size: int, width: int) -> tuple[Any, tuple]:
    """Build a compiled MnistGAN and a batch for it."""
    import keras
    import numpy as np

    from kerasgan.models.mnist_gan import MnistGAN, build_discriminator, build_generator

    keras.utils.set_random_seed(0)
    networks = (
        build_generator(width=width),
        build_discriminator(width=width // 2, reproduce_training_notes=as_noted),
    )
    model = MnistGAN(*networks, reproduce_training_notes=as_noted)
    model.compile(**{player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [batch_size, 28, 28, 1]).astype("float32")
    labels = random.integers(0, 10, batch_size).astype("int32")
    return model, (images, labels)


def step(as_noted: bool, batch_size: int = BATCH_SIZE, width: int = 64) -> Callable:
    """Build kerasgan's training step, compiled as `fit` compiles it."""
    model, batch = model_and_batch(as_noted, batch_size, width)
    return lambda: model.train_on_batch(*batch)


def baseline(as_noted: bool) -> Callable:
    """Build the training step of the PyTorch baseline."""
    from benchmarks.speed.baselines import mnist_gan

    return (mnist_gan.noted_step if as_noted else mnist_gan.corrected_step)(BATCH_SIZE)


def jax_baseline() -> Callable:
    """Build the corrected training step of the JAX baseline."""
    from benchmarks.speed.baselines import mnist_gan_jax

    return mnist_gan_jax.corrected_step(BATCH_SIZE)


CASES = {
    "mnist_gan_noted": {"torch": lambda: baseline(True), "kerasgan": lambda: step(True)},
    "mnist_gan_corrected": {
        "torch": lambda: baseline(False),
        "jax": jax_baseline,
        "kerasgan": lambda: step(False),
    },
}
SCALES = {
    "mnist_gan_by_batch": (
        "images per batch",
        (32, 64, 128, 256),
        lambda batch_size: step(False, batch_size),
    ),
    "mnist_gan_by_width": ("width", (16, 32, 64, 128), lambda width: step(False, width=width)),
}
