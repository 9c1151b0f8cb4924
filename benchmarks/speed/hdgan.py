"""Speed of the training step of HDGAN, and of its input pipeline."""

import itertools
import os
from collections.abc import Callable
from typing import Any

BATCH_SIZE = 4


def model_and_batch(batch_size: int, width: int, size: int) -> tuple[Any, tuple]:
    """Build a compiled HDGAN at all resolutions up to `size`, and a batch for it."""
    import keras
    import numpy as np

    from kerasgan.models.hdgan import HDGAN, SIZES, build_discriminator, build_generator

    keras.utils.set_random_seed(0)
    sizes = [side for side in SIZES if side <= size]
    model = HDGAN(
        build_generator(sizes, width), {side: build_discriminator(side, width) for side in sizes}
    )
    model.compile(**{player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    random = np.random.default_rng(0)
    real, mismatched = random.uniform(-1, 1, [2, batch_size, size, size, 3]).astype("float32")
    embeddings = random.normal(size=[batch_size, 1024]).astype("float32")
    return model, (real, mismatched, embeddings)


def step(batch_size: int = BATCH_SIZE, width: int = 128, size: int = 256) -> Callable:
    """Build kerasgan's training step at all resolutions up to `size`.

    TensorFlow runs one operation at a time on all threads. HDGAN's operations are large, so this
    costs little time and saves memory.
    """
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    model, batch = model_and_batch(batch_size, width, size)
    return lambda: model.train_on_batch(*batch)


def baseline() -> Callable:
    """Build the training step of the PyTorch baseline."""
    from benchmarks.speed.baselines import hdgan

    return hdgan.training_step(BATCH_SIZE)


def batches() -> Callable:
    """Build the input pipeline: batches from captioned images of 304 pixels in memory."""
    import numpy as np

    from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages

    random, count = np.random.default_rng(0), 200
    images = random.integers(0, 256, [count, 304, 304, 3], dtype="uint8")
    embeddings = random.normal(size=[count, 10, 1024]).astype("float32")
    names, captions = [str(i) for i in range(count)], [["a bird"] * 10] * count
    data = CaptionedImages(list(images), np.arange(count) % 50, captions, names, embeddings)
    loader = CaptionedBatches(data, BATCH_SIZE)
    indices = itertools.cycle(range(loader.num_batches))
    return lambda: loader[next(indices)]


CASES = {
    "hdgan": {"torch": baseline, "kerasgan": step},
    # The input pipeline must be faster than the training step that waits for it.
    "hdgan_batches": {"its step": step, "kerasgan": batches},
}
SCALES = {
    "hdgan_by_batch": (
        "images per batch, width 32",
        (2, 4, 8),
        lambda batch_size: step(batch_size, 32),
    ),
    "hdgan_by_width": ("width", (16, 32, 64), lambda width: step(width=width)),
    "hdgan_by_size": (
        "largest image side in pixels, width 32",
        (64, 128, 256),
        lambda size: step(4, 32, size),
    ),
}
