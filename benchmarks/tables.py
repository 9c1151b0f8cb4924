"""Creates the tables of README.md, docs/ and benchmarks/README.md from the result files.

python -m benchmarks tables            writes the tables between their markers
python -m benchmarks tables --check    checks that the tables are up to date, without changes
"""

import dataclasses
import json
import pathlib
import re
import statistics
from collections.abc import Sequence

from benchmarks.reproduction import (
    attributes as attribute_records,
    augmentation as augmentation_records,
    claims as experiments,
    explosions as explosion_records,
    noted_scores as reported,
    quality,
    scores as reproduced,
)
from benchmarks.reproduction.claims.rules import OPEN
from benchmarks.speed import tables as speed_tables
from benchmarks.speed.tables import NOT_RUN
from zoo import cli, lazy
from zoo.settings import Checked, setting

claim_page = lazy.module("benchmarks.claim_page")
files = lazy.module("kerasgan.io.files")
attribute_pages = lazy.module("kerasgan.report.attributes")
runner = lazy.module("benchmarks.reproduction.claims.runner")
small_scale = lazy.module("benchmarks.reproduction.small_scale")
suite = lazy.module("benchmarks.speed.suite")
on_gpu = lazy.module("benchmarks.speed.gpu")

README = pathlib.Path(__file__).parents[1] / "README.md"
DOCS = pathlib.Path(__file__).parents[1] / "docs"
RESULTS = pathlib.Path(__file__).parent / "results"
SUITE = pathlib.Path(__file__).parent / "README.md"
# Rows of the README's table of models: class, module, arXiv number, data of its recipe, preset.
MODELS = (
    (
        "ConditionalGAN",
        "conditional_gan",
        "1802.05637",
        "digits, image folders",
        "mnist_gan_digits",
    ),
    ("MnistGAN", "mnist_gan", "1606.03498", "digits", ""),
    (
        "HDGAN",
        "hdgan",
        "1802.09178",
        "synthetic birds, CUB, flowers, COCO",
        "hdgan_synthetic_birds_256",
    ),
    (
        "ProjectedTextGAN",
        "projected_text_gan",
        "2111.01007",
        "synthetic birds",
        "projected_text_gan_synthetic_birds_256",
    ),
    ("CoopNet", "coopnet", "1609.09408", "digits, CIFAR-10, image folders", "coopnet_digits"),
    ("StyleGAN2", "stylegan2", "1912.04958", "digits, image folders", ""),
    ("StylEx", "stylex", "2104.13369", "digits, image folders", "stylex_digits_8_9"),
    ("ConditionalVAE", "conditional_vae", "1312.6114", "digits", ""),
    ("RealNVP", "real_nvp", "1605.08803", "digits", ""),
)
# Model -> recipe, preset of its records, key of the score, text. Without a recipe, the score is in
# the file that `zoo.evaluate` wrote for a shipped preset.
MODEL_SCORES = {
    "ConditionalGAN": ("mnist_gan", "best", "label_accuracy", "{:.1%} label accuracy"),
    "MnistGAN": ("mnist_gan", "corrected", "label_accuracy", "{:.1%} label accuracy"),
    "HDGAN": ("birds_256", "long", "attribute_accuracy", "{:.1%} attribute accuracy"),
    "ProjectedTextGAN": (
        "",
        "projected_text_gan_synthetic_birds_256",
        "attribute_accuracy",
        "{:.1%} attribute accuracy",
    ),
    "CoopNet": ("coopnet", "digits", "generator_classes_covered", "{:.0f} of 10 classes"),
    "StylEx": ("stylex", "digits_8_9", "heldout_agreement", "{:.0%} classifier agreement"),
}


# === Trained models ===


