"""Parts of all pages: the document with its style, cards, tables, figures and charts."""

import functools
import html
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kerasgan.io import side_files
from kerasgan.io.paths import user_path

_FOLDER = pathlib.Path(__file__).parent


@functools.cache
def asset(name: str) -> str:
    """Returns the text of a file beside this module, which becomes part of a page."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def page_folder(folder: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of a page as a path. Raises `ValueError` if it does not exist."""
    path = user_path(folder)
    if not path.is_dir():
        raise ValueError(f"a page must go into an existing folder; received {path}")
    return path


def page(title: str, body: str) -> str:
    """Returns a complete HTML document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{asset('style.css')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def save(folder: pathlib.Path, title: str, parts: Iterable[str]) -> pathlib.Path:
    """Writes the parts of a page to `index.html` in a folder. Returns its path."""
    path = folder / "index.html"
    side_files.write(path, page(title, "\n".join(part for part in parts if part)))
    return path


def header(title: str, lead: str) -> str:
    """Returns the title of a page and the sentence below it."""
    return f"<header><h1>{text(title)}</h1><p class=lead>{text(lead)}</p></header>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Returns the few numbers at the top of a page, from pairs of name and value."""
    inside = "".join(
        f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for name, value in pairs
    )
    return f'<div class="facts">{inside}</div>' if inside else ""


def card(title: str, *contents: str) -> str:
    """Returns a section with a title, or "" if all contents are empty."""
    inside = "".join(contents)
    return f'<section class="card"><h2>{text(title)}</h2>{inside}</section>' if inside else ""


def paragraph(content: str) -> str:
    """Returns a paragraph of text."""
    return f"<p class=text>{text(content)}</p>"


def command(line: str | None) -> str:
    """Returns a shell command as a block, or "" if there is none."""
    return f"<pre>{text(line)}</pre>" if line else ""


def table(values: Mapping[str, Any]) -> str:
    """Returns a table with one row per entry, or "" if there is none."""
    return f"<table>{table_rows(values)}</table>" if values else ""


def table_rows(values: Mapping[str, Any], prefix: str = "") -> str:
    """Returns the rows of `table`. Nested dicts become rows with the outer name as prefix."""
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows.append(table_rows(value, f"{prefix}{words(name)}: "))
        else:
            value = number(value) if isinstance(value, float) else value
            value = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            rows.append(f"<tr><th>{text(prefix + words(name))}</th><td>{text(value)}</td></tr>")
    return "".join(rows)


def words(name: str) -> str:
    """Converts an identifier to words."""
    return str(name).replace("_", " ")


def text(value: Any) -> str:
    """Escapes text for HTML."""
    return html.escape(str(value))


def number(value: int | float) -> str:
    """Formats a number with about four digits."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """Formats a share in [0, 1] as a percentage."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Formats a duration in hours and minutes, or in minutes and seconds."""
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {round(seconds) % 60:02d} s"


def figure(uri: str, size: tuple[int, int], caption: str, big: bool = False) -> str:
    """Returns an image with a caption.

    Args:
        uri: Data URI of the image.
        size: Width and height in pixels.
        caption: Caption and alternative text.
        big: If `True`, the image fills the width of its column.
    """
    kind = ("pixels " if size[0] < 700 else "") + ("big" if big else "")
    shape = (
        f'style="max-width:{max(560, min(size[0] * 3, 760))}px"'
        if big
        else f'width="{size[0]}" height="{size[1]}"'
    )
    caption = text(caption)
    image = f'<img class="{kind}" {shape} src="{uri}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def shrunk(image: np.ndarray, edge: int) -> np.ndarray:
    """Downsamples an image, uint8 `[H, W, C]`, so that its longer side is at most `edge`."""
    image = np.asarray(image)
    factor = edge / max(image.shape[:2])
    if factor >= 1:
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    size = [max(1, round(side * factor)) for side in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).reshape(size[1], size[0], -1)


