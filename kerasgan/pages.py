"""HTML pages that need nothing but themselves: style, pictures and curves are inside, no request, and no script but
the few lines behind a slider.

`run_page` turns a run's folder (settings.json, versions.json, log.csv, grids/, history.gif, checkpoints/, scores.json,
each of which may be missing) into its index.html. `diagnostics_page` shows what `metrics.diagnostics` found,
`attributes_page` what `models.attfind` did.
"""

import base64
import csv
import html
import io
import json
import math
import pathlib

import numpy as np
from PIL import Image

from kerasgan import checkpoints, images

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
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_text(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def run_page(folder):
    """Writes `index.html` of a run's folder and returns its path.

    `settings.json` may hold, beside settings, `title`, `description`, `recipe` (its module, such as `zoo.mnist_gan`)
    and `command`. `scores.json` holds numbers by name; its texts and what is not a number are shown as the protocol.
    `shipped` may hold what shipped presets draw of the same, `<preset>.png`.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"a run must be an existing folder; received {folder}")
    settings, versions, scores = (_json(folder / f"{name}.json") for name in ("settings", "versions", "scores"))
    log = _log(folder / "log.csv")
    title = settings.pop("title", None) or folder.resolve().name
    description = settings.pop("description", None) or "A run of kerasgan."
    command, recipe = settings.pop("command", None), settings.get("recipe")
    files = sorted((folder / "checkpoints").glob("*.h5"), key=lambda path: path.stat().st_mtime)
    grids = sorted((folder / "grids").glob("epoch_*.png"))
    parts = [f"<header><h1>{_text(title)}</h1><p class=lead>{_text(description)}</p></header>", _facts(log, scores)]
    if grids:
        parts.append(_card("Samples", _samples(folder, grids)))
    shipped = sorted((folder / "shipped").glob("*.png"))
    parts.append(_card("What a longer run gives", *(_picture(p, f"The preset {p.stem}.", big=True) for p in shipped)))
    parts.append(_card("Scores", _scores(scores)))
    parts.append(_card("Curves", _curves(log)))
    parts.append(
        '<div class="two">'
        + _card("Settings", _table(settings))
        + _card("Versions", _table(versions))
        + "</div>"
    )
    parts.append(_card("Checkpoints", _checkpoints(folder / "checkpoints", files)))
    parts.append(_card("Commands", _commands(folder, command, recipe)))
    return _save(folder, title, parts)


def diagnostics_page(folder, findings, samples, training, title="Diagnostics", command=None):
    """Writes `index.html`, what `metrics.diagnostics.diagnose` found, into a folder and returns its path.

    Args:
        folder: an existing folder.
        findings: what `diagnose` returned.
        samples, training: the images that it was given, uint8 [N, H, W, C]; `findings` points at some of them.
        command: makes the page again; shown at its end.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"a page must go into an existing folder; received {folder}")
    lead = f"{len(samples):,} samples beside the {len(training):,} images that their model learnt from."
    parts = [f"<header><h1>{_text(title)}</h1><p class=lead>{_text(lead)}</p></header>", _verdict(findings)]
    parts.append(_card("Classes", _class_shares(findings), _least_diverse(findings, samples, training)))
    for space, note in _SPACES.items():
        beside = _beside(findings, space, samples, training)
        parts.append(_card(f"Beside the training images, in {space}", f"<p class=say>{_text(note)}</p>", beside))
    parts.append(_card("Beside each other", _among(findings, samples)))
    parts.append(_card("How it was measured", _table(findings["protocol"])))
    parts.append(_card("Once more", f"<pre>{_text(command)}</pre>" if command else ""))
    return _save(folder, title, parts)


# === Parts ===


def _save(folder, title, parts):
    path = folder / "index.html"
    temporary = folder / "index.html.tmp"
    temporary.write_text(page(title, "\n".join(part for part in parts if part)), encoding="utf-8")
    temporary.replace(path)
    return path


