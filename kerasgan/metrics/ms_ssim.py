"""Multi-scale structural similarity of two images, and its mean over pairs of one class: near 1, the class collapsed.

Sources: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003; as
a measure of diversity: Odena, Olah and Shlens, "Conditional image synthesis with auxiliary classifier GANs", arXiv
1610.09585.

*Differences from the paper*: each colour channel is an image, and the mean over the channels is taken last, as in
`tf.image.ssim_multiscale`; a mean below zero counts as zero, which keeps its power real.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

WEIGHTS = (
    0.0448,
    0.2856,
    0.3001,
    0.2363,
    0.1333,
)  # of the scales, finest first; table 1 of Wang et al.
WINDOW, SIGMA = 11, 1.5  # of the Gaussian, in pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BLOCK = 2  # pairs at a time, whose maps stay in the cache
CHOSEN = 64  # pairs at a time that are read from the images


def ms_ssim(one, other, scales=5):
    """Similarity of each image with its partner.

    Args:
        one, other: uint8 [N, H, W, C], as many; sides of at least 176 for five scales.
        scales: from 1 to 5. Fewer admit smaller images (11 times 2 to the power of scales - 1), with the first weights;
            their numbers do not compare with those of five. All are scaled to a sum of 1 (that of five is 1.0001).

    Returns:
        float64 [N], in [0, 1]; 1 for two equal images. Computed in float32 about the mean of both images: within 1e-5
        of float64.

    Raises:
        ValueError: other shapes, types or numbers of scales.
    """
    one, other = np.asarray(one), np.asarray(other)
    if (
        one.ndim != 4
        or one.shape != other.shape
        or not one.size
        or not one.dtype == other.dtype == np.uint8
    ):
        received = f"{one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
        raise ValueError(f"images must be uint8 [N, H, W, C], both alike; received {received}")
    if not 1 <= scales <= len(WEIGHTS):
        raise ValueError(f"scales must be between 1 and {len(WEIGHTS)}; received {scales}")
    if min(one.shape[1:3]) < WINDOW * 2 ** (scales - 1):
        sides = f"{one.shape[1]} x {one.shape[2]}"
        raise ValueError(
            f"sides must be at least {WINDOW * 2 ** (scales - 1)} for {scales} scales; received {sides}"
        )
    blocks = [(one[i : i + BLOCK], other[i : i + BLOCK]) for i in range(0, len(one), BLOCK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of Python's lock
        return np.concatenate(list(pool.map(lambda pair: _similarity(*pair, scales), blocks)))


def mean_ms_ssim(images, pairs=100, seed=0, scales=5):
    """Mean similarity of random pairs of different images of one class: the higher, the less diverse.

    Args:
        images: uint8 [N, H, W, C] of one class, N at least 2.
        pairs: drawn one by one, so that a pair may come again; 100 in Odena et al.
        seed: of the draw.
        scales: as in `ms_ssim`.

    Returns:
        A float. To judge a model, hold it against the same of the data.
    """
    count = len(images)
    if count < 2 or pairs < 1:
        raise ValueError(
            f"a pair needs 2 images, a mean 1 pair; received {count} images and {pairs} pairs"
        )
    random = np.random.default_rng(seed)
    one = random.integers(0, count, pairs)
    other = (one + random.integers(1, count, pairs)) % count
    starts = range(0, pairs, CHOSEN)  # `images` may be a memmap that is larger than the memory
    parts = [
        ms_ssim(images[one[i : i + CHOSEN]], images[other[i : i + CHOSEN]], scales) for i in starts
    ]
    return float(np.concatenate(parts).mean())


def _similarity(one, other, scales):
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    one, other = (
        np.moveaxis(images, 3, 1).astype("float32") for images in (one, other)
    )  # [N, C, H, W]
    middle = (one.mean(axis=(2, 3), keepdims=True) + other.mean(axis=(2, 3), keepdims=True)) / 2
    one, other = (
        one - middle,
        other - middle,
    )  # else a difference of two large squares loses what float32 has
    similarity = np.ones(one.shape[:2])  # [N, C]
    for scale, weight in enumerate(weights):
        if scale:
            one, other = _halved(one), _halved(other)
        coarsest = scale == scales - 1
        term = _term(one, other, middle if coarsest else None)
        similarity *= term.mean(axis=(2, 3), dtype="float64").clip(0) ** weight
    return similarity.mean(axis=1)


def _term(one, other, middle=None):
    """Contrast and structure of every place where the window fits; with `middle`, which was taken from the images,
    times luminance, which counts at the coarsest scale only."""
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
    """The Gaussian window's sums along the axis before the last, which comes last: [..., H, W] -> [..., W, H - 10].

    Products of a band of the window's matrix with `RUN` places at a time, which leave out most of its zeros, need no
    copy, and are too small for NumPy to split them among threads, which here have pairs of their own.
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
    """The normalised window at `RUN` places, one a row: [RUN, RUN + 10]."""
    taps = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    return np.stack(
        [np.pad(taps / taps.sum(), (place, RUN - 1 - place)) for place in range(RUN)]
    ).astype("float32")


RUN = 22  # places at a time: twice the window
BAND = _band()


def _halved(x):
    """Means of 2 x 2 pixels; an odd side's last row or column counts twice."""
    height, width = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
