"""Prepares captioned images: synthetic birds, StackGAN's data, COCO, or your own folder.

    python -m zoo.prepare synthetic_birds
    python -m zoo.prepare birds --source=Data/birds
    python -m zoo.prepare folder --source=~/my_images --name=mine
    python -m zoo.prepare inception --weights=inception-2015-12-05.tgz

The first argument is the source: synthetic_birds, birds, flowers, coco, folder, or another one that
the error message for an unknown source lists. All images are checked before the data set is
written. If one is damaged, nothing is written. The source `inception` checks the weights of the
networks for IS, FID and KID, and writes them to the folder in which `zoo.evaluate` looks for them,
in a format that needs neither TensorFlow nor torch.
"""

import dataclasses
import os
import pathlib
import sys
from typing import Any

from zoo import cli, lazy
from zoo.settings import Checked, setting

absl_logging = lazy.module("absl.logging")
caption_folder = lazy.module("kerasgan.datasets.caption_folder")
class_captions = lazy.module("kerasgan.datasets.class_captions")
coco = lazy.module("kerasgan.datasets.coco")
prepared = lazy.module("kerasgan.datasets.prepared")
stackgan = lazy.module("kerasgan.datasets.stackgan")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")
files = lazy.module("kerasgan.io.files")
fingerprints = lazy.module("kerasgan.metrics.features.fingerprints")
inception = lazy.module("kerasgan.metrics.features.inception")
slim_inception = lazy.module("kerasgan.metrics.features.slim_inception")

FOLDERS = {
    "birds": "StackGAN's folder Data/birds, with train/ and test/",
    "flowers": "StackGAN's folder Data/flowers, with train/ and test/",
    "coco": "the folder with annotations/, train2014/ and val2014/",
    "folder": "your images with captions.jsonl, or x.txt beside x.jpg; train/ and test/ are splits",
}


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    source: str | None = setting(
        None, "Folder to read. " + ". ".join(f"{k}: {v}" for k, v in FOLDERS.items()) + "."
    )
    name: str | None = setting(None, "Name of the data set. Default: the source's name.")
    data_dir: str | None = setting(
        None,
        "Folder to which data sets are written. Default: $TFDS_DATA_DIR, or else "
        "~/tensorflow_datasets.",
    )
    size: int | None = setting(
        None, "Side of the images in pixels. Default: 304, or 256 for coco.", group="data", least=1
    )
    count: int | None = setting(
        None,
        "Number of synthetic birds of the training split. The test split has a third as many.",
        group="data",
        least=1,
    )
    corrupt: str = setting(
        "refuse",
        "Treatment of unreadable images: an error (refuse), or they are listed and left out "
        "(skip).",
        group="data",
        choices=("refuse", "skip"),
    )
    file_format: str = setting(
        "tfrecord",
        "Format of the files. Images of both formats are read at random positions.",
        group="data",
        choices=("tfrecord", "array_record"),
    )
    text_encoder: str | None = setting(
        None,
        "Text encoder (a preset or checkpoint) whose embeddings replace those of the source.",
        group="networks",
    )
    weights: str | None = setting(
        None,
        "For the source inception: file of the weights (.pb, .tgz, .pth, .h5), or prefix of "
        "StackGAN's checkpoint.",
        group="networks",
    )


def sources() -> tuple[str, ...]:
    """Returns the names of all sources of captioned images."""
    return ("synthetic_birds", *FOLDERS, *class_captions.SOURCES)


