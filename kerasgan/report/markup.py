"""Building blocks of all pages: a document with its style inside, cards, tables, figures,
charts.
"""

import html
import math

import numpy as np
from PIL import Image

from kerasgan.io import side_files

STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --soft: #5d6b7c; --line: #dfe4ea; --back: #f6f7f9; --card: #fff;
  --accent: #2462c9; --c0: #2462c9; --c1: #d1495b; --c2: #2a9d6f; --c3: #b4761a; --c4: #7b4fc9; --c5: #4b8b9b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #98a5b5; --line: #303a46; --back: #12161c;
  --card: #1a2028; --accent: #7fb0ff; --c0: #7fb0ff; --c1: #ff8593; --c2: #62d3a4; --c3: #f0b55b; --c4: #b897ff;
  --c5: #86c5d4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 20px 72px; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 14px; }
.lead { color: var(--soft); margin: 8px 0 0; max-width: 46em; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 22px; margin-top: 22px;
  min-width: 0; }
.two { display: grid; align-items: start; gap: 0 22px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.two.top { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 22px; }
@media (max-width: 760px) { .two.top { grid-template-columns: minmax(0, 1fr); } }
.facts { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 20px; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 8px 16px; }
.facts b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.facts span, figcaption, .note { color: var(--soft); font-size: .86rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { text-align: left; padding: 6px 14px 6px 0; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
tr:first-child > * { border-top: 0; }
th { font-weight: 500; color: var(--soft); } td.n, th.n { text-align: right; padding-right: 0;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; display: block; border-radius: 6px; background: #fff; }
img.pixels { image-rendering: pixelated; } img.big { width: 100%; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 210px), 1fr)); gap: 16px; }
figure { margin: 0; min-width: 0; } figcaption { margin-top: 5px; } .strip img { width: 100%; height: auto; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px;
  margin: 4px 0 14px; overflow-x: auto; font: .86rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
svg .axis { stroke: var(--line); } svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .86rem; margin-top: 6px; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 26px 30px; }
.curves h3 { font-size: .95rem; font-weight: 600; margin: 0 0 4px; }
.card h3.row { font-size: .95rem; font-weight: 600; margin: 24px 0 8px; }
p.say { margin: 0 0 14px; max-width: 52em; } table.meanings td.n { padding-right: 22px; width: 4em; }
table.meanings th { width: min(12em, 24%); overflow-wrap: normal; }
.bar { display: block; height: 6px; border-radius: 3px; margin: 3px 0; background: var(--c0); }
.bar.data, .legend i.data { background: var(--soft); opacity: .45; } td.bars { width: 42%; }
.shares th, .shares td { overflow-wrap: break-word; vertical-align: middle; } .shares .n { padding-left: 9px; }
.shares b { color: var(--c1); font-weight: 600; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(108px, 1fr)); gap: 12px 16px; }
.pairs img { width: 100%; height: auto; }
.slider { margin-bottom: 16px; } .slider input { width: 100%; margin: 0; accent-color: var(--accent); }
.ends { display: flex; justify-content: space-between; gap: 12px; color: var(--soft); font-size: .86rem; }
.seen { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30%, 120px), 1fr)); gap: 12px;
  margin-top: 12px; font-variant-numeric: tabular-nums; }
.seen img { width: 100%; height: auto; } .seen .bar { margin-top: 4px; }
.steps { display: grid; gap: 4px; } .steps img { width: 100%; height: auto; border-radius: 3px; }
.steps .bar { height: 3px; border-radius: 2px; margin: 2px 0 0; } .steps .now { outline: 2px solid var(--accent); }
"""


def page(title, body):
    """A whole HTML document around a body."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{text(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def save(folder, title, parts):
    path = folder / "index.html"
    side_files.write(path, page(title, "\n".join(part for part in parts if part)))
    return path


def header(title, lead):
    """A page's title and the sentence under it."""
    return f"<header><h1>{text(title)}</h1><p class=lead>{text(lead)}</p></header>"


def facts(pairs):
    """The few numbers that a page begins with: pairs of name and value."""
    inside = "".join(
        f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for name, value in pairs
    )
    return f'<div class="facts">{inside}</div>' if inside else ""


