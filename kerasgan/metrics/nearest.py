"""Nearest neighbors by Euclidean distance, in blocks."""

import numpy as np

BLOCK = 2**23  # Number of values in memory at a time, for each side of a matrix product.
# Number of equally near references per query above which float64 decides alone. Images that are all
# equal would otherwise be compared one by one.
TIES = 64


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
    same = queries is references
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
    # Subtracting a center near the data reduces rounding errors.
    center = references[:rows].astype("float64").mean(axis=0)
    for start in range(0, len(references), rows):
        block = references[start : start + rows]
        y, y_norms = centered(block, center)
        for first in range(0, len(queries), rows):
            here = slice(first, first + rows)
            part = queries[here]
            # NumPy computes y @ y.T in half the time.
            x, x_norms = (y, y_norms) if same and first == start else centered(part, center)
            mine = None if own is None else own[here] - start
            order = _order(x, y, y_norms, mine)
            # In float32, references whose distances differ by less than the rounding error are
            # not ordered reliably. Their exact distances are compared, so that copies have
            # distance 0.
            slack = rounding(x.shape[1]) * (np.sqrt(x_norms) + np.sqrt(y_norms.max())) ** 2
            known = (distance[here, -1] ** 2 - x_norms) / 2
            bound = np.minimum(_smallest(order, k), known) + slack
            # The limit excludes infinity: the query itself.
            bound = bound.clip(max=np.finfo(order.dtype).max).astype(order.dtype)
            chosen, column = np.nonzero(order <= bound[:, None])
            if len(chosen) > TIES * len(part):
                order = _order(part - center, block - center, y_norms, mine)
                chosen, column = _first(order, k)
            for i in range(0, len(chosen), rows):
                pairs = slice(i, i + rows)
                differences = part[chosen[pairs]].astype("float64") - block[column[pairs]]
                exact = np.sqrt(np.einsum("nd,nd->n", differences, differences))
                _insert(index[here], distance[here], chosen[pairs], start + column[pairs], exact)
    return (index[:, 0], distance[:, 0]) if k == 1 else (index, distance)


def centered(block: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows minus a center, in float32 unless they overflow, and their squared norms."""
    with np.errstate(over="ignore"):
        if np.can_cast(block.dtype, "float32"):
            centered = block.astype("float32") - center.astype("float32")
        else:
            centered = (block - center).astype("float32")
        norms = np.einsum("nd,nd->n", centered, centered)
    if norms.max() < 1e30:
        return centered, norms.astype("float64")
    centered = block - center
    return centered, np.einsum("nd,nd->n", centered, centered)


def _order(x, y, y_norms, own):
    """Half of the squared distances `[n, m]` without the norms of x, which keep the order."""
    order = x @ y.T
    np.subtract(y_norms.astype(order.dtype) / 2, order, out=order)
    if own is not None:
        at = np.flatnonzero((own >= 0) & (own < len(y)))
        order[at, own[at]] = np.inf
    return order


def _first(order, k):
    """Rows and columns of the k smallest values of each row, sorted by row and column."""
    each, columns = np.arange(len(order)), []
    for _ in range(min(k, order.shape[1])):
        column = order.argmin(axis=1)
        columns.append(np.where(np.isfinite(order[each, column]), column, -1))
        order[each, column] = np.inf
    found = np.sort(np.stack(columns, axis=1), axis=1)
    rows, place = np.nonzero(found >= 0)
    return rows, found[rows, place]


def rounding(width: int) -> float:
    """Returns the rounding error of a product of float32 rows, relative to their norms.

    It is 8 standard deviations for rows of `width` values.
    """
    return 8 * np.sqrt(width + 8) * np.finfo("float32").eps


def _smallest(order, k):
    """The k-th smallest value of each row, or infinity if there are fewer."""
    if k > order.shape[1]:
        return np.full(len(order), np.inf)
    each, removed = np.arange(len(order)), []
    for _ in range(k - 1):  # Faster than a partition of the rows for a few neighbors.
        column = order.argmin(axis=1)
        removed.append((column, order[each, column]))
        order[each, column] = np.inf
    values = order.min(axis=1).astype("float64")
    for column, value in removed:
        order[each, column] = value
    return values


def _insert(index, distance, rows, new, exact):
    """Inserts candidates, sorted by row, into sorted neighbors `[n, k]`, behind equally near ones.

    Candidates of a row are inserted one after the other, those of different rows together.
    """
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    for turn in range(rank.max(initial=-1) + 1):
        now = rank == turn
        at, candidate, far = rows[now], new[now].copy(), exact[now].copy()
        for place in range(distance.shape[1]):
            held_index, held = index[at, place], distance[at, place]
            nearer = far < held
            index[at, place] = np.where(nearer, candidate, held_index)
            distance[at, place] = np.where(nearer, far, held)
            candidate, far = np.where(nearer, held_index, candidate), np.where(nearer, held, far)
