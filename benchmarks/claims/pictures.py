"""What a person sees in pictures of digits, as numbers: how thick their strokes are, how much fine pattern there is."""

import numpy as np


def stroke_width(images):
    """Mean stroke width in pixels of images [N, H, W, 1] in [-1, 1]: twice the ink's area over its outline's length.

    A bar of width w and length l much longer has area w l and outline 2 l. 0 where there is no ink.
    """
    ink = np.pad(np.asarray(images)[..., 0] > 0, ((0, 0), (1, 1), (1, 1)))
    outline = sum(
        np.sum(ink ^ np.roll(ink, 1, axis)) for axis in (1, 2)
    )  # pixel edges: longer where it is slanted
    return float(2 * np.sum(ink) / max(outline, 1))


def fine_power(images, frequency=0.25):
    """Share of the power of images [N, H, W, C] at `frequency` cycles a pixel or above, along either axis."""
    pixels = np.asarray(images, "float64")
    pixels = pixels - pixels.mean(axis=(1, 2), keepdims=True)
    power = np.square(np.abs(np.fft.fft2(pixels, axes=(1, 2)))).mean(axis=(0, 3))
    rows, columns = (np.abs(np.fft.fftfreq(side)) for side in power.shape)
    fine = np.maximum(rows[:, None], columns) >= frequency
    return float(power[fine].sum() / max(power.sum(), 1e-12))
