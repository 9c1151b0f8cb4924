"""The page of the attributes that `models.attfind` found, each with a slider."""

import numpy as np

from kerasgan import images
from kerasgan.io.paths import user_path
from kerasgan.report import markup

# What the strategies of `attfind` do, in a few words.
WAYS = {
    "shared": "the same for all",
    "independent": "of their own, each by itself",
    "subset": "of their own, one beside the other",
}


def attributes_page(folder, found, title="Attributes", command=None):
    """Writes `index.html`, what AttFind found, into a folder and returns its path.

    Args:
        folder: an existing folder.
        found: a dictionary: `target` and `rest`, what the classes are called; `attributes`, a list
            of `layer`, `index`, `direction` ("minimum" or "maximum", the end that speaks for the
            target), `effect_towards_target`, `effect_towards_rest`, `pictures` and `probabilities`;
            `together`, a dictionary of `pictures` and `probabilities` of the images, and of how
            they are drawn with 0, 1, 2 ... attributes; `sufficiency`, a list of what
            `attfind.sufficiency` returned, by any of its strategies; `classes`, the name of each
            class; `unit` of the effects; `protocol`. `pictures` are uint8 [N, steps, H, W, C],
            `probabilities` [N, steps], of the target.
        command: makes the page again; shown at its end.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise ValueError(f"a page must go into an existing folder; received {folder}")
    target, rest, attributes = found["target"], found["rest"], found["attributes"]
    lead = f"What makes the classifier say {target} rather than {rest}: {len(attributes)} attributes of its images."
    parts = [markup.header(title, lead), _sufficiency_facts(found)]
    together = found["together"]
    last = together["pictures"].shape[1] - 2
    say = f"Each image, as it is drawn, with the first attribute, and so on to all of the first {last}, moved as it "
    say += f"takes to turn {target} into {rest}, and {rest} into {target}."
    ends = ("the image", f"{last} applied")
    parts.append(
        markup.card(
            "Together", f"<p class=say>{markup.text(say)}</p>", _slider(together, found, ends)
        )
    )
    parts.append(markup.card("Sufficiency", _sufficiency(found)))
    for place, attribute in enumerate(attributes, 1):
        high = attribute["direction"] == "maximum"
        ends = [f"{rest}, {'low' if high else 'high'}", f"{target}, {'high' if high else 'low'}"]
        say = (
            f"Moved to its {attribute['direction']}, it changes the {found['unit']} of {target} by "
            f"{attribute['effect_towards_target']:+.2f} on the mean of images of {rest}; moved "
            "to the other end, that "
            f"of {rest} by {attribute['effect_towards_rest']:+.2f} on images of {target}."
        )
        name = f"{place}. {attribute['layer']}, coordinate {attribute['index']}"
        parts.append(
            markup.card(
                name, f"<p class=say>{markup.text(say)}</p>", _slider(attribute, found, ends)
            )
        )
    parts.append(markup.card("How it was found", markup.table(found["protocol"])))
    parts.append(markup.card("Once more", f"<pre>{markup.text(command)}</pre>" if command else ""))
    return markup.save(folder, title, [*parts, f"<script>{_SLIDE}</script>"])


# A slider shows the pictures of one step, large; without scripts it is hidden, and the rows of all
# steps remain.
_SLIDE = """
for (const row of document.querySelectorAll(".slider")) {
  const input = row.querySelector("input"), seen = row.querySelectorAll(".seen figure");
  const cells = [...row.nextElementSibling.querySelectorAll("figure")], steps = Number(input.max) + 1;
  const show = () => {
    cells.forEach((cell, i) => cell.classList.toggle("now", i % steps == input.value));
    seen.forEach((figure, i) => {
      const from = cells[i * steps + Number(input.value)];
      figure.querySelector("img").src = from.querySelector("img").src;
      figure.querySelector("img").alt = figure.querySelector("figcaption").textContent = from.title;
      figure.querySelector("i").style.width = from.querySelector("i").style.width;
    });
  };
  input.addEventListener("input", show);
  row.hidden = false;
  show();
}
"""


def _slider(row, found, ends, edge=128):
    """All steps of a few images, a row an image, and beside them a slider through the steps."""
    pictures, chances = row["pictures"], row["probabilities"]
    count, steps = pictures.shape[:2]
    cells = []
    for image, chance in zip(
        pictures.reshape(-1, *pictures.shape[2:]), np.ravel(chances), strict=True
    ):
        small = markup.shrunk(image, edge)
        uri, kind = images.png_data_uri(small), "pixels" if max(small.shape[:2]) < edge else ""
        words = markup.text(f"{found['target']}: {100 * chance:.0f} %")
        cells.append(
            f'<figure title="{words}"><img class="{kind}" src="{uri}" alt="{words}">'
            f'<i class="bar" style="width:{100 * chance:.0f}%"></i></figure>'
        )
    kind = "pixels" if max(pictures.shape[2:4]) < edge else ""
    large = (
        f'<figure><img class="{kind}" alt=""><i class="bar"></i><figcaption></figcaption></figure>'
        * count
    )
    words = "".join(f"<span>{markup.text(end)}</span>" for end in ends)
    return (
        f'<div class="two"><div class="slider" hidden><input type="range" min="0" max="{steps - 1}" step="1" '
        f'value="{steps - 1}" aria-label="{markup.text(" to ".join(ends))}"><div class="ends">{words}</div>'
        f'<div class="seen">{large}</div></div><div><div class="ends">{words}</div><div class="steps" '
        f'style="grid-template-columns:repeat({steps},minmax(0,1fr))">{"".join(cells)}</div></div></div>'
    )


def _sufficiency_facts(found):
    rows, first = [], found["sufficiency"][0]
    for row in found["sufficiency"]:
        way = f"of images flip by {len(row['all'])} attributes, {WAYS.get(row['strategy'], row['strategy'])}"
        rows.append((way, markup.percent(row["all"][-1])))
    rows += [
        ("flip by the first", markup.percent(first["all"][0])),
        ("images asked", f"{first['images']:,}"),
    ]
    return markup.facts(rows)


def _sufficiency(found):
    """A chart of all images by each strategy and of each class by the first, and a table of the
    same.
    """
    curves = {}
    for row in found["sufficiency"]:
        curves[f"all, {row['strategy']}"] = row["all"]
    for row in found["sufficiency"][0]["classes"]:
        curves[f"{found['classes'][row['class']]} ({row['images']})"] = row["flipped"]
    most = max(map(len, curves.values()))
    head = "".join(f"<th class=n>{k}</th>" for k in range(1, most + 1))
    rows = "".join(
        f"<tr><td>{markup.text(name)}</td>{''.join(f'<td class=n>{100 * share:.0f}</td>' for share in shares)}</tr>"
        for name, shares in curves.items()
    )
    points = {
        name: [(k, 100 * share) for k, share in enumerate(shares, 1)]
        for name, shares in curves.items()
    }
    say = "Share of images, in %, that the classifier takes for something else once so many attributes are applied."
    table = f'<div style="overflow-x:auto"><table class="shares"><tr><th></th>{head}</tr>{rows}</table></div>'
    drawn = markup.chart(points, by="attributes")
    return f'<p class=say>{say}</p><div class="two"><div>{drawn}</div>{table}</div>'
