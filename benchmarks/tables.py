"""The tables of README.md and benchmarks/README.md, made from the result files.

python -m benchmarks.tables            writes them between their markers in both
python -m benchmarks.tables --check    says whether they are up to date, and changes nothing
"""

import json
import pathlib
import re

from absl import flags

from benchmarks import (
    attributes as found_attributes,
    claims as experiments,
    explosions as explosion_runs,
    quality,
    scores as noted_scores,
    speed as speed_cases,
)
from benchmarks.claims import runner
from kerasgan.io import files
from kerasgan.report.attributes import WAYS
from zoo import recipe

README = pathlib.Path(__file__).parents[1] / "README.md"
SUITE = pathlib.Path(__file__).parent / "README.md"


def scores():
    """The MNIST GAN's presets over their seeds."""
    percent, count, number = "{:.1%}", "{:.0f}", "{:.2f}"
    columns = {
        "label_accuracy": ("label accuracy", percent),
        "classes_covered": ("classes", count),
        "intra_class_diversity": ("diversity", number),
        "digit_frechet_distance": ("Fréchet distance", "{:.1f}"),
        "digit_frechet_ratio": ("× floor", number),
    }
    records = quality.read("mnist_gan")
    lines = [quality_table("mnist_gan", columns)]
    collapsed = [
        f"`{r['preset']}` with seed {r['seed']}"
        for r in records
        if r["scores"]["classes_covered"] < 10
    ]
    if collapsed:
        lines.append(f"\nCollapsed, and counted above: {', '.join(collapsed)}.")
    lines.append(
        f"\n10,000 samples (Fréchet: 1,000 against the 4,000 training digits; floor "
        f"{records[0]['scores']['digit_frechet_floor']:.2f}: the 1,000 test digits against the same), by a digit judge "
        f"that is right on {records[0]['protocol']['judge_test_accuracy']:.1%} of those test digits; "
        f"{_where(records)}; other jobs ran beside some of these, so minutes are upper bounds. "
        "Command: `python -m benchmarks.quality`, with `--presets=quick` for that row."
    )
    return "\n".join(lines)


def birds():
    """HDGAN on drawn birds: each recipe's long run."""
    percent, number = "{:.1%}", "{:.1f}"
    columns = {
        "attribute_accuracy": ("attribute accuracy", percent),
        "attribute_chance": ("chance", percent),
        "attribute_accuracy_data": ("the birds themselves", percent),
        "bird_frechet_distance": ("Fréchet distance", number),
        "bird_frechet_ratio": ("× floor", number),
    }
    names = [name for name in ("birds_64", "birds_256") if quality.read(name)]
    if not names:
        return "Not run yet."
    lines = [f"\n`zoo.{name}`:\n\n{quality_table(name, columns)}" for name in names]
    samples = quality.read(names[-1])[0]["protocol"]["samples"]  # of the most sizes
    lines.append(
        f"\nCaptions of 50 species that were not trained on; {samples}; by the package's judge of birds' attributes; "
        f"{_where(quality.read(names[0]))}. Command: `python -m benchmarks.quality {' '.join(names)}`."
    )
    return "\n".join(lines)[1:]


def coopnet():
    """CoopNet on digits, by its generator and by its descriptor."""
    number = "{:.1f}"
    columns = {
        "generator_classes_covered": ("the generator's classes", "{:.0f}"),
        "generator_digit_frechet_distance": ("Fréchet distance", number),
        "generator_digit_frechet_ratio": ("× floor", number),
        "descriptor_classes_covered": ("the descriptor's classes", "{:.0f}"),
        "descriptor_digit_frechet_distance": ("Fréchet distance", number),
        "descriptor_digit_frechet_ratio": ("× floor", number),
    }
    if not (found := quality.read("coopnet")):
        return "Not run yet."
    return (
        f"{quality_table('coopnet', columns)}\n\nBy the digit judge, as above; {_where(found)}; other jobs may have "
        "run beside, so minutes are upper bounds. Command: `python -m benchmarks.quality coopnet`."
    )