def read(
    source: str,
    path: str | os.PathLike | None = None,
    size: int | None = None,
    count: int | None = None,
    ready: bool = True,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Returns the splits of a source: a dictionary from name to `CaptionedImages`.

    Args:
        source: One of `sources()`.
        path: Folder of the source, if it has one.
        size: Side of the images in pixels. Defaults to 304, or 256 for COCO.
        count: Number of synthetic birds to train on. A third as many are made for testing.
        ready: If `True`, also reads the embeddings that come with the source.
        data_dir: Folder of TensorFlow Datasets, for its sources.
    """
    if source not in sources():
        raise ValueError(f"the source must be one of {', '.join(sources())}; received {source!r}")
    sized = {"size": size} if size else {}
    if source in class_captions.SOURCES:
        return {
            split: class_captions.class_captions(source, split, data_dir=data_dir, **sized)
            for split in ("train", "test")
        }
    if source == "synthetic_birds":
        counts = {"train": count, "test": count and max(1, count // 3)}
        return {
            split: synthetic.synthetic_birds(split, number, **sized)
            for split, number in counts.items()
        }
    if not path or not pathlib.Path(path).is_dir():
        raise ValueError(f"{source} needs --source=FOLDER, {FOLDERS[source]}; received {path}")
    if source == "folder":
        root = pathlib.Path(path)
        parts = {split: root / split for split in ("train", "test")}
        found = {split: part for split, part in parts.items() if part.is_dir()} or {"train": root}
        return {
            split: caption_folder.caption_folder(part, **sized) for split, part in found.items()
        }
    is_coco = source == "coco"
    reader = coco.coco_folder if is_coco else stackgan.stackgan_folder
    splits = ("train", "val") if is_coco else ("train", "test")
    return {split: reader(path, split, embeddings=ready, **sized) for split in splits}


def data_set(source: str) -> str:
    """Returns the default name of a source's data set."""
    return source.replace("_tfds", "_class_name_captions")


def slim_checkpoint(weights: str | None) -> bool:
    """Returns whether `weights` is the prefix of a TensorFlow checkpoint."""
    return weights is not None and pathlib.Path(f"{weights}.index").is_file()


def prepare_inception(weights: str | None) -> tuple[pathlib.Path, str]:
    """Converts the weights of an Inception network.

    Args:
        weights: File of the Inception of 2015-12-05 (`None`: it is found or downloaded), or prefix
            of the checkpoint of StackGAN's fine-tuned network.

    Returns:
        The path of the .h5 file and the SHA-256 of what was read.
    """
    if weights and slim_checkpoint(weights):
        # StackGAN's are birds_valid299/model.ckpt and flowers_valid299/model.ckpt.
        prefix = pathlib.Path(weights).resolve()
        network = slim_inception.SlimInception(weights)
        path = inception.home() / f"{prefix.parent.name}_{prefix.name}.h5"
        files.make_folder(path.parent)
        network.save(path)
        return path, network.protocol["sha256"]
    return inception.convert(weights)


# === The command ===


def command(options: Options, positional: list[str]) -> None:
    """Prepares the source that the command line names."""
    if positional == ["inception"]:
        path, digest = prepare_inception(options.weights)
        print(f"{path}\nSHA-256 of what was read: {digest}")
        if not slim_checkpoint(options.weights):
            print(f"Network: {fingerprints.network_name('Inception', digest)}")
        return
    if len(positional) != 1:
        received = " ".join(positional) or "none"
        raise ValueError(
            f"name one source, of {', '.join(sources())} and inception; received {received}"
        )
    absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow Datasets logs a line per file.
    source = positional[0]
    name = options.name or data_set(source)
    folder = prepared.prepared_folder(name, options.data_dir)
    origin = {
        "source": source,
        "path": options.source and str(pathlib.Path(options.source).resolve()),
        "size": options.size,
        "count": options.count,
        "text_encoder": options.text_encoder,
        "corrupt": options.corrupt,
    }
    if not folder.exists():
        _prepare(source, name, origin, options)
    elif prepared.read_origin(folder) != origin:
        raise ValueError(
            f"{folder} was made from {prepared.read_origin(folder)}; delete it, or give another "
            f"--name"
        )
    else:
        print("prepared before")
    print_summary(name, folder, options.data_dir)


def _prepare(source, name, origin, options):
    encoder = options.text_encoder
    splits = read(
        source,
        options.source,
        options.size,
        options.count,
        ready=not encoder,
        data_dir=options.data_dir,
    )
    listed = ", ".join(f"{len(data):,} images of {split}" for split, data in splits.items())
    print(f"found {listed}")
    if encoder:
        encode = char_cnn_rnn.text_encoder(encoder)
        print("encoding the captions")
        splits = {split: data.embed(encode) for split, data in splits.items()}
    try:
        left_out = prepared.prepare(
            name, splits, origin, options.data_dir, options.corrupt, options.file_format
        )
    except KeyboardInterrupt:
        print("\nstopped; nothing was written, the same command starts anew", file=sys.stderr)
        sys.exit(130)
    for message in left_out:
        print(f"left out: {message}")


def print_summary(name: str, folder: pathlib.Path, data_dir: str | None) -> None:
    """Prints the splits of a prepared data set, and the code that loads it."""
    splits = [
        split for split in ("train", "test", "val") if next(folder.glob(f"*-{split}.*"), None)
    ]
    for split in splits:
        data = prepared.load_prepared(name, split, data_dir, in_memory=False)
        embeddings = "no embeddings"
        if data.embeddings is not None:
            embeddings = "{} embeddings of {} numbers".format(*data.embeddings.shape[1:])
        captions = min(map(len, data.captions))
        print(
            f"{split}: {len(data):,} images {data.images[0].shape[0]} pixels high, at least "
            f"{captions} captions each, {embeddings}"
        )
    print(f"in {folder}")
    print(f'load_prepared("{name}", "{splits[0]}") loads it')


def main() -> None:
    cli.main("zoo.prepare", Options, command, description=__doc__, usage="SOURCE ")


if __name__ == "__main__":
    main()
