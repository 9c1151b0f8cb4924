"""Creates the tables of README.md, docs/ and benchmarks/README.md from the result files.

python -m benchmarks tables            writes the tables between their markers
python -m benchmarks tables --check    checks that the tables are up to date, without changes
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

from benchmarks.reproduction import (
    claims as experiments,
    noted_scores as reported,
    quality_tables,
    scores as reproduced,
)
from benchmarks.reproduction.claims.rules import OPEN
from benchmarks.speed import tables as speed_tables
from zoo import cli, lazy
from zoo.settings import Checked, setting

claim_page = lazy.module("benchmarks.claim_page")
files = lazy.module("kerasgan.io.files")
runner = lazy.module("benchmarks.reproduction.claims.runner")
small_scale = lazy.module("benchmarks.reproduction.small_scale")

README = pathlib.Path(__file__).parents[1] / "README.md"
DOCS = pathlib.Path(__file__).parents[1] / "docs"
SUITE = pathlib.Path(__file__).parent / "README.md"


# === Reproduction ===


def claims() -> str:
    """Return the table of all claims, with the outcome or the time that the runs take."""
    states, noted = runner.states(), experiments.noted()
    results = [state.result for state in states.values() if state.result]
    lines = ["| id | claim of the training notes | outcome | finding |", "|---|---|---|---|"]
    for name, state in states.items():
        outcome, finding = f"**{state.outcome}**", state.finding() or state.needs()
        if state.result:
            outcome, finding = f"**{state.result['outcome']}**", state.result["finding"]
        cells = map(_cell, (f"`{name}`", noted[name]["claim"], outcome, finding))
        lines.append("| " + " | ".join(cells) + " |")
    counts = {outcome: sum(r["outcome"] == outcome for r in results) for outcome in runner.OUTCOMES}
    parts = ", ".join(f'{count} "{outcome}"' for outcome, count in counts.items() if count)
    text = f"\n{len(results)} of {len(states)} claims have been tested"
    text += f": {parts}." if parts else "."
    open_ones = len(states) - len(results) + counts[OPEN]
    waiting = len(states) - len(results)
    text += (
        f" Of all claims, {len(states) - open_ones} are decided or answered and {open_ones} are "
        f"not decided; the experiments of {waiting} have not run."
    )
    if results:
        runs = {
            run["key"]: run
            for result in results
            for variant in result["variants"].values()
            for run in variant["runs"]
        }
        machines = {
            f"{run['machine']['cores']} cores of {run['machine']['cpu']}" for run in runs.values()
        }
        hours = sum(run["seconds"] for run in runs.values()) / 3600
        names = ", ".join(sorted(machines))
        text += f" They took {len(runs)} runs and {hours:.1f} hours on {names}."
    lines.append(text + " Command of a claim: `python -m benchmarks claims ID`.")
    return "\n".join(lines)


def notes() -> str:
    """Return the claims grouped by system, with plots and advice; see `claim_page`."""
    return claim_page.page()


def noted() -> str:
    """Return the table of all reported scores, with reproduced scores and small runs."""
    records = reproduced.read()
    lines = [
        "| id | run, epoch | reported IS | reproduced IS | small run: attribute accuracy "
        "| small run: Fréchet distance |",
        "|---|---|---|---|---|---|",
    ]
    for row in reported.rows().values():
        mode = "training" if row.training_mode else "inference"
        full, small = (
            records.get(row.id, {}).get(f"{scale}, {mode} mode", {}).get("runs")
            for scale in ("full", "small")
        )
        value = row.reported()
        cells = [
            f"`{row.id}`",
            row.run if row.status == "reference" else f"{row.run}, {row.epoch}",
            f"~~{value}~~" if row.status == "withdrawn" else value,
            reproduced.summary(full, ("is_mean",)) if full else "",
        ]
        cells += [
            reproduced.summary(small, (name,)) if small else "" for name in small_scale.SCORES
        ]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    lines.append(
        "\nCommand of a row: `python -m benchmarks scores ID`, with `--scale=small` for the small "
        "run."
    )
    return "\n".join(lines)


def ladder() -> str:
    """Return the table of the orderings of the training notes on small runs."""
    found = small_scale.orderings(reproduced.read())
    lines = ["| better in the training notes | outcome | finding |", "|---|---|---|"]
    for name in small_scale.ORDERINGS:
        outcome, finding = found.get(name, ("not run", ""))
        lines.append(f"| {name} | {outcome} | {finding} |")
    return "\n".join(lines)


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


# === Pages ===

TABLES = {
    function.__name__: function
    for function in (
        quality_tables.models,
        quality_tables.scores,
        quality_tables.birds,
        quality_tables.coopnet,
        quality_tables.stylex,
        quality_tables.augmentation,
        quality_tables.precision,
        quality_tables.explosions,
        speed_tables.speed_summary,
        speed_tables.speed,
        speed_tables.scaling,
        speed_tables.gpu,
        claims,
        notes,
        noted,
        ladder,
        speed_tables.devices,
        speed_tables.devices_speed,
        speed_tables.backends,
        speed_tables.sampling,
        speed_tables.score_memory,
        speed_tables.step_memory,
        speed_tables.speed_torch,
    )
}
PAGES = {
    README: ("models",),
    DOCS / "models" / "conditional_gan.md": ("scores",),
    DOCS / "models" / "hdgan.md": ("birds",),
    DOCS / "models" / "coopnet.md": ("coopnet",),
    DOCS / "models" / "stylex.md": ("stylex",),
    DOCS / "guides" / "explain_a_classifier.md": ("augmentation",),
    DOCS / "guides" / "several_devices.md": ("devices", "devices_speed"),
    DOCS / "performance.md": (
        "speed_summary",
        "speed",
        "scaling",
        "score_memory",
        "step_memory",
        "backends",
        "precision",
        "speed_torch",
        "sampling",
        "gpu",
    ),
    DOCS / "reproduction" / "claims.md": ("notes",),
    DOCS / "reproduction" / "results.md": ("claims", "noted", "ladder", "explosions"),
    SUITE: ("claims", "noted", "ladder", "explosions", "speed", "scaling"),
}


def filled(text: str, names: Sequence[str] = PAGES[README]) -> str:
    """Return a page with every table between `<!-- table: name -->` and `<!-- end -->` renewed.

    Raises:
        ValueError: If a marker is missing.
    """
    for name in names:
        found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
        if found is None:
            raise ValueError(f"The page has no marker <!-- table: {name} -->.")
        text = f"{text[: found.start(1)]}{TABLES[name]()}\n{text[found.end(1) :]}"
    return text


def pages() -> dict[pathlib.Path, str]:
    """Return all generated files: path -> content."""
    return {
        page: filled(page.read_text(), names) for page, names in PAGES.items()
    } | claim_page.plots()


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    check: bool = setting(False, "Check that the tables are up to date, without changes.")


def command(options: Options) -> None:
    """Writes or checks all generated files."""
    for page, text in pages().items():
        if not options.check:
            files.make_folder(page.parent)
            files.write_atomically(page, text)
        elif not page.exists() or page.read_text() != text:
            raise ValueError(f"{page} is out of date. Run: python -m benchmarks tables")


def main() -> None:
    cli.main("benchmarks tables", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
