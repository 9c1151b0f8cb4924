"""MS-SSIM as PyTorch programs compute it: float32, with a separable Gaussian window per channel.

The weights are those of the paper; they sum to 1.0001.
"""

import numpy as np
import torch
from torch.nn import functional as F

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the similarity `[N]` of pairs of uint8 images `[N, H, W, C]`.

    Height and width must be divisible by 16.
    """
    one, other = (torch.from_numpy(x).permute(0, 3, 1, 2).float() for x in (one, other))
    similarity = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
        luminance, structure = terms(one, other)
        term = luminance * structure if scale == len(WEIGHTS) - 1 else structure
        similarity = similarity * term.mean((2, 3)).relu() ** weight
    return similarity.mean(1).numpy()


def terms(
    one: torch.Tensor,
    other: torch.Tensor,
    c1: float = (0.01 * 255) ** 2,
    c2: float = (0.03 * 255) ** 2,
) -> tuple[torch.Tensor, torch.Tensor]:
    channels = one.shape[1]
    taps = (-0.5 * ((torch.arange(11) - 5) / 1.5) ** 2).exp()
    window = (taps / taps.sum()).expand(channels, 1, 1, 11)

    def smooth(x):
        return F.conv2d(F.conv2d(x, window.mT, groups=channels), window, groups=channels)

    mean1, mean2 = smooth(one), smooth(other)
    variance1, variance2 = (
        smooth(one * one) - mean1 * mean1,
        smooth(other * other) - mean2 * mean2,
    )
    covariance = smooth(one * other) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + c1) / (mean1 * mean1 + mean2 * mean2 + c1)
    return luminance, (2 * covariance + c2) / (variance1 + variance2 + c2)
