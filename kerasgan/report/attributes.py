"""HTML page of the attributes that `models.attfind` found, each with a slider."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasgan import images
from kerasgan.report import markup

# Strategies of `attfind` in words.
STRATEGIES = {
    "shared": "same attributes for all images",
    "independent": "own attributes for each image, selected one by one",
    "subset": "own attributes for each image, selected jointly",
}


def attributes_page(
    folder: str | os.PathLike,
    found: Mapping[str, Any],
    title: str = "Attributes",
    command: str | None = None,
) -> pathlib.Path:
    """Writes `index.html` about the result of AttFind.

    Args:
        folder: Existing folder.
        found: Dict with these entries. `pictures` are uint8 `[N, steps, H, W, C]` and
            `probabilities` are those of the target, `[N, steps]`.

            - `target`, `rest`: names of the target class and of the other classes.
            - `attributes`: list of dicts with `layer`, `index`, `direction` (`"minimum"` or
              `"maximum"`, the end that favours the target), `effect_towards_target`,
              `effect_towards_rest`, `pictures` and `probabilities`.
            - `together`: dict with `pictures` and `probabilities` of the images, followed by their
              reconstructions with 0, 1, 2, ... attributes.
            - `sufficiency`: list of results of `attfind.sufficiency`, one per strategy.
            - `classes`: names of the classes.
            - `unit`: unit of the effects.
            - `protocol`: dict that describes the measurement.
        title: Title of the page.
        command: Command that makes the page, shown at its end.

    Returns:
        The path of the page.
    """
    folder = markup.page_folder(folder)
    target, rest, attributes = found["target"], found["rest"], found["attributes"]
    lead = (
        f"{len(attributes)} attributes of the images that make the classifier predict {target} "
        f"rather than {rest}."
    )
    parts = [markup.header(title, lead), _sufficiency_facts(found)]
    together = found["together"]
    last = together["pictures"].shape[1] - 2
    note = (
        f"Each image, its reconstruction, and the reconstruction with the first 1 to {last} "
        f"attributes changed, from {target} towards {rest} or from {rest} towards {target}."
    )
    ends = ["the image", f"{last} applied"]
    parts.append(markup.card("Combined", markup.paragraph(note), _slider(together, found, ends)))
    parts.append(markup.card("Sufficiency", _sufficiency(found)))
    for place, attribute in enumerate(attributes, 1):
        high = attribute["direction"] == "maximum"
        ends = [f"{rest}, {'low' if high else 'high'}", f"{target}, {'high' if high else 'low'}"]
        note = (
            f"Moving it to its {attribute['direction']} changes the {found['unit']} of {target} "
            f"by {attribute['effect_towards_target']:+.2f} on average over images of {rest}. "
            f"Moving it to the other end changes the {found['unit']} of {rest} by "
            f"{attribute['effect_towards_rest']:+.2f} on average over images of {target}."
        )
        name = f"{place}. {attribute['layer']}, coordinate {attribute['index']}"
        parts.append(markup.card(name, markup.paragraph(note), _slider(attribute, found, ends)))
    parts.append(markup.card("Protocol", markup.table(found["protocol"])))
    parts.append(markup.card("Command", markup.command(command)))
    return markup.save(folder, title, [*parts, f"<script>{markup.asset('slider.js')}</script>"])


def _slider(row: Mapping[str, Any], found: Mapping[str, Any], ends: Sequence[str], edge=128) -> str:
    """Returns a slider through the steps, and a table with one row per image and all its steps."""
    pictures, probabilities = row["pictures"], row["probabilities"]
    count, steps = pictures.shape[:2]
    kind = "pixels" if max(pictures.shape[2:4]) < edge else ""
    cells = []
    for image, probability in zip(
        pictures.reshape(-1, *pictures.shape[2:]), np.ravel(probabilities), strict=True
    ):
        uri = images.png_data_uri(markup.shrunk(image, edge))
        words = markup.text(f"{found['target']}: {100 * probability:.0f} %")
        cells.append(
            f'<figure title="{words}"><img class="{kind}" src="{uri}" alt="{words}">'
            f'<i class="bar" style="width:{100 * probability:.0f}%"></i></figure>'
        )
    large = (
        f'<figure><img class="{kind}" alt=""><i class="bar"></i><figcaption></figcaption></figure>'
        * count
    )
    labels = (
        f'<div class="ends">{"".join(f"<span>{markup.text(end)}</span>" for end in ends)}</div>'
    )
    columns = f"grid-template-columns:repeat({steps},minmax(0,1fr))"
    return (
        '<div class="two"><div class="slider" hidden>'
        f'<input type="range" min="0" max="{steps - 1}" step="1" value="{steps - 1}" '
        f'aria-label="{markup.text(" to ".join(ends))}">'
        f'{labels}<div class="large">{large}</div></div>'
        f'<div>{labels}<div class="steps" style="{columns}">{"".join(cells)}</div></div></div>'
    )


def _sufficiency_facts(found):
    first = found["sufficiency"][0]
    rows = [
        (
            f"of images change class with {len(row['all'])} attributes "
            f"({STRATEGIES.get(row['strategy'], row['strategy'])})",
            markup.percent(row["all"][-1]),
        )
        for row in found["sufficiency"]
    ]
    rows += [
        ("change class with the first attribute", markup.percent(first["all"][0])),
        ("images tested", f"{first['images']:,}"),
    ]
    return markup.facts(rows)


def _sufficiency(found):
    """Returns a chart and a table: all images by strategy, each class by the first strategy."""
    curves = {f"all, {row['strategy']}": row["all"] for row in found["sufficiency"]}
    for row in found["sufficiency"][0]["classes"]:
        curves[f"{found['classes'][row['class']]} ({row['images']})"] = row["flipped"]
    most = max(map(len, curves.values()))
    head = "".join(f"<th class=n>{k}</th>" for k in range(1, most + 1))
    rows = ""
    for name, shares in curves.items():
        cells = "".join(f"<td class=n>{100 * share:.0f}</td>" for share in shares)
        rows += f"<tr><td>{markup.text(name)}</td>{cells}</tr>"
    points = {
        name: [(k, 100 * share) for k, share in enumerate(shares, 1)]
        for name, shares in curves.items()
    }
    note = (
        "Percentage of images whose predicted class changes, by the number of attributes that are "
        "changed."
    )
    table = (
        '<div style="overflow-x:auto"><table class="shares">'
        f"<tr><th>images</th>{head}</tr>{rows}</table></div>"
    )
    chart = markup.chart(points, by="attributes")
    return f'{markup.paragraph(note)}<div class="two"><div>{chart}</div>{table}</div>'
