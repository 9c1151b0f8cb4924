"""Trains tiny models for three steps and writes what they hold to `.npz` files.

    python tests/distribution/steps.py FOLDER DEVICES MODEL ...

Every process writes `FOLDER/<model>_<process>.npz`, which `compare.py` compares between one
device and two.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from kerasgan import distribution
from kerasgan.backend import processes
from tests import test_whole_models
from tests.distribution.data import Random
from tests.distribution.rounding import smooth_birds
from tests.distribution.session import check_devices, clear_session
from tests.models import test_projected_text_gan


def projected():
    options = {"translation": 1, "damsm_weight": 0.1, "contrastive_weight": 0.5}
    return test_projected_text_gan.tiny(
        eager=False, ema_decay=0.9, gradient_penalty_every=2, **options
    )


def posterior():
    """A model whose posterior infers the latents of half of the batch, with a Fréchet loss."""
    judge = test_projected_text_gan.brightness(32, features=True)
    # The features of random images hardly vary, so the gradient is about 1,000 times the weight.
    return test_projected_text_gan.with_posterior(
        ema_decay=0.9, auxiliary_classifier=judge, auxiliary_weight=1.0, frechet_weight=1e-3
    )


def alternating():
    model = test_whole_models.explainer()
    model.alternation = "step"
    return model


def matching():
    """A model with a distance of distributions."""
    model = test_whole_models.explainer()
    model.w_match = "mmd"
    return model


def inferring():
    """A model with batch norm inside Langevin dynamics."""
    from keras import layers

    from kerasgan.layers.batch_norm import BatchNormalization
    from kerasgan.models import coopnet

    images = keras.Input((4, 4, 1))
    descriptor = keras.Model(images, layers.Dense(2)(layers.Flatten()(images)), name="descriptor")
    latents = keras.Input((3,))
    x = BatchNormalization()(layers.Dense(16)(latents))
    generator = keras.Model(latents, layers.Reshape((4, 4, 1))(x), name="generator")
    return coopnet.CoopNet(generator, descriptor, chains=4, steps=2, latent_steps=2)


MODELS = (
    test_whole_models.MODELS
    | test_whole_models.ENCODERS
    | {
        "birds": smooth_birds,
        "projected": projected,
        "posterior": posterior,
        "alternating": alternating,
        "matching": matching,
        "inferring": inferring,
    }
)


# Rates at which trainings with large gradients do not diverge.
RATES = {"style_classes": 1e-3, "robust_encoder": 1e-3}


def run(folder: Path, devices: int, name: str) -> None:
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    # SGD shows a wrong scale of the gradients, which Adam would hide.
    rate = RATES.get(name, 0.01)
    optimizers = {player: keras.optimizers.SGD(rate) for player in model.players}
    model.compile(**optimizers, jit_compile=keras.backend.backend() == "jax")
    data = Random(model)
    history = model.fit(data, epochs=1, verbose=0).history
    optimizer = model.optimizer.variables
    arrays = {
        f"{index}:{v.path}": keras.ops.convert_to_numpy(v.value)
        for index, v in enumerate([*model.variables, *optimizer])
    }
    bad = [name for name, array in arrays.items() if not np.isfinite(array.astype("float64")).all()]
    assert not bad, f"the training must not diverge; {bad[0]} is not finite"
    logs = {f"log:{key}": np.array(value) for key, value in history.items()}
    np.savez(folder / f"{name}_{processes()[0]}.npz", **arrays, **logs)
    if name == "conditional":
        assert model.sample(labels=[0, 1, 2]).shape[0] == 3  # two devices do not divide it
    check_devices(model, devices)
    clear_session()


if __name__ == "__main__":
    distribution.start(int(sys.argv[2]))
    for model in sys.argv[3:]:
        run(Path(sys.argv[1]), int(sys.argv[2]), model)
