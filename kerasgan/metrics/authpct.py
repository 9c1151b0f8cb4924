"""AuthPct: percentage of samples that are authentic, which means not copied from training images.

A sample is authentic if its nearest training image is nearer to another training image than to the
sample. The reference implementation is dgm-eval.

Reference:
    Alaa et al., 2022, "How Faithful is your Synthetic Data? Sample-level Metrics for Evaluating and
    Auditing Generative Models", https://arxiv.org/abs/2102.08921

**Differences from the reference code**: float64, and blocks, so that memory does not grow with the
number of images. Distances that are needed by no sample are not computed.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import BLOCK, check_features
from kerasgan.metrics.nearest import nearest


def authpct(real: np.ndarray, fake: np.ndarray) -> float:
    """Computes the percentage of authentic samples.

    Args:
        real: Features `[N, F]` of the training images, array or `np.memmap`.
        fake: Features `[M, F]` of the samples.

    Returns:
        A float in [0, 100]. Samples of the training distribution have about 50, a value that
        depends on the numbers of images. Copies have 0, noise has 100.

    Raises:
        ValueError: If a shape, type or value of the features is wrong.
    """
    return float(100 * authentic(real, fake).mean())


def authentic(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns which samples are authentic, bool `[M]`; see `authpct`."""
    check_features(real, fake)
    found, distance = nearest(fake, real)
    used, place = np.unique(found, return_inverse=True)
    parts = (used[start : start + BLOCK] for start in range(0, len(used), BLOCK))
    apart = np.concatenate([nearest(real[part], real, part)[1] for part in parts])
    return apart[place] < distance