def _card(title, *contents):
    contents = [content for content in contents if content]
    return f'<section class="card"><h2>{_text(title)}</h2>{"".join(contents)}</section>' if contents else ""


def _facts(log, scores):
    facts = []
    if log:
        seconds = sum(row.get("seconds", 0.0) for row in log)
        facts = [("epochs", f"{log[-1]['epoch']:g}")] + ([("training time", _duration(seconds))] if seconds else [])
    numbers, _ = _split(scores)
    facts += [(_words(name), _number(value)) for name, value in list(numbers.items())[:4]]
    inside = "".join(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in facts)
    return f'<div class="facts">{inside}</div>' if facts else ""


def _samples(folder, grids):
    """The last grid large, the whole history beside it as a GIF, and eight of its moments below."""
    note = f"Epoch {int(grids[-1].stem[6:])}, the same latents as in every grid of this run."
    large, moving, strip = _picture(grids[-1], note, big=True), "", ""
    if (folder / "history.gif").is_file():
        data = base64.b64encode((folder / "history.gif").read_bytes()).decode()
        with Image.open(folder / "history.gif") as gif:
            moving = _figure(f"data:image/gif;base64,{data}", gif.size, "The whole history.", big=True)
    if len(grids) > 1:
        chosen = [grids[i] for i in sorted({round(i) for i in np.linspace(0, len(grids) - 1, min(len(grids), 8))})]
        strip = "".join(_picture(path, f"epoch {int(path.stem[6:])}", width=360) for path in chosen)
        strip = f'<h2 style="margin-top:26px">From noise to now</h2><div class="strip">{strip}</div>'
    return f'<div class="two top">{large}{moving}</div>{strip}'


def _picture(path, caption, big=False, width=None):
    with Image.open(path) as picture:
        if width and picture.width > width:  # a strip of full-size grids would be a page of many megabytes
            picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    uri = images.png_data_uri(pixels if pixels.ndim == 3 else pixels[..., None])
    return _figure(uri, pixels.shape[1::-1], caption, big)


def _figure(uri, size, caption, big=False):
    kind = ("pixels " if size[0] < 700 else "") + ("big" if big else "")
    shape = f'style="max-width:{max(560, min(size[0] * 3, 760))}px"' if big else f'width="{size[0]}" height="{size[1]}"'
    caption = _text(caption)
    image = f'<img class="{kind}" {shape} src="{uri}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _scores(scores):
    numbers, protocol = _split(scores)
    if not numbers:
        return ""
    rows = "".join(f"<tr><th>{_text(_words(n))}</th><td class=n>{_number(v)}</td></tr>" for n, v in numbers.items())
    table = f'<div class="two"><table>{rows}</table>'
    return table + (f"<div><table>{_rows(protocol)}</table></div>" if protocol else "") + "</div>"


def _curves(log):
    """One chart for each group of numbers that share a scale, and one for each score."""
    names = [name for name in dict.fromkeys(n for row in log for n in row) if name != "epoch"]
    groups = {}
    for name in names:
        groups.setdefault(_group(name), []).append(name)
    order = sorted(groups, key=lambda group: 9 if group == "Seconds" else (*_GROUPS, group).index(group))
    charts = []
    for group in order:
        curves = {}
        for name in groups[group]:
            points = [(row["epoch"], row[name]) for row in log if math.isfinite(row.get(name, math.nan))]
            if points:
                curves[_words(name)] = points
        if curves:
            charts.append(f"<div><h3>{_text(group)}</h3>{chart(curves)}</div>")
    return f'<div class="curves">{"".join(charts)}</div>' if charts else ""


_GROUPS = {"Losses": "loss", "Accuracies": "accuracy", "Learning rates": "learning_rate"}


def _group(name):
    return next((group for group, part in _GROUPS.items() if part in name), _words(name).capitalize())