def card(title, *contents):
    contents = [content for content in contents if content]
    return (
        f'<section class="card"><h2>{text(title)}</h2>{"".join(contents)}</section>'
        if contents
        else ""
    )


def table(values):
    return f"<table>{table_rows(values)}</table>" if values else ""


def table_rows(values, prefix=""):
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows.append(table_rows(value, f"{prefix}{words(name)}: "))
        else:
            value = number(value) if isinstance(value, float) else value
            value = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            rows.append(f"<tr><th>{text(prefix + words(name))}</th><td>{text(value)}</td></tr>")
    return "".join(rows)


def words(name):
    return str(name).replace("_", " ")


def text(value):
    return html.escape(str(value))


def number(value):
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.4g}"


def percent(share):
    return f"{100 * share:.1f} %"


def duration(seconds):
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {round(seconds) % 60:02d} s"


def figure(uri, size, caption, big=False):
    kind = ("pixels " if size[0] < 700 else "") + ("big" if big else "")
    shape = (
        f'style="max-width:{max(560, min(size[0] * 3, 760))}px"'
        if big
        else f'width="{size[0]}" height="{size[1]}"'
    )
    caption = text(caption)
    image = f'<img class="{kind}" {shape} src="{uri}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def shrunk(image, edge):
    """uint8 [H, W, C], its longer side at most `edge`."""
    image = np.asarray(image)
    factor = edge / max(image.shape[:2])
    if factor >= 1:
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    size = [max(1, round(side * factor)) for side in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).reshape(size[1], size[0], -1)


def chart(curves, width=520, height=240, by="epoch"):
    """Curves as inline SVG.

    Args:
        curves: name -> list of (x, y), finite, x increasing; at most some thousand points a curve
            are drawn.
        width, height: of the drawing in its own units; it fills the width it is given.
        by: what x is.
    """
    left, right, top, bottom = 56, 12, 10, 26
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6, whole=True), _ticks(min(ys), max(ys), 5)
    low_x, high_x = min(xs), max(max(xs), min(xs) + 1)
    low_y, high_y = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

    def place(x, y):
        across = left + (x - low_x) / (high_x - low_x) * (width - left - right)
        return f"{across:.1f},{height - bottom - (y - low_y) / (high_y - low_y) * (height - top - bottom):.1f}"

    drawn = []
    for tick in y_ticks:
        y = place(low_x, tick).split(",")[1]
        drawn.append(f'<line class="axis" x1="{left}" x2="{width - right}" y1="{y}" y2="{y}"/>')
        drawn.append(
            f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        )
    for tick in x_ticks:
        x = place(tick, low_y).split(",")[0]
        drawn.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle">{tick:g}</text>')
    for index, (name, points) in enumerate(curves.items()):
        colour = f"var(--c{index % 6})"
        dash = ' stroke-dasharray="5 4"' if index >= 6 else ""
        shown = points[:: max(1, len(points) // 1000)]
        shown = shown if shown[-1] == points[-1] else [*shown, points[-1]]
        line = " ".join(place(x, y) for x, y in shown)
        drawn.append(f'<polyline class="curve" style="stroke:{colour}"{dash} points="{line}"/>')
        if len(shown) <= 60:
            for x, y in shown:
                across, down = place(x, y).split(",")
                drawn.append(
                    f'<circle cx="{across}" cy="{down}" r="2.6" style="fill:{colour}">'
                    f"<title>{text(name)}, {text(by)} {x:g}: {number(y)}</title></circle>"
                )
    legend = "".join(
        f'<span><i style="background:var(--c{i % 6})"></i>{text(name)} '
        f'<span class="note">{number(points[-1][1])}</span></span>'
        for i, (name, points) in enumerate(curves.items())
    )
    label = text(f"{', '.join(curves)} by {by}")
    svg = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'
    return f'{svg}<div class="legend">{legend}</div>'


def _ticks(low, high, count, whole=False):
    """Round numbers from at or below `low` to at or above `high` (within them where `whole`)."""
    span = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step = next(step * m for m in (1, 2, 5, 10) if span / (step * m) <= count)
    if whole:
        step = max(1, round(step))
        return [t for t in range(math.ceil(low / step) * step, math.floor(high) + 1, step)] or [low]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]
