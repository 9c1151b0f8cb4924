"""Records what AttFind finds in a StylEx model, and how often its attributes flip the classifier.

    python -m benchmarks attributes
    python -m benchmarks attributes --checkpoint=stylex_digits_G_epoch_300.h5

The run takes about ten minutes on two cores. It writes attributes.json and two images to
benchmarks/results: the first attributes, and digits whose prediction flips. The HTML page of
`zoo.explain` is written to --out.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

from benchmarks.provenance import provenance
from zoo import cli, explain, lazy, sample
from zoo.settings import Checked, setting

np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
files = lazy.module("kerasgan.io.files")
attfind = lazy.module("kerasgan.models.attfind")
style_probe = lazy.module("kerasgan.models.style_probe")

RESULTS = pathlib.Path(__file__).parents[1] / "results"
RECORD = RESULTS / "attributes.json"
PRESET = "stylex_digits_8_9"
FIRST, SHOWN = 3, 6  # Numbers of attributes and of digits in the images.


def run(checkpoint: str, out: str | pathlib.Path, results: pathlib.Path = RESULTS) -> dict:
    """Explain a model and write the record and the images.

    Args:
        checkpoint: Checkpoint or preset of a `StylEx`.
        out: Folder of the HTML page.
        results: Folder of the results.

    Returns:
        The content of `attributes.json` of `zoo.explain`.
    """
    command = [
        "-m",
        "zoo.explain",
        f"--checkpoint={checkpoint}",
        f"--strategies={','.join(explain.STRATEGIES)}",
    ]
    subprocess.run([sys.executable, *command, f"--out={out}"], check=True)
    found = json.loads((pathlib.Path(out) / "attributes.json").read_text())
    kept = {
        name: found[name] for name in ("target", "rest", "attributes", "sufficiency", "protocol")
    }
    about = provenance() | {"command": " ".join(["python", *command])}
    files.write_json(results / RECORD.name, about | kept)
    model, info = sample.load(checkpoint), sample.about(checkpoint)
    size, _, channels = model.image_shape
    attributes = attfind.Attributes.load(pathlib.Path(out) / "attributes.npz")
    first, flips = grids(model, explain.load(info, size, channels)[1], attributes)
    images.save_png(results / "attributes.png", first)
    images.save_png(results / "attributes_flips.png", flips)
    return found


def grids(model: Any, heldout: Any, attributes: Any) -> tuple[Any, Any]:
    """Return two grids of images, uint8 `[H, W, C]`.

    Returns:
        Traversals of the first attributes, and the cumulative effect of all attributes.
    """
    probe = style_probe.StyleProbe(model)
    of_target = probe.encode(heldout).logits.argmax(axis=1) == attributes.target
    examples = heldout[explain.both_sides(of_target, SHOWN)]
    moves = attfind.traversals(probe, examples, attributes)[0][:FIRST]  # [A, N, steps, H, W, C]
    gap = np.full_like(moves[:, :, :1], 255)
    moves = np.concatenate([part for move in moves for part in (move, gap[0])][:-1], axis=1)
    together = attfind.cumulative_counterfactuals(probe, examples, attributes)[0]
    together = np.concatenate([images.to_uint8(examples)[:, None], together], axis=1)
    return tuple(
        images.grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1]) for rows in (moves, together)
    )


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    checkpoint: str = setting(PRESET, "Checkpoint or preset of a StylEx model.")
    out: str = setting("runs/attributes", "Folder of the HTML page.")


def command(options: Options) -> None:
    """Explains the model and prints the sufficiency of the attributes."""
    found = run(options.checkpoint, options.out)
    for row in found["sufficiency"]:
        print(row["strategy"], " ".join(f"{share:.1%}" for share in row["all"]))


def main() -> None:
    cli.main("benchmarks attributes", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