def chart(curves, width=520, height=240, by="epoch"):
    """Curves as inline SVG.

    Args:
        curves: name -> list of (x, y), finite, x increasing; at most some thousand points a curve are drawn.
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
        drawn.append(f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
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
                    f"<title>{_text(name)}, {_text(by)} {x:g}: {_number(y)}</title></circle>"
                )
    legend = "".join(
        f'<span><i style="background:var(--c{i % 6})"></i>{_text(name)} '
        f'<span class="note">{_number(points[-1][1])}</span></span>'
        for i, (name, points) in enumerate(curves.items())
    )
    label = _text(f"{', '.join(curves)} by {by}")
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


def _checkpoints(folder, files):
    best, rows = checkpoints.best(folder) or {}, []
    for path in files:
        try:
            info = checkpoints.read_info(path)
            what = info["letter"] if info["letter"] != checkpoints.RESUME else "everything else a resume needs"
            what, epoch = what + (" (best)" if path.name == best.get("file") else ""), info["epoch"]
        except checkpoints.CheckpointError:
            what, epoch = "damaged", ""
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        rows.append((epoch if epoch != "" else -1, path.name, what, epoch, size))
    rows = [
        f"<tr><td><code>{_text(name)}</code></td><td>{_text(what)}</td>"
        f"<td class=n>{epoch}</td><td class=n>{size}</td></tr>"
        for _, name, what, epoch, size in sorted(rows, reverse=True)
    ]
    if not rows:
        return ""
    head = "<tr><th>file</th><th>holds</th><th class=n>epoch</th><th class=n>size</th></tr>"
    note = f"{_words(best['metric'])} is best at epoch {best['epoch']}: {_number(best['value'])}." if best else ""
    shown, more = rows[:12], rows[12:]
    if more:
        more = f"<details><summary class=note>{len(more)} more</summary><table>{''.join(more)}</table></details>"
    return f'<table>{head}{"".join(shown)}</table>{more or ""}<p class="note">{_text(note)}</p>'


def _commands(folder, command, recipe):
    commands, newest = [], None
    if (folder / "checkpoints").is_dir():
        newest = (checkpoints.best(folder / "checkpoints") or {}).get("file")
        networks = [path.name for path in (folder / "checkpoints").glob("*_G_epoch_*.h5")]
        newest = newest or max(networks, key=lambda name: int(name[:-3].rsplit("_", 1)[1]), default=None)
    if command:
        commands.append(("Train it again, or go on where it stopped", f"{command} --folder={folder}"))
    elif recipe:
        commands.append(("Train it again, or go on where it stopped", f"python -m {recipe} --folder={folder}"))
    if newest:
        path = folder / "checkpoints" / newest
        commands.append(("Sample from it", f"python -m zoo.sample --checkpoint={path}"))
        commands.append(("Score it", f"python -m zoo.evaluate --checkpoint={path}"))
        if recipe == "zoo.stylex":
            commands.append(("Find what the classifier looks at", f"python -m zoo.explain --checkpoint={path}"))
    return "".join(f"<span class=note>{_text(what)}</span><pre>{_text(line)}</pre>" for what, line in commands)


# === Parts of the diagnostics ===

_SPACES = {
    "features": "Features tell what a picture shows, wherever in the picture it is.",
    "pixels": "Pixels, one by one, are near only where a picture is the same in place and light: copies to the dot.",
}
_MEANINGS = {
    "classes_missing": "classes that the samples show less than a tenth as often as the data do",
    "class_share_distance": "of the samples would have to be of another class for the data's shares; "
    "images drawn from the data by chance: about {chance}",
    "intra_class_diversity": "how far apart the samples of a class are, mean of the classes; the data have 1",
    "least_intra_class_diversity": "the same of the class that has least, {least_diverse_class}; "
    "near 0, its samples are one picture",
    "nearest_training_ratio": "distance of the median sample to its nearest training image, over that of real images "
    "of the class that the model did not see. Far below 1, it repeats what it saw; far above, it draws something else",
    "copies": "of the samples are as near to a training image as only 1 % of the unseen real images are. "
    "Far above 1 %, and the same picture below: copies. Not the same picture: samples more typical than the data",
    "overgeneralised": "of the samples are farther from every training image than 99 % of the unseen real images. "
    "Far above 1 %: pictures of what is not in the data",
    "nearest_sample_ratio": "distance of the median sample to its nearest other sample, over that among as many "
    "training images. Far below 1, the samples repeat each other",
    "near_duplicates": "of the samples are as near to another sample as only 1 % of the training images are to "
    "another training image. Far above 1 %: one picture again and again",
}
_SHARES = ("class_share_distance", "copies", "overgeneralised", "near_duplicates")


def _verdict(findings):
    names = ("classes_missing", "intra_class_diversity", "copies", "overgeneralised", "near_duplicates")
    facts = "".join(f"<div><b>{_value(n, findings[n])}</b><span>{_text(_words(n))}</span></div>" for n in names)
    return f'<div class="facts">{facts}</div>'


def _value(name, value):
    if value is None:
        return "unknown"
    return _percent(value) if name in _SHARES else f"{value:.2f}" if isinstance(value, float) else str(value)


def _meanings(findings, *names, prefix=""):
    """A table of numbers and what each means."""
    rows, told = [], findings | {"chance": _percent(findings["class_share_chance"])}
    for name in names:
        value = findings[prefix + name]
        text = "too few samples of every class" if value is None else _MEANINGS[name].format(**told)
        text = _text(text).replace(" %", "&nbsp;%")
        rows.append(f"<tr><th>{_words(name)}</th><td class=n>{_value(name, value)}</td><td>{text}.</td></tr>")
    return f'<table class="meanings">{"".join(rows)}</table>'


def _class_shares(findings, most=50):
    rows, parts = findings["classes"], []
    if len(rows) > most:
        rows = sorted(rows, key=lambda row: -abs(row["share"] - row["data_share"]))[:most]
        parts.append(f"{most} of {len(findings['classes'])} classes, those whose shares differ most.")
    if findings["missing_classes"]:
        parts.append(f"Missing: {', '.join(findings['missing_classes'])}.")
    if findings["unjudged_classes"]:
        parts.append(f"Too rare to miss among so few samples: {', '.join(findings['unjudged_classes'])}.")
    longest = max(max(row["share"], row["data_share"]) for row in rows)
    cells = []
    for row in rows:
        ours, theirs = (100 * row[name] / longest for name in ("share", "data_share"))
        missing = " <b>missing</b>" if row["class"] in findings["missing_classes"] else ""
        bars = f'<i class="bar" style="width:{ours:.1f}%"></i><i class="bar data" style="width:{theirs:.1f}%"></i>'
        numbers = [_percent(row["share"]), _percent(row["data_share"])]
        numbers += ["–" if row[n] is None else f"{row[n]:.2f}" for n in ("diversity", "pixel_diversity")]
        cells.append(
            f'<tr><td>{_text(row["class"])}{missing}</td><td class="bars">{bars}</td>'
            + "".join(f"<td class=n>{number}</td>" for number in numbers)
            + "</tr>"
        )
    head = "".join(f"<th class=n>{name}</th>" for name in ("samples", "data", "diversity", "in pixels"))
    legend = (
        '<div class="legend"><span><i style="background:var(--c0)"></i>samples</span>'
        '<span><i class="data"></i>data</span></div>'
    )
    names = ("classes_missing", "class_share_distance", "intra_class_diversity", "least_intra_class_diversity")
    note = f'<p class="note">{_text(" ".join(parts))}</p>' if parts else ""
    table = f'<table class="shares"><tr><th>class</th><th>share {legend}</th>{head}</tr>{"".join(cells)}</table>'
    return _meanings(findings, *names) + note + f'<div style="margin-top:18px; overflow-x:auto">{table}</div>'


def _least_diverse(findings, samples, training):
    ours, theirs = findings["examples"]["features"]["least_diverse"]
    if not ours or not theirs:
        return ""
    rows = []
    for name, part in (("Samples", samples[ours]), ("Data", training[theirs])):
        row = images.grid(np.stack([_shrunk(image, 96) for image in part]), len(part))
        rows.append(_figure(images.png_data_uri(row), row.shape[1::-1], name, big=True))
    return f'<h3 class="row">Least diverse: {_text(findings["least_diverse_class"])}</h3>{"".join(rows)}'


def _beside(findings, space, samples, training):
    """Numbers, and samples beside their nearest training images."""
    low, *_, high = findings["distances"][space]["heldout"]
    names = ("nearest_training_ratio", "copies", "overgeneralised")
    parts = [_meanings(findings, *names, prefix="pixel_" if space == "pixels" else "")]
    parts.append(_quantiles(findings, space, "samples", "heldout", "unseen real images"))
    note = "Left a sample, right its nearest training image, below their distance: 1 is usual for unseen real images."
    parts.append(f'<p class="note" style="margin:18px 0 0; max-width: none">{note}</p>')
    for kind, title in (
        ("nearest", "Nearest: copies, if there are any"),
        ("farthest", "Farthest: overgeneralised, if any is"),
        ("random", "At random"),
    ):
        figures = "".join(
            _pair(
                samples[i], training[j],
                f"{apart:.2f}" + (", a copy?" if apart <= low else ", far" if apart > high else ""),
            )
            for i, j, apart in findings["examples"][space][kind]
        )  # fmt: skip
        parts.append(f'<h3 class="row">{title}</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _among(findings, samples):
    parts = []
    for space in _SPACES:
        names, prefix = ("nearest_sample_ratio", "near_duplicates"), "pixel_" if space == "pixels" else ""
        pairs = findings["examples"][space]["pairs"]
        figures = "".join(_pair(samples[i], samples[j], f"{apart:.2f}") for i, j, apart in pairs)
        parts.append(f'<h3 class="row">In {space}</h3>{_meanings(findings, *names, prefix=prefix)}')
        parts.append(_quantiles(findings, space, "among_samples", "among_training", "training images"))
        parts.append(f'<h3 class="row">The nearest pairs</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _quantiles(findings, space, ours, theirs, name):
    distances = findings["distances"]
    head = "".join(f"<th class=n>{100 * q:.0f} %</th>" for q in distances["quantiles"])
    rows = "".join(
        f"<tr><td>{title}</td>" + "".join(f"<td class=n>{_number(x)}</td>" for x in distances[space][key]) + "</tr>"
        for title, key in (("samples", ours), (name, theirs))
    )
    table = f"<table><tr><th>at most so far are</th>{head}</tr>{rows}</table>"
    return f'<details style="margin-top:10px"><summary class=note>All distances</summary>{table}</details>'


def _pair(one, other, caption, edge=128):
    one, other = _shrunk(one, edge), _shrunk(other, edge)
    gap = np.full((one.shape[0], max(1, one.shape[1] // 14), one.shape[2]), 255, "uint8")
    pair = np.concatenate([one, gap, other], axis=1)
    return _figure(images.png_data_uri(pair), pair.shape[1::-1], caption)


def _shrunk(image, edge):
    """uint8 [H, W, C], its longer side at most `edge`."""
    image = np.asarray(image)
    factor = edge / max(image.shape[:2])
    if factor >= 1:
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    size = [max(1, round(side * factor)) for side in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).reshape(size[1], size[0], -1)


# === Small change ===


def _table(values):
    return f"<table>{_rows(values)}</table>" if values else ""


def _rows(values, prefix=""):
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows.append(_rows(value, f"{prefix}{_words(name)}: "))
        else:
            value = _number(value) if isinstance(value, float) else value
            value = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            rows.append(f"<tr><th>{_text(prefix + _words(name))}</th><td>{_text(value)}</td></tr>")
    return "".join(rows)


def _split(scores):
    """Numbers, and all the rest, of a dictionary of scores."""
    numbers = {n: v for n, v in scores.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    rest = {n: v for n, v in scores.items() if n not in numbers}
    protocol = rest.get("protocol")
    if isinstance(protocol, dict):
        rest = protocol | {n: v for n, v in rest.items() if n != "protocol"}
    return numbers, rest


def _log(path):
    if not path.is_file():
        return []
    rows = []
    for row in csv.DictReader(io.StringIO(path.read_text())):
        numbers = {}
        for name, value in row.items():
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                pass  # an empty cell: not measured in that epoch
        rows.append(numbers)
    return [row for row in rows if "epoch" in row]


def _json(path):
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} must hold a JSON object; {str(error).splitlines()[0]}") from None


def _words(name):
    return str(name).replace("_", " ")


def _text(value):
    return html.escape(str(value))


def _number(value):
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.4g}"


def _percent(share):
    return f"{100 * share:.1f} %"


def _duration(seconds):
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {round(seconds) % 60:02d} s"


# === Attributes ===


def attributes_page(folder, found, title="Attributes", command=None):
    """Writes `index.html`, what AttFind found, into a folder and returns its path.

    Args:
        folder: an existing folder.
        found: a dictionary: `target` and `rest`, what the classes are called; `attributes`, a list of `layer`, `index`,
            `direction` ("minimum" or "maximum", the end that speaks for the target), `effect_towards_target`,
            `effect_towards_rest`, `pictures` and `probabilities`; `together`, a dictionary of `pictures` and
            `probabilities` of the images, and of how they are drawn with 0, 1, 2 ... attributes; `sufficiency`, a list
            of what `attfind.sufficiency` returned, by any of its strategies; `classes`, the name of each class; `unit`
            of the effects; `protocol`. `pictures` are uint8 [N, steps, H, W, C], `probabilities` [N, steps], of the
            target.
        command: makes the page again; shown at its end.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"a page must go into an existing folder; received {folder}")
    target, rest, attributes = found["target"], found["rest"], found["attributes"]
    lead = f"What makes the classifier say {target} rather than {rest}: {len(attributes)} attributes of its images."
    parts = [f"<header><h1>{_text(title)}</h1><p class=lead>{_text(lead)}</p></header>", _sufficiency_facts(found)]
    together = found["together"]
    last = together["pictures"].shape[1] - 2
    say = f"Each image, as it is drawn, with the first attribute, and so on to all of the first {last}, moved as it "
    say += f"takes to turn {target} into {rest}, and {rest} into {target}."
    ends = ("the image", f"{last} applied")
    parts.append(_card("Together", f"<p class=say>{_text(say)}</p>", _slider(together, found, ends)))
    parts.append(_card("Sufficiency", _sufficiency(found)))
    for place, attribute in enumerate(attributes, 1):
        high = attribute["direction"] == "maximum"
        ends = [f"{rest}, {'low' if high else 'high'}", f"{target}, {'high' if high else 'low'}"]
        say = (
            f"Moved to its {attribute['direction']}, it changes the {found['unit']} of {target} by "
            f"{attribute['effect_towards_target']:+.2f} on the mean of images of {rest}; moved to the other end, that "
            f"of {rest} by {attribute['effect_towards_rest']:+.2f} on images of {target}."
        )
        name = f"{place}. {attribute['layer']}, coordinate {attribute['index']}"
        parts.append(_card(name, f"<p class=say>{_text(say)}</p>", _slider(attribute, found, ends)))
    parts.append(_card("How it was found", _table(found["protocol"])))
    parts.append(_card("Once more", f"<pre>{_text(command)}</pre>" if command else ""))
    return _save(folder, title, [*parts, f"<script>{_SLIDE}</script>"])