def chart(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    width: int = 520,
    height: int = 240,
    by: str = "epoch",
) -> str:
    """Plots curves as inline SVG.

    Args:
        curves: Dict from a name to its finite points `(x, y)` with increasing x. About 1,000 points
            per curve are shown.
        width: Width in SVG units. The chart is scaled to the width of its column.
        height: Height in SVG units.
        by: Name of x.
    """
    left, right, top, bottom = 56, 12, 10, 26
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6, whole=True), _ticks(min(ys), max(ys), 5)
    low_x, high_x = min(xs), max(max(xs), min(xs) + 1)
    low_y, high_y = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

    def place(x, y):
        across = left + (x - low_x) / (high_x - low_x) * (width - left - right)
        up = (y - low_y) / (high_y - low_y) * (height - top - bottom)
        return f"{across:.1f},{height - bottom - up:.1f}"

    shapes = []
    for tick in y_ticks:
        y = place(low_x, tick).split(",")[1]
        shapes.append(f'<line class="axis" x1="{left}" x2="{width - right}" y1="{y}" y2="{y}"/>')
        shapes.append(
            f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        )
    for tick in x_ticks:
        x = place(tick, low_y).split(",")[0]
        shapes.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle">{tick:g}</text>')
    for index, (name, points) in enumerate(curves.items()):
        colour = f"var(--c{index % 6})"
        dash = ' stroke-dasharray="5 4"' if index >= 6 else ""
        shown = points[:: max(1, len(points) // 1000)]
        shown = shown if shown[-1] == points[-1] else [*shown, points[-1]]
        line = " ".join(place(x, y) for x, y in shown)
        shapes.append(f'<polyline class="curve" style="stroke:{colour}"{dash} points="{line}"/>')
        if len(shown) <= 60:
            for x, y in shown:
                across, down = place(x, y).split(",")
                shapes.append(
                    f'<circle cx="{across}" cy="{down}" r="2.6" style="fill:{colour}">'
                    f"<title>{text(name)}, {text(by)} {x:g}: {number(y)}</title></circle>"
                )
    legend = "".join(
        f'<span><i style="background:var(--c{i % 6})"></i>{text(name)} '
        f'<span class="note">{number(points[-1][1])}</span></span>'
        for i, (name, points) in enumerate(curves.items())
    )
    label = text(f"{', '.join(curves)} by {by}")
    svg = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(shapes)}'
    return f'{svg}</svg><div class="legend">{legend}</div>'


def bars(
    values: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]] | None = None,
    width: int = 520,
) -> str:
    """Plots named numbers as horizontal bars from zero, in inline SVG.

    Args:
        values: Dict from a name to a finite number.
        intervals: Dict from some of the names to the lower and upper end of an interval, shown as a
            line.
        width: Width in SVG units. The chart is scaled to the width of its column.
    """
    intervals = intervals or {}
    row, right, inset = 40, 70, 4
    reach = [
        0.0,
        *values.values(),
        *(float(end) for name in values for end in intervals.get(name, ())),
    ]
    low, high = min(reach), max(reach)
    high = high if high > low else low + 1.0

    def place(x):
        return inset + (x - low) / (high - low) * (width - right - inset)

    shapes = []
    for index, (name, value) in enumerate(values.items()):
        top, ends = index * row, intervals.get(name)
        start, length = min(place(0.0), place(value)), abs(place(value) - place(0.0))
        shapes.append(f'<text x="{inset}" y="{top + 12}">{text(name)}</text>')
        shapes.append(
            f'<rect x="{start:.1f}" y="{top + 17}" width="{max(length, 1.0):.1f}" height="14" '
            f'style="fill:var(--c0)"><title>{text(name)}: {number(value)}</title></rect>'
        )
        last = max(place(value), place(0.0))
        if ends:
            first, last = place(float(ends[0])), max(last, place(float(ends[1])))
            shapes.append(
                f'<line class="interval" x1="{first:.1f}" x2="{place(float(ends[1])):.1f}" '
                f'y1="{top + 24}" y2="{top + 24}"/>'
            )
        shapes.append(f'<text x="{last + 6:.1f}" y="{top + 28}">{number(value)}</text>')
    label = text(", ".join(values))
    return (
        f'<svg viewBox="0 0 {width} {row * len(values)}" role="img" aria-label="{label}">'
        f"{''.join(shapes)}</svg>"
    )


def _ticks(low, high, count, whole=False):
    """Returns round numbers that enclose `low` to `high`, or lie within them if `whole`."""
    span = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step = next(step * m for m in (1, 2, 5, 10) if span / (step * m) <= count)
    if whole:
        step = max(1, round(step))
        return [t for t in range(math.ceil(low / step) * step, math.floor(high) + 1, step)] or [low]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]
