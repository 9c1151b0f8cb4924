"""Uploads a preset to a hub, with a model card that has metadata, scores and sample images.

    python -m zoo.upload --checkpoint=./my_preset --uri=hf://me/my_preset --dry_run
    python -m zoo.upload --checkpoint=./my_preset --uri=hf://me/my_preset
    python -m zoo.upload --checkpoint=./my_preset --uri=kaggle://me/my_preset/keras/default

`zoo.preset` makes a preset of a finished run. Only files of a preset are uploaded, never other
files in its folder. Hugging Face needs `pip install 'kerasgan[hub]'` and `hf auth login` (or
`HF_TOKEN`); Kaggle needs `pip install 'kerasgan[kaggle]'` and `KAGGLE_API_TOKEN`.
"""

import dataclasses
import pathlib
import tempfile
from typing import Any

from zoo import cli, lazy, sample, settings as fields
from zoo.settings import Checked, setting

np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
hub = lazy.module("kerasgan.io.hub")
presets = lazy.module("kerasgan.io.presets")

CAPTIONS = (
    "a small red bird with a yellow belly",
    "a large blue bird with black wings, sitting on a branch",
    "a white bird with a long bill",
    "a brown bird that is flying",
)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: str | None = setting(
        None, "Name of a shipped preset, or folder of a preset made by zoo.preset."
    )
    uri: str | None = setting(
        None, "Target: hf://owner/name or kaggle://owner/model/framework/variation."
    )
    caption: tuple[str, ...] = setting(
        (), "Caption of a sample image. Default: four captions of birds.", repeated=True
    )
    seed: int = fields.seed("Seed of the sample images.")
    private: bool = setting(False, "Make a new Hugging Face repository private.")
    dry_run: bool = setting(False, "Print the files and the model card, and upload nothing.")


def picture(model: Any, captions: tuple[str, ...], seed: int) -> Any:
    """Returns a sheet of sample images, or `None` if the model does not generate images from text.

    Args:
        model: Model of a preset.
        captions: Captions of the images, if the model takes captions.
        seed: Seed of the latents.
    """
    if not sample.can_sample(model):
        return None
    if model.conditioning == "captions":
        if model.text_encoder is None:
            return None
        made = model.sample(captions=list(captions), seed=seed, sizes="all")
        sizes = {size: images.to_uint8(x) for size, x in made.items()}
        return images.captioned_sheet(captions, sizes)
    if model.conditioning == "labels":
        count = min(model.classes, 10)
        made = model.sample(labels=np.arange(4 * count) % count, seed=seed)
        return images.grid(images.to_uint8(made), count)
    return images.grid(images.to_uint8(model.sample(32, seed=seed)), 8)


def command(options: Options) -> None:
    """Writes the model card and uploads the preset."""
    if not options.checkpoint or not options.uri:
        missing = "--checkpoint" if not options.checkpoint else "--uri"
        raise ValueError(f"{missing} must be given (--help shows an example); received none")
    hub.check_target(options.uri)
    model = presets.load(options.checkpoint)
    captions = options.caption or CAPTIONS
    made = picture(model, captions, options.seed)
    texts = captions if made is not None and model.conditioning == "captions" else ()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if made is not None:
            images.save_png(folder / "samples.png", made)
        text = presets.stage(options.uri, options.checkpoint, folder, texts)
        if options.dry_run:
            print(f"{text}\nnothing is uploaded to {options.uri} (--dry_run); it would receive:")
        for path in sorted(folder.iterdir()):
            print(f"{path.name:16} {path.stat().st_size:>12,} bytes")
        if not options.dry_run:
            print(f"uploaded to {hub.upload(options.uri, folder, options.private)}")


def main() -> None:
    cli.main("zoo.upload", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
