"""Draw images from a checkpoint or a preset.

    python -m zoo.sample --checkpoint=mnist_gan_digits --labels=3,1,4 --out=samples.png
    python -m zoo.sample --checkpoint=hdgan_synthetic_birds_256 --caption="a small red bird with a yellow belly"
    python -m zoo.sample --checkpoint=…/coopnet_digits_28_G_epoch_30.h5 --n=64 --by=descriptor
    python -m zoo.sample --checkpoint=…_G_epoch_600.h5 --data=birds --n=10 --out=birds_samples.h5

The last one draws, as the training notes did, every image of the test split from its first caption, n times, and writes
the notes' HDF5: `output_64`, `output_128`, `output_256` (uint8), `saveIDs`, `classIDs`, `embedding` and `captions`.
"""

import json
import pathlib

import h5py
import numpy as np
from absl import flags

from kerasgan import images
from kerasgan.io import checkpoints, files, presets
from zoo import recipe

FLAGS = flags.FLAGS
BLOCK = 64  # pictures computed and written at a time


def load(name):
    """The model of a checkpoint file (`…_G_epoch_n.h5`, its other networks that draw beside it) or of a preset (a name
    or a folder)."""
    return (
        checkpoints.load_sampling_model(name)[0]
        if str(name).endswith(".h5")
        else presets.load(name)
    )


def about(name):
    """What the file of `load` says of itself."""
    return checkpoints.read_info(name if str(name).endswith(".h5") else presets.find(name) / "G.h5")


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(
            f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none"
        )
    out = pathlib.Path(FLAGS.out)
    if out.suffix not in (".png", ".h5"):
        raise ValueError(
            f"--out must end in .png (a grid) or .h5 (the images as numbers); received {out}"
        )
    if not out.parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {out}")
    model = load(FLAGS.checkpoint)
    draw = (
        of_labels
        if hasattr(model, "classes")
        else of_captions
        if hasattr(model, "sizes")
        else of_latents
    )
    if not hasattr(model, "sample"):
        raise ValueError(
            f"--checkpoint must draw images; received {FLAGS.checkpoint}, a {type(model).__name__}"
        )
    for name in ("by", "statistics"):
        if getattr(FLAGS, name) and draw is not of_latents:
            raise ValueError(
                f"{FLAGS.checkpoint} draws by its generator, in inference mode: --{name} is for CoopNet"
            )
    count = draw(model, out, out.suffix == ".png")
    print(f"{count} images in {out}")


def of_labels(model, path, png):
    if FLAGS.caption or FLAGS.data:
        raise ValueError(f"{FLAGS.checkpoint} draws labels, not captions: give --labels or --n")
    if not all(label.strip().isdecimal() for label in FLAGS.labels or []):
        raise ValueError(
            f"--labels must be integers, such as 0,1,2; received {','.join(FLAGS.labels)}"
        )
    count = 100 if FLAGS.n is None else FLAGS.n
    labels = (
        np.array([int(label) for label in FLAGS.labels])
        if FLAGS.labels
        else np.arange(count) % model.classes
    )
    samples = images.to_uint8(model.sample(labels=labels, seed=FLAGS.seed))
    if png:
        images.save_png(path, images.grid(samples, FLAGS.columns))
    else:

        def fill(file):
            file["images"], file["labels"] = samples, labels
            file.attrs["checkpoint"], file.attrs["seed"] = FLAGS.checkpoint, FLAGS.seed

        files.write_hdf5(path, fill)
    return len(samples)


def of_latents(model, path, png):
    """Of models that are told nothing: CoopNet, by its generator or by its descriptor."""
    if FLAGS.labels or FLAGS.caption or FLAGS.data:
        raise ValueError(f"{FLAGS.checkpoint} draws neither labels nor captions: give --n")
    how = FLAGS.by or "generator", FLAGS.statistics or "batch"
    samples = images.to_uint8(model.sample(FLAGS.n or 100, FLAGS.seed, *how))
    if png:
        images.save_png(path, images.grid(samples, FLAGS.columns))
    else:

        def fill(file):
            file["images"] = samples
            file.attrs["checkpoint"], file.attrs["seed"] = FLAGS.checkpoint, FLAGS.seed
            file.attrs["protocol"] = json.dumps(model.sampling_protocol(*how))

        files.write_hdf5(path, fill)
    return len(samples)


