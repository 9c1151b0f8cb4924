"""Generates images with a checkpoint or a preset.

    python -m zoo.sample --checkpoint=mnist_gan_digits --labels=3,1,4 --out=samples.png
    python -m zoo.sample --checkpoint=hdgan_synthetic_birds_256 --caption="a small red bird"
    python -m zoo.sample --checkpoint=coopnet_digits --n=64 --by=descriptor
    python -m zoo.sample --checkpoint=..._G_epoch_600.h5 --data=birds --n=10 --out=samples.h5

The last command generates n images for the first caption of every image of the test split. The HDF5
file has the layout of the training notes: `output_64`, `output_128`, `output_256` (uint8),
`saveIDs`, `classIDs`, `embedding` and `captions`.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from zoo import cli, lazy, memory, settings as fields
from zoo.settings import Checked, current_names, setting

h5py = lazy.module("h5py")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
checkpoints = lazy.module("kerasgan.io.checkpoints")
files = lazy.module("kerasgan.io.files")
presets = lazy.module("kerasgan.io.presets")
text_gan = lazy.module("zoo.text_gan")

BLOCK = 64  # Number of images that are computed and written at a time.
CHECKPOINT_HELP = (
    "Checkpoint file ..._G_epoch_n.h5, name of a shipped preset, folder of a preset, or address "
    "(hf://owner/name, kaggle://owner/model/framework/variation, https://host/name.tar.gz)."
)
TEXT_ENCODER_HELP = (
    "Text encoder: a preset or checkpoint. Default: the one that the checkpoint was trained with."
)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: str | None = setting(None, CHECKPOINT_HELP)
    out: str = setting("samples.png", "Output file: a grid (.png), or the images as HDF5 (.h5).")
    n: int | None = setting(
        None,
        "Number of images in all (default 100), or for each caption (default 1).",
        least=1,
    )
    seed: int = fields.seed("Seed of the latents.")
    columns: int = setting(10, "Number of images per row of the grid.", least=1)
    labels: tuple[str, ...] = setting(
        (), "Class labels of the images, such as 0,1,2.", group="conditions"
    )
    caption: tuple[str, ...] = setting(
        (), 'Caption of an image, such as "a small red bird".', group="conditions", repeated=True
    )
    data: str | None = setting(
        None,
        "Data set whose captions are used: synthetic_birds, or the name of one that zoo.prepare "
        "made.",
        group="data",
    )
    split: str = setting("test", "Split of the data set: train, test or val.", group="data")
    data_dir: str = fields.data_dir()
    num_images: int = fields.num_images(1000)
    text_encoder: str | None = setting(None, TEXT_ENCODER_HELP, group="networks")
    by: str | None = fields.sampling_network()
    statistics: str | None = setting(
        None,
        "Batch normalization statistics of a CoopNet: of the batch (default, as in training) or "
        "running averages.",
        group="networks",
        choices=("batch", "running"),
    )
    steps: int | None = setting(
        None,
        "Number of Langevin steps of a CoopNet with --by=descriptor. Default: as in training.",
        group="networks",
        least=1,
        most=100_000,
    )
    truncation: float | None = fields.truncation("networks")
    temperature: float | None = setting(
        None,
        "Standard deviation of the latents of a RealNVP. Default: 1.",
        group="networks",
        least=0.0,
        most=10.0,
    )


# Option of `sample` -> models that have it, for messages.
OWNERS = {
    "by": "CoopNet",
    "statistics": "CoopNet",
    "steps": "CoopNet",
    "truncation": "StyleGAN2 and StylEx",
    "temperature": "RealNVP",
}


def load(name: str | os.PathLike) -> Any:
    """Returns the model of a checkpoint file or a preset, with its sampling networks."""
    if presets.is_file(name):
        return checkpoints.load_sampling_model(name)[0]
    return presets.load(name)


def about(name: str | os.PathLike, model: Any = None) -> dict:
    """Returns the information in a checkpoint or preset, with the current names of settings.

    Args:
        name: Checkpoint file or preset.
        model: Its model. If given, `text_encoder` is the text encoder that the model contains (the
            file of its network) or names, which takes precedence over the file's information.
    """
    path = presets.network_file(name)
    found = current_names(checkpoints.read_info(path))
    if getattr(model, "text_network", None) is not None:
        found["text_encoder"] = str(checkpoints.sibling(path, "T"))
    elif getattr(model, "text_encoder_name", None):
        found["text_encoder"] = model.text_encoder_name
    if found.get("text_encoder"):
        presets.check_own_name(found["text_encoder"])
    return found


def can_sample(model: Any) -> bool:
    """Returns whether a model generates images. Encoders do not."""
    return set(model.sampling_networks) <= set(model.checkpoint_networks())


def load_to_sample(name: str | os.PathLike) -> Any:
    """Returns the model of `load`. Raises ValueError if it does not generate images."""
    model = load(name)
    if not can_sample(model):
        raise ValueError(f"--checkpoint must generate images; {name} is a {type(model).__name__}")
    return model


def check_checkpoint(name: str | None) -> str:
    """Returns the value of `--checkpoint`. Raises ValueError if there is none."""
    if name is None:
        known = ", ".join(presets.names())
        raise ValueError(f"--checkpoint must name a file or a preset ({known}); received none")
    return name


# === The command ===


def command(options: Options) -> None:
    """Writes the images."""
    checkpoint = check_checkpoint(options.checkpoint)
    out = pathlib.Path(options.out)
    if out.suffix not in (".png", ".h5"):
        raise ValueError(
            f"--out must end in .png (a grid) or .h5 (the images as numbers); received {out}"
        )
    if not out.parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {out}")
    model = load_to_sample(checkpoint)
    extra = sample_options(model, options)
    write = {"labels": write_labels, "captions": write_captions, None: write_unconditional}
    count = write[model.conditioning](model, options, out, extra)
    print(f"{count} image{'s' * (count != 1)} in {out}")


def sample_options(model: Any, options: Any) -> dict:
    """Returns the given options of `model.sample`. Raises ValueError for unsupported ones."""
    given = {name: getattr(options, name, None) for name in OWNERS}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in model.sample_options:
            raise ValueError(
                f"{options.checkpoint} samples with its generator in inference mode: --{name} is "
                f"for {OWNERS[name]}"
            )
    return given


def check_memory(model: Any, count: int, flag: str = "n") -> None:
    """Raises ValueError if so many images, as floats and as bytes, do not fit into memory."""
    height, width, channels = model.data_spec().parts[0].shape
    size = 10 * count * height * width * channels
    memory.check(size, f"--{flag}={count}: images of {height} x {width} pixels")


def write_labels(model: Any, options: Options, path: pathlib.Path, extra: dict) -> int:
    """Writes images of class labels. Returns their number."""
    if options.caption or options.data:
        raise ValueError(f"{options.checkpoint} takes labels, not captions: give --labels or --n")
    given = given_labels(options.labels)
    count = 100 if options.n is None else options.n
    if given:
        labels = np.array(given)
    else:
        check_memory(model, count)
        labels = np.arange(count) % model.classes
    samples = images.to_uint8(model.sample(labels=labels, seed=options.seed, **extra))
    _write(path, options, {"images": samples, "labels": labels}, model, extra)
    return len(samples)


def given_labels(labels: Sequence[str]) -> list[int]:
    """Returns the labels of `--labels` as integers. Raises ValueError if they are not."""
    if not all(label.isdecimal() for label in labels):
        raise ValueError(f"--labels must be integers, such as 0,1,2; received {','.join(labels)}")
    return [int(label) for label in labels]


def write_unconditional(model: Any, options: Options, path: pathlib.Path, extra: dict) -> int:
    """Writes images of a model without conditions. Returns their number."""
    if options.labels or options.caption or options.data:
        raise ValueError(f"{options.checkpoint} takes neither labels nor captions: give --n")
    count = options.n or 100
    check_memory(model, count)
    samples = images.to_uint8(model.sample(count, seed=options.seed, **extra))
    _write(path, options, {"images": samples}, model, extra)
    return len(samples)


def _write(path, options, arrays, model, extra):
    if path.suffix == ".png":
        columns = min(options.columns, len(arrays["images"]))
        images.save_png(path, images.grid(arrays["images"], columns))
        return

    def fill(file):
        for name, array in arrays.items():
            file[name] = array
        file.attrs["checkpoint"], file.attrs["seed"] = options.checkpoint, options.seed
        own = {name: extra[name] for name in ("by", "statistics") if name in extra}
        if protocol := model.sampling_protocol(**own) | extra:
            file.attrs["protocol"] = json.dumps(protocol)

    files.write_hdf5(path, fill)


def write_captions(model: Any, options: Options, path: pathlib.Path, extra: dict) -> int:
    """Writes images of captions. Returns their number."""
    if options.labels:
        raise ValueError(
            f"{options.checkpoint} takes captions, not labels: give --caption or --data"
        )
    if bool(options.caption) == bool(options.data):
        raise ValueError("give --caption=... (once or more) or --data=..., one of them")
    read = given_captions if options.caption else split_captions
    captions, embeddings, classes = read(model, options)
    each = options.n or 1
    total = len(captions) * each
    if path.suffix == ".png" and total > BLOCK:
        raise ValueError(
            f"a grid may have at most {BLOCK} images, an .h5 file any number; received {total}"
        )
    # The images of an .h5 file are written in blocks; latents and embeddings are held in memory.
    held = 4 * model.latent_dim + embeddings[0].nbytes
    memory.check(total * held, f"--n={each}: latents and embeddings of {total:,} images")
    latents = model.random_latents(total, options.seed)

    def block(start):
        rows = np.arange(start, min(start + BLOCK, total))
        made = model.sample(
            embeddings=embeddings[rows // each],
            latents=latents[rows],
            sizes="all",
        )
        return rows, {size: images.to_uint8(x) for size, x in made.items()}

    if path.suffix == ".png":
        rows, made = block(0)
        columns = max(min(options.columns, total) // 4, 1)
        shown = [captions[i // each] for i in rows]
        images.save_png(path, images.captioned_sheet(shown, made, columns))
        return total

    def parts(file):
        for start in range(0, total, BLOCK):
            rows, made = block(start)
            for size, x in made.items():
                name, shape = f"output_{size}", (size, size, 3)
                if start == 0:
                    file.create_dataset(name, (total, *shape), "uint8", chunks=(1, *shape))
                file[name][rows[0] : rows[-1] + 1] = x
            print(f"\r{rows[-1] + 1} of {total}", end="", flush=True)
            yield
        print()
        rows = np.arange(total) // each
        file["saveIDs"], file["classIDs"] = rows, classes[rows]
        file.create_dataset("embedding", data=embeddings[rows])
        file.create_dataset("captions", data=[captions[i] for i in rows], dtype=h5py.string_dtype())
        file.attrs["checkpoint"], file.attrs["seed"] = options.checkpoint, options.seed

    files.stream_hdf5(path, parts)
    return total


def given_captions(model: Any, options: Options) -> tuple[list[str], Any, Any]:
    """Returns the captions of `--caption`, their embeddings `[N, D]` and classes, -1."""
    named = options.text_encoder
    encode = text_gan.encoder(named) if named else model.text_encoder
    if encode is None:
        raise ValueError(
            f"{options.checkpoint} was trained on embeddings of its data set: name their "
            "--text_encoder"
        )
    captions = list(options.caption)
    embeddings = encode(captions)
    return captions, embeddings, np.full(len(embeddings), -1)


def split_captions(model: Any, options: Options) -> tuple[list[str], Any, Any]:
    """Returns the first caption of each image of a split, embeddings `[N, D]` and classes."""
    saved = about(check_checkpoint(options.checkpoint), model).get("text_encoder")
    encoder = options.text_encoder or saved or ""
    data = text_gan.load(
        options.data, options.split, options.data_dir, options.num_images, 64, encoder
    )
    captions = [captions[0] for captions in data.captions]
    return captions, data.embeddings[:, 0], data.classes.astype("int64")


def main() -> None:
    cli.main("zoo.sample", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
