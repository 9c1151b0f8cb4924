"""Exports a checkpoint or preset for sampling, as ONNX, SavedModel, LiteRT or PyTorch files.

    python -m zoo.export --checkpoint=mnist_gan_digits --format=onnx --out=exported
    python -m zoo.export --checkpoint=hdgan_synthetic_birds_256 --format=onnx --half --out=birds

The new folder contains one file per function (`generator`, `text_encoder` and so on) with named
inputs and free batch size, a README and `metadata.json`. Each file is run with the runtime of its
format and compared with Keras; the largest difference is printed. `pip install 'kerasgan[export]'`
installs the converters and runtimes.
"""

import dataclasses
from typing import Any

from zoo import cli, lazy, sample
from zoo.settings import Checked, setting

export_folder = lazy.module("kerasgan.io.export_folder")
model_card = lazy.module("kerasgan.io.model_card")
presets = lazy.module("kerasgan.io.presets")

FORMATS = ("onnx", "saved_model", "litert", "torch")


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: str | None = setting(None, sample.CHECKPOINT_HELP)
    format: str = setting("onnx", "Format of the exported functions.", choices=FORMATS)
    out: str = setting("exported", "New folder that receives the exported functions.")
    functions: tuple[str, ...] = setting(
        (), "Functions to export, such as generator,text_encoder. Default: all of the model."
    )
    half: bool = setting(False, "Store the weights of ONNX files in half precision.")


def licence(checkpoint: str) -> str:
    """Returns the licence that the card of a preset names."""
    try:
        found = (
            None if presets.is_file(checkpoint) else model_card.licence(presets.card(checkpoint))
        )
    except (OSError, ValueError):
        found = None
    return found or model_card.UNKNOWN_LICENCE


def command(options: Options) -> None:
    """Writes the folder."""
    checkpoint = sample.check_checkpoint(options.checkpoint)
    model: Any = sample.load(checkpoint)
    export_folder.export_model(
        model,
        options.out,
        options.format,
        functions=options.functions or None,
        half=options.half,
        title=checkpoint,
        licence=licence(checkpoint),
    )
    print(f"exported to {options.out}")


def main() -> None:
    cli.main("zoo.export", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
