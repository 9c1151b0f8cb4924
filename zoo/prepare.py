"""Prepare captioned images for training: drawn birds, StackGAN's birds and flowers, COCO, your own folder.

    python -m zoo.prepare synthetic_birds
    python -m zoo.prepare birds --source=Data/birds
    python -m zoo.prepare inception --weights=inception-2015-12-05.tgz

Everything is looked at first; then all of the data set is written, or nothing. `inception` checks the weights of the
networks behind IS, FID and KID and writes them where `zoo.evaluate` finds them, readable without TensorFlow and torch.
"""

import pathlib
import sys

from absl import flags, logging

from kerasgan.datasets.caption_folder import caption_folder
from kerasgan.datasets.class_captions import SOURCES as BY_CLASS
from kerasgan.datasets.class_captions import class_captions
from kerasgan.datasets.coco import coco_folder
from kerasgan.datasets.prepared import load_prepared, prepare, prepared_folder, read_origin
from kerasgan.datasets.stackgan import stackgan_folder
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.io import files
from kerasgan.metrics.features import inception
from kerasgan.metrics.features.slim_inception import SlimInception
from zoo import recipe

FLAGS = flags.FLAGS
FOLDERS = {
    "birds": "StackGAN's folder Data/birds, with train/ and test/",
    "flowers": "StackGAN's folder Data/flowers, with train/ and test/",
    "coco": "the folder with annotations/, train2014/ and val2014/",
    "folder": "your images, with captions.jsonl or x.txt beside x.jpg; train/ and test/ in it become splits",
}
SOURCES = ("synthetic_birds", *FOLDERS, *BY_CLASS)


