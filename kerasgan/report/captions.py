"""The page of a text-to-image model: samples beside their captions and real images."""

import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from kerasgan import images
from kerasgan.io.paths import user_path
from kerasgan.report import markup

EDGE = 640  # Longest side of a row of images, in pixels.


def captions_page(
    folder: str | os.PathLike,
    *,
    title: str,
    rows: Sequence[tuple[str, np.ndarray, np.ndarray]],
    scores: Mapping,
    choices: Mapping[str, str],
    stages: Sequence[str] = (),
    command: str | None = None,
) -> pathlib.Path:
    """Writes `index.html`: generated and real images of captions, R-precision, and what was chosen.

    Args:
        folder: Folder of the page. It also holds the folder `preset` and those of the stages.
        title: Title of the page.
        rows: Caption, generated images and real images of this caption, uint8 `[N, H, W, 3]`.
        scores: `r_precision`, `r_precision_chance`, `r_precision_data` and `protocol`.
        choices: Dictionary from what was chosen to the reason.
        stages: Names of the folders with the pages of the stages.
        command: Shell command of the run.

    Returns:
        The path of the page.
    """
    folder = user_path(folder)
    lead = "Each row shows a caption, generated images with different latents, and real images."
    return markup.save(
        folder,
        title,
        [
            markup.header(title, lead),
            _facts(scores),
            markup.card("Captions", _rows(rows)),
            markup.card("R-precision", _precision(scores)),
            markup.card("Choices", _choices(choices)),
            markup.card("Stages", _links(stages)),
            markup.card("Use it", _use(folder, rows[0][0], command)),
        ],
    )


def _facts(scores):
    names = {
        "r_precision": "R-precision",
        "r_precision_chance": "by chance",
        "r_precision_data": "real test images",
    }
    return markup.facts(
        [(text, markup.percent(scores[name])) for name, text in names.items() if name in scores]
    )


def _rows(rows):
    head = "<tr><th>caption</th><th>generated</th><th>real</th></tr>"
    cells = (
        f"<tr><td>{markup.text(caption)}</td><td>{_row(fakes, caption)}</td>"
        f"<td>{_row(real, f'real: {caption}')}</td></tr>"
        for caption, fakes, real in rows
    )
    return f"<table class=rows>{head}{''.join(cells)}</table>"


def _row(pictures, caption):
    """One picture with images side by side."""
    sheet = markup.shrunk(images.grid(np.asarray(pictures), len(pictures)), EDGE)
    height, width = sheet.shape[:2]
    return (
        f'<img width="{width}" height="{height}" style="height:auto" '
        f'src="{images.png_data_uri(sheet)}" alt="{markup.text(caption)}">'
    )


def _precision(scores):
    if "r_precision" not in scores:
        return ""
    text = (
        "Share of images whose own caption ranks first of all candidates, by a text and an image "
        "encoder from which the generator did not learn. Another caption may be equally true of an "
        "image."
    )
    return f"<p class=say>{text}</p>{markup.table(scores.get('protocol', {}))}"


def _choices(choices):
    return markup.table(choices)


def _links(stages):
    return "".join(
        f'<p><a href="{markup.text(name)}/index.html">{markup.text(name)}</a></p>'
        for name in stages
    )


def _use(folder, caption, command):
    preset = str(folder / "preset")
    lines = [
        "from kerasgan.models import ProjectedTextGAN",
        f"gan = ProjectedTextGAN.from_preset({preset!r})",
        f"images = gan.sample(captions=[{caption!r}], seed=0)",
    ]
    shell = ["python", "-m", "zoo.sample", f"--checkpoint={preset}", f"--caption={caption}"]
    parts = [("In Python", "\n".join(lines)), ("In a shell", shlex.join(shell))]
    if command:
        parts.append(
            ("Train it again, or resume it", f"{command} --folder={shlex.quote(str(folder))}")
        )
    return "".join(
        f"<span class=note>{name}</span><pre>{markup.text(code)}</pre>" for name, code in parts
    )
