"""Measures of images: stroke width, power of fine patterns, sharpness."""

import numpy as np


def stroke_width(images: np.ndarray) -> float:
    """Return the mean stroke width in pixels: twice the area of the ink over its outline's length.

    A bar of width w and length l has area w * l and, if l is much larger than w, outline 2 * l.
    Slanted outlines count more pixel edges than their length.

    Args:
        images: Array `[N, H, W, 1]` in [-1, 1]. Values above 0 are ink.

    Returns:
        A float; 0 if there is no ink.
    """
    ink = np.pad(np.asarray(images)[..., 0] > 0, ((0, 0), (1, 1), (1, 1)))
    outline = sum(np.sum(ink ^ np.roll(ink, 1, axis)) for axis in (1, 2))
    return float(2 * np.sum(ink) / max(outline, 1))


def fine_power(images: np.ndarray, frequency: float = 0.25) -> float:
    """Return the share of an image's power at high spatial frequencies.

    Args:
        images: Array `[N, H, W, C]`.
        frequency: Lowest frequency that counts, in cycles per pixel, along either axis.
    """
    pixels = np.asarray(images, "float64")
    pixels = pixels - pixels.mean(axis=(1, 2), keepdims=True)
    power = np.square(np.abs(np.fft.fft2(pixels, axes=(1, 2)))).mean(axis=(0, 3))
    rows, columns = (np.abs(np.fft.fftfreq(side)) for side in power.shape)
    fine = np.maximum(rows[:, None], columns) >= frequency
    return float(power[fine].sum() / max(power.sum(), 1e-12))


def sharpness(images: np.ndarray) -> float:
    """Return the mean square of the discrete Laplacian of images `[N, H, W, C]`."""
    x = np.asarray(images, "float64")
    neighbors = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return float(np.mean(np.square(neighbors - 4 * x[:, 1:-1, 1:-1])))
