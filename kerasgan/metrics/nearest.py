"""Nearest neighbors by Euclidean distance, in blocks."""

import numpy as np

BLOCK = 2**23  # Number of values in memory at a time, for each side of a matrix product.


def nearest(
    queries: np.ndarray, references: np.ndarray, own: np.ndarray | None = None, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest references of each query.

    Args:
        queries: Array or `np.memmap` `[N, ...]`.
        references: Array or `np.memmap` `[M, ...]` with as many values per row.
        own: Integers `[N]`, index of a reference to exclude for each query, for queries that are
            among the references.
        k: Number of neighbors.

    Returns:
        Indices, integers `[N]` (the first of equally near references), and distances, float64
        `[N]`. With k above 1, both are `[N, k]`, nearest first.

    Raises:
        ValueError: If the rows differ in size, or if there are fewer than k references to choose.
    """
    queries, references = (np.asanyarray(x).reshape(len(x), -1) for x in (queries, references))
    if queries.shape[1] != references.shape[1] or len(references) < k + (own is not None):
        least = "one reference" if k == 1 else f"{k} references"
        raise ValueError(
            f"Expected queries and references with rows of equal size, and at least {least}; "
            f"received {list(queries.shape)} and {list(references.shape)}."
        )
    rows = int(np.clip(BLOCK // queries.shape[1], 16, 2048))
    index = np.zeros((len(queries), k), "int64")
    distance = np.full((len(queries), k), np.inf)
    for start in range(0, len(references), rows):
        # The Gram matrix form subtracts large numbers, so it needs float64.
        block = references[start : start + rows].astype("float64")
        norms = np.einsum("md,md->m", block, block)
        for first in range(0, len(queries), rows):
            here = slice(first, first + rows)
            part = queries[here].astype("float64")
            each = np.arange(len(part))
            # Squared distances without the norm of the query, which does not change the order.
            order = part @ block.T  # [n, m]
            order *= -2
            order += norms
            if own is not None:
                mine = own[here] - start
                at = np.flatnonzero((mine >= 0) & (mine < len(block)))
                order[at, mine[at]] = np.inf
            for _ in range(min(k, len(block))):
                best = order.argmin(axis=1)
                # Exact distances, so that copies have distance 0.
                exact = np.linalg.norm(part - block[best], axis=1)
                exact[np.isinf(order[each, best])] = np.inf
                order[each, best] = np.inf
                _insert(index[here], distance[here], start + best, exact)
    return (index[:, 0], distance[:, 0]) if k == 1 else (index, distance)


def _insert(index, distance, new, exact):
    """Inserts a candidate per row into sorted neighbors `[n, k]`, behind equally near ones."""
    for place in range(distance.shape[1]):
        nearer = exact < distance[:, place]
        for kept, candidate in ((index, new), (distance, exact)):
            held = kept[:, place].copy()
            kept[:, place] = np.where(nearer, candidate, held)
            candidate[...] = np.where(nearer, held, candidate)
