"""HTML page of a run.

The page shows `settings.json`, `versions.json`, `log.csv`, `grids/`, `history.gif`,
`checkpoints/`, `scores.json` and `shipped/`. Each of them may be missing.
"""

import base64
import csv
import io
import math
import os
import pathlib
import shlex

import numpy as np
from PIL import Image

from kerasgan import images
from kerasgan.datasets.image_files import open_frames, stored_image
from kerasgan.io import checkpoints, side_files
from kerasgan.io.paths import user_path
from kerasgan.report import markup


def run_page(folder: str | os.PathLike) -> pathlib.Path:
    """Writes `index.html` of a run's folder.

    These files have entries with a meaning of their own:

    - `settings.json`: besides settings, it may contain `title`, `description`, `recipe` (module
      such as `zoo.mnist_gan`), `command` and `class_names`, a list in the order of the labels.
    - `scores.json`: numbers are shown as scores, other values as the protocol.
    - `shipped/<preset>.png`: samples of a shipped preset of the same data, for comparison.

    Args:
        folder: Existing folder of the run.

    Returns:
        The path of the page.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise ValueError(f"a run must be an existing folder; received {folder}")
    notes: list[str] = []  # Damaged files that are left out.
    names = ("settings", "versions", "scores")
    settings, versions, scores = (
        side_files.read_or_default(folder / f"{name}.json", side_files.json_object, {}, notes)
        for name in names
    )
    log = side_files.read_or_default(folder / "log.csv", _log, [], notes)
    title = str(settings.pop("title", None) or folder.resolve().name)
    description = str(settings.pop("description", None) or "A run of kerasgan.")
    command, recipe = settings.pop("command", None), settings.get("recipe")
    names_of_classes = settings.pop("class_names", None)
    classes = [str(x) for x in names_of_classes] if isinstance(names_of_classes, list) else []
    files = sorted((folder / "checkpoints").glob("*.h5"), key=lambda path: path.stat().st_mtime)
    grids = [
        path for path in sorted((folder / "grids").glob("epoch_*.png")) if path.stem[6:].isdecimal()
    ]
    parts = [markup.header(title, description), _facts(log, scores)]
    if grids:
        parts.append(markup.card("Samples", _samples(folder, grids, notes)))
    shipped = [
        _picture(path, f"The preset {path.stem}.", notes, big=True)
        for path in sorted((folder / "shipped").glob("*.png"))
    ]
    parts.append(markup.card("Samples of a longer run", *shipped))
    parts.append(markup.card("Scores", _scores(scores)))
    parts.append(markup.card("Curves", _curves(log)))
    parts.append(
        '<div class="two">'
        + markup.card("Settings", markup.table(settings))
        + markup.card("Versions", markup.table(versions))
        + "</div>"
    )
    parts.append(markup.card("Classes", _classes(classes)))
    parts.append(markup.card("Checkpoints", _checkpoints(folder / "checkpoints", files)))
    commands = _commands(folder, command, recipe, len(classes))
    parts.append(markup.card("Commands", commands))
    parts.append(markup.card("Damaged files", *(f"<p>{markup.text(note)}</p>" for note in notes)))
    return markup.save(folder, title, parts)


def _facts(log, scores):
    facts = []
    if log:
        seconds = sum(row.get("seconds", 0.0) for row in log)
        facts = [("epochs", f"{log[-1]['epoch']:g}")]
        facts += [("training time", markup.duration(seconds))] if seconds else []
    numbers, _ = _split(scores)
    shown = list(numbers.items())[:4]
    return markup.facts(
        facts + [(markup.words(name), markup.number(value)) for name, value in shown]
    )


def _samples(folder, grids, notes):
    """Returns the last grid, the animation of all grids, and a strip of eight grids."""
    note = f"Epoch {int(grids[-1].stem[6:])}. All grids of this run use the same latents."
    large, strip = _picture(grids[-1], note, notes, big=True), ""
    moving = side_files.read_or_default(folder / "history.gif", _gif, "", notes)
    if len(grids) > 1:
        chosen = [
            grids[i]
            for i in sorted({round(i) for i in np.linspace(0, len(grids) - 1, min(len(grids), 8))})
        ]
        strip = "".join(
            _picture(path, f"epoch {int(path.stem[6:])}", notes, width=360) for path in chosen
        )
        strip = f'<h2 style="margin-top:26px">Samples by epoch</h2><div class="strip">{strip}</div>'
    return f'<div class="two top">{large}{moving}</div>{strip}'


def _gif(path):
    data = path.read_bytes()
    with open_frames(io.BytesIO(data)) as gif:
        for frame in range(gif.n_frames):
            gif.seek(frame)
            gif.load()
        size = gif.size
    uri = f"data:image/gif;base64,{base64.b64encode(data).decode()}"
    return markup.figure(uri, size, "The grids of all epochs.", big=True)


def _picture(path, caption, notes, big=False, width=None):
    return side_files.read_or_default(
        path, lambda path: _shown(path, caption, big, width), "", notes
    )


def _shown(path, caption, big, width):
    with stored_image(path) as picture:
        if width and picture.width > width:  # Full-size grids would make a page of many megabytes.
            picture = picture.resize(
                (width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS
            )
        pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    uri = images.png_data_uri(pixels if pixels.ndim == 3 else pixels[..., None])
    return markup.figure(uri, pixels.shape[1::-1], caption, big)


def _scores(scores):
    numbers, protocol = _split(scores)
    if not numbers:
        return ""
    cells = [
        (markup.text(markup.words(name)), markup.number(value)) for name, value in numbers.items()
    ]
    rows = "".join(f"<tr><th>{name}</th><td class=n>{value}</td></tr>" for name, value in cells)
    table = f'<div class="two"><table>{rows}</table>'
    return (
        table
        + (f"<div><table>{markup.table_rows(protocol)}</table></div>" if protocol else "")
        + "</div>"
    )


def _curves(log):
    """Returns one chart for each group of values that share a scale, and one for each score."""
    names = [name for name in dict.fromkeys(n for row in log for n in row) if name != "epoch"]
    groups = {}
    for name in names:
        groups.setdefault(_group(name), []).append(name)
    order = sorted(
        groups, key=lambda group: 9 if group == "Seconds" else (*_GROUPS, group).index(group)
    )
    charts = []
    for group in order:
        curves = {}
        for name in groups[group]:
            points = [
                (row["epoch"], row[name]) for row in log if math.isfinite(row.get(name, math.nan))
            ]
            if points:
                curves[markup.words(name)] = points
        if curves:
            charts.append(f"<div><h3>{markup.text(group)}</h3>{markup.chart(curves)}</div>")
    return f'<div class="curves">{"".join(charts)}</div>' if charts else ""


_GROUPS = {"Losses": "loss", "Accuracies": "accuracy", "Learning rates": "learning_rate"}


def _group(name):
    return next(
        (group for group, part in _GROUPS.items() if part in name), markup.words(name).capitalize()
    )


def _checkpoints(folder, files):
    best, rows = checkpoints.best(folder) or {}, []
    for path in files:
        try:
            info = checkpoints.read_info(path)
            what = (
                f"network {info['letter']}"
                if info["letter"] != checkpoints.RESUME
                else "other state for resuming"
            )
            what, epoch = what + (" (best)" if path.name == best.get("file") else ""), info["epoch"]
        except (ValueError, TypeError, KeyError, OSError):  # A `CheckpointError` is a `ValueError`.
            what, epoch = "damaged", ""
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        rows.append((epoch if epoch != "" else -1, path.name, what, epoch, size))
    rows = [
        f"<tr><td><code>{markup.text(name)}</code></td><td>{markup.text(what)}</td>"
        f"<td class=n>{epoch}</td><td class=n>{size}</td></tr>"
        for _, name, what, epoch, size in sorted(rows, reverse=True)
    ]
    if not rows:
        return ""
    head = "<tr><th>file</th><th>content</th><th class=n>epoch</th><th class=n>size</th></tr>"
    note = ""
    if best:
        note = (
            f"Best {markup.words(best['metric'])}: {markup.number(best['value'])} at epoch "
            f"{best['epoch']}."
        )
    shown, more = rows[:12], rows[12:]
    if more:
        more = (
            f"<details><summary class=note>{len(more)} more</summary>"
            f"<table>{''.join(more)}</table></details>"
        )
    return (
        f'<table>{head}{"".join(shown)}</table>{more or ""}<p class="note">{markup.text(note)}</p>'
    )


def _classes(names):
    """Returns a table of the labels of the classes. `--labels` and `sample(labels=...)` take them.

    The columns of the sample grids are the classes in this order.
    """
    return markup.table({str(label): name for label, name in enumerate(names)}) if names else ""


def _commands(folder, command, recipe, classes=0):
    """Returns shell commands that use the run.

    Words are quoted anew, so that pasting a command runs nothing that `settings.json` hides.
    """
    try:
        command = shlex.split(command or "")
    except (TypeError, ValueError, AttributeError):
        command = []
    if not command and isinstance(recipe, str):
        command = ["python", "-m", recipe]
    commands, newest = [], None
    if (folder / "checkpoints").is_dir():
        newest = (checkpoints.best(folder / "checkpoints") or {}).get("file")
        networks = [path.name for path in (folder / "checkpoints").glob("*_G_epoch_*.h5")]
        networks = [name for name in networks if name[:-3].rsplit("_", 1)[1].isdecimal()]
        newest = newest or max(
            networks, key=lambda name: int(name[:-3].rsplit("_", 1)[1]), default=None
        )
    if command:
        commands.append(("Resume this run, or train it again", [*command, f"--folder={folder}"]))
    if newest:
        given = f"--checkpoint={folder / 'checkpoints' / newest}"
        commands.append(("Generate samples", ["python", "-m", "zoo.sample", given]))
        if classes:
            labels = "--labels=" + ",".join(map(str, range(min(classes, 10))))
            words = ["python", "-m", "zoo.sample", given, labels]
            commands.append(("Generate images of chosen classes, one per label", words))
        commands.append(("Evaluate", ["python", "-m", "zoo.evaluate", given]))
        if recipe == "zoo.stylex":
            commands.append(("Explain the classifier", ["python", "-m", "zoo.explain", given]))
    shown = [
        (markup.text(what), markup.text(" ".join(map(_quoted, words)))) for what, words in commands
    ]
    return "".join(f"<span class=note>{what}</span><pre>{line}</pre>" for what, line in shown)


def _quoted(word):
    """Quotes a word for a shell. Bytes that are not UTF-8 need the form $'...' of bash and zsh."""
    try:
        word.encode()
        return shlex.quote(word)
    except UnicodeEncodeError:
        name = os.fsencode(word)
        escaped = "".join(
            chr(c) if 32 <= c < 127 and c not in b"'\\" else f"\\x{c:02x}" for c in name
        )
        return f"$'{escaped}'"


def _split(scores):
    """Splits scores into numbers and all other values."""
    numbers = {
        n: v for n, v in scores.items() if isinstance(v, (int, float)) and not isinstance(v, bool)
    }
    rest = {n: v for n, v in scores.items() if n not in numbers}
    protocol = rest.get("protocol")
    if isinstance(protocol, dict):
        rest = protocol | {n: v for n, v in rest.items() if n != "protocol"}
    return numbers, rest


def _log(path):
    rows = []
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    if "epoch" not in (reader.fieldnames or ()):
        raise ValueError("it must have a column named epoch")
    for row in reader:
        numbers = {}
        for name, value in row.items():
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                pass  # An empty cell means that the value was not measured in that epoch.
        rows.append(numbers)
    return [row for row in rows if math.isfinite(row.get("epoch", math.nan))]
