"""One HTML page of all results, that needs nothing but itself: verdicts, curves, pictures, scores and speeds.

python -m benchmarks report --out=runs/report.html
"""

import html
import pathlib
import re
import statistics

import numpy as np
from absl import flags

from benchmarks import claims, tables
from benchmarks.claims import runner, verdicts
from kerasgan import images, report
from kerasgan.datasets.image_files import stored_image
from kerasgan.io import files
from zoo import recipe

FLAGS = flags.FLAGS
STYLE = """
<style>.verdict { font-size: .8rem; font-weight: 600; border-radius: 6px; padding: 2px 9px; margin-left: 8px;
  color: #fff; background: var(--c5); white-space: nowrap; } .verdict.holds { background: var(--c2); }
.verdict.does { background: var(--c1); } .verdict.answered { background: var(--c0); }
@media (prefers-color-scheme: dark) { .verdict { color: #12161c; } } .wide { overflow-x: auto; }
td code { font-size: .82rem; } .card h3 { font-size: .95rem; margin: 18px 0 6px; }
.card > table th { white-space: nowrap; overflow-wrap: normal; }</style>
"""
FEW = 14  # curves of a chart


def body(results=runner.RESULTS):
    """The page's inside, from the result files."""
    states, noted = runner.states(results), claims.noted()
    done = {name: state.result for name, state in states.items() if state.result}
    counts = {
        verdict: sum(r["verdict"] == verdict for r in done.values()) for verdict in runner.VERDICTS
    }
    facts = [
        (f"of {len(states)} claims run", len(done)),
        *((verdict, count) for verdict, count in counts.items()),
    ]
    told = "".join(f"<div><b>{count}</b><span>{_text(name)}</span></div>" for name, count in facts)
    lead = "Every noted score, every noted claim, every speed, from the result files of benchmarks/results."
    parts = [STYLE, f"<header><h1>The benchmark suite</h1><p class=lead>{lead}</p></header>"]
    parts.append(f'<div class="facts">{told}</div>')
    parts += [
        claim(name, noted[name], result, results / "pictures") for name, result in done.items()
    ]
    rest = "".join(
        f"<tr><th>{name}</th><td>{_text(noted[name]['claim'])}</td><td>{_text(state.broken or state.needs())}</td></tr>"
        for name, state in states.items()
        if not state.result
    )
    parts.append(
        card("Claims not run", f'<div class="wide"><table>{rest}</table></div>' if rest else "")
    )
    parts.append(card("Scores", table(tables.noted())))
    parts.append(card("What the drawn ladder says of the noted orderings", table(tables.ladder())))
    parts.append(card("Speed", table(tables.speed())))
    parts.append(card("What a step costs at several sizes", table(tables.scaling())))
    parts.append(
        card("The conditional MNIST GAN, three seeds of each preset", table(tables.scores()))
    )
    parts.append(card("HDGAN on drawn birds", table(tables.birds())))
    parts.append(card("CoopNet on digits", table(tables.coopnet())))
    parts.append(card("CoopNet, driven to explode", table(tables.explosions())))
    parts.append(card("StylEx and what its classifier looks at", table(tables.stylex())))
    return "\n".join(part for part in parts if part)


def claim(name, noted, result, pictures):
    """A card: the claim, its verdict and finding, the curves of what was measured, numbers and samples of each arm."""
    verdict = (
        f'<span class="verdict {result["verdict"].split()[0]}">{_text(result["verdict"])}</span>'
    )
    parts = [f"<p class=say><b>{_text(noted['claim'])}</b>{verdict}</p>"]
    parts.append(f"<p class=say>{_text(result['finding'])}</p>")
    told = {
        "Rule": result["rule"],
        "Measured": result["says"],
        "Seeds": result["seeds"],
        "Command": result["command"],
    }
    parts.append(
        "<table>"
        + "".join(f"<tr><th>{n}</th><td>{_text(v)}</td></tr>" for n, v in told.items())
        + "</table>"
    )
    charts = []
    for measure in result["measures"]:
        curves = {
            arm: _curve(found["runs"], measure) for arm, found in list(result["arms"].items())[:FEW]
        }
        curves = {arm: points for arm, points in curves.items() if len(points) > 1}
        if curves:
            charts.append(
                f"<div><h3>{_text(measure.replace('_', ' '))}, by epoch</h3>{report.chart(curves)}</div>"
            )
    parts.append(f'<div class="curves">{"".join(charts)}</div>' if charts else "")
    parts.append(_numbers(result["arms"], result["measures"]))
    parts.append(_samples(result["arms"], pictures))
    return card(name, *parts)


