"""Inception Score: exp E_x KL(p(y|x) || p(y)), with p(y) = E_x p(y|x).

The score is high if a classifier predicts a single class for each image and all classes for the set
of images. It does not use real images, contrary to the training notes.

Reference:
    Salimans et al., 2016, "Improved Techniques for Training GANs", https://arxiv.org/abs/1606.03498

**Differences from the authors' code**: float64 and log-softmax, because float32 gives 0 log 0 if a
probability underflows.
"""

import numpy as np

BLOCK = 4096  # Number of rows in float64 at a time.


def inception_score(
    logits: np.ndarray,
    splits: int = 10,
    shuffle_seed: int | None = None,
    batch: int | None = None,
) -> tuple[float, float]:
    """Computes mean and standard deviation of the Inception Score over splits.

    Args:
        logits: Array or `np.memmap` `[N, K]`: logits of a classifier of K classes, before softmax.
            For the Inception of 2015-12-05, all 1,008 without bias.
        splits: Number of equal, consecutive splits; 10 (of 50,000 images) in the paper. The score
            depends on the numbers of images and splits, because a small split cannot cover all
            classes.
        shuffle_seed: Seed of `np.random.RandomState` for a shuffle before splitting. torch-fidelity
            uses 2020, StackGAN no seed. `None` (paper) does not shuffle.
        batch: Drop the last N mod `batch` images after the shuffle, as StackGAN does with 64.

    Returns:
        Mean, in [1, K], and standard deviation (divided by the number of splits).

    Raises:
        ValueError: If a shape is wrong, if there are fewer images than splits, or if a logit is not
            finite.
    """
    if np.ndim(logits) != 2 or not np.shape(logits)[1]:
        raise ValueError(f"Expected logits [N, K]; received {list(np.shape(logits))}.")
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
            f"splits must be between 1 and the number of images ({count}); received {splits}"
        )
    scores = [
        _score(logits, order[i * count // splits : (i + 1) * count // splits])
        for i in range(splits)
    ]
    return float(np.mean(scores)), float(np.std(scores))


def _score(logits, rows):
    """Computes exp(H(y) - H(y|x)), which equals exp E KL(p(y|x) || p(y)), in one pass."""
    marginal, information = 0.0, 0.0
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(logits[rows[start : start + BLOCK]], "float64")
        if not np.isfinite(block).all():
            raise ValueError("Logits must be finite; received others.")
        block -= block.max(axis=1, keepdims=True)
        logs = block - np.log(np.exp(block).sum(axis=1, keepdims=True))  # log p(y|x)
        probabilities = np.exp(logs)
        marginal = marginal + probabilities.sum(axis=0)
        information += np.einsum("nk,nk->", probabilities, logs)
    marginal = marginal / len(rows)
    positive = marginal[marginal > 0]
    return np.exp(information / len(rows) - (positive * np.log(positive)).sum())
