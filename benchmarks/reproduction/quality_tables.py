"""Tables of trained models: their scores over seeds, attributes, augmentation and explosions."""

import json
import statistics

from benchmarks.reproduction import (
    attributes as attribute_records,
    augmentation as augmentation_records,
    explosions as explosion_records,
    precision as precision_records,
    quality,
)
from benchmarks.speed.tables import NOT_RUN
from zoo import lazy

attribute_pages = lazy.module("kerasgan.report.attributes")

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


def precision() -> str:
    """Return the table of trainings in bfloat16 and in float32."""
    records = precision_records.read()
    if not records:
        return NOT_RUN
    lines = ["| recipe | dtype policy | seeds | scores |", "|---|---|---|---|"]
    kinds = dict.fromkeys((r["recipe"], r["dtype_policy"]) for r in records)
    for recipe, policy in kinds:
        runs = [r for r in records if (r["recipe"], r["dtype_policy"]) == (recipe, policy)]
        scores = []
        for name in runs[0]["scores"]:
            values = [r["scores"][name] for r in runs]
            spread = f" ± {statistics.stdev(values):.3g}" if len(runs) > 1 else ""
            if len(set(values)) > 1 or len(runs) == 1:  # Floors do not vary.
                title = name.replace("_", " ").replace("frechet", "Fréchet")
                scores.append(f"{title} {statistics.mean(values):.4g}{spread}")
        cells = (f"`{recipe}`", f"`{policy}`", str(len(runs)), ", ".join(scores))
        lines.append(f"| {' | '.join(cells)} |")
    machines = ", ".join(dict.fromkeys(r["machine"]["cpu"] for r in records))
    lines.append(
        "\nMean ± standard deviation over seeds, preset `quick`. "
        f"Machine: {machines}. Command: `python -m benchmarks precision`."
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
