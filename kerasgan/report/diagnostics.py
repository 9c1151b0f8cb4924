"""The page of what `metrics.diagnostics` found in samples."""

import numpy as np

from kerasgan import images
from kerasgan.io.paths import user_path
from kerasgan.report import markup


def diagnostics_page(folder, findings, samples, training, title="Diagnostics", command=None):
    """Writes `index.html`, what `metrics.diagnostics.diagnose` found, into a folder and returns its
    path.

    Args:
        folder: an existing folder.
        findings: what `diagnose` returned.
        samples, training: the images that it was given, uint8 [N, H, W, C]; `findings` points at
            some of them.
        command: makes the page again; shown at its end.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise ValueError(f"a page must go into an existing folder; received {folder}")
    lead = f"{len(samples):,} samples beside the {len(training):,} images that their model learnt from."
    parts = [markup.header(title, lead), _verdict(findings)]
    parts.append(
        markup.card("Classes", _class_shares(findings), _least_diverse(findings, samples, training))
    )
    for space, note in _SPACES.items():
        beside = _beside(findings, space, samples, training)
        say = f"<p class=say>{markup.text(note)}</p>"
        parts.append(markup.card(f"Beside the training images, in {space}", say, beside))
    parts.append(markup.card("Beside each other", _among(findings, samples)))
    parts.append(markup.card("How it was measured", markup.table(findings["protocol"])))
    parts.append(markup.card("Once more", f"<pre>{markup.text(command)}</pre>" if command else ""))
    return markup.save(folder, title, parts)


_SPACES = {
    "features": "Features tell what a picture shows, wherever in the picture it is.",
    "pixels": "Pixels, one by one, are near only where a picture is the same in place and light: copies to the dot.",
}


_MEANINGS = {
    "classes_missing": "classes that the samples show less than a tenth as often as the data do",
    "class_share_distance": "of the samples would have to be of another class for the data's shares; "
    "images drawn from the data by chance: about {chance}",
    "intra_class_diversity": "how far apart the samples of a class are, mean of the classes; the data have 1",
    "least_intra_class_diversity": "the same of the class that has least, {least_diverse_class}; "
    "near 0, its samples are one picture",
    "nearest_training_ratio": "distance of the median sample to its nearest training image, over that of real images "
    "of the class that the model did not see. Far below 1, it repeats what it saw; far above, it "
    "draws something else",
    "copies": "of the samples are as near to a training image as only 1 % of the unseen real images are. "
    "Far above 1 %, and the same picture below: copies. Not the same picture: samples more "
    "typical than the data",
    "overgeneralised": "of the samples are farther from every training image than 99 % of the unseen real images. "
    "Far above 1 %: pictures of what is not in the data",
    "nearest_sample_ratio": "distance of the median sample to its nearest other sample, over that among as many "
    "training images. Far below 1, the samples repeat each other",
    "near_duplicates": "of the samples are as near to another sample as only 1 % of the training images are to "
    "another training image. Far above 1 %: one picture again and again",
}


_SHARES = ("class_share_distance", "copies", "overgeneralised", "near_duplicates")


def _verdict(findings):
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
    return (
        markup.percent(value)
        if name in _SHARES
        else f"{value:.2f}"
        if isinstance(value, float)
        else str(value)
    )


def _meanings(findings, *names, prefix=""):
    """A table of numbers and what each means."""
    rows, told = [], findings | {"chance": markup.percent(findings["class_share_chance"])}
    for name in names:
        value = findings[prefix + name]
        text = "too few samples of every class" if value is None else _MEANINGS[name].format(**told)
        text = markup.text(text).replace(" %", "&nbsp;%")
        rows.append(
            f"<tr><th>{markup.words(name)}</th><td "
            f"class=n>{_value(name, value)}</td><td>{text}.</td></tr>"
        )
    return f'<table class="meanings">{"".join(rows)}</table>'


def _class_shares(findings, most=50):
    rows, parts = findings["classes"], []
    if len(rows) > most:
        rows = sorted(rows, key=lambda row: -abs(row["share"] - row["data_share"]))[:most]
        parts.append(
            f"{most} of {len(findings['classes'])} classes, those whose shares differ most."
        )
    if findings["missing_classes"]:
        parts.append(f"Missing: {', '.join(findings['missing_classes'])}.")
    if findings["rare_classes"]:
        parts.append(
            f"Too rare to miss among so few samples: {', '.join(findings['rare_classes'])}."
        )
    longest = max(max(row["share"], row["data_share"]) for row in rows)
    cells = []
    for row in rows:
        ours, theirs = (100 * row[name] / longest for name in ("share", "data_share"))
        missing = " <b>missing</b>" if row["class"] in findings["missing_classes"] else ""
        bars = f'<i class="bar" style="width:{ours:.1f}%"></i><i class="bar data" style="width:{theirs:.1f}%"></i>'
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
        f"<th class=n>{name}</th>" for name in ("samples", "data", "diversity", "in pixels")
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
    note = f'<p class="note">{markup.text(" ".join(parts))}</p>' if parts else ""
    table = f'<table class="shares"><tr><th>class</th><th>share {legend}</th>{head}</tr>{"".join(cells)}</table>'
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
    return f'<h3 class="row">Least diverse: {markup.text(findings["least_diverse_class"])}</h3>{"".join(rows)}'


def _beside(findings, space, samples, training):
    """Numbers, and samples beside their nearest training images."""
    low, *_, high = findings["distances"][space]["heldout"]
    names = ("nearest_training_ratio", "copies", "overgeneralised")
    parts = [_meanings(findings, *names, prefix="pixel_" if space == "pixels" else "")]
    parts.append(_quantiles(findings, space, "samples", "heldout", "unseen real images"))
    note = "Left a sample, right its nearest training image, below their distance: 1 is usual for unseen real images."
    parts.append(f'<p class="note" style="margin:18px 0 0; max-width: none">{note}</p>')
    for kind, title in (
        ("nearest", "Nearest: copies, if there are any"),
        ("farthest", "Farthest: overgeneralised, if any is"),
        ("random", "At random"),
    ):
        figures = "".join(
            _pair(
                samples[i],
                training[j],
                f"{apart:.2f}" + (", a copy?" if apart <= low else ", far" if apart > high else ""),
            )
            for i, j, apart in findings["examples"][space][kind]
        )
        parts.append(f'<h3 class="row">{title}</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _among(findings, samples):
    parts = []
    for space in _SPACES:
        names, prefix = (
            ("nearest_sample_ratio", "near_duplicates"),
            "pixel_" if space == "pixels" else "",
        )
        pairs = findings["examples"][space]["pairs"]
        figures = "".join(_pair(samples[i], samples[j], f"{apart:.2f}") for i, j, apart in pairs)
        parts.append(f'<h3 class="row">In {space}</h3>{_meanings(findings, *names, prefix=prefix)}')
        parts.append(
            _quantiles(findings, space, "among_samples", "among_training", "training images")
        )
        parts.append(f'<h3 class="row">The nearest pairs</h3><div class="pairs">{figures}</div>')
    return "".join(parts)


def _quantiles(findings, space, ours, theirs, name):
    distances = findings["distances"]
    head = "".join(f"<th class=n>{100 * q:.0f} %</th>" for q in distances["quantiles"])
    rows = "".join(
        f"<tr><td>{title}</td>{''.join(f'<td class=n>{markup.number(x)}</td>' for x in distances[space][key])}</tr>"
        for title, key in (("samples", ours), (name, theirs))
    )
    table = f"<table><tr><th>at most so far are</th>{head}</tr>{rows}</table>"
    return f'<details style="margin-top:10px"><summary class=note>All distances</summary>{table}</details>'


def _pair(one, other, caption, edge=128):
    one, other = markup.shrunk(one, edge), markup.shrunk(other, edge)
    gap = np.full((one.shape[0], max(1, one.shape[1] // 14), one.shape[2]), 255, "uint8")
    pair = np.concatenate([one, gap, other], axis=1)
    return markup.figure(images.png_data_uri(pair), pair.shape[1::-1], caption)
