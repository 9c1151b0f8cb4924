"""Trains a small HDGAN for three steps, with its weights on one or on two JAX devices.

    python tests/distribution/model_parallel.py FOLDER DEVICES

Writes the weights to `FOLDER/<devices>.npy`. The layout map is that of the guide "Several devices".
"""

import sys
from pathlib import Path

import keras
import numpy as np

from kerasgan.models import HDGAN, hdgan


def divide_weights(devices: int) -> None:
    mesh = keras.distribution.DeviceMesh((1, devices), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    # The generator's convolutions, by their input channels.
    layout[r"(reflection_|upsample_)conv2d(_\d+)?/kernel"] = (None, None, "model", None)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False
        )
    )


def train() -> np.ndarray:
    keras.utils.set_random_seed(0)
    model = HDGAN(hdgan.build_generator([64], 8), {64: hdgan.build_discriminator(64, 8)})
    model.compile(**{player: keras.optimizers.SGD(1e-3) for player in model.players})
    random = np.random.default_rng(0)
    real, mismatched = random.uniform(-1, 1, [2, 4, 64, 64, 3]).astype("float32")
    embeddings = random.normal(size=[4, 1024]).astype("float32")
    divided = [v for v in model.variables if not v.value.sharding.is_fully_replicated]
    assert len(divided) == (13 if sys.argv[2] == "2" else 0), [v.path for v in divided]
    for _ in range(3):
        model.train_on_batch(real, mismatched, embeddings)
    assert model.sample(embeddings=embeddings[:3], seed=0).shape == (3, 64, 64, 3)
    return np.concatenate([np.asarray(v.value, "float64").ravel() for v in model.variables])


if __name__ == "__main__":
    if sys.argv[2] != "1":
        divide_weights(int(sys.argv[2]))
    np.save(Path(sys.argv[1]) / f"{sys.argv[2]}.npy", train())
