"""Formulas of the packages torch-fidelity and clean-fid, on features in memory.

    pip install --no-deps torch-fidelity clean-fid

Both packages import torchvision, of which their formulas use nothing. A stand-in replaces it.
"""

import sys
import warnings
from collections.abc import Callable
from unittest import mock

import numpy as np


def _without_torchvision():
    for name in ("", ".datasets", ".models", ".transforms", ".transforms.functional", ".utils"):
        sys.modules.setdefault(f"torchvision{name}", mock.MagicMock())


def torch_fidelity(name: str, *features: np.ndarray) -> Callable:
    """Return the call of a formula of torch-fidelity: "kernel_distance" or "precision_recall"."""
    _without_torchvision()
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    pair = [torch.from_numpy(x) for x in features]
    if name == "kernel_distance":
        options = dict(kid_subsets=25, kid_subset_size=1000, verbose=False)
        return lambda: kid_features_to_metric(*pair, **options)
    return lambda: prc_features_to_metric(*pair, verbose=False)


def clean_fid(name: str, *features: np.ndarray) -> Callable:
    """Return the call of a formula of clean-fid: "kernel_distance" or "frechet_distance"."""
    _without_torchvision()
    from cleanfid.fid import frechet_distance, kernel_distance

    if name == "kernel_distance":
        return lambda: kernel_distance(*features, num_subsets=25, max_subset_size=1000)

    def frechet():
        pairs = [(np.mean(x, axis=0), np.cov(x, rowvar=False)) for x in features]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # SciPy warns about `disp`.
            return frechet_distance(*pairs[0], *pairs[1])

    return frechet
