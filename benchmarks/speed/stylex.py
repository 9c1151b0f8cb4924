"""Speed of the training steps of StylEx, and of the AttFind search."""

import functools
import os
from collections.abc import Callable
from typing import Any

BATCH_SIZE = 8
NETWORKS: dict[str, Any] = {"capacity": 8, "max_channels": 256}
# Name of a training step -> arguments of its baseline.
STEPS = {
    "encoder": {},
    "latents": {"encoder": False},
    "penalty": {"penalty": True},
    "path": {"path": True},
}
# AttFind explains EXPLAINED images. REFERENCES images give the range of each style coordinate.
EXPLAINED, REFERENCES = 2, 16


def model_and_images(settings: dict, size: int = 32) -> tuple[Any, Any]:
    """Build a StylEx with a small classifier, and images `[N, size, size, 3]`.

    The perceptual loss and the exponential moving average are off.
    """
    import keras
    import numpy as np
    from keras import layers

    from kerasgan.models import stylex

    keras.utils.set_random_seed(0)
    convolutions = [
        layers.Conv2D(channels, 3, 2, padding="same", activation="relu")
        for channels in (16, 32, 64)
    ]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((size, size, 3)), *convolutions, *head])
    settings = (
        stylex.REPRODUCTION
        | {"perceptual_weight": 0.0, "ema_decay": None, "path_source": "encoder"}
        | settings
    )
    model = stylex.build(classifier, settings=settings, **NETWORKS)
    shape = [BATCH_SIZE + REFERENCES, size, size, 3]
    return model, np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def step(kind: str, size: int = 32) -> Callable:
    """Build one kind of training step of kerasgan's StylEx.

    A lazy penalty is applied in every step or in none. The step has many small independent
    operations (real and fake images in the discriminator, encoder and discriminator), so each
    operation gets one thread and several operations run at once.

    Args:
        kind: Key of `STEPS`.
        size: Image side in pixels.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    model, images = model_and_images(
        {
            "alternation": "step" if kind == "latents" else "none",
            "gradient_penalty_weight": 10.0 if kind == "penalty" else 0.0,
            "gradient_penalty_every": 1,
            "path_weight": 1.0 if kind == "path" else 0.0,
            "path_every": 1,
            "path_start": 0,
        },
        size,
    )
    images = images[:BATCH_SIZE]

    def train():
        model.next_source.assign(0)  # With alternation, source 0 is latents.
        model.train_on_batch(images)

    return train


def baseline(kind: str, as_ported: bool) -> Callable:
    """Build the PyTorch baseline of one kind of training step.

    Args:
        kind: Key of `STEPS`.
        as_ported: `True` follows the published code, `False` does only what the results need.
    """
    from benchmarks.speed.baselines import stylex

    return stylex.training_step(
        BATCH_SIZE, as_ported=as_ported, reuse_fakes=not as_ported, **NETWORKS, **STEPS[kind]
    )


def attfind() -> Callable:
    """Build kerasgan's search: effect of every style coordinate on the classifier's logits."""
    import numpy as np

    from kerasgan.models import style_probe

    model, images = model_and_images({})
    probe = style_probe.StyleProbe(model, progress=False)
    images, references = images[:EXPLAINED], images[-REFERENCES:]
    styles = probe.encode(references).styles
    bounds = np.stack([styles.min(axis=0), styles.max(axis=0)])
    return lambda: style_probe.effects(probe, images, bounds=bounds)


def attfind_baseline() -> Callable:
    """Build the PyTorch baseline of the search."""
    from benchmarks.speed.baselines import stylex

    return stylex.single_effects(EXPLAINED, references=REFERENCES, **NETWORKS)


CASES = {
    **{
        f"stylex_{kind}{'' if as_ported else '_lean'}": {
            "torch": functools.partial(baseline, kind, as_ported),
            "kerasgan": functools.partial(step, kind),
        }
        for as_ported in (True, False)
        for kind in STEPS
    },
    "attfind": {"torch": attfind_baseline, "kerasgan": attfind},
}
SCALES = {
    "stylex_by_size": (
        "image side in pixels, encoder step",
        (16, 32, 64),
        lambda size: step("encoder", size),
    ),
}
