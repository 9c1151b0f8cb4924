"""The README's tables, made from the result files.

    python -m benchmarks.tables            writes them between their markers in README.md
    python -m benchmarks.tables --check    says whether they are up to date, and changes nothing
"""

import json
import pathlib
import re

from absl import flags

from benchmarks import quality
from benchmarks import speed as speed_cases
from zoo import recipe

README = pathlib.Path(__file__).parents[1] / "README.md"


def scores():
    """Mean ± standard deviation over the seeds, a row a preset."""
    records = json.loads((quality.RESULTS / "mnist_gan.json").read_text())
    columns = {
        "label_accuracy": ("label accuracy", "{:.1%}", "{:.1%}"),
        "classes_covered": ("classes", "{:.0f}", "{:.0f}"),
        "intra_class_diversity": ("diversity", "{:.2f}", "{:.2f}"),
        "digit_frechet_distance": ("Fréchet distance", "{:.1f}", "{:.1f}"),
        "digit_frechet_ratio": ("× floor", "{:.2f}", "{:.2f}"),
    }
    lines = [
        " | ".join(["| preset", "seeds", "epochs", *(title for title, *_ in columns.values()), "minutes", "memory |"]),
        "|---" * (len(columns) + 5) + "|",
    ]
    for preset, found in quality.summary(records).items():
        runs = [r for r in records if r["preset"] == preset]
        cells = [f"`{preset}`", str(len(runs)), str(runs[0]["settings"]["epochs"])]
        for name, (_, mean, deviation) in columns.items():
            spread = f" ± {deviation.format(found[name][1])}" if len(runs) > 1 else ""
            cells.append(mean.format(found[name][0]) + spread)
        cells += [f"{found['seconds'][0] / 60:.0f}", f"{found['peak_memory_mib'][0] / 1024:.1f} GiB"]
        lines.append("| " + " | ".join(cells) + " |")
    collapsed = [f"`{r['preset']}` with seed {r['seed']}" for r in records if r["scores"]["classes_covered"] < 10]
    if collapsed:
        lines.append(f"\nCollapsed, and counted above: {', '.join(collapsed)}.")
    floor = records[0]["scores"]["digit_frechet_floor"]
    judge = records[0]["protocol"]["judge_test_accuracy"]
    machine = records[0]["machine"]
    versions = records[0]["versions"]
    lines.append(
        f"\n10,000 samples (Fréchet: 1,000 against the 4,000 training digits; floor {floor:.2f}: the 1,000 test digits "
        f"against the same), by a digit judge that is right on {judge:.1%} of those test digits; "
        f"{machine['cores']} cores of {machine['cpu']}, Keras {versions['keras']} on "
        f"{versions['backend']}; other jobs ran beside some of these, so minutes are upper bounds. "
        "Command: `python -m benchmarks.quality`, with `--presets=quick` for that row."
    )
    return "\n".join(lines)


def speed():
    """Medians of both sides, alternating in one run, a row a case."""
    records = json.loads((quality.RESULTS / "speed.json").read_text())
    lines = ["| case | peer | kerasgan | times faster | peak memory |", "|---|---|---|---|---|"]
    for case, record in records.items():
        peer = next(iter(record["contestants"]))
        theirs, ours = record["contestants"][peer], record["contestants"]["kerasgan"]
        ratio = record["ratios"][f"{peer} / kerasgan"]
        lines.append(
            f"| `{case}` | {PEERS.get(peer, peer)} {theirs['median_ms']:.0f} ms | {ours['median_ms']:.0f} ms "
            f"| {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) "
            f"| {theirs['peak_mib']:.0f} and {ours['peak_mib']:.0f} MiB |"
        )
    record = next(iter(records.values()))
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records.values()))
    lines.append(
        f"\nBatch {speed_cases.BATCH_SIZE}, HDGAN {speed_cases.HDGAN_BATCH_SIZE} (full width, three sizes), "
        f"Inception {speed_cases.INCEPTION_IMAGES}; "
        f"{record['settings']['threads']} threads each, medians of the steps and of the blocks' ratios, "
        f"{record['machine']['cpu']}. Commands: {commands}."
    )
    return "\n".join(lines)


PEERS = {"torch": "PyTorch, eager,"}
TABLES = {"scores": scores, "speed": speed}


def filled(text):
    """The README's text with every table between `<!-- table: name -->` and `<!-- end -->` made anew."""
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md must have the marker <!-- table: {name} -->; it has not")
        text = pattern.sub(lambda match, table=table: match[1] + table() + "\n" + match[2], text)
    return text


def shell(arguments):
    text = README.read_text()
    if flags.FLAGS.check:
        if filled(text) != text:
            raise ValueError("README.md must hold the tables of benchmarks/results; run python -m benchmarks.tables")
    else:
        README.write_text(filled(text))


if __name__ == "__main__":
    flags.DEFINE_bool("check", False, "say whether README.md is up to date")
    recipe.start(shell)
