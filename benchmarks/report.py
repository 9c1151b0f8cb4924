"""Writes one self-contained HTML page of all results: outcomes, curves, samples, scores, speed.

python -m benchmarks report --out=runs/report.html
"""

import dataclasses
import html
import pathlib
import re
import statistics

from benchmarks.reproduction import claims
from benchmarks.reproduction.claims import rules
from zoo import cli, lazy
from zoo.settings import Checked, setting

np = lazy.module("numpy")
tables = lazy.module("benchmarks.tables")
quality_tables = lazy.module("benchmarks.reproduction.quality_tables")
speed_tables = lazy.module("benchmarks.speed.tables")
runner = lazy.module("benchmarks.reproduction.claims.runner")
images = lazy.module("kerasgan.images")
report = lazy.module("kerasgan.report")
image_files = lazy.module("kerasgan.datasets.image_files")
files = lazy.module("kerasgan.io.files")

RESULTS = pathlib.Path(__file__).parent / "results" / "claims"
STYLE = """
<style>.outcome { font-size: .8rem; font-weight: 600; border-radius: 6px; padding: 2px 9px;
margin-left: 8px;
  color: #fff; background: var(--c5); white-space: nowrap; } .outcome.holds { background: var(--c2);
      }
.outcome.does { background: var(--c1); } .outcome.answered { background: var(--c0); }
@media (prefers-color-scheme: dark) { .outcome { color: #12161c; } } .wide { overflow-x: auto; }
td code { font-size: .82rem; } .card h3 { font-size: .95rem; margin: 18px 0 6px; }
.card > table th { white-space: nowrap; overflow-wrap: normal; }</style>
"""
MAX_CURVES = 14  # In one chart.


def body(results: pathlib.Path = RESULTS) -> str:
    """Return the content of the page."""
    states, noted = runner.states(results), claims.noted()
    done = {name: state.result for name, state in states.items() if state.result}
    counts = {
        outcome: sum(r["outcome"] == outcome for r in done.values()) for outcome in runner.OUTCOMES
    }
    facts = [(f"of {len(states)} claims tested", len(done)), *counts.items()]
    tiles = "".join(f"<div><b>{count}</b><span>{_text(name)}</span></div>" for name, count in facts)
    lead = (
        "All scores and claims of the training notes, and all speed measurements, from the result "
        "files in benchmarks/results."
    )
    parts = [STYLE, f"<header><h1>Benchmarks</h1><p class=lead>{lead}</p></header>"]
    parts.append(f'<div class="facts">{tiles}</div>')
    parts += [
        claim(name, noted[name], result, results / "pictures") for name, result in done.items()
    ]
    rest = "".join(
        f"<tr><th>{name}</th><td>{_text(noted[name]['claim'])}</td>"
        f"<td>{_text(state.broken or state.needs())}</td></tr>"
        for name, state in states.items()
        if not state.result
    )
    parts.append(
        card(
            "Claims not tested yet",
            f'<div class="wide"><table>{rest}</table></div>' if rest else "",
        )
    )
    parts.append(card("Scores", table(tables.noted())))
    parts.append(card("Orderings of the training notes on small runs", table(tables.ladder())))
    parts.append(card("Speed", table(speed_tables.speed())))
    parts.append(card("Step time at several sizes", table(speed_tables.scaling())))
    parts.append(
        card("Conditional MNIST GAN, presets with several seeds", table(quality_tables.scores()))
    )
    parts.append(card("HDGAN on synthetic birds", table(quality_tables.birds())))
    parts.append(card("CoopNet on digits", table(quality_tables.coopnet())))
    parts.append(card("Provoked explosions of CoopNet", table(quality_tables.explosions())))
    parts.append(
        card("StylEx and the attributes of its classifier", table(quality_tables.stylex()))
    )
    return "\n".join(part for part in parts if part)


