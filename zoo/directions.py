"""Finds directions of the latent space that change the images most, and shows their edits.

    python -m zoo.directions --checkpoint=mnist_gan_digits --labels=5 --out=directions.png
    python -m zoo.directions --checkpoint=stylex_digits_8_9 --labels=0 --blocks=0,1

Each row of the sheet is one direction (SeFa, arXiv 2007.06600), each column one strength.
"""

import dataclasses

from zoo import cli, latent_options, lazy
from zoo.latent_options import LatentOptions
from zoo.settings import setting

np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
files = lazy.module("kerasgan.io.files")
directions = lazy.module("kerasgan.latents.directions")


@dataclasses.dataclass(frozen=True)
class Options(LatentOptions):
    """Flags of the tool."""

    labels: tuple[str, ...] = setting(
        (), "Class label of the edited image. Default: 0.", group="conditions"
    )
    out: str = setting("directions.png", "Sheet of edited images.")
    save: str | None = setting(None, "File (.npz) that receives the directions.")
    count: int = setting(5, "Number of directions, the rows of the sheet.", least=1, most=1000)
    strength: float = setting(
        3.0, "Largest distance along a direction, in standard deviations.", above=0.0, most=100.0
    )
    columns: int = setting(7, "Number of edits per direction.", least=2, most=100)
    blocks: tuple[str, ...] = setting(
        (), "Blocks of StyleGAN2 or StylEx to analyze and to edit, such as 0,1. Default: all."
    )


def command(options: Options) -> None:
    """Writes the sheet."""
    out = latent_options.check_out(options.out, (".png",))
    if not all(block.isdecimal() for block in options.blocks):
        raise ValueError(
            f"--blocks must be integers, such as 0,1; received {','.join(options.blocks)}"
        )
    if options.save and not options.save.endswith(".npz"):
        raise ValueError(f"--save must end in .npz; received {options.save}")
    model = latent_options.load(options)
    given = latent_options.conditions(model, options)
    if any(len(values) != 1 for values in given.values()):
        (several,) = given.values()
        raise ValueError(f"one image is edited: give one label or caption; received {len(several)}")
    if model.conditioning == "labels" and not given:
        given = {"labels": [0]}
    blocks = [int(block) for block in options.blocks] or None
    extra = {"statistics": "running"} if "statistics" in model.sample_options else {}
    found = directions.find_directions(model, options.count, blocks)
    strengths = np.linspace(-options.strength, options.strength, options.columns)
    edited = directions.edit(
        model, found, strengths, seed=options.seed, blocks=blocks, **given, **extra
    )
    shown = images.to_uint8(edited.reshape(-1, *edited.shape[2:]))
    images.save_png(out, images.grid(latent_options.enlarged(shown, 64), options.columns))
    if options.save:
        arrays = {"vectors": found.vectors, "strengths": found.strengths, "scale": found.scale}
        files.write_npz(options.save, arrays | {"space": np.array(found.space)})
    print(f"{len(found.vectors)} directions of {found.space} in {out}")


def main() -> None:
    cli.main("zoo.directions", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
