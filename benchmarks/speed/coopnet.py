"""Speed of the training step of CoopNet, with the settings of the original port."""

from collections.abc import Callable

CHAINS = 100


def step(langevin_steps: int = 10, chains: int = CHAINS) -> Callable:
    """Build kerasgan's training step on 32 x 32 x 3 images.

    Args:
        langevin_steps: Number of Langevin steps per training step.
        chains: Number of Langevin chains, and the batch size.
    """
    import keras
    import numpy as np

    from kerasgan.models import coopnet

    keras.utils.set_random_seed(0)
    sizes = {"chains": chains, "batch_size": chains, "steps": langevin_steps}
    model = coopnet.build(32, 3, settings=coopnet.PORT_CIFAR10 | sizes)
    images = np.random.default_rng(0).uniform(-1, 1, [chains, 32, 32, 3]).astype("float32")
    return lambda: model.train_on_batch(images)


def baseline(as_ported: bool) -> Callable:
    """Build the training step of the PyTorch baseline, as in the port or as fast as possible."""
    from benchmarks.speed.baselines import coopnet

    return coopnet.training_step(CHAINS, CHAINS, as_ported=as_ported)


CASES = {
    "coopnet": {"torch": lambda: baseline(True), "kerasgan": step},
    "coopnet_lean": {"torch": lambda: baseline(False), "kerasgan": step},
    # Memory must not grow with the number of Langevin steps.
    "coopnet_steps": {"100 Langevin steps": lambda: step(100), "kerasgan": step},
}
SCALES = {
    "coopnet_by_chains": ("chains", (25, 50, 100), lambda chains: step(chains=chains)),
    "coopnet_by_steps": ("Langevin steps, 25 chains", (5, 10, 20, 40), lambda n: step(n, 25)),
}