def read(source, path=None, size=None, count=None, ready=True, data_dir=None):
    """A source's splits: dictionary, name to `CaptionedImages`.

    Args:
        source: one of `SOURCES`.
        path: its folder, for those that have one.
        size: side of the images; None is 304, and 256 for COCO.
        count: of drawn birds to train on; a third as many are drawn to test with. None is their own default.
        ready: whether embeddings that come with the source are read.
        data_dir: of TensorFlow Datasets, for the sources that are its own.
    """
    if source not in SOURCES:
        raise ValueError(f"the source must be one of {', '.join(SOURCES)}; received {source!r}")
    sized = {"size": size} if size else {}
    if source in BY_CLASS:
        return {
            split: class_captions(source, split, data_dir=data_dir, **sized)
            for split in ("train", "test")
        }
    if source == "synthetic_birds":
        counts = {"train": count, "test": count and max(1, count // 3)}
        return {split: synthetic_birds(split, number, **sized) for split, number in counts.items()}
    if not path or not pathlib.Path(path).is_dir():
        raise ValueError(f"{source} needs --source=DIR, {FOLDERS[source]}; received {path}")
    if source == "folder":
        parts = {split: pathlib.Path(path) / split for split in ("train", "test")}
        found = {split: part for split, part in parts.items() if part.is_dir()} or {"train": path}
        return {split: caption_folder(part, **sized) for split, part in found.items()}
    reader, splits = (
        (coco_folder, ("train", "val"))
        if source == "coco"
        else (stackgan_folder, ("train", "test"))
    )
    return {split: reader(path, split, embeddings=ready, **sized) for split in splits}


def data_set(source):
    """The name that a source's data set has unless another is given."""
    return source.replace("_tfds", "_class_name_captions")


def prepare_inception(weights):
    """Converts the weights of Inception 2015-12-05 (a file; None finds or downloads it), or of StackGAN's
    fine-tuned one (a checkpoint's prefix), once. Returns the path of the .h5 and the SHA-256 of what was read."""
    if weights and pathlib.Path(f"{weights}.index").is_file():
        prefix = pathlib.Path(
            weights
        ).resolve()  # StackGAN's are birds_valid299/model.ckpt and flowers_valid299/…
        network, path = (
            SlimInception(weights),
            inception.home() / f"{prefix.parent.name}_{prefix.name}.h5",
        )
        files.make_folder(path.parent)
        network.save(path)
        return path, network.protocol["sha256"]
    return inception.convert(weights)


def shell(arguments):
    if arguments[1:] == ["inception"]:
        path, digest = prepare_inception(FLAGS.weights)
        print(f"{path}\nSHA-256 of what was read: {digest}")
        return
    if len(arguments) != 2:
        received = " ".join(arguments[1:]) or "none"
        raise ValueError(
            f"one source must be named, of {', '.join(SOURCES)} and inception; received {received}"
        )
    logging.set_verbosity(logging.WARNING)  # TFDS tells of each file
    source, encoder = arguments[1], FLAGS.text_encoder
    name = FLAGS.name or data_set(source)
    folder = prepared_folder(name, FLAGS.data_dir)
    origin = {"source": source, "path": FLAGS.source and str(pathlib.Path(FLAGS.source).resolve())}
    origin |= {
        "size": FLAGS.size,
        "count": FLAGS.count,
        "text_encoder": encoder,
        "corrupt": FLAGS.corrupt,
    }
    if not folder.exists():
        splits = read(
            source,
            FLAGS.source,
            FLAGS.size,
            FLAGS.count,
            ready=not encoder,
            data_dir=FLAGS.data_dir,
        )
        print(
            "found "
            + ", ".join(f"{len(data):,} images of {split}" for split, data in splits.items())
        )
        if encoder:
            from kerasgan.encoders.char_cnn_rnn import text_encoder

            encode = text_encoder(encoder)
            print("encoding the captions")
            splits = {split: data.embed(encode) for split, data in splits.items()}
        try:
            left_out = prepare(name, splits, origin, FLAGS.data_dir, FLAGS.corrupt)
        except KeyboardInterrupt:
            print(
                "\nstopped; nothing half-made is left, the same command starts anew",
                file=sys.stderr,
            )
            sys.exit(130)
        for message in left_out:
            print(f"left out: {message}")
    elif read_origin(folder) != origin:
        raise ValueError(
            f"{folder} was made from {read_origin(folder)}; delete it, or give another --name"
        )
    else:
        print("prepared before")
    splits = [
        split for split in ("train", "test", "val") if next(folder.glob(f"*-{split}.*"), None)
    ]
    for split in splits:
        data = load_prepared(name, split, FLAGS.data_dir, in_memory=False)
        vectors = (
            "no embeddings"
            if data.embeddings is None
            else "{} embeddings of {} numbers".format(*data.embeddings.shape[1:])
        )
        print(
            f"{split}: {len(data):,} images {data.images[0].shape[0]} pixels high, "
            f"{min(map(len, data.captions))} or more captions each, {vectors}"
        )
    print(f"in {folder}")
    print(f'load_prepared("{name}", "{splits[0]}") loads it')


def main():
    flags.DEFINE_string(
        "source", None, "the folder to read: " + "; ".join(f"{k}: {v}" for k, v in FOLDERS.items())
    )
    flags.DEFINE_string(
        "weights", None, "of inception: .pb, .tgz, .pth, .h5, or a prefix of StackGAN's checkpoint"
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "of TensorFlow Datasets; $TFDS_DATA_DIR or ~/tensorflow_datasets by default",
    )
    flags.DEFINE_string("name", None, "of the data set; the source's by default")
    flags.DEFINE_integer(
        "size", None, "side of the images in pixels; 304 by default, 256 for coco", lower_bound=1
    )
    flags.DEFINE_integer(
        "count", None, "of drawn birds to train on; a third as many to test with", lower_bound=1
    )
    flags.DEFINE_string(
        "text_encoder", None, "a preset or file: its embeddings, in place of those that are there"
    )
    flags.DEFINE_enum(
        "corrupt",
        "refuse",
        ["refuse", "skip"],
        "an unreadable image stops, or is named and left out",
    )
    recipe.start(shell)


if __name__ == "__main__":
    main()