def _curve(runs, measure):
    """Mean over the seeds of a measure, at the epochs that all of them have."""
    rows = [[row for row in run.get("curve", []) if row.get(measure) is not None] for run in runs]
    of_run = [{row["epoch"]: row[measure] for row in known} for known in rows]
    common = sorted(set.intersection(*map(set, of_run)))
    return [(epoch, statistics.mean(values[epoch] for values in of_run)) for epoch in common]


def _numbers(arms, measures):
    """Mean ± deviation over the seeds of each arm's measures, and the settings in which it differs."""
    shared = set.intersection(*({*map(str, found["settings"].items())} for found in arms.values()))
    head = "".join(f"<th class=n>{_text(measure.replace('_', ' '))}</th>" for measure in measures)
    rows = []
    for name, found in arms.items():
        own = {k: v for k, v in found["settings"].items() if str((k, v)) not in shared}
        cells = [", ".join(f"{k} {v}" for k, v in own.items())]
        numbers = [[run["measures"].get(measure) for run in found["runs"]] for measure in measures]
        cells = f"<td>{_text(cells[0])}</td>" + "".join(
            f"<td class=n>{'' if None in values else verdicts.said(values)}</td>"
            for values in numbers
        )
        minutes = statistics.mean(run["seconds"] for run in found["runs"]) / 60
        rows.append(f"<tr><th>{_text(name)}</th>{cells}<td class=n>{minutes:.1f}</td></tr>")
    head = f"<tr><th>arm</th><th>settings of its own</th>{head}<th class=n>minutes a run</th></tr>"
    return f'<h3>Arms, mean ± deviation over the seeds</h3><div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _samples(arms, pictures):
    figures = []
    for name, found in arms.items():
        path = pictures / f"{found['runs'][0]['key']}.png"
        if path.exists():
            with stored_image(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            uri, (height, width) = images.png_data_uri(pixels), pixels.shape[:2]
            figures.append(
                f'<figure><img class="pixels" width="{width}" height="{height}" src="{uri}" alt="{_text(name)}">'
                f"<figcaption>{_text(name)}</figcaption></figure>"
            )
    return (
        f'<h3>Samples of seed 0</h3><div class="strip">{"".join(figures)}</div>' if figures else ""
    )


def card(title, *contents):
    inside = "".join(contents)
    return f'<section class="card"><h2>{_text(title)}</h2>{inside}</section>' if inside else ""


def table(markdown):
    """The tables' Markdown, and the lines between and after them, as HTML."""
    return "".join(_block(block) for block in markdown.split("\n\n"))


def _block(markdown):
    rows, after = [], []
    for line in markdown.splitlines():
        if line.startswith("|---"):
            continue
        if line.startswith("|"):
            cells = [_inline(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            tag = "td" if rows else "th"
            rows.append("<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>")
        elif line:
            after.append(f'<p class="note">{_inline(line)}</p>')
    found = f'<div class="wide"><table>{"".join(rows)}</table></div>' if rows else ""
    return found + "".join(after)


def _inline(text):
    text = _text(text.replace("\\|", "|"))
    for mark, tag in ((r"\*\*", "b"), ("~~", "s"), ("`", "code")):
        text = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", text)
    return text


def _text(value):
    return html.escape(str(value))


def write(path, results=runner.RESULTS):
    """Writes the page and returns its path."""
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {path}")
    files.write_atomically(
        path, report.page("kerasgan: the benchmark suite", body(pathlib.Path(results)))
    )
    return path


def shell(arguments):
    pathlib.Path("runs").mkdir(exist_ok=True)
    print(f"the report: {write(FLAGS.out)}")


if __name__ == "__main__":
    flags.DEFINE_string("out", "runs/report.html", "the page")
    recipe.start(shell)
