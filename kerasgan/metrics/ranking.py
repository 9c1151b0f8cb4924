"""Direction of scores by their names, and the order of several results."""

from collections.abc import Mapping, Sequence
from typing import Any

LOWER = ("distance", "cmmd", "ms_ssim", "memorized", "frechet_ratio", "fd_", "kd_")
# Parts of names of values that describe a score or the data instead of ranking a model.
UNRANKED = ("_std", "_deviation", "_data", "_chance", "_floor", "nearest_ratio")


def direction(name: str) -> int:
    """Returns 1 if higher values of a score are better, -1 if lower ones are, and 0 for neither."""
    if any(part in name for part in UNRANKED):
        return 0
    return -1 if any(part in name for part in LOWER) else 1


def ranked_names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the names of the scores with a direction, in the order of the results."""
    names: dict[str, None] = {}
    for scores in results:
        for name, value in scores.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number and direction(name):
                names[name] = None
    return [*names]


def ranking(results: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    """Orders results by a score.

    Args:
        results: Dictionaries of scores.
        name: Name of the score.

    Returns:
        Indices of the results, best first; results without the score come last.

    Raises:
        ValueError: If no result has the score, or if it has no direction.
    """
    known = ranked_names(results)
    if name not in known:
        raise ValueError(f"Results are sorted by {', '.join(known) or 'no score'}; received {name}")
    worst = float("inf")
    keys = [-direction(name) * scores[name] if name in scores else worst for scores in results]
    return sorted(range(len(results)), key=keys.__getitem__)


def best(results: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    """Returns the indices of the results with the best value of a score, more than one in a tie."""
    first, *others = ranking(results, name)
    value = results[first][name]
    return [first, *(index for index in others if results[index].get(name) == value)]
