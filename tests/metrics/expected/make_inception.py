"""Writes inception.npz: results of torch-fidelity's Inception with random weights on two images.

    PYTHONPATH=. KERAS_BACKEND=torch python tests/metrics/expected/make_inception.py

Was run with torch-fidelity 0.4.0 (pip install --no-deps), torch 2.13.0 and numpy 2.4.6.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.baselines.inception import network
from kerasgan.metrics.features.inception import fingerprint, random_weights

EVERY = 8  # Stride of the stored features. The logits depend on all features.


def main():
    weights = random_weights(0)
    n, y, x, colour = np.indices((2, 64, 48, 3))
    images = ((13 * y + 7 * x + 90 * colour) * (1 + 2 * n) % 256 // (3 - 2 * n)).astype(
        "uint8"
    )  # The first image is dark.
    bias = {"fc.bias": np.zeros(1008, "float32")}
    features, logits = network(weights | bias)(
        torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    )
    np.savez_compressed(
        Path(__file__).parent / "inception.npz",
        weights_sha256=fingerprint(weights),
        images=images,
        features=features.numpy()[:, ::EVERY],
        logits=logits.numpy()[:, ::2],
    )


if __name__ == "__main__":
    main()
