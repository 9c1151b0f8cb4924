"""Draw images from a checkpoint or a preset.

    python -m zoo.sample --checkpoint=mnist_gan_digits --labels=3,1,4 --out=samples.png
"""

import pathlib

import h5py
import numpy as np
from absl import flags

from kerasgan import checkpoints, images, presets
from zoo import recipe

FLAGS = flags.FLAGS


def load(name):
    """The model of a checkpoint file (`…_G_epoch_n.h5`) or of a preset (a name or a folder)."""
    return checkpoints.load_model(name)[0] if str(name).endswith(".h5") else presets.load(name)


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none")
    out = pathlib.Path(FLAGS.out)
    if out.suffix not in (".png", ".h5"):
        raise ValueError(f"--out must end in .png (a grid) or .h5 (the images as numbers); received {out}")
    if not out.parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {out}")
    model = load(FLAGS.checkpoint)
    if not all(label.strip().isdecimal() for label in FLAGS.labels or []):
        raise ValueError(f"--labels must be integers, such as 0,1,2; received {','.join(FLAGS.labels)}")
    labels = np.array([int(label) for label in FLAGS.labels]) if FLAGS.labels else np.arange(FLAGS.n) % model.classes
    samples = images.to_uint8(model.sample(labels=labels, seed=FLAGS.seed))
    temporary = out.with_name(out.name + ".tmp")
    if out.suffix == ".png":
        images.save_png(temporary, images.grid(samples, FLAGS.columns))
    else:
        with h5py.File(temporary, "w") as file:
            file["images"], file["labels"] = samples, labels
            file.attrs["checkpoint"], file.attrs["seed"] = FLAGS.checkpoint, FLAGS.seed
    temporary.replace(out)
    print(f"{len(samples)} images in {out}")


def main():
    flags.DEFINE_string("checkpoint", None, "a file …_G_epoch_n.h5, a preset's name or a preset's folder")
    flags.DEFINE_list("labels", None, "what to draw, such as 0,1,2; or give --n")
    flags.DEFINE_integer("n", 100, "number of images, their labels going round the classes", lower_bound=1)
    flags.DEFINE_integer("columns", 10, "images in a row of the grid", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the latents")
    flags.DEFINE_string("out", "samples.png", "the file: a grid (.png), or `images` and `labels` as HDF5 (.h5)")
    recipe.start(shell)


if __name__ == "__main__":
    main()
