"""What AttFind finds in the shipped StylEx, and how many held-out digits its attributes flip, by every strategy.

    python -m benchmarks.attributes
    python -m benchmarks.attributes --checkpoint=runs/stylex_digits_8_9/checkpoints/stylex_digits_8_9_32_G_epoch_300.h5

Ten minutes or so on two cores. The record goes to benchmarks/results/attributes.json, the first attributes and a few
digits that flip, as pictures, beside it; the page of `zoo.explain` is left in the folder --out.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
from absl import flags

from benchmarks import timing
from kerasgan import images
from kerasgan.io import files
from kerasgan.models import attfind, style_probe
from zoo import explain, recipe, sample

RESULTS = pathlib.Path(__file__).parent / "results"
RECORD = RESULTS / "attributes.json"
PRESET = "stylex_digits_8_9"
FIRST, SHOWN = 3, 6  # attributes and digits in the pictures


def run(checkpoint, out, results=RESULTS):
    """Explains a checkpoint or a preset and keeps numbers and pictures."""
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
    command = " ".join(["python", *command])
    files.write_json(results / RECORD.name, timing.provenance() | {"command": command} | kept)
    model, about = sample.load(checkpoint), sample.about(checkpoint)
    size, _, channels = model.image_shape
    attributes = attfind.Attributes.load(pathlib.Path(out) / "attributes.npz")
    first, flips = pictures(model, explain.load(about, size, channels)[1], attributes)
    images.save_png(results / "attributes.png", first)
    images.save_png(results / "attributes_flips.png", flips)
    return found


def pictures(model, heldout, attributes):
    """Two sheets, uint8 [H, W, C]: the first attributes, each from one end to the other, and all of them added up."""
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


def shell(arguments):
    found = run(flags.FLAGS.checkpoint, flags.FLAGS.out)
    for row in found["sufficiency"]:
        print(row["strategy"], " ".join(f"{share:.1%}" for share in row["all"]))


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", PRESET, "a StylEx: a file of a run, or a preset")
    flags.DEFINE_string("out", "runs/attributes", "folder of the page")
    recipe.start(shell)
