"""Score a checkpoint or a preset of a digit model with the digit judge.

    python -m zoo.evaluate --checkpoint=mnist_gan_digits
"""

import json
import pathlib

import numpy as np
from absl import flags

from kerasgan import presets
from kerasgan.metrics.digits import score_digits
from zoo import recipe, sample

FLAGS = flags.FLAGS


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none")
    if FLAGS.out and not pathlib.Path(FLAGS.out).parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {FLAGS.out}")
    model = sample.load(FLAGS.checkpoint)
    labels = np.arange(FLAGS.samples) % 10
    scores = score_digits(model.sample(labels=labels, seed=FLAGS.seed), labels)
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
    flags.DEFINE_integer("samples", 10_000, "images to draw, at least 1,000", lower_bound=1000)
    flags.DEFINE_integer("seed", 1, "of the latents")
    flags.DEFINE_string("out", None, "also write the scores and their protocol to this JSON file")
    recipe.start(shell)


if __name__ == "__main__":
    main()
