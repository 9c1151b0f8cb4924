"""Multi-scale structural similarity (MS-SSIM), and its mean over pairs of images of a class.

A mean near 1 indicates that the class has collapsed. The reference implementation is
`tf.image.ssim_multiscale`.

Reference:
    Wang, Simoncelli and Bovik, 2003, "Multi-Scale Structural Similarity for Image Quality
    Assessment", Asilomar Conference Odena, Olah and Shlens, 2017, "Conditional Image Synthesis with
    Auxiliary Classifier GANs" (as a measure of diversity), https://arxiv.org/abs/1610.09585

**Differences from the paper**: each color channel is treated as an image and the channels are
    averaged
last, as in TensorFlow. Negative means are replaced by 0, so that their powers are real.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Weights of the scales, finest first (table 1 of Wang et al.).
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5  # Size and standard deviation of the Gaussian window, in pixels.
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BLOCK = 2  # Number of pairs at a time. Their maps fit into the processor's cache.
READ_BLOCK = 64  # Number of pairs that are read from the images at a time.


def ms_ssim(one: np.ndarray, other: np.ndarray, scales: int = 5) -> np.ndarray:
    """Computes the similarity of pairs of images.

    Args:
        one: Images, uint8 `[N, H, W, C]`; sides of at least 176 pixels for five scales.
        other: Images of the same shape.
        scales: Number of scales, from 1 to 5. Fewer scales allow smaller images (sides of at least
            11 * 2^(scales - 1)) and use the first weights, rescaled to a sum of 1 (the five weights
            sum to 1.0001). Values with different numbers of scales do not compare.

    Returns:
        float64 `[N]` in [0, 1]; 1 for equal images. The computation uses float32 relative to the
        mean of both images, with an error below 1e-5.

    Raises:
        ValueError: If a shape, a type or the number of scales is wrong.
    """
    one, other = np.asarray(one), np.asarray(other)
    if (
        one.ndim != 4
        or one.shape != other.shape
        or not one.size
        or not one.dtype == other.dtype == np.uint8
    ):
        received = f"{one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
        raise ValueError(
            f"Expected two uint8 arrays [N, H, W, C] of equal shape; received {received}."
        )
    if not 1 <= scales <= len(WEIGHTS):
        raise ValueError(f"scales must be between 1 and {len(WEIGHTS)}; received {scales}")
    if min(one.shape[1:3]) < WINDOW * 2 ** (scales - 1):
        sides = f"{one.shape[1]} x {one.shape[2]}"
        raise ValueError(
            f"Images must have sides of at least {WINDOW * 2 ** (scales - 1)} pixels for {scales} "
            f"scales; received {sides}."
        )
    blocks = [(one[i : i + BLOCK], other[i : i + BLOCK]) for i in range(0, len(one), BLOCK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy releases the GIL.
        return np.concatenate(
            list(pool.map(lambda pair: _similarity(pair[0], pair[1], scales), blocks))
        )


def mean_ms_ssim(images: np.ndarray, pairs: int = 100, seed: int = 0, scales: int = 5) -> float:
    """Computes the mean similarity of random pairs of images of a class.

    Higher values mean less diversity.

    Args:
        images: Images of one class, uint8 `[N, H, W, C]`, N at least 2.
        pairs: Number of pairs of different images, sampled with replacement; 100 in Odena et al.
        seed: Seed of the pairs.
        scales: See `ms_ssim`.

    Returns:
        A float. To evaluate a model, compare it with the value of the data.
    """
    count = len(images)
    if count < 2 or pairs < 1:
        raise ValueError(
            f"Expected at least 2 images and 1 pair; received {count} images and {pairs} pairs."
        )
    random = np.random.default_rng(seed)
    one = random.integers(0, count, pairs)
    other = (one + random.integers(1, count, pairs)) % count
    starts = range(0, pairs, READ_BLOCK)  # `images` may be a memmap larger than memory.
    parts = [
        ms_ssim(images[one[i : i + READ_BLOCK]], images[other[i : i + READ_BLOCK]], scales)
        for i in starts
    ]
    return float(np.concatenate(parts).mean())


def _similarity(one, other, scales):
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    one, other = (
        np.moveaxis(images, 3, 1).astype("float32") for images in (one, other)
    )  # [N, C, H, W]
    middle = (one.mean(axis=(2, 3), keepdims=True) + other.mean(axis=(2, 3), keepdims=True)) / 2
    # Without this shift, the difference of two large squares exceeds the precision of float32.
    one, other = one - middle, other - middle
    similarity = np.ones(one.shape[:2])  # [N, C]
    for scale, weight in enumerate(weights):
        if scale:
            one, other = _halved(one), _halved(other)
        coarsest = scale == scales - 1
        term = _term(one, other, middle if coarsest else None)
        similarity *= term.mean(axis=(2, 3), dtype="float64").clip(0) ** weight
    return similarity.mean(axis=1)


def _term(one, other, middle=None):
    """Contrast and structure at every position of the window, times luminance with `middle`.

    `middle` is the mean that was subtracted from the images. Luminance is used at the coarsest
    scale only.
    """
    mean1, mean2, products, squares = _smoothed(
        _smoothed(np.stack([one, other, one * other, one * one + other * other]))
    )
    covariance, variances = products - mean1 * mean2, squares - (mean1 * mean1 + mean2 * mean2)
    structure = (2 * covariance + C2) / (variances + C2)
    if middle is None:
        return structure
    mean1, mean2 = mean1 + middle, mean2 + middle
    return structure * (2 * mean1 * mean2 + C1) / (mean1 * mean1 + mean2 * mean2 + C1)


def _smoothed(x):
    """Applies the Gaussian window along the second last axis: `[..., H, W]` to `[..., W, H - 10]`.

    The window is a band matrix. It is multiplied in blocks of `RUN` positions, which skips most of
    its zeros and needs no copy. The products are too small for NumPy's own threads, since each
    thread already processes its own pairs.
    """
    *others, height, width = x.shape
    places = height - WINDOW + 1
    end = places - places % RUN
    sums = np.empty((*others, places, width), x.dtype)
    if end:
        windows = np.lib.stride_tricks.sliding_window_view(
            x[..., : end + WINDOW - 1, :], RUN + WINDOW - 1, axis=-2
        )
        runs = windows[..., ::RUN, :, :].swapaxes(-1, -2)  # [..., runs, RUN + 10, W]
        np.matmul(BAND, runs, out=sums[..., :end, :].reshape(*others, -1, RUN, width))
    if end < places:
        rest = places - end
        np.matmul(BAND[:rest, : rest + WINDOW - 1], x[..., end:, :], out=sums[..., end:, :])
    return sums.swapaxes(-1, -2)


def _band():
    """Normalized window at `RUN` positions, one per row: `[RUN, RUN + 10]`."""
    taps = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    return np.stack(
        [np.pad(taps / taps.sum(), (place, RUN - 1 - place)) for place in range(RUN)]
    ).astype("float32")


RUN = 22  # Number of positions per product: twice the window.
BAND = _band()


def _halved(x):
    """Average 2 x 2 pixels; the last row or column of an odd side counts twice."""
    height, width = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