def stylex():
    """How StylEx draws held-out images again, and how many of them the attributes of its classifier flip."""
    columns = {
        "classifier_accuracy": ("the classifier is right on", "{:.1%}"),
        "heldout_agreement": ("it sees the same in the drawings of", "{:.1%}"),
        "heldout_pixel": ("mean difference of a pixel, of 1", "{:.3f}"),
        "sample_agreement": ("samples of latents that it takes for their class", "{:.1%}"),
        "sample_diversity": ("their diversity, of the images'", "{:.0%}"),
    }
    if not (found := quality.read("stylex")):
        return "Not run yet."
    lines = [quality_table("stylex", columns)]
    if found_attributes.RECORD.exists():
        record = json.loads(found_attributes.RECORD.read_text())
        most = max(len(row["all"]) for row in record["sufficiency"])
        lines += [
            "",
            " | ".join(["| attributes applied", *(str(k) for k in range(1, most + 1))]) + " |",
        ]
        lines.append("|---" * (most + 1) + "|")
        for row in record["sufficiency"]:
            cells = [f"{share:.0%}" for share in row["all"]]
            lines.append(f"| {WAYS[row['strategy']]} | " + " | ".join(cells) + " |")
        lines.append(
            f"\nThe second: how many of {record['sufficiency'][0]['images']} held-out images the classifier then takes "
            f"for something else. Command: `{record['command']}`, kept by `python -m benchmarks.attributes`."
        )
    lines.append(
        f"\nThe first: held-out images; {_where(found)}; other jobs ran beside, so minutes are upper bounds. "
        "Command: `python -m benchmarks.quality stylex`."
    )
    return "\n".join(lines)


def explosions():
    """What was forced on CoopNet, and what came of it, a row a run."""
    records = explosion_runs.read()
    if not records:
        return "Not run yet."
    titles = (
        "forced",
        "seed",
        "refused",
        "warned of",
        "rolled back",
        "stopped",
        "cause, by the settings",
        "distance",
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for r in sorted(
        records, key=lambda r: (list(explosion_runs.CAUSES).index(r["cause"]), r["seed"])
    ):
        distance = r["scores"].get("generator_digit_frechet_distance")
        told = [
            "yes" if r["refused"] else "no",
            "yes" if r["warned"] else "no",
            str(r["rollbacks"]),
        ]
        named = (r["named"] or "none") + {None: "", True: " (right)", False: " (wrong)"}[
            explosion_runs.right(r)
        ]
        told += [
            "yes" if r["stopped"] else "no",
            named,
            "" if distance is None else f"{distance:.0f}",
        ]
        lines.append("| " + " | ".join([r["cause"], str(r["seed"]), *told]) + " |")
    return "\n".join(lines)


def quality_table(recipe_name, columns):
    """Mean ± standard deviation over the seeds, a row a preset; columns: score -> (title, format)."""
    records = quality.read(recipe_name)
    titles = [title for title, _ in columns.values()]
    lines = [" | ".join(["| preset", "seeds", "epochs", *titles, "minutes", "memory |"])]
    lines.append("|---" * (len(columns) + 5) + "|")
    for preset, found in quality.summary(records).items():
        runs = [r for r in records if r["preset"] == preset]
        cells = [f"`{preset}`", str(len(runs)), str(runs[0]["settings"]["epochs"])]
        for name, (_, form) in columns.items():
            mean, deviation, _ = found[name]
            cells.append(
                form.format(mean) + (f" ± {form.format(deviation)}" if len(runs) > 1 else "")
            )
        cells += [
            f"{found['seconds'][0] / 60:.0f}",
            f"{found['peak_memory_mib'][0] / 1024:.1f} GiB",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _where(records):
    machine, versions = records[0]["machine"], records[0]["versions"]
    return f"{machine['cores']} cores of {machine['cpu']}, Keras {versions['keras']} on {versions['backend']}"


def speed():
    """Medians of both sides, alternating in one run, a row a case."""
    records = speed_cases.read(quality.RESULTS / "speed.json")
    if not records:
        return "Not run yet."
    records = {case: record for case, record in records.items() if case not in speed_cases.SCALES}
    lines = [
        "| case | peer | kerasgan | times faster | peak memory | of the machine's rate |",
        "|---" * 6 + "|",
    ]
    for case, record in records.items():
        peer = next(iter(record["contestants"]))
        theirs, ours = record["contestants"][peer], record["contestants"]["kerasgan"]
        ratio = record["ratios"][f"{peer} / kerasgan"]
        lines.append(
            f"| `{case}` | {PEERS.get(peer, peer)} {theirs['median_ms']:.0f} ms | {ours['median_ms']:.0f} ms "
            f"| {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) "
            f"| {theirs['peak_mib']:.0f} and {ours['peak_mib']:.0f} MiB | {_shares(record)} |"
        )
    record = next(iter(records.values()))
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records.values()))
    lines.append(
        f"\nBatch {speed_cases.BATCH_SIZE}, HDGAN {speed_cases.HDGAN_BATCH_SIZE} (full width, three sizes), CoopNet "
        f"{speed_cases.COOPNET_CHAINS}, StylEx {speed_cases.STYLEX_BATCH_SIZE}, StyleGAN2 "
        f"{speed_cases.STYLEGAN2_BATCH_SIZE}, VAE and flow {speed_cases.DIGITS_BATCH_SIZE}, Inception "
        f"{speed_cases.INCEPTION_IMAGES}; {record['settings']['threads']} threads each (our StylEx: one for each "
        "operation; our HDGAN: one operation at a time), medians of the steps and of the blocks' ratios, "
        f"{_processors(records)}. The machine's rate: the arithmetic of PyTorch's step over its time or ours, over the "
        f"rate of a product of two matrices of 2,048 x 2,048. Commands: {commands}."
    )
    return "\n".join(lines)


