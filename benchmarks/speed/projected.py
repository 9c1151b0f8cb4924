"""Speed of the training step of ProjectedTextGAN, with the networks of its recipe."""

from collections.abc import Callable


def step(size: int = 64, batch_size: int = 32) -> Callable:
    """Build kerasgan's training step on random images and embeddings.

    Args:
        size: Side of the images in pixels: 64, 128 or 256.
        batch_size: Number of images of a step, a multiple of 2.
    """
    import keras
    import numpy as np

    from zoo import projected_birds

    keras.utils.set_random_seed(0)
    gan = projected_birds.build(projected_birds.Settings(size=size, batch_size=batch_size))
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [batch_size, size, size, 3]).astype("float32")
    embeddings = random.normal(size=[batch_size, 1024]).astype("float32")
    return lambda: gan.train_on_batch(images, embeddings)


CASES: dict = {}
SCALES = {
    "projected_by_batch": ("images per batch, 64 pixels", (8, 16, 32), lambda n: step(64, n)),
    "projected_by_size": (
        "image side in pixels, 4 images",
        (64, 128, 256),
        lambda size: step(size, 4),
    ),
}
