"""Multi-scale structural similarity of two images, and its mean over pairs of one class: near 1, the class collapsed.

Sources: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003; as
a measure of diversity: Odena, Olah and Shlens, "Conditional image synthesis with auxiliary classifier GANs", arXiv
1610.09585.

*Differences from the paper*: each colour channel is an image, and the mean over the channels is taken last, as in
`tf.image.ssim_multiscale`; a mean below zero counts as zero, which keeps its power real.
"""

import numpy as np

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first; table 1 of Wang et al.
WINDOW, SIGMA = 11, 1.5  # of the Gaussian, in pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BLOCK = 2  # pairs at a time, whose maps stay in the cache


def ms_ssim(one, other, scales=5):
    """Similarity of each image with its partner.

    Args:
        one, other: uint8 [N, H, W, C], as many; sides of at least 176 for five scales.
        scales: from 1 to 5. Fewer admit smaller images (11 times 2 to the power of scales - 1), with the first weights;
            their numbers do not compare with those of five. All are scaled to a sum of 1 (that of five is 1.0001).

    Returns:
        float64 [N], in [0, 1]; 1 for two equal images.

    Raises:
        ValueError: other shapes, types or numbers of scales.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.ndim != 4 or one.shape != other.shape or not one.size or not one.dtype == other.dtype == np.uint8:
        received = f"{one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
        raise ValueError(f"images must be uint8 [N, H, W, C], both alike; received {received}")
    if not 1 <= scales <= len(WEIGHTS):
        raise ValueError(f"scales must be between 1 and {len(WEIGHTS)}; received {scales}")
    if min(one.shape[1:3]) < WINDOW * 2 ** (scales - 1):
        sides = f"{one.shape[1]} x {one.shape[2]}"
        raise ValueError(f"sides must be at least {WINDOW * 2 ** (scales - 1)} for {scales} scales; received {sides}")
    starts = range(0, len(one), BLOCK)
    return np.concatenate([_similarity(one[i : i + BLOCK], other[i : i + BLOCK], scales) for i in starts])


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
        raise ValueError(f"a pair needs 2 images, a mean 1 pair; received {count} images and {pairs} pairs")
    random = np.random.default_rng(seed)
    one = random.integers(0, count, pairs)
    other = (one + random.integers(1, count, pairs)) % count
    starts = range(0, pairs, BLOCK)  # `images` may be a memmap that is larger than the memory
    parts = [ms_ssim(images[one[i : i + BLOCK]], images[other[i : i + BLOCK]], scales) for i in starts]
    return float(np.concatenate(parts).mean())


def _similarity(one, other, scales):
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    one, other = (np.moveaxis(images, 3, 1).astype("float64") for images in (one, other))  # [N, C, H, W]
    similarity = np.ones(one.shape[:2])  # [N, C]
    for scale, weight in enumerate(weights):
        if scale:
            one, other = _halved(one), _halved(other)
        luminance, structure = _terms(one, other)
        term = luminance * structure if scale == scales - 1 else structure  # luminance counts at the coarsest only
        similarity *= term.mean(axis=(2, 3)).clip(0) ** weight
    return similarity.mean(axis=1)


def _terms(one, other):
    """The luminance term, and contrast and structure in one, of every place where the window fits."""
    mean1, mean2, products, squares = _smoothed(_smoothed(
        np.stack([one, other, one * other, one * one + other * other])
    ))  # fmt: skip
    covariance, variances = products - mean1 * mean2, squares - (mean1 * mean1 + mean2 * mean2)
    luminance = (2 * mean1 * mean2 + C1) / (mean1 * mean1 + mean2 * mean2 + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _smoothed(x):
    """The Gaussian window's sums along the last axis, which then is the one before: [..., H, W] -> [..., W - 10, H].

    Products with a band of the window's matrix, `RUN` places at a time, which are faster than sums of shifted maps and
    leave out most of its zeros.
    """
    places = x.shape[-1] - WINDOW + 1
    runs = -(-places // RUN)
    padded = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, runs * RUN - places)])
    pieces = np.lib.stride_tricks.sliding_window_view(padded, RUN + WINDOW - 1, axis=-1)[..., ::RUN, :]
    sums = (pieces.reshape(-1, RUN + WINDOW - 1) @ BAND).reshape(*x.shape[:-1], runs * RUN)
    return sums[..., :places].swapaxes(-1, -2)


def _band():
    """The normalised window at `RUN` places, one a column: [RUN + 10, RUN]."""
    taps = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    return np.stack([np.pad(taps / taps.sum(), (place, RUN - 1 - place)) for place in range(RUN)], axis=1)


RUN = 22  # places at a time: twice the window wastes a third of the products and copies as little
BAND = _band()


def _halved(x):
    """Means of 2 x 2 pixels; an odd side's last row or column counts twice."""
    height, width = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
