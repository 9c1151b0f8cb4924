"""Writes formulas.npz: results of torch-fidelity 0.4.0 and TensorFlow on the inputs of the tests.

    pip install --no-deps torch-fidelity tqdm
    python tests/metrics/expected/make_formulas.py

The tests make the same inputs again from their seed, and need neither. torch-fidelity imports
torchvision, of which these formulas use nothing: a stand-in does.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

FILE = Path(__file__).with_name("formulas.npz")
SUBSETS, SUBSET_SIZE = 20, 100


def inputs():
    """Logits, features and images of a seed. `RandomState` is equal in all NumPy versions."""
    random = np.random.RandomState(4)
    mix = random.normal(size=(24, 24))
    real = random.normal(size=(300, 24)) @ mix
    blobs = random.randint(0, 256, (2, 3, 12, 12, 3)).repeat(16, axis=2).repeat(16, axis=3)
    noise = random.randint(-20, 21, (2, 3, 192, 192, 3))
    blobs[1, 0] = blobs[0, 0]  # Equal up to noise; half equal; different.
    blobs[1, 1, :100] = blobs[0, 1, :100]
    return SimpleNamespace(
        logits=3 * random.normal(size=(237, 10)),
        real=real,
        fake=0.8 * random.normal(size=(250, 24)) @ mix + 0.3,
        few=random.normal(size=(20, 24)) @ mix,  # Singular covariance.
        real_ties=random.randint(0, 8, (200, 3)),  # Many equal distances and repeated points.
        fake_ties=random.randint(0, 11, (150, 3)),
        images=(blobs + noise).clip(0, 255).astype("uint8")[:, :, :181, :178],  # Odd sides.
    )


def main():
    names = ("", ".datasets", ".models", ".transforms", ".transforms.functional", ".utils")
    sys.modules.update({f"torchvision{name}": mock.MagicMock() for name in names})
    import tensorflow as tf
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    data = inputs()
    tensors = SimpleNamespace(
        **{name: torch.tensor(array).double() for name, array in vars(data).items()}
    )
    expected = {}
    for name, shuffle in (("inception_score", False), ("inception_score_shuffled", True)):
        expected[name] = [
            *isc_features_to_metric(
                tensors.logits, splits=10, shuffle=shuffle, rng_seed=2020
            ).values()
        ]
    statistics = {
        name: fid_features_to_statistics(getattr(tensors, name)) for name in ("real", "fake", "few")
    }
    for name in ("real", "few"):
        scores = fid_statistics_to_metric(statistics["fake"], statistics[name], verbose=False)
        expected[f"frechet_{name}"] = scores["frechet_inception_distance"]
    settings = {
        "kid_subsets": SUBSETS,
        "kid_subset_size": SUBSET_SIZE,
        "rng_seed": 2020,
        "verbose": False,
    }
    expected["kernel"] = [*kid_features_to_metric(tensors.fake, tensors.real, **settings).values()]
    for name in ("", "_ties"):
        fake, real = getattr(tensors, f"fake{name}"), getattr(tensors, f"real{name}")
        for neighbour in (1, 3, 10):
            scores = prc_features_to_metric(fake, real, prc_neighborhood=neighbour, verbose=False)
            counts = (
                scores["precision"] * len(fake),
                scores["recall"] * len(real),
            )  # Shares are float32.
            expected[f"manifold{name}_{neighbour}"] = np.rint(counts).astype(int)
    expected["ms_ssim"] = tf.image.ssim_multiscale(*data.images, 255).numpy()
    np.savez(FILE, **expected)
    for name, value in expected.items():
        print(name, value)


if __name__ == "__main__":
    main()
