"""R-precision: is an image nearer to its own caption than to 99 others? (Xu et al., AttnGAN, arXiv 1711.10485, R = 1).

Both vectors come from encoders that were trained together; a score names them, and stands beside no other encoders'.
"""

import numpy as np


def r_precision(images, texts, classes=None, candidates=100, splits=10, seed=0):
    """Share of images whose own caption comes first, by cosine, among `candidates`.

    Args:
        images: float [N, D], the vectors of (generated) images.
        texts: float [N, D]; row i is the caption that image i was drawn from.
        classes: int [N]: the other captions come from other classes, as in the paper. None: from any other image.
        candidates: captions an image is held against, its own included; the others are drawn without repeats.
        splits: equal parts of the images, in their order, over which the deviation is taken (10 in the paper).
        seed: of the draw.

    Returns:
        mean and standard deviation over the splits, both in [0, 1]. A tie is a miss, so encoders that give everything
        one vector score 0.

    Raises:
        ValueError: shapes that do not agree, values that are not finite, too few other captions or images.
    """
    images, texts = (np.asarray(vectors, "float64") for vectors in (images, texts))
    if images.ndim != 2 or images.shape != texts.shape:
        raise ValueError(
            f"both must be [N, D], as many; received {list(images.shape)} and {list(texts.shape)}"
        )
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise ValueError("vectors must be finite; received some that are not")
    classes = np.arange(len(images)) if classes is None else np.asarray(classes)
    if classes.shape != (len(images),):
        raise ValueError(
            f"classes must be {len(images)}, one an image; received {list(classes.shape)}"
        )
    if not 1 <= splits <= len(images):
        raise ValueError(
            f"splits must be between 1 and the {len(images)} images; received {splits}"
        )
    images, texts = _unit(images), _unit(texts)
    random, hits = np.random.default_rng(seed), np.empty(len(images))
    for i, image in enumerate(images):
        others = np.flatnonzero(classes != classes[i])
        if not 2 <= candidates <= len(others) + 1:
            raise ValueError(
                f"candidates must be between 2 and image {i}'s {len(others) + 1}; received {candidates}"
            )
        scores = texts[random.choice(others, candidates - 1, replace=False)] @ image
        hits[i] = texts[i] @ image > scores.max() + 1e-9  # rounding is no lead
    means = [part.mean() for part in np.array_split(hits, splits)]
    return float(np.mean(means)), float(np.std(means))


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
