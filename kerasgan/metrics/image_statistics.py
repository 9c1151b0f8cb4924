"""Statistics of generated images that no classifier measures: periodic artifacts and diversity of
pixels."""

import numpy as np


def period_two_peak(images: np.ndarray) -> float:
    """Power of patterns of period 2 over the power at slightly longer periods; about 1 without a
    mesh.

    Args:
        images: Float array `[N, S, S, C]`; S is even and at least 16.

    Returns:
        Ratio of mean spectral power: rows and columns of the Nyquist frequency over the third and
        fourth next to them.
    """
    gray = np.asarray(images, "float64").mean(axis=-1)
    window = np.hanning(gray.shape[1])[:, None] * np.hanning(gray.shape[2])
    spectrum = (
        np.abs(np.fft.fft2((gray - gray.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    ).mean(axis=0)
    middle = spectrum.shape[0] // 2
    lines = [
        spectrum[middle + offset] + spectrum[:, middle + offset] for offset in (-4, -3, 0, 3, 4)
    ]
    return float(lines[2].mean() / np.mean([line.mean() for line in (*lines[:2], *lines[3:])]))


def mean_pixel_distance(groups: np.ndarray) -> float:
    """Mean root-mean-square difference between two images of one group: `[G, K, H, W, C]`, K at
    least 2."""
    groups = np.asarray(groups, "float32")
    count = groups.shape[1]
    pairs = [(i, j) for i in range(count) for j in range(i)]
    distances = [
        np.sqrt(np.mean((groups[:, i] - groups[:, j]) ** 2, axis=(1, 2, 3))) for i, j in pairs
    ]
    return float(np.mean(distances))
