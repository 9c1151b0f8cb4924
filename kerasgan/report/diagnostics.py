"""HTML page of the results of `metrics.diagnostics`."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasgan import images
from kerasgan.report import markup


def diagnostics_page(
    folder: str | os.PathLike,
    findings: Mapping[str, Any],
    samples: np.ndarray,
    training: np.ndarray,
    title: str = "Diagnostics",
    command: str | None = None,
) -> pathlib.Path:
    """Writes `index.html` about the result of `metrics.diagnostics.diagnose`.

    Args:
        folder: Existing folder.
        findings: Result of `diagnose`.
        samples: Samples passed to `diagnose`, uint8 `[N, H, W, C]`.
        training: Training images passed to `diagnose`, uint8 `[M, H, W, C]`.
        title: Title of the page.
        command: Command that makes the page, shown at its end.

    Returns:
        The path of the page.
    """
    folder = markup.page_folder(folder)
    lead = f"{len(samples):,} samples compared with {len(training):,} training images of the model."
    parts = [markup.header(title, lead), _summary(findings)]
    parts.append(
        markup.card("Classes", _class_shares(findings), _least_diverse(findings, samples, training))
    )
    for space, note in _SPACES.items():
        name = f"Samples and training images, distances in {space}"
        nearest = _nearest_training(findings, space, samples, training)
        parts.append(markup.card(name, markup.paragraph(note), nearest))
    parts.append(markup.card("Distances among samples", _among_samples(findings, samples)))
    parts.append(markup.card("Protocol", markup.table(findings["protocol"])))
    parts.append(markup.card("Command", markup.command(command)))
    return markup.save(folder, title, parts)


_SPACES = {
    "features": "Distances in features compare what images show, independent of position and size.",
    "pixels": "Distances in pixels are small only if images agree in position and brightness. "
    "Exact copies are found here.",
}


_MEANINGS = {
    "classes_missing": "Number of classes that occur in the samples less than a tenth as often as "
    "in the data.",
    "class_share_distance": "Share of the samples that would need another class to match the class "
    "frequencies of the data. Expected for random images of the data: {chance}.",
    "intra_class_diversity": "Mean distance between samples of one class, averaged over classes, "
    "relative to the data (1).",
    "least_intra_class_diversity": "The same for the least diverse class, {least_diverse_class}. "
    "Near 0, its samples are nearly identical.",
    "nearest_training_ratio": "Distance of the median sample to its nearest training image, "
    "relative to that of held-out real images of its class. Far below 1, the model reproduces "
    "training images. Far above 1, the samples do not resemble the data.",
    "copies": "Share of the samples that are as close to a training image as the closest 1 % of "
    "held-out real images. Far above 1 %, look at the pairs below: equal images are copies, others "
    "are samples more typical than the data.",
    "overgeneralised": "Share of the samples that are farther from all training images than 99 % "
    "of held-out real images. Far above 1 %, the samples show content that the data do not have.",
    "nearest_sample_ratio": "Distance of the median sample to its nearest other sample, relative "
    "to that among as many training images. Far below 1, the samples repeat each other.",
    "near_duplicates": "Share of the samples that are as close to another sample as the closest "
    "1 % of training images are to another training image. Far above 1 %, images repeat.",
}


_SHARES = ("class_share_distance", "copies", "overgeneralised", "near_duplicates")


def _summary(findings):
    names = (
        "classes_missing",
        "intra_class_diversity",
        "copies",
        "overgeneralised",
        "near_duplicates",
    )
    return markup.facts([(markup.words(name), _value(name, findings[name])) for name in names])


def _value(name, value):
    if value is None:
        return "unknown"
    if name in _SHARES:
        return markup.percent(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _meanings(findings, *names, prefix=""):
    """Returns a table of measures with their values and meanings."""
    rows, known = [], findings | {"chance": markup.percent(findings["class_share_chance"])}
    for name in names:
        value = findings[prefix + name]
        text = "Too few samples of every class."
        if value is not None:
            text = _MEANINGS[name].format(**known)
        text = markup.text(text).replace(" %", "&nbsp;%")
        rows.append(
            f"<tr><th>{markup.words(name)}</th><td class=n>{_value(name, value)}</td>"
            f"<td>{text}</td></tr>"
        )
    return f'<table class="meanings">{"".join(rows)}</table>'


def _class_shares(findings, most=50):
    rows, notes = findings["classes"], []
    if len(rows) > most:
        rows = sorted(rows, key=lambda row: -abs(row["share"] - row["data_share"]))[:most]
        notes.append(
            f"Shown are the {most} of {len(findings['classes'])} classes whose shares differ most."
        )
    if findings["missing_classes"]:
        notes.append(f"Missing: {', '.join(findings['missing_classes'])}.")
    if findings["rare_classes"]:
        notes.append(
            "Too rare in the data to be missed among so few samples: "
            f"{', '.join(findings['rare_classes'])}."
        )
    longest = max(max(row["share"], row["data_share"]) for row in rows)
    cells = []
    for row in rows:
        ours, theirs = (100 * row[name] / longest for name in ("share", "data_share"))
        missing = " <b>missing</b>" if row["class"] in findings["missing_classes"] else ""
        bars = (
            f'<i class="bar" style="width:{ours:.1f}%"></i>'
            f'<i class="bar data" style="width:{theirs:.1f}%"></i>'
        )
        numbers = [markup.percent(row["share"]), markup.percent(row["data_share"])]
        numbers += [
            "–" if row[n] is None else f"{row[n]:.2f}" for n in ("diversity", "pixel_diversity")
        ]
        cells.append(
            f'<tr><td>{markup.text(row["class"])}{missing}</td><td class="bars">{bars}</td>'
            + "".join(f"<td class=n>{number}</td>" for number in numbers)
            + "</tr>"
        )
    head = "".join(
        f"<th class=n>{name}</th>"
        for name in ("samples", "data", "diversity", "diversity in pixels")
    )
    legend = (
        '<div class="legend"><span><i style="background:var(--c0)"></i>samples</span>'
        '<span><i class="data"></i>data</span></div>'
    )
    names = (
        "classes_missing",
        "class_share_distance",
        "intra_class_diversity",
        "least_intra_class_diversity",
    )
    note = f'<p class="note">{markup.text(" ".join(notes))}</p>' if notes else ""
    table = (
        f'<table class="shares"><tr><th>class</th><th>share {legend}</th>{head}</tr>'
        f"{''.join(cells)}</table>"
    )
    return (
        _meanings(findings, *names)
        + note
        + f'<div style="margin-top:18px; overflow-x:auto">{table}</div>'
    )


def _least_diverse(findings, samples, training):
    ours, theirs = findings["examples"]["features"]["least_diverse"]
    if not ours or not theirs:
        return ""
    rows = []
    for name, part in (("Samples", samples[ours]), ("Data", training[theirs])):
        row = images.grid(np.stack([markup.shrunk(image, 96) for image in part]), len(part))
        rows.append(markup.figure(images.png_data_uri(row), row.shape[1::-1], name, big=True))
    title = markup.text(f"Least diverse class: {findings['least_diverse_class']}")
    return f'<h3 class="row">{title}</h3>{"".join(rows)}'


def _nearest_training(findings, space, samples, training):
    """Returns the measures of copies, and pairs of a sample and its nearest training image."""
    low, *_, high = findings["distances"][space]["heldout"]
    names = ("nearest_training_ratio", "copies", "overgeneralised")
    parts = [_meanings(findings, *names, prefix="pixel_" if space == "pixels" else "")]
    parts.append(_quantiles(findings, space, "samples", "heldout", "held-out real images"))
    note = (
        "Each pair shows a sample (left), its nearest training image (right) and their distance. "
        "The median distance of held-out real images is 1."
    )
    parts.append(f'<p class="note" style="margin:18px 0 0; max-width: none">{note}</p>')

    def label(apart):
        remark = ", a copy?" if apart <= low else ", far" if apart > high else ""
        return f"{apart:.2f}{remark}"

    for kind, title in (
        ("nearest", "Smallest distances (possible copies)"),
        ("farthest", "Largest distances (possibly overgeneralised)"),
        ("random", "Random samples"),
    ):
        pairs = findings["examples"][space][kind]
        figures = "".join(_pair(samples[i], training[j], label(apart)) for i, j, apart in pairs)
        parts.append(f'<h3 class="row">{title}</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _among_samples(findings, samples):
    parts = []
    for space in _SPACES:
        names = ("nearest_sample_ratio", "near_duplicates")
        prefix = "pixel_" if space == "pixels" else ""
        pairs = findings["examples"][space]["pairs"]
        figures = "".join(_pair(samples[i], samples[j], f"{apart:.2f}") for i, j, apart in pairs)
        parts.append(
            f'<h3 class="row">Distances in {space}</h3>{_meanings(findings, *names, prefix=prefix)}'
        )
        parts.append(
            _quantiles(findings, space, "among_samples", "among_training", "training images")
        )
        parts.append(f'<h3 class="row">Nearest pairs</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _quantiles(findings, space, ours, theirs, name):
    distances = findings["distances"]
    head = "".join(f"<th class=n>{100 * q:.0f} %</th>" for q in distances["quantiles"])
    rows = ""
    for title, key in (("samples", ours), (name, theirs)):
        cells = "".join(f"<td class=n>{markup.number(x)}</td>" for x in distances[space][key])
        rows += f"<tr><td>{title}</td>{cells}</tr>"
    table = f"<table><tr><th>percentile</th>{head}</tr>{rows}</table>"
    return (
        '<details style="margin-top:10px"><summary class=note>Percentiles of the distances'
        f"</summary>{table}</details>"
    )


def _pair(one, other, caption, edge=128):
    one, other = markup.shrunk(one, edge), markup.shrunk(other, edge)
    gap = np.full((one.shape[0], max(1, one.shape[1] // 14), one.shape[2]), 255, "uint8")
    pair = np.concatenate([one, gap, other], axis=1)
    return markup.figure(images.png_data_uri(pair), pair.shape[1::-1], caption)
