"""Finds the latents of given images, or completes images that have a hidden part.

    python -m zoo.invert --checkpoint=mnist_gan_digits --images=digits --labels=0,1,2,3
    python -m zoo.invert --checkpoint=stylex_digits_8_9 --images=eight.png --space=w --start=encoder
    python -m zoo.invert --checkpoint=hdgan_synthetic_birds_256 --images=x.png --caption="a bird"
    python -m zoo.invert --checkpoint=coopnet_digits --images=digits --mask=bottom --by=descriptor

The sheet shows the images, the known parts of masked images, and the reconstructions. The errors
are printed: mean squared error, PSNR, and the distance in the features of the shipped classifier.
With `--by`, a CoopNet completes the images by Langevin dynamics (`CoopNet.complete`).
"""

import dataclasses
from typing import Any

from zoo import cli, latent_options, lazy
from zoo.latent_options import LatentOptions
from zoo.settings import setting

np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
files = lazy.module("kerasgan.io.files")
inversion = lazy.module("kerasgan.latents.inversion")

MASKS = ("left", "right", "top", "bottom", "center")


@dataclasses.dataclass(frozen=True)
class Options(LatentOptions):
    """Flags of the tool."""

    images: tuple[str, ...] = setting(
        (), "Image files, folders, or `digits` for test digits.", group="data"
    )
    count: int = setting(
        8,
        "Maximum number of images. With --labels or --caption, at most one image for each of them.",
        group="data",
        least=1,
        most=1000,
    )
    out: str = setting("inverted.png", "Sheet of the images and their reconstructions.")
    save: str | None = setting(None, "File (.npz) that receives the arguments of `sample`.")
    mask: str | None = setting(None, "Part of the image that is hidden.", choices=MASKS)
    steps: int = setting(300, "Number of Adam steps.", least=0, most=100_000)
    learning_rate: float = setting(0.05, "Initial learning rate.", above=0.0, most=10.0)
    candidates: int = setting(4, "Number of random starts per image.", least=1, most=1000)
    space: str = setting(
        "z",
        "Variables to optimize: latents z, styles w, or one w per block (w+).",
        choices=("z", "w", "w+"),
    )
    start: str = setting(
        "random",
        "Starting point of the optimization: random latents, their mean, or the output of the "
        "model's encoder or posterior network.",
        choices=("random", "mean", "encoder", "posterior"),
    )
    feature_weight: float = setting(
        0.1, "Weight of the distance in the features of a classifier.", least=0.0
    )
    optimize_noise: bool = setting(False, "Optimize the noise map, too.")
    by: str | None = setting(
        None,
        "Network of a CoopNet that completes a masked image by Langevin dynamics.",
        group="networks",
        choices=("generator", "descriptor"),
    )


def hidden_half(name: str, height: int, width: int) -> Any:
    """Returns a mask `[H, W, 1]`, 0 in the named half (or the central square) of an image."""
    mask = np.ones((height, width, 1), "float32")
    rows = {"top": slice(0, height // 2), "bottom": slice(height // 2, None)}
    columns = {"left": slice(0, width // 2), "right": slice(width // 2, None)}
    if name == "center":
        rows["center"] = slice(height // 4, height - height // 4)
        columns["center"] = slice(width // 4, width - width // 4)
    mask[rows.get(name, slice(None)), columns.get(name, slice(None))] = 0.0
    return mask


def command(options: Options) -> None:
    """Writes the sheet and prints the errors."""
    out = latent_options.check_out(options.out, (".png",))
    if options.save and not options.save.endswith(".npz"):
        raise ValueError(f"--save must end in .npz; received {options.save}")
    model = latent_options.load(options)
    if options.by and ("by" not in model.sample_options or not options.mask):
        raise ValueError(
            f"--by needs a CoopNet and --mask; received --by={options.by} for "
            f"{options.checkpoint} and --mask={options.mask}"
        )
    shape = model.data_spec().parts[0].shape
    given = _conditions(model, options)
    count = min([options.count, *(len(values) for values in given.values())])
    real = latent_options.read_images(options.images, shape, count)
    given = {name: values[: len(real)] for name, values in given.items()}
    mask = None if options.mask is None else hidden_half(options.mask, *shape[:2])
    if options.by:
        made = model.complete(real, mask, by=options.by, seed=options.seed)
        print(f"completed by the {options.by}: {_difference(made, real)}")
    else:
        found = inversion.invert(
            model,
            real,
            mask=mask,
            space=options.space,
            start=options.start,
            candidates=options.candidates,
            steps=options.steps,
            learning_rate=options.learning_rate,
            feature_weight=options.feature_weight,
            optimize_noise=options.optimize_noise,
            seed=options.seed,
            **given,
        )
        made = found.images
        for name, before in found.start_errors.items():
            after = found.errors[name]
            print(f"{name}: {before.mean():.4g} at the start, {after.mean():.4g} at the end")
        if mask is not None:
            print(f"whole image: {_difference(made, real)}")
        if options.save:
            files.write_npz(options.save, found.inputs)
    rows = [real, made] if mask is None else [real, np.where(mask == 1, real, 0.0), made]
    shown = latent_options.enlarged(images.to_uint8(np.concatenate(rows)), 64)
    images.save_png(out, images.grid(shown, len(real)))
    print(f"{len(real)} image{'s' * (len(real) != 1)} in {out}")


def _difference(made, real):
    return f"mean squared error {np.mean(np.square(made - real)):.4g}"


def _conditions(model, options):
    if "classifier" in model.sampling_networks and not options.labels:
        return {}  # StylEx takes the conditions from its classifier.
    given = latent_options.conditions(model, options)
    if model.conditioning == "labels" and not given:
        raise ValueError(f"{options.checkpoint} takes labels: give --labels, one per image")
    return given


def main() -> None:
    cli.main("zoo.invert", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
