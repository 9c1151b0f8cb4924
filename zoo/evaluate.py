"""Score a checkpoint or a preset: digits by the digit judge, drawn birds by the bird judge and by R-precision.

    python -m zoo.evaluate --checkpoint=mnist_gan_digits
    python -m zoo.evaluate --checkpoint=runs/birds_64_quick/checkpoints/…_G_epoch_5.h5 --samples=1000
"""

import json
import pathlib

import numpy as np
from absl import flags

from kerasgan import presets
from kerasgan.metrics.digits import score_digits
from zoo import recipe, sample

FLAGS = flags.FLAGS
JUDGED = {"digits": ("digits", "mnist"), "drawn birds": ("drawn_birds",)}  # what has a judge, and its names as data


def score(checkpoint, samples=None, seed=1, text_encoder=None):
    """The scores of a checkpoint file or a preset.

    Args:
        checkpoint: as in `sample.load`.
        samples: pictures to draw; by default 10,000 digits or 1,000 birds.
        seed: of the latents.
        text_encoder: a preset or checkpoint; by default the one that the checkpoint names.

    Returns:
        What `score_digits` or `score_birds` returns. Raises ValueError where there is no judge of what it draws.
    """
    model = sample.load(checkpoint)
    kind = "digits" if hasattr(model, "classes") else "drawn birds" if hasattr(model, "sizes") else None
    about = sample.about(checkpoint) if kind else {}
    data = about.get("data")  # none in files that no recipe made
    if kind is None or data not in (None, *JUDGED[kind]):
        what = type(model).__name__ + (f" of {data}" if data else "")
        raise ValueError(f"only models of {' and '.join(JUDGED)} have a judge; received {checkpoint}, a {what}")
    if kind == "digits":
        labels = np.arange(samples or 10_000) % 10
        return score_digits(model.sample(labels=labels, seed=seed), labels)
    from zoo import text_gan

    encoder = text_encoder or about.get("text_encoder")
    if not encoder:
        raise ValueError(f"{checkpoint} does not say which text encoder it was trained with: name it, --text_encoder")
    return text_gan.scores(model, encoder, samples or 1000, seed)


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none")
    if FLAGS.out and not pathlib.Path(FLAGS.out).parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {FLAGS.out}")
    scores = score(FLAGS.checkpoint, FLAGS.samples, FLAGS.seed, FLAGS.text_encoder)
    for name, value in scores.items():
        if isinstance(value, (int, float)):
            print(f"{name:26} {value:.4g}")
    for name, value in scores["protocol"].items():
        print(f"  {name}: {value}")
    if FLAGS.out:
        record = {"checkpoint": FLAGS.checkpoint, "seed": FLAGS.seed, **scores, "versions": recipe.versions()}
        pathlib.Path(FLAGS.out).write_text(json.dumps(record, indent=2) + "\n")


def main():
    flags.DEFINE_string("checkpoint", None, "a file …_G_epoch_n.h5, a preset's name or a preset's folder")
    flags.DEFINE_integer("samples", None, "images to draw; 10,000 digits or 1,000 birds by default", lower_bound=1)
    flags.DEFINE_string("text_encoder", None, "a preset or checkpoint; the one of the checkpoint's training by default")
    flags.DEFINE_integer("seed", 1, "of the latents")
    flags.DEFINE_string("out", None, "also write the scores and their protocol to this JSON file")
    recipe.start(shell)


if __name__ == "__main__":
    main()
