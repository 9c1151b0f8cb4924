"""Speed of the training step of StyleGAN2, on small digits with classes."""

import functools
import os
from collections.abc import Callable
from typing import Any

BATCH_SIZE = 32
# Widths of the preset `quick` of `zoo.stylegan2`. Latents have 128 dimensions, the mapping 4
# layers.
NETWORKS: dict[str, Any] = {"capacity": 4, "max_channels": 128}
# Ending of the case's name -> lazy penalties that every step applies.
STEPS = {"": {}, "_penalty": {"penalty": True}, "_path": {"path": True}}


def step(
    penalty: bool = False,
    path: bool = False,
    size: int = 32,
    batch_size: int = BATCH_SIZE,
    capacity: int = NETWORKS["capacity"],
) -> Callable:
    """Build kerasgan's training step.

    Its many small operations are fastest with one thread each, several at once.

    Args:
        penalty: Boolean, whether every step applies the R1 penalty.
        path: Boolean, whether every step applies the path length penalty.
        size: Side of the images in pixels.
        batch_size: Number of images of a step.
        capacity: Capacity of the networks.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    import keras
    import numpy as np

    from kerasgan.models import stylegan2
    from kerasgan.ops.augment import translate

    keras.utils.set_random_seed(0)
    networks: dict[str, Any] = {"channels": 1, "conditions": 10} | NETWORKS | {"capacity": capacity}
    gan = stylegan2.StyleGAN2(
        stylegan2.Generator(size, latent_dim=128, depth=4, mapping_form="paper", **networks),
        stylegan2.build_discriminator(size, group=4, **networks),
        gradient_penalty_weight=1.0 * penalty,
        gradient_penalty_every=1,
        path_weight=2.0 * path,
        path_every=1,
        augment=translate,
    )
    gan.compile(
        **{player: keras.optimizers.Adam(5e-4, beta_1=0.5, beta_2=0.9) for player in gan.players}
    )
    images = np.random.default_rng(0).uniform(-1, 1, [batch_size, size, size, 1]).astype("float32")
    labels = np.arange(batch_size, dtype="int32") % 10
    return lambda: gan.train_on_batch(images, labels)


def baseline(penalty: bool = False, path: bool = False) -> Callable:
    """Build the training step of the PyTorch baseline."""
    from benchmarks.speed.baselines import stylegan2

    return stylegan2.training_step(BATCH_SIZE, penalty=penalty, path=path, **NETWORKS)


CASES = {
    f"stylegan2{kind}": {
        "torch": functools.partial(baseline, **arguments),
        "kerasgan": functools.partial(step, **arguments),
    }
    for kind, arguments in STEPS.items()
}
SCALES = {
    "stylegan2_by_batch": ("images per batch", (8, 16, 32), lambda n: step(batch_size=n)),
    "stylegan2_by_capacity": ("capacity", (2, 4, 8), lambda capacity: step(capacity=capacity)),
    "stylegan2_by_size": (
        "image side in pixels, 8 images",
        (16, 32, 64),
        lambda size: step(size=size, batch_size=8),
    ),
}