def of_captions(model, path, png):
    if FLAGS.labels:
        raise ValueError(f"{FLAGS.checkpoint} draws captions, not labels: give --caption or --data")
    if bool(FLAGS.caption) == bool(FLAGS.data):
        raise ValueError("give --caption=…, once or more, or --data=…, one of them")
    captions, embeddings, classes = asked() if FLAGS.caption else of_split()
    each = FLAGS.n or 1
    total = len(captions) * each
    latents, noise = model.noise(total, FLAGS.seed)

    def block(start):
        rows = np.arange(start, min(start + BLOCK, total))
        pictures = model.sample(embeddings[rows // each], (latents[rows], noise[rows]))
        return rows, {size: images.to_uint8(x) for size, x in pictures.items()}

    if png:
        if total > BLOCK:
            raise ValueError(
                f"a grid holds at most {BLOCK} pictures, --out=….h5 any number; received {total}"
            )
        rows, pictures = block(0)
        columns = max(min(FLAGS.columns, total) // 4, 1)
        images.save_png(
            path, images.captioned_sheet([captions[i // each] for i in rows], pictures, columns)
        )
        return total

    def parts(file):
        for start in range(0, total, BLOCK):
            rows, pictures = block(start)
            for size, x in pictures.items():
                name = f"output_{size}"
                if start == 0:
                    file.create_dataset(
                        name, (total, size, size, 3), "uint8", chunks=(1, size, size, 3)
                    )
                file[name][rows[0] : rows[-1] + 1] = x
            print(f"\r{rows[-1] + 1} of {total}", end="", flush=True)
            yield
        print()
        rows = np.arange(total) // each
        file["saveIDs"], file["classIDs"] = rows, classes[rows]
        file.create_dataset("embedding", data=embeddings[rows])
        file.create_dataset("captions", data=[captions[i] for i in rows], dtype=h5py.string_dtype())
        file.attrs["checkpoint"], file.attrs["seed"] = FLAGS.checkpoint, FLAGS.seed

    files.stream_hdf5(path, parts)
    return total


def encoder():
    """The text encoder that the checkpoint was trained with, or the one that --text_encoder names."""
    from zoo import text_gan

    name = FLAGS.text_encoder or about(FLAGS.checkpoint).get("text_encoder")
    if not name:
        raise ValueError(
            f"{FLAGS.checkpoint} was trained on embeddings of its data: name their --text_encoder"
        )
    return text_gan.encoder(name)


def asked():
    embeddings = encoder()(FLAGS.caption)
    return FLAGS.caption, embeddings, np.full(len(embeddings), -1)


def of_split():
    """The first caption of every image of a split."""
    from zoo import text_gan

    named = FLAGS.text_encoder or about(FLAGS.checkpoint).get("text_encoder") or ""
    data = text_gan.load(FLAGS.data, FLAGS.split, FLAGS.data_dir, FLAGS.drawn, 64, named)
    return (
        [captions[0] for captions in data.captions],
        data.embeddings[:, 0],
        data.classes.astype("int64"),
    )


def main():
    flags.DEFINE_string(
        "checkpoint", None, "a file …_G_epoch_n.h5, a preset's name or a preset's folder"
    )
    flags.DEFINE_list("labels", None, "what to draw, such as 0,1,2; or give --n")
    flags.DEFINE_multi_string(
        "caption", None, "what to draw, in words; may be given more than once"
    )
    flags.DEFINE_string(
        "data",
        None,
        "or data whose captions to draw: synthetic_birds, or what zoo.prepare prepared",
    )
    flags.DEFINE_string("split", "test", "of the data")
    flags.DEFINE_string(
        "data_dir", "", "folder of the prepared data; TensorFlow Datasets' own by default"
    )
    flags.DEFINE_integer("drawn", 1000, "number of drawn birds")
    flags.DEFINE_string(
        "text_encoder",
        None,
        "a preset or checkpoint; the one of the checkpoint's training by default",
    )
    flags.DEFINE_integer(
        "n", None, "number of images (100), going round the labels; or of images a caption (1)", 1
    )
    flags.DEFINE_enum(
        "by", None, ["generator", "descriptor"], "which of CoopNet's players draws; the generator"
    )
    flags.DEFINE_enum(
        "statistics", None, ["batch", "running"], "of CoopNet's batch norm; batch, as in training"
    )
    flags.DEFINE_integer("columns", 10, "images in a row of the grid", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the latents")
    flags.DEFINE_string(
        "out", "samples.png", "the file: a grid (.png), or the images as HDF5 (.h5)"
    )
    recipe.start(shell)


if __name__ == "__main__":
    main()
