"""CMMD: squared maximum mean discrepancy with a Gaussian kernel, times 1,000.

With image embeddings of CLIP, this is the CMMD of the paper. It does not assume that features are
normally distributed, and its bias hardly depends on the number of images. The reference is the
authors' JAX program, `cmmd/distance.py` of google-research.

Reference:
    Jayasumana et al., 2024, "Rethinking FID: Towards a Better Evaluation Metric for Image
    Generation", https://arxiv.org/abs/2401.09603

**Differences from the authors' code**

- float64 instead of float32, which loses four of its seven digits in the difference of the mean
  kernels, all close to 1.
- Kernel values are computed in blocks, so memory does not grow with the number of images.
"""

import numpy as np

from kerasgan.metrics.feature_arrays import blocks, check_features, unit_rows

SIGMA, SCALE = 10.0, 1000.0
BLOCK = 1024  # Number of rows of each side whose kernel values are in memory at a time.


def cmmd(
    one: np.ndarray,
    other: np.ndarray,
    sigma: float = SIGMA,
    scale: float = SCALE,
    biased: bool = True,
    normalize: bool = True,
) -> float:
    """Computes `scale * MMD^2` with the kernel `exp(-|x - y|^2 / (2 sigma^2))`.

    Args:
        one: Features `[N, F]`, array or `np.memmap`.
        other: Features `[M, F]`.
        sigma: Standard deviation of the kernel; 10 in the paper.
        scale: Factor of the result; 1,000 in the paper.
        biased: If `True`, the estimate includes the kernel of each image with itself, as in the
            authors' code; it is at least 0. If `False`, the estimate is unbiased and can be
            slightly negative.
        normalize: If `True`, features are divided by their Euclidean norm, as in the authors' code.

    Returns:
        A float.

    Raises:
        ValueError: If a shape, type or value of the features is wrong, or if `sigma` is not
        positive.
    """
    check_features(one, other)
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0; received {sigma}")
    # Subtracting a center near the data reduces rounding errors of squared distances.
    center = next(_rows(one, normalize)).mean(axis=0)

    def mean(x, y):
        """Mean kernel of two sets. Pairs within one set are computed once."""
        total, same = 0.0, x is y
        for i, block in enumerate(_rows(x, normalize, center, sigma)):
            norms = np.einsum("nf,nf->n", block, block) / 2
            for j, others in enumerate(_rows(y, normalize, center, sigma)):
                k = _kernel(block, norms, others)
                if same and i == j:
                    total += k.sum() if biased else k.sum() - np.trace(k)
                    break
                total += (1 + same) * k.sum()
        return total / (len(x) * (len(y) - (same and not biased)))

    return float(scale * (mean(one, one) + mean(other, other) - 2 * mean(one, other)))


def _rows(features, normalize, center=0.0, sigma=1.0):
    """Yields blocks of features minus the center, in units of sigma."""
    for block in blocks(features, BLOCK):
        yield ((unit_rows(block) if normalize else block) - center) / sigma


def _kernel(x, x_norms, y):
    k = x @ y.T
    k -= x_norms[:, None]
    k -= np.einsum("nf,nf->n", y, y) / 2
    return np.exp(k, out=k)
