"""Newer scores as computed by dgm-eval and the authors of CMMD, reimplemented from their formulas.

Each function has the name and the first arguments of kerasgan's function, and the precision and the
libraries of the program that it follows: SciPy and NumPy for FD-infinity and the Vendi score,
PyTorch in float32 for distances and, in place of the authors' JAX, for CMMD.
"""

import numpy as np


def fd_infinity(real: np.ndarray, fake: np.ndarray, points: int = 15, seed: int = 0) -> float:
    """FD-infinity of dgm-eval: a matrix square root by SciPy for each subset."""
    from benchmarks.speed.baselines.frechet import matrix_root_distance, numpy_statistics

    sizes = np.linspace(min(5000, max(len(fake) // 10, 2)), len(fake), points).astype("int32")
    random, reference = np.random.default_rng(seed), numpy_statistics(real)
    distances = [
        matrix_root_distance(reference, numpy_statistics(random.choice(fake, size, replace=False)))
        for size in sizes
    ]
    return float(np.polyfit(1 / sizes, distances, 1)[1])


def vendi_score(features: np.ndarray) -> float:
    """Vendi score of dgm-eval: eigenvalues of the N x N similarities."""
    from scipy.linalg import eigvalsh

    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    values = eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def authpct(real: np.ndarray, fake: np.ndarray) -> float:
    """AuthPct of dgm-eval: full float32 distance matrices by `torch.cdist`."""
    import torch

    real, fake = (torch.from_numpy(x).float() for x in (real, fake))
    among = torch.cdist(real, real)
    among.fill_diagonal_(float("inf"))
    nearest = torch.cdist(real, fake).min(dim=0)
    return 100 * (among.min(dim=0).values[nearest.indices] < nearest.values).float().mean().item()


def memorization(real: np.ndarray, fake: np.ndarray, ratio: float = 1 / 3) -> dict[str, float]:
    """Memorization by the two smallest distances of a full `torch.cdist` matrix."""
    import torch

    real, fake = (torch.from_numpy(x).float() for x in (real, fake))
    first, second = torch.cdist(fake, real).topk(2, dim=1, largest=False).values.T
    ratios = first / second
    shares = (ratios <= ratio).float().mean().item()
    return {"memorized": shares, "nearest_ratio": float(np.median(ratios.numpy()))}


def cmmd(one: np.ndarray, other: np.ndarray, sigma: float = 10.0) -> float:
    """CMMD of the authors: three full float32 kernel matrices, of embeddings of norm 1."""
    import torch

    one, other = (torch.nn.functional.normalize(torch.from_numpy(x).float()) for x in (one, other))

    def mean_kernel(x, y):
        squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        return torch.exp(-squares / (2 * sigma**2)).mean()

    kernels = mean_kernel(one, one) + mean_kernel(other, other) - 2 * mean_kernel(one, other)
    return 1000 * kernels.item()