# A slider shows the pictures of one step, large; without scripts it is hidden, and the rows of all steps remain.
_SLIDE = """
for (const row of document.querySelectorAll(".slider")) {
  const input = row.querySelector("input"), seen = row.querySelectorAll(".seen figure");
  const cells = [...row.nextElementSibling.querySelectorAll("figure")], steps = Number(input.max) + 1;
  const show = () => {
    cells.forEach((cell, i) => cell.classList.toggle("now", i % steps == input.value));
    seen.forEach((figure, i) => {
      const from = cells[i * steps + Number(input.value)];
      figure.querySelector("img").src = from.querySelector("img").src;
      figure.querySelector("img").alt = figure.querySelector("figcaption").textContent = from.title;
      figure.querySelector("i").style.width = from.querySelector("i").style.width;
    });
  };
  input.addEventListener("input", show);
  row.hidden = false;
  show();
}
"""


def _slider(row, found, ends, edge=128):
    """All steps of a few images, a row an image, and beside them a slider through the steps."""
    pictures, chances = row["pictures"], row["probabilities"]
    count, steps = pictures.shape[:2]
    cells = []
    for image, chance in zip(pictures.reshape(-1, *pictures.shape[2:]), np.ravel(chances), strict=True):
        small = _shrunk(image, edge)
        uri, kind = images.png_data_uri(small), "pixels" if max(small.shape[:2]) < edge else ""
        words = _text(f"{found['target']}: {100 * chance:.0f} %")
        cells.append(
            f'<figure title="{words}"><img class="{kind}" src="{uri}" alt="{words}">'
            f'<i class="bar" style="width:{100 * chance:.0f}%"></i></figure>'
        )
    kind = "pixels" if max(pictures.shape[2:4]) < edge else ""
    large = f'<figure><img class="{kind}" alt=""><i class="bar"></i><figcaption></figcaption></figure>' * count
    words = "".join(f"<span>{_text(end)}</span>" for end in ends)
    return (
        f'<div class="two"><div class="slider" hidden><input type="range" min="0" max="{steps - 1}" step="1" '
        f'value="{steps - 1}" aria-label="{_text(" to ".join(ends))}"><div class="ends">{words}</div>'
        f'<div class="seen">{large}</div></div><div><div class="ends">{words}</div><div class="steps" '
        f'style="grid-template-columns:repeat({steps},minmax(0,1fr))">{"".join(cells)}</div></div></div>'
    )


