"""The page "What the training notes got right": one plot and one sentence per claim.

`python -m benchmarks.tables` writes the page and its plots from the result files. The sentences are
in reproduction/advice.csv, each with the outcome that it was written for: `advice` rejects a
sentence whose claim has another outcome by now.
"""

import csv
import html
import math
import pathlib
import statistics

from benchmarks.reproduction import claims as experiments
from benchmarks.reproduction.claims import rules, runner

ADVICE = pathlib.Path(__file__).parent / "reproduction" / "advice.csv"
PLOTS = pathlib.Path(__file__).parents[1] / "docs" / "reproduction" / "plots"
SYSTEMS = {
    "coopnet": "CoopNet",
    "hdgan": "HDGAN",
    "mnist_gan": "Conditional MNIST GAN",
    "stylex": "StylEx",
    "metrics": "GANs in general, and their metrics",
    "vae": "Conditional VAE",
    "flow": "Normalizing flow",
}
WIDTH, ROW, LEFT = 640, 22, 300  # Pixels of a plot.
INK, DOT = "#80868b", "#3f6fd1"


def advice(states: dict[str, runner.State]) -> dict[str, str]:
    """Read the sentences: id -> sentence.

    Raises:
        ValueError: If a claim has no sentence, or one for another outcome.
    """
    with open(ADVICE, newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for name, state in states.items():
        written = rows.get(name, {}).get("outcome")
        if written != state.outcome:
            raise ValueError(
                f"{ADVICE.name} has a sentence for {name} with the outcome {written!r}; the "
                f"result is {state.outcome!r}"
            )
    return {name: row["advice"] for name, row in rows.items()}


def values(result: dict, claim: experiments.Claim) -> tuple[str, dict[str, list[float]]]:
    """Return the first measure of a claim's rule and its values: label -> values of the seeds."""
    for measure in result["measures"]:
        found = {}
        for name, part in result["variants"].items():
            try:
                label = claim.labels.get(name, name)
                found[label] = [rules.number(run, measure) for run in part["runs"]]
            except ValueError:
                continue
        if found:
            return measure, found
    return "", {}


def plot(result: dict, claim: experiments.Claim) -> str:
    """Return an SVG with one row per variant: a dot per seed and a line at the mean."""
    measure, found = values(result, claim)
    every = [value for part in found.values() for value in part]
    log = bool(every) and min(every) > 0 and max(every) > 8 * min(every)
    scale = math.log10 if log else float
    low, high = (scale(end(every)) for end in (min, max))
    pad = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad

    def x(value):
        return LEFT + (scale(value) - low) / (high - low) * (WIDTH - LEFT - 20)

    height = ROW * len(found) + 42
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">'
    ]
    for row, (label, numbers) in enumerate(found.items()):
        y = ROW * row + 16
        text = label if len(label) < 48 else label[:46] + "…"
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{_text(text)}</text>')
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y}" y2="{y}" stroke="{INK}" '
            'stroke-opacity="0.25"/>'
        )
        parts += [
            f'<circle cx="{x(value):.1f}" cy="{y}" r="4" fill="{DOT}" fill-opacity="0.6"/>'
            for value in numbers
        ]
        mean = x(
            math.exp(statistics.mean(map(math.log, numbers))) if log else statistics.mean(numbers)
        )
        parts.append(
            f'<line x1="{mean:.1f}" x2="{mean:.1f}" y1="{y - 8}" y2="{y + 8}" stroke="{DOT}" '
            'stroke-width="2"/>'
        )
    y = ROW * len(found) + 18
    for end, anchor in ((min(every), "start"), (max(every), "end")):
        number = rules.significant(end, 3)
        parts.append(f'<text x="{x(end):.1f}" y="{y}" text-anchor="{anchor}">{number}</text>')
    name = rules.PHRASES.get(measure.partition("@")[0], measure.replace("_", " "))
    name += ", logarithmic" if log else ""
    parts.append(f'<text x="{LEFT}" y="{y + 17}">{_text(name)}</text></svg>')
    return "\n".join(parts) + "\n"


def plots() -> dict[pathlib.Path, str]:
    """Return the plots of all claims with results: path -> SVG."""
    return {
        PLOTS / f"{name}.svg": plot(state.result, state.claim)
        for name, state in runner.states().items()
        if state.result and state.claim
    }


def page() -> str:
    """Return the claims grouped by system, in Markdown."""
    states, noted = runner.states(), experiments.noted()
    sentences = advice(states)
    parts = [_counts(states, noted)]
    for system, title in SYSTEMS.items():
        parts.append(f"## {title}")
        for name, state in states.items():
            if noted[name]["system"] != system:
                continue
            claim = noted[name]["claim"].rstrip(".")
            parts.append(f"### {claim}\n\n**{state.outcome.capitalize()}.** {sentences[name]}")
            if state.result:
                phrase = _text(f"{state.outcome}: {claim}")
                parts.append(f"![{phrase}](plots/{name}.svg){{ loading=lazy }}")
            parts.append(f"Measured (`{name}`): {state.finding()}")
    return "\n\n".join(parts)


def _counts(states, noted):
    outcomes = runner.OUTCOMES
    lines = [
        f"| system | {' | '.join(outcomes)} |",
        "|---|" + "---|" * len(outcomes),
    ]
    for system, title in [*SYSTEMS.items(), ("", "**all**")]:
        of_system = [
            s.outcome for n, s in states.items() if noted[n]["system"] == system or not system
        ]
        counts = " | ".join(str(of_system.count(outcome) or "") for outcome in outcomes)
        lines.append(f"| {title} | {counts} |")
    return "\n".join(lines)


def _text(value):
    return html.escape(str(value), quote=True)
