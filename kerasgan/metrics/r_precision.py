"""R-precision (R = 1): share of images whose own caption ranks first among random candidates.

Image and caption embeddings come from encoders that were trained together. Scores of different
encoders cannot be compared.

Reference:
    Xu et al., 2018, "AttnGAN: Fine-Grained Text to Image Generation with Attentional Generative
    Adversarial Networks", https://arxiv.org/abs/1711.10485
"""

import numpy as np


def r_precision(
    images: np.ndarray,
    texts: np.ndarray,
    classes: np.ndarray | None = None,
    candidates: int = 100,
    splits: int = 10,
    seed: int = 0,
) -> tuple[float, float]:
    """Computes the share of images whose own caption ranks first by cosine similarity.

    Args:
        images: Embeddings `[N, D]` of (generated) images.
        texts: Embeddings `[N, D]`; row i is the caption that image i was generated from.
        classes: Integers `[N]`. The other candidates come from other classes, as in the paper.
            `None` allows captions of any other image.
        candidates: Number of candidates including the own caption, sampled without replacement.
        splits: Number of equal, consecutive splits; 10 in the paper.
        seed: Seed of the candidates.

    Returns:
        Mean and standard deviation over the splits, both in [0, 1]. Ties count as misses, so
        constant embeddings score 0.

    Raises:
        ValueError: If shapes differ, if a value is not finite, or if there are too few captions.
    """
    images, texts = (np.asarray(vectors, "float64") for vectors in (images, texts))
    if images.ndim != 2 or images.shape != texts.shape:
        raise ValueError(
            f"Expected images and texts [N, D]; received {list(images.shape)} and "
            f"{list(texts.shape)}."
        )
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise ValueError("Embeddings must be finite; received others.")
    classes = np.arange(len(images)) if classes is None else np.asarray(classes)
    if classes.shape != (len(images),):
        raise ValueError(
            f"Expected {len(images)} classes, one per image; received {list(classes.shape)}."
        )
    if not 1 <= splits <= len(images):
        raise ValueError(
            f"splits must be between 1 and the number of images ({len(images)}); received {splits}"
        )
    images, texts = _unit(images), _unit(texts)
    random, hits = np.random.default_rng(seed), np.empty(len(images))
    for i, image in enumerate(images):
        others = np.flatnonzero(classes != classes[i])
        if not 2 <= candidates <= len(others) + 1:
            raise ValueError(
                f"candidates must be between 2 and {len(others) + 1}, the number of captions for "
                f"image {i}; received {candidates}"
            )
        scores = texts[random.choice(others, candidates - 1, replace=False)] @ image
        hits[i] = texts[i] @ image > scores.max() + 1e-9  # The margin excludes rounding.
    means = [part.mean() for part in np.array_split(hits, splits)]
    return float(np.mean(means)), float(np.std(means))


def caption_precision(images: np.ndarray, texts: np.ndarray, own: np.ndarray) -> float:
    """Compute R-precision with all captions as candidates instead of a random choice.

    It suits small data sets, where few captions differ. Chance is 1 / C.

    Args:
        images: Embeddings `[N, D]` of (generated) images.
        texts: Embeddings `[C, D]` of C different captions.
        own: Integers `[N]`, the index of each image's caption in `texts`.

    Returns:
        Share in [0, 1] of the images whose own caption ranks first by cosine similarity. Ties count
        as misses.

    Raises:
        ValueError: If shapes do not fit, if a value is not finite, or if there is one caption.
    """
    images, texts = (np.asarray(vectors, "float64") for vectors in (images, texts))
    own = np.asarray(own)
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise ValueError(
            f"Expected images [N, D] and texts [C, D]; received {list(images.shape)} and "
            f"{list(texts.shape)}."
        )
    if len(texts) < 2:
        raise ValueError(f"Expected at least 2 captions; received {len(texts)}.")
    if own.shape != (len(images),) or not ((own >= 0) & (own < len(texts))).all():
        raise ValueError(f"Expected one index below {len(texts)} per image; received others.")
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise ValueError("Embeddings must be finite; received others.")
    scores = _unit(images) @ _unit(texts).T  # [N, C]
    mine = np.arange(len(own)), own
    others = scores.copy()
    others[mine] = -np.inf
    return float(np.mean(scores[mine] > others.max(axis=1) + 1e-9))


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