def _sufficiency_facts(found):
    first = found["sufficiency"][0]
    facts = [(f"of images flip by {len(first['all'])} attributes together", _percent(first["all"][-1]))]
    facts.append(("flip by the first", _percent(first["all"][0])))
    facts.append(("images asked", f"{first['images']:,}"))
    inside = "".join(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in facts)
    return f'<div class="facts">{inside}</div>'


def _sufficiency(found):
    """A chart of all images by each strategy and of each class by the first, and a table of the same."""
    curves = {}
    for row in found["sufficiency"]:
        curves[f"all, {row['strategy']}"] = row["all"]
    for row in found["sufficiency"][0]["classes"]:
        curves[f"{found['classes'][row['class']]} ({row['images']})"] = row["flipped"]
    most = max(map(len, curves.values()))
    head = "".join(f"<th class=n>{k}</th>" for k in range(1, most + 1))
    rows = "".join(
        f"<tr><td>{_text(name)}</td>" + "".join(f"<td class=n>{100 * share:.1f}</td>" for share in shares) + "</tr>"
        for name, shares in curves.items()
    )
    points = {name: [(k, 100 * share) for k, share in enumerate(shares, 1)] for name, shares in curves.items()}
    say = "Share of images, in %, that the classifier takes for something else once so many attributes are applied."
    table = f'<div style="overflow-x:auto"><table class="shares"><tr><th></th>{head}</tr>{rows}</table></div>'
    drawn = chart(points, by="attributes")
    return f'<p class=say>{say}</p><div class="two"><div>{drawn}</div>{table}</div>'