def _shares(record):
    """What part of the machine's rate of products each side uses, where that was measured."""
    share = record.get("arithmetic", {}).get("share")
    return f"{share['torch']:.0%} and {share['kerasgan']:.0%}" if share else ""


def scaling():
    """What our steps cost at several sizes, a row a case."""
    records = speed_cases.read(quality.RESULTS / "speed.json")
    records = {case: record for case, record in records.items() if case in speed_cases.SCALES}
    if not records:
        return "Not run yet."
    lines = [
        "| case | size | median of a step | time grows as size to the power of |",
        "|---|---|---|---|",
    ]
    for case, record in records.items():
        times = [
            f"{size}: {measured['median_ms']:.0f} ms"
            for size, measured in record["contestants"].items()
        ]
        lines.append(
            f"| `{case}` | {record['sizes']} | {', '.join(times)} | {record['exponent']:.2f} |"
        )
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records.values()))
    lines.append(f"\nOurs alone, {_processors(records)}. Commands: {commands}.")
    return "\n".join(lines)


def _processors(records):
    """The processor that the cases ran on; where not all on one, the cases of each."""
    cases = {}
    for case, record in records.items():
        cases.setdefault(record["machine"]["cpu"], []).append(f"`{case}`")
    return "; ".join(
        cpu if len(cases) == 1 else f"{cpu}: {', '.join(names)}" for cpu, names in cases.items()
    )


PEERS = {"torch": "PyTorch, eager,", "100 Langevin steps": "itself at 100 Langevin steps, not 10,"}


