"""Inception Score: does a classifier recognise each image, and do the images cover its classes?

Source: Salimans et al., "Improved techniques for training GANs", arXiv 1606.03498. It is exp E_x KL(p(y|x) || p(y)):
what the classifier says of an image against what it says of all of them, p(y) = E_x p(y|x). The training notes say that
it compares generated images with real ones; it does not: real images appear nowhere in it.

*Differences from the authors' code*: float64 and logarithms of the softmax, since float32 gives 0 log 0 where a
probability underflows.
"""

import numpy as np

BLOCK = 4096  # rows in float64 at a time


def inception_score(logits, splits=10, shuffle_seed=None, batch=None):
    """Mean and standard deviation of the Inception Score over `splits` equal parts of the images.

    Args:
        logits: [N, K], an array or `np.memmap`, of a classifier of K classes (of Inception 2015-12-05 all 1008, without
            the bias), before any softmax.
        splits: parts, in order; 10 in the paper, of 50,000 images. Scores of other numbers of images or parts do not
            compare: a small part cannot show all classes.
        shuffle_seed: of `np.random.RandomState`, to shuffle the images first. torch-fidelity shuffles with 2020,
            StackGAN without a seed, the authors not at all (None).
        batch: leave out the N mod `batch` images, after the shuffle, that fill no batch, as StackGAN does (64).

    Returns:
        (mean, standard deviation over N, not N - 1), floats; the mean is in [1, K].

    Raises:
        ValueError: other shapes, fewer images than parts, logits that are not finite.
    """
    if np.ndim(logits) != 2 or not np.shape(logits)[1]:
        raise ValueError(f"logits must be [N, K]; received {list(np.shape(logits))}")
    count = len(logits)
    order = (
        np.arange(count)
        if shuffle_seed is None
        else np.random.RandomState(shuffle_seed).permutation(count)
    )
    if batch is not None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1; received {batch}")
        count -= count % batch
    if not 1 <= splits <= count:
        raise ValueError(
            f"splits must be between 1 and the number of images, {count}; received {splits}"
        )
    scores = [
        _score(logits, order[i * count // splits : (i + 1) * count // splits])
        for i in range(splits)
    ]
    return float(np.mean(scores)), float(np.std(scores))


def _score(logits, rows):
    """exp(H(y) - H(y|x)), the same as exp E KL(p(y|x) || p(y)), in one pass over the rows."""
    marginal, information = 0.0, 0.0
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(logits[rows[start : start + BLOCK]], "float64")
        if not np.isfinite(block).all():
            raise ValueError("logits must be finite; received some that are not")
        block -= block.max(axis=1, keepdims=True)
        logs = block - np.log(np.exp(block).sum(axis=1, keepdims=True))  # log p(y|x)
        shares = np.exp(logs)
        marginal = marginal + shares.sum(axis=0)
        information += np.einsum("nk,nk->", shares, logs)
    marginal = marginal / len(rows)
    seen = marginal[marginal > 0]
    return np.exp(information / len(rows) - (seen * np.log(seen)).sum())