def claim(name: str, noted: dict, result: dict, pictures: pathlib.Path) -> str:
    """Return the card of a claim: outcome, finding, curves, measures and samples of each variant.

    Args:
        name: Id of the claim.
        noted: Row of noted_claims.csv.
        result: Result of the claim.
        pictures: Folder of the samples.
    """
    outcome = (
        f'<span class="outcome {result["outcome"].split()[0]}">{_text(result["outcome"])}</span>'
    )
    parts = [f"<p class=say><b>{_text(noted['claim'])}</b>{outcome}</p>"]
    parts.append(f"<p class=say>{_text(result['finding'])}</p>")
    facts = {
        "Rule": result["rule"],
        "Experiment": result["description"],
        "Seeds": result["seeds"],
        "Command": result["command"],
    }
    parts.append(
        "<table>"
        + "".join(f"<tr><th>{n}</th><td>{_text(v)}</td></tr>" for n, v in facts.items())
        + "</table>"
    )
    charts = []
    for measure in result["measures"]:
        curves = {
            variant: _curve(found["runs"], measure)
            for variant, found in list(result["variants"].items())[:MAX_CURVES]
        }
        curves = {variant: points for variant, points in curves.items() if len(points) > 1}
        if curves:
            charts.append(
                f"<div><h3>{_text(measure.replace('_', ' '))}, by "
                f"epoch</h3>{report.chart(curves)}</div>"
            )
    parts.append(f'<div class="curves">{"".join(charts)}</div>' if charts else "")
    parts.append(_numbers(result["variants"], result["measures"]))
    parts.append(_samples(result["variants"], pictures))
    return card(name, *parts)


def _curve(runs, measure):
    """Mean of a measure over the seeds, at the epochs that all runs have."""
    rows = [[row for row in run.get("curve", []) if row.get(measure) is not None] for run in runs]
    of_run = [{row["epoch"]: row[measure] for row in known} for known in rows]
    common = sorted(set.intersection(*map(set, of_run)))
    return [(epoch, statistics.mean(values[epoch] for values in of_run)) for epoch in common]


def _numbers(variants, measures):
    """Table of the measures, mean ± deviation over seeds, and of the settings that differ."""
    shared = set.intersection(
        *({*map(str, found["settings"].items())} for found in variants.values())
    )
    head = "".join(f"<th class=n>{_text(measure.replace('_', ' '))}</th>" for measure in measures)
    rows = []
    for name, found in variants.items():
        own = {k: v for k, v in found["settings"].items() if str((k, v)) not in shared}
        cells = [", ".join(f"{k} {v}" for k, v in own.items())]
        numbers = [[run["measures"].get(measure) for run in found["runs"]] for measure in measures]
        cells = f"<td>{_text(cells[0])}</td>" + "".join(
            f"<td class=n>{'' if None in values else rules.mean_and_deviation(values)}</td>"
            for values in numbers
        )
        minutes = statistics.mean(run["seconds"] for run in found["runs"]) / 60
        rows.append(f"<tr><th>{_text(name)}</th>{cells}<td class=n>{minutes:.1f}</td></tr>")
    head = f"<tr><th>variant</th><th>own settings</th>{head}<th class=n>minutes per run</th></tr>"
    content = f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'
    return f"<h3>Measures, mean ± deviation over seeds</h3>{content}"


def _samples(variants, pictures):
    figures = []
    for name, found in variants.items():
        path = pictures / f"{found['runs'][0]['key']}.png"
        if path.exists():
            with image_files.stored_image(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            uri, (height, width) = images.png_data_uri(pixels), pixels.shape[:2]
            figures.append(
                f'<figure><img class="pixels" width="{width}" height="{height}" src="{uri}" '
                f'alt="{_text(name)}">'
                f"<figcaption>{_text(name)}</figcaption></figure>"
            )
    return (
        f'<h3>Samples of seed 0</h3><div class="strip">{"".join(figures)}</div>' if figures else ""
    )


def card(title: str, *contents: str) -> str:
    """Return a section of the page, empty if it has no content."""
    inside = "".join(contents)
    return f'<section class="card"><h2>{_text(title)}</h2>{inside}</section>' if inside else ""


def table(markdown: str) -> str:
    """Convert Markdown tables, and the lines between them, to HTML."""
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


def write(path: str | pathlib.Path, results: str | pathlib.Path = RESULTS) -> pathlib.Path:
    """Write the page and return its path.

    Raises:
        ValueError: If the folder does not exist.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"The folder of --out does not exist: {path}")
    files.write_atomically(path, report.page("kerasgan: benchmarks", body(pathlib.Path(results))))
    return path


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    out: str = setting("runs/report.html", "File of the report.")


def command(options: Options) -> None:
    """Writes the report."""
    pathlib.Path("runs").mkdir(exist_ok=True)
    print(f"Report: {write(options.out)}")


def main() -> None:
    cli.main("benchmarks report", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