def claims():
    """Every noted claim with its verdict, or with the time that its runs take."""
    states, noted = runner.states(), experiments.noted()
    results = [state.result for state in states.values() if state.result]
    lines = ["| claim | noted | verdict | found | command |", "|---|---|---|---|---|"]
    for name, state in states.items():
        verdict, found = (
            (state.result["verdict"], state.result["finding"])
            if state.result
            else ("", state.needs())
        )
        cells = [
            f"`{name}`",
            noted[name]["claim"],
            f"**{verdict}**" if verdict else "not run",
            found,
        ]
        lines.append(
            "| " + " | ".join([*map(_cell, cells), f"`python -m benchmarks claims {name}` |"])
        )
    counts = {verdict: sum(r["verdict"] == verdict for r in results) for verdict in runner.VERDICTS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    lines.append(
        f"\n{len(results)} of {len(states)} have been run" + (f": {told}." if told else ".")
    )
    if results:
        runs = {
            run["key"]: run
            for result in results
            for arm in result["arms"].values()
            for run in arm["runs"]
        }
        machines = {
            f"{run['machine']['cores']} cores of {run['machine']['cpu']}" for run in runs.values()
        }
        hours = sum(run["seconds"] for run in runs.values()) / 3600
        lines[-1] += f" {len(runs)} runs, {hours:.1f} hours on {', '.join(sorted(machines))}."
    return "\n".join(lines)


def noted():
    """Every noted score, beside what was reproduced of it, and of the drawn ladder in columns of its own."""
    records = noted_scores.read()
    lines = [
        "| score | run, epoch | IS, noted | IS, reproduced | drawn birds: attribute accuracy | Fréchet distance "
        "| command |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in noted_scores.rows().values():
        mode = "training" if row.status == "withdrawn" else "inference"
        ours, drawn = (
            records.get(row.id, {}).get(f"{s}, {mode} mode", {}).get("runs")
            for s in ("noted", "drawn")
        )
        value, command = noted_scores.noted(row), f"`python -m benchmarks scores {row.id}`"
        cells = [
            f"`{row.id}`",
            f"{row.run}, {row.epoch}",
            f"~~{value}~~" if row.status == "withdrawn" else value,
        ]
        if row.status == "reference":
            cells, command = [f"`{row.id}`", row.run, value], ""
        cells.append(noted_scores.summary(ours, ("is_mean",)) if ours else "")
        cells += [
            noted_scores.summary(drawn, (name,)) if drawn else ""
            for name in noted_scores.DRAWN_SCORES
        ]
        lines.append("| " + " | ".join([*map(_cell, cells), f"{command} |"]))
    return "\n".join(lines)


def ladder():
    """What the drawn ladder says of the noted orderings."""
    found = noted_scores.orderings(noted_scores.read())
    lines = ["| noted: better | on drawn birds | bird Fréchet distance |", "|---|---|---|"]
    for name in noted_scores.ORDERINGS:
        verdict, finding = found.get(name, ("not run", ""))
        lines.append(f"| {name} | {verdict} | {finding.partition(': ')[2]} |")
    return "\n".join(lines)


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


TABLES = {
    function.__name__: function
    for function in (
        scores,
        birds,
        coopnet,
        stylex,
        explosions,
        speed,
        scaling,
        claims,
        noted,
        ladder,
    )
}
PAGES = {
    README: ("scores", "speed", "birds", "coopnet", "stylex"),
    SUITE: ("claims", "noted", "ladder", "explosions", "speed", "scaling"),
}


def filled(text, names=PAGES[README]):
    """A page's text with every table between `<!-- table: name -->` and `<!-- end -->` made anew."""
    for name in names:
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the page must have the marker <!-- table: {name} -->; it has not")
        text = pattern.sub(
            lambda match, table=TABLES[name]: match[1] + table() + "\n" + match[2], text
        )
    return text


def shell(arguments):
    for page, names in PAGES.items():
        text = page.read_text()
        if not flags.FLAGS.check:
            files.write_atomically(page, filled(text, names))
        elif filled(text, names) != text:
            raise ValueError(
                f"{page} must hold the tables of benchmarks/results; run python -m benchmarks.tables"
            )


if __name__ == "__main__":
    flags.DEFINE_bool("check", False, "say whether the pages are up to date")
    recipe.start(shell)
