"""Several results of `zoo.evaluate`: checkpoints by pattern, the table, and the leaderboard."""

import glob
import json
import os
import pathlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kerasgan.io import files
from kerasgan.io.paths import user_path
from kerasgan.io.reading import one_line, parse_json
from kerasgan.metrics.ranking import best, ranked_names, ranking
from kerasgan.report.scores import arrow, measurement, scores_page

# <run>_<dataset>_<size>_<letter>_epoch_<n>.h5
_FILE = re.compile(r"(?P<prefix>.+)_(?P<letter>[A-Za-z0-9]+)_epoch_(?P<epoch>\d+)\.h5")
COLUMNS = 4  # Largest number of scores in a table on a terminal.


def expand(names: Sequence[str]) -> list[str]:
    """Expands patterns of checkpoint files, such as `runs/x/checkpoints/*`.

    A pattern stands for one file per epoch, that of the generator if there is one. Names without
    `*`, `?` and `[` are kept.

    Returns:
        Files and names, each once, epochs of a pattern in ascending order.

    Raises:
        ValueError: If a pattern matches no checkpoint.
    """
    found: dict[str, None] = {}
    for name in names:
        if not glob.has_magic(name) or os.path.exists(name):
            found[name] = None
            continue
        epochs: dict[tuple[str, int], dict[str, str]] = {}
        for path in glob.glob(name):
            if match := _FILE.fullmatch(os.path.basename(path)):
                if match["letter"] != "resume":
                    key = os.path.join(os.path.dirname(path), match["prefix"]), int(match["epoch"])
                    epochs.setdefault(key, {})[match["letter"]] = path
        if not epochs:
            raise ValueError(f"--checkpoint must match files ..._epoch_n.h5; received {name}")
        for _, networks in sorted(epochs.items()):
            found[networks.get("G") or networks[min(networks)]] = None
    return [*found]


def record(name: str, found: Mapping[str, Any], command: str, seed: int) -> dict[str, Any]:
    """Returns the entry of a result in the comparison and in the leaderboard.

    Args:
        name: Name of the model or the images.
        found: Result of `zoo.evaluate.score` or `evaluate`.
        command: Command that computed it.
        seed: Seed of the latents.
    """
    scores = {
        key: value
        for key, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    match = _FILE.fullmatch(os.path.basename(name))
    return {
        "name": name,
        "epoch": int(match["epoch"]) if match else None,
        "scores": scores,
        "intervals": found.get("intervals", {}),
        "protocol": found.get("protocol", {}),
        "seed": seed,
        "command": command,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def table(records: Sequence[Mapping[str, Any]], sort: str | None = None) -> list[str]:
    """Formats results as lines, best first; `*` marks the best of each column.

    Args:
        records: Results of `record`.
        sort: Score that orders the lines. Defaults to the first one.

    Raises:
        ValueError: If no result has the score.
    """
    results = [each["scores"] for each in records]
    names = ranked_names(results)
    key = sort or (names[0] if names else "")
    order = ranking(results, key)
    names = [key, *(name for name in names if name != key)][:COLUMNS]
    leaders = {name: best(results, name) for name in names}
    rows = [["result", *(f"{name} {arrow(name)}" for name in names)]]
    for index in order:
        row = [records[index]["name"]]
        for name in names:
            value = results[index].get(name)
            text = "" if value is None else f"{value:.5g}"
            if ends := records[index]["intervals"].get(name):
                text += f" [{ends[0]:.4g}, {ends[1]:.4g}]"
            row.append(text + (" *" if index in leaders[name] else ""))
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def footnotes(records: Sequence[Mapping[str, Any]], sort: str | None = None) -> list[str]:
    """Returns lines about the order of the table and its intervals."""
    names = ranked_names([each["scores"] for each in records])
    lines = [f"sorted by {sort or names[0]}, best first; * best of the column"]
    for each in records:
        if about := each["protocol"].get("intervals"):
            lines.append(
                f"brackets: {about['level']:.0%} intervals by bootstrap, {about['resamples']} "
                f"resamples, seed {about['seed']}, of {about['resampled']}"
            )
            break
    if len({measurement(each) for each in records}) > 1:
        lines.append("the results have different protocols, so they do not compare")
    return lines


def append(path: str | os.PathLike, records: Sequence[Mapping[str, Any]]) -> pathlib.Path:
    """Appends results to a leaderboard, one JSON object per line, and writes its page.

    Args:
        path: File `.jsonl` in an existing folder. The page is the file of the same name `.html`.
        records: Results of `record`.

    Returns:
        The path of the page.
    """
    path = user_path(path)
    for each in records:
        files.append_line(path, json.dumps(each))
    entries, notes = read(path)
    return scores_page(path.with_suffix(".html"), entries, path.stem, notes=notes)


def read(path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads a leaderboard.

    Returns:
        Its entries, and one note per damaged line, which is left out.
    """
    path, entries, notes = user_path(path), [], []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entry = parse_json(line, f"line {number}")
                _check_entry(entry)
                entries.append(entry)
            except (ValueError, RecursionError) as error:
                notes.append(f"Line {number} is left out: {one_line(error)}")
    return entries, notes


def _check_entry(entry):
    numbers = (int, float)
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("name"), str)
        or not isinstance(entry.get("scores"), dict)
        or not all(isinstance(value, numbers) for value in entry["scores"].values())
    ):
        raise ValueError("it must be an object with a name and scores")
    intervals = entry.setdefault("intervals", {})
    if not isinstance(intervals, dict) or not all(
        isinstance(ends, list) and len(ends) == 2 and all(isinstance(e, numbers) for e in ends)
        for ends in intervals.values()
    ):
        raise ValueError("its intervals must be pairs of numbers")
    if not isinstance(entry.get("protocol", {}), dict):
        raise ValueError("its protocol must be an object")
    if not isinstance(entry.get("epoch"), int):
        entry["epoch"] = None


def check_leaderboard(path: str | os.PathLike) -> None:
    """Raises `ValueError` if results cannot be appended to a file."""
    found = user_path(path)
    if found.suffix != ".jsonl" or not found.parent.is_dir() or found.is_dir():
        raise ValueError(
            f"--leaderboard must be a file *.jsonl in a folder that exists; received {path}"
        )
