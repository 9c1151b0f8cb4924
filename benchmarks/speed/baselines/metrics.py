"""Metrics as computed by torch-fidelity, prdc and AttnGAN, reimplemented in float64.

Each function has the name and the arguments of kerasgan's function. Functions that follow a NumPy
program use NumPy and do not import torch, because peak memory is compared as well. The Fréchet
distance is in `baselines.frechet`, MS-SSIM in `baselines.ms_ssim`.
"""

import numpy as np


def kernel_distance(
    one: np.ndarray,
    other: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> tuple[float, float]:
    """KID of torch-fidelity: three kernel matrices per pair of subsets."""
    random, values = np.random.RandomState(seed), []
    for _ in range(subsets):
        x = one[random.choice(len(one), subset_size, replace=False)].astype("float64")
        y = other[random.choice(len(other), subset_size, replace=False)].astype("float64")
        xx, yy, xy = (
            (np.matmul(a, b.T) / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))
        )
        within = (xx.sum() - np.diagonal(xx).sum()) + (yy.sum() - np.diagonal(yy).sum())
        values.append(within / (subset_size * (subset_size - 1)) - 2 * xy.sum() / subset_size**2)
    return np.mean(values), np.std(values)


def inception_score(logits: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Inception Score of torch-fidelity, from the probabilities of all images."""
    import torch

    logits = torch.from_numpy(logits).double()
    parts = zip(
        logits.softmax(1).tensor_split(splits),
        logits.log_softmax(1).tensor_split(splits),
        strict=True,
    )
    scores = [
        (shares * (logs - shares.mean(0).log())).sum(1).mean().exp().item()
        for shares, logs in parts
    ]
    return np.mean(scores), np.std(scores)


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> dict[str, float]:
    """Precision and recall of torch-fidelity, for feature sets that fit into one of its blocks."""
    import torch

    def distances(x, y):
        return (x.square().sum(1)[:, None] - 2 * x @ y.T + y.square().sum(1)).clamp_(min=0).sqrt_()

    def radii(x):
        # The nearest neighbor is the image itself.
        return distances(x, x).kthvalue(k + 1, dim=1).values

    real, fake = (torch.from_numpy(features).double() for features in (real, fake))
    between = distances(real, fake)
    precision, recall = (between <= radii(real)[:, None]).any(0), (between <= radii(fake)).any(1)
    return {"precision": precision.double().mean().item(), "recall": recall.double().mean().item()}


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Density and coverage of prdc, the authors' code: full distance matrices in NumPy."""

    def distances(x, y):
        squares = np.einsum("nf,nf->n", x, x)[:, None] - 2 * x @ y.T + np.einsum("nf,nf->n", y, y)
        return np.sqrt(np.maximum(squares, 0))

    real, fake = real.astype("float64"), fake.astype("float64")
    # The nearest neighbor is the image itself.
    radii = np.partition(distances(real, real), k, axis=1)[:, k]
    inside = distances(real, fake) < radii[:, None]
    return {"density": inside.sum(axis=0).mean() / k, "coverage": inside.any(axis=1).mean()}


def intra_class_diversity(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean pairwise distance within each class, by `torch.pdist`."""
    import torch

    flat, labels = torch.from_numpy(images).double().flatten(1), torch.from_numpy(labels)
    return (
        torch.stack([torch.pdist(flat[labels == label]).mean() for label in labels.unique()])
        .mean()
        .item()
    )


def r_precision(
    images: np.ndarray,
    texts: np.ndarray,
    classes: np.ndarray,
    candidates: int = 100,
    splits: int = 10,
    seed: int = 0,
) -> tuple[float, float]:
    """R-precision of AttnGAN: candidates of other classes sampled with replacement, then a sort."""
    random, hits = np.random.default_rng(seed), []
    for i, image in enumerate(images.astype("float64")):
        rows = [i]
        while len(rows) < candidates:
            j = int(random.integers(len(texts)))
            if classes[j] != classes[i]:
                rows.append(j)
        captions = texts[rows].astype("float64")
        lengths = np.linalg.norm(captions, axis=1) * np.linalg.norm(image)
        hits.append(np.argsort(-(captions @ image) / np.maximum(lengths, 1e-8))[0] == 0)
    means = [part.mean() for part in np.array_split(hits, splits)]
    return np.mean(means), np.std(means)
