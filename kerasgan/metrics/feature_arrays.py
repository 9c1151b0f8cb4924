"""Checks of feature arrays, and loops over their blocks, which all formulas share."""

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 2048  # Number of rows in float64 at a time.


def check_features(*sets: Any, least: int = 2) -> None:
    """Checks sets of features `[N, F]`, block by block.

    Args:
        *sets: Arrays or `np.memmap` of integers or floats.
        least: Smallest number of rows of each set.

    Raises:
        ValueError: If a set is not an array of real numbers, if the numbers of features differ, if
            a set has too few rows, or if a value is not finite.
    """
    shapes = [list(np.shape(features)) for features in sets]
    if any(len(shape) != 2 or not shape[1] for shape in shapes) or len({s[1] for s in shapes}) > 1:
        expected = " and ".join(["[N, F]", "[M, F]"][: len(sets)])
        received = " and ".join(map(str, shapes))
        raise ValueError(f"Expected features {expected}; received {received}.")
    for features in sets:
        kind = np.asarray(features[:1]).dtype
        if kind.kind not in "iuf":
            raise ValueError(f"Features must be real numbers; received {kind}.")
        if isinstance(features, np.ma.MaskedArray) and np.ma.is_masked(features):
            raise ValueError("Features must have no missing values; received a masked array.")
        if len(features) < least:
            raise ValueError(
                f"A score needs the features of at least {least} images; received {len(features)}."
            )
    for features in sets:
        bad = [
            start + np.flatnonzero(~np.isfinite(np.asarray(features[start : start + BLOCK])).all(1))
            for start in range(0, len(features), BLOCK)
        ]
        rows = np.concatenate(bad)
        if len(rows):
            raise ValueError(
                f"Features must be finite; received others in {len(rows)} of {len(features)} rows, "
                f"the first is row {rows[0]}."
            )


def blocks(features: Any, size: int | None = None) -> Iterator[np.ndarray]:
    """Yields the rows of an array or `np.memmap` `[N, F]` as float64 blocks of `size` rows."""
    size = size or BLOCK
    for start in range(0, len(features), size):
        yield np.asarray(features[start : start + size], "float64")


def unit_rows(block: np.ndarray) -> np.ndarray:
    """Divides each row by its Euclidean norm. Rows of zeros stay zero."""
    return block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
