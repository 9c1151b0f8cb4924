"""HTML page of the scores of several models: a table and charts for each measurement protocol."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from kerasgan.io import side_files
from kerasgan.io.paths import user_path
from kerasgan.metrics.ranking import best, direction, ranked_names, ranking
from kerasgan.report import markup

COLUMNS = 8  # Largest number of scores in a table. Charts show all.


def scores_page(
    path: str | os.PathLike,
    records: Sequence[Mapping[str, Any]],
    title: str = "Scores",
    sort: str | None = None,
    notes: Sequence[str] = (),
) -> pathlib.Path:
    """Writes a page that compares results.

    Results of different protocols do not compare, so each protocol has a table of its own.

    Args:
        path: File of the page, `.html`, in an existing folder.
        records: Dictionaries with `name`, `scores` (numbers) and, optionally, `intervals` (name to
            lower and upper end), `protocol`, `epoch`, `command`, `date` and `seed`.
        title: Title of the page.
        sort: Name of the score that orders the tables. Defaults to the first one of each.
        notes: Lines that are shown below the title.

    Returns:
        The path of the page.

    Raises:
        ValueError: If there is no record, or if no record has the score `sort`.
    """
    path = user_path(path)
    markup.page_folder(path.parent)
    if not records:
        raise ValueError("A page of scores needs at least one result; received none.")
    if sort is not None:
        ranking([record["scores"] for record in records], sort)  # Raises for an unknown score.
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault(measurement(record), []).append(record)
    lead = f"{len(records)} results, {len(groups)} measurement protocol{'s' * (len(groups) > 1)}."
    parts = [markup.header(title, lead), *map(markup.paragraph, notes)]
    for number, group in enumerate(groups.values(), 1):
        parts.append(_group(group, sort, f" of protocol {number}" if len(groups) > 1 else ""))
    side_files.write(path, markup.page(title, "\n".join(parts)))
    return path


def measurement(record: Mapping[str, Any]) -> str:
    """Returns what two results must have in common to compare: the protocol without its samples."""
    protocol = dict(record.get("protocol") or {})
    samples = protocol.pop("samples", None)
    count = samples.get("count") if isinstance(samples, dict) else None
    names = sorted(ranked_names([record["scores"]]))
    return json.dumps([protocol, count, names], sort_keys=True, default=str)


def _group(records, sort, which):
    results = [record["scores"] for record in records]
    names = ranked_names(results)
    if not names:
        return ""
    key = sort if sort in names else names[0]
    order = ranking(results, key)
    protocol = dict(records[order[0]].get("protocol") or {})
    protocol.pop("samples", None)
    leaders = {name: best(results, name) for name in names}
    table = _table(records, order, names[:COLUMNS], key, leaders)
    note = (
        f"Sorted by {markup.words(key)}. Bold: the best of each column; ↓ lower is better, ↑ "
        "higher is better. Brackets: 95 % intervals, see the protocol."
    )
    charts = [_chart(records, name, leaders[name][0]) for name in names] if len(records) > 1 else []
    commands = {record["command"]: None for record in records if record.get("command")}
    return "".join(
        [
            markup.card(f"Table{which}", f"<table>{table}</table>", _note(note)),
            markup.card(
                f"Charts{which}", f'<div class="curves">{"".join(charts)}</div>' if charts else ""
            ),
            markup.card(f"Protocol{which}", markup.table(protocol)),
            markup.card(f"Commands{which}", *map(markup.command, commands)),
        ]
    )


def _note(text):
    return f"<p class=note>{markup.text(text)}</p>"


def arrow(name: str) -> str:
    """Returns the arrow of a score: ↓ if lower is better, ↑ if higher is better."""
    return "↓" if direction(name) < 0 else "↑"


def _table(records, order, names, key, leaders):
    head = "".join(
        f"<th class=n>{markup.text(markup.words(name))} {arrow(name)}</th>" for name in names
    )
    rows = [f"<tr><th>result</th>{head}</tr>"]
    for index in order:
        record = records[index]
        cells = [f"<th>{markup.text(record['name'])}</th>"]
        for name in names:
            value = record["scores"].get(name)
            if value is None:
                cells.append("<td class=n></td>")
                continue
            shown = markup.number(float(value))
            shown = f"<b>{shown}</b>" if index in leaders[name] and len(order) > 1 else shown
            ends = (record.get("intervals") or {}).get(name)
            if ends:
                low, high = (markup.number(float(end)) for end in ends)
                shown += f" <span class=note>[{low}, {high}]</span>"
            cells.append(f"<td class=n>{shown}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "".join(rows)


def _chart(records, name, leader):
    """Curve of a score by epoch, or one bar for each result if they are not epochs of one run."""
    shown = [record for record in records if name in record["scores"]]
    ends = [(record.get("intervals") or {}).get(name) for record in shown]
    epochs = [record.get("epoch") for record in records]
    label = f"{markup.words(name)} {arrow(name)}, best: {records[leader]['name']}"
    if None in epochs or len(set(epochs)) < len(epochs):
        labels = _distinct([record["name"] for record in shown])
        drawn = markup.bars(
            {one: float(r["scores"][name]) for one, r in zip(labels, shown, strict=True)},
            {one: each for one, each in zip(labels, ends, strict=True) if each},
        )
    else:
        shown.sort(key=lambda record: record["epoch"])
        points = [(record["epoch"], record) for record in shown]
        curves = {name: [(x, float(record["scores"][name])) for x, record in points]}
        for place, what in enumerate(("lower end", "upper end") if all(ends) else ()):
            curves[what] = [(x, float(record["intervals"][name][place])) for x, record in points]
        drawn = markup.chart(curves)
    return f"<div><h3>{markup.text(label)}</h3>{drawn}</div>"


def _distinct(names):
    """Numbers the names that occur more than once."""
    repeated = {name for name in names if names.count(name) > 1}
    return [f"{name} ({i})" if name in repeated else name for i, name in enumerate(names, 1)]
