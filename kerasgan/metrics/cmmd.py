"""CMMD: squared maximum mean discrepancy with a Gaussian kernel, times 1,000.

With image embeddings of CLIP, this is the CMMD of the paper. It does not assume that features are
normally distributed, and its bias hardly depends on the number of images. The reference is the
authors' JAX program, `cmmd/distance.py` of google-research.

Reference:
    Jayasumana et al., 2024, "Rethinking FID: Towards a Better Evaluation Metric for Image
    Generation", https://arxiv.org/abs/2401.09603

**Differences from the authors' code**

- float64 instead of float32. The kernel values are close to 1, so that float32 loses five of its
  seven digits in the difference of their means.
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
    gamma = 1 / (2 * sigma**2)

    def rows(features):
        for block in blocks(features, BLOCK):
            block = (unit_rows(block) if normalize else block) - centre
            yield block, np.einsum("nf,nf->n", block, block)

    # Subtracting a center near the data reduces rounding errors of squared distances.
    centre = 0.0
    centre = next(rows(one))[0].mean(axis=0)

    def mean_within(features):
        total = 0.0  # Sum over pairs of different images, each pair once.
        for i, (x, x_norms) in enumerate(rows(features)):
            for j, (y, y_norms) in enumerate(rows(features)):
                if j == i:
                    k = _excess(x, x_norms, x, x_norms, gamma)
                    total += (k.sum() - np.trace(k)) / 2
                    break
                total += _excess(x, x_norms, y, y_norms, gamma).sum()
        n = len(features)
        return 2 * total / (n * n if biased else n * (n - 1))

    between = sum(
        _excess(x, x_norms, y, y_norms, gamma).sum()
        for x, x_norms in rows(one)
        for y, y_norms in rows(other)
    ) / (len(one) * len(other))
    return float(scale * (mean_within(one) + mean_within(other) - 2 * between))


def _excess(x, x_norms, y, y_norms, gamma):
    """Kernel minus 1, `[n, m]`. The ones cancel in the distance, and so would their rounding."""
    k = x @ y.T
    k *= 2 * gamma
    k -= gamma * x_norms[:, None]
    k -= gamma * y_norms
    np.minimum(k, 0, out=k)
    return np.expm1(k, out=k)