def models() -> str:
    """Return the README's table of models."""
    lines = [
        "| model | paper | data of the recipe | score | preset | docs |",
        "|---|---|---|---|---|---|",
    ]
    for name, module, paper, data, preset in MODELS:
        cells = (
            f"[`{name}`](kerasgan/models/{module}.py)",
            f"[{paper}](https://arxiv.org/abs/{paper})",
            data,
            model_score(name),
            f"`{preset}`" if preset else "",
            f"[page](docs/models/{module}.md)",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def model_score(name: str) -> str:
    """Return the mean score of a model over its recorded seeds, or nothing."""
    if name not in MODEL_SCORES:
        return ""
    recipe_name, preset, key, text = MODEL_SCORES[name]
    if not recipe_name:
        return text.format(json.loads((quality.RESULTS / f"{preset}.json").read_text())[key])
    found = [r["scores"][key] for r in quality.read(recipe_name) if r["preset"] == preset]
    return text.format(sum(found) / len(found))


def scores() -> str:
    """Return the table of the MNIST GAN's presets."""
    percent, count, number = "{:.1%}", "{:.0f}", "{:.2f}"
    columns = {
        "label_accuracy": ("label accuracy", percent),
        "classes_covered": ("classes covered", count),
        "intra_class_diversity": ("relative diversity", number),
        "digit_frechet_distance": ("Fréchet distance", "{:.1f}"),
        "digit_frechet_ratio": ("ratio to floor", number),
    }
    records = quality.read("mnist_gan")
    lines = [quality_table("mnist_gan", columns)]
    collapsed = [
        f"`{r['preset']}` with seed {r['seed']}"
        for r in records
        if r["scores"]["classes_covered"] < 10
    ]
    if collapsed:
        lines.append(f"\nCollapsed runs, included above: {', '.join(collapsed)}.")
    floor = records[0]["scores"]["digit_frechet_floor"]
    accuracy = records[0]["protocol"]["classifier_test_accuracy"]
    lines.append(
        "\nScores of 10,000 samples by the package's digit classifier (test accuracy "
        f"{accuracy:.1%}). The Fréchet distance compares 1,000 samples with the 4,000 training "
        f"digits; the floor, {floor:.2f}, is that of the 1,000 test digits. {_machine(records)}. "
        "Other jobs ran at the same time, so the minutes are upper bounds. Command: `python -m "
        "benchmarks quality`, with `--presets=quick` for that row."
    )
    return "\n".join(lines)


def birds() -> str:
    """Return the tables of HDGAN's long runs on synthetic birds."""
    percent, number = "{:.1%}", "{:.1f}"
    columns = {
        "attribute_accuracy": ("attribute accuracy", percent),
        "attribute_chance": ("chance", percent),
        "attribute_accuracy_data": ("real birds", percent),
        "bird_frechet_distance": ("Fréchet distance", number),
        "bird_frechet_ratio": ("ratio to floor", number),
    }
    names = [name for name in ("birds_64", "birds_256") if quality.read(name)]
    if not names:
        return NOT_RUN
    lines = [f"\n`zoo.{name}`:\n\n{quality_table(name, columns)}" for name in names]
    samples = quality.read(names[-1])[0]["protocol"]["samples"].partition(" pixels")[0]
    lines.append(
        f"\nSamples: {samples} pixels, one per caption, of 50 species that are not in the "
        'training data, by the package\'s bird attribute classifier. "Real birds" are the test '
        f"images of the same captions. {_machine(quality.read(names[0]))}. Command: `python -m "
        f"benchmarks quality {' '.join(names)}`."
    )
    return "\n".join(lines)[1:]


def coopnet() -> str:
    """Return the table of CoopNet on digits."""
    number = "{:.1f}"
    columns = {
        "generator_classes_covered": ("generator: classes covered", "{:.0f}"),
        "generator_digit_frechet_distance": ("Fréchet distance", number),
        "generator_digit_frechet_ratio": ("ratio to floor", number),
        "descriptor_classes_covered": ("descriptor: classes covered", "{:.0f}"),
        "descriptor_digit_frechet_distance": ("Fréchet distance", number),
        "descriptor_digit_frechet_ratio": ("ratio to floor", number),
    }
    if not (found := quality.read("coopnet")):
        return NOT_RUN
    return (
        f"{quality_table('coopnet', columns)}\n\nScores by the package's digit classifier. "
        f"{_machine(found)}. Other jobs may have run at the same time, so the minutes are upper "
        "bounds. Command: `python -m benchmarks quality coopnet`."
    )


def stylex() -> str:
    """Return the tables of StylEx: reconstructions, and sufficiency of the attributes."""
    columns = {
        "classifier_accuracy": ("classifier accuracy", "{:.1%}"),
        "heldout_agreement": ("classifier agreement on reconstructions", "{:.1%}"),
        "heldout_pixel": ("mean pixel error in [0, 1]", "{:.3f}"),
        "sample_agreement": ("classifier agreement on samples", "{:.1%}"),
        "sample_diversity": ("relative diversity of samples", "{:.0%}"),
    }
    if not (found := quality.read("stylex")):
        return NOT_RUN
    lines = [
        quality_table("stylex", columns),
        f"\nMeasured on held-out images. {_machine(found)}. Other jobs ran at the same time, so "
        "the minutes are upper bounds. Command: `python -m benchmarks quality stylex`.",
    ]
    if attribute_records.RECORD.exists():
        record = json.loads(attribute_records.RECORD.read_text())
        most = max(len(row["all"]) for row in record["sufficiency"])
        heads = ["| attributes changed", *(str(k) for k in range(1, most + 1))]
        lines += ["", " | ".join(heads) + " |", "|---" * (most + 1) + "|"]
        for row in record["sufficiency"]:
            cells = [f"{share:.0%}" for share in row["all"]]
            lines.append(
                f"| {attribute_pages.STRATEGIES[row['strategy']]} | " + " | ".join(cells) + " |"
            )
        lines.append(
            f"\nShare of {record['sufficiency'][0]['images']} held-out images whose predicted "
            f"class changes. Command: `{record['command']}`, recorded by `python -m benchmarks "
            "attributes`."
        )
    return "\n".join(lines)


def augmentation() -> str:
    """Return the table of the accuracies of a classifier with and without augmentation."""
    records = augmentation_records.read()
    if not records:
        return NOT_RUN
    names = list(records[0]["accuracy"])
    lines = [
        f"| augmentation | seeds | {' | '.join(names)} | processor seconds |",
        "|---" * (len(names) + 3) + "|",
    ]
    for arm in augmentation_records.ARMS:
        runs = [r for r in records if r["augment"] == arm]
        if not runs:
            continue
        cells = [f"`{arm}`", str(len(runs))]
        for name in names:
            values = [r["accuracy"][name] for r in runs]
            spread = f" ± {statistics.stdev(values):.1%}" if len(runs) > 1 else ""
            cells.append(f"{statistics.mean(values):.1%}{spread}")
        cells.append(f"{statistics.mean(r['processor_seconds'] for r in runs):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    done = {(r["augment"], r["seed"]) for r in records}
    missing = [arm for arm in augmentation_records.ARMS if (arm, 2) not in done]
    if missing:
        lines.append(f"\nNot all seeds have been run: {', '.join(f'`{arm}`' for arm in missing)}.")
    settings, machine = records[0]["settings"], records[0]["machine"]
    lines.append(
        f"\nMean ± standard deviation over seeds. `zoo.classifier` of the pose (3 classes) of "
        f"{settings['num_images']} synthetic birds of {settings['size']} pixels, "
        f"{settings['epochs']} epochs; {records[0]['held_out']:,} held-out birds of other species. "
        f"Machine: {machine['cores']} cores of {machine['cpu']}. Command: `python -m benchmarks "
        "augmentation`."
    )
    return "\n".join(lines)


def explosions() -> str:
    """Return the table of provoked explosions of CoopNet, one row per run."""
    records = explosion_records.read()
    if not records:
        return NOT_RUN
    titles = (
        "provoked cause",
        "seed",
        "settings rejected",
        "warning",
        "rollbacks",
        "stopped",
        "cause named by the model",
        "Fréchet distance",
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    causes = list(explosion_records.CAUSES)
    marks = {None: "", True: " (correct)", False: " (wrong)"}
    for r in sorted(records, key=lambda r: (causes.index(r["cause"]), r["seed"])):
        distance = r["scores"].get("generator_digit_frechet_distance")
        cells = [
            r["cause"],
            str(r["seed"]),
            "yes" if r["refused"] else "no",
            "yes" if r["warned"] else "no",
            str(r["rollbacks"]),
            "yes" if r["stopped"] else "no",
            (r["named"] or "none") + marks[explosion_records.correctly_named(r)],
            "" if distance is None else f"{distance:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def quality_table(recipe_name: str, columns: dict[str, tuple[str, str]]) -> str:
    """Return a table of mean ± standard deviation over the seeds, one row per preset.

    Args:
        recipe_name: Name of the recipe.
        columns: Score -> (title, format).
    """
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


def _machine(records):
    machine, versions = records[0]["machine"], records[0]["versions"]
    return (
        f"Machine: {machine['cores']} cores of {machine['cpu']}, Keras {versions['keras']} on "
        f"{versions['backend']}"
    )


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
    text += f" {len(states) - open_ones} have a verdict; {open_ones} are not decided."
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
        models,
        scores,
        birds,
        coopnet,
        stylex,
        augmentation,
        explosions,
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
    DOCS / "performance.md": ("speed", "backends", "speed_torch", "sampling", "gpu"),
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
