"""Extracts features of generated and of stored images, and writes them to `.npz` files.

    python tests/distribution/features.py FOLDER

Every process writes `FOLDER/<process>.npz`. Images must not be generated twice.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from kerasgan import distribution
from kerasgan.datasets.generated import GeneratedBlocks
from kerasgan.datasets.image_source import image_source
from kerasgan.metrics import frechet
from kerasgan.metrics.features import extract as features
from tests.test_whole_models import conditional

COUNT = 1050  # more than two blocks of `SAMPLES_PER_SEED`


class Pools:
    """Extractor with features `[B, 4]` and logits `[B, 3]`."""

    protocol = {"network": "pooling"}

    def __call__(self, images):
        pooled = images.reshape(len(images), 2, -1, images.shape[2], 3).mean(axis=(2, 3)) / 255
        return np.float32(pooled[:, :, 0] @ [[1, 2, 3, 4], [4, 3, 2, 0]]), np.float32(pooled[:, 0])


def run(folder: Path) -> None:
    keras.utils.set_random_seed(0)
    model, generated = conditional(), []
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (37, 8, 6, 3)).astype("uint8")

    def generate(start, stop):
        generated.append(start)
        return images[start:stop]

    sources = {
        "model": (image_source(model, count=COUNT, convert=True), None),
        "blocks": (image_source(GeneratedBlocks(generate, 37, 5), fingerprint="blocks"), "cache"),
        "again": (image_source(GeneratedBlocks(generate, 37, 5), fingerprint="blocks"), "cache"),
        "few": (image_source(GeneratedBlocks(generate, 4, 5)), None),
        "array": (image_source(images, count=21), None),
    }
    arrays = {}
    for name, (source, cache) in sources.items():
        cache = cache and folder / cache
        found = features.extract(source, Pools(), batch_size=4, cache=cache, progress=False)
        statistics = frechet.statistics(found.features)
        parts = (found.features, found.logits, statistics.mean, statistics.covariance)
        arrays |= {f"{name}{index}": np.array(part) for index, part in enumerate(parts)}
        arrays[f"{name} levels"] = np.array(found.images["channel_means"])
        arrays[f"{name} sizes"] = np.array(list(found.images["sizes"].values()))
    index, count = distribution.processes()
    assert sorted(generated) == sorted([*range(5 * index, 37, 5 * count), *[0] * (index == 0)])
    np.savez(folder / f"{index}.npz", **arrays)


if __name__ == "__main__":
    distribution.start()
    run(Path(sys.argv[1]))
