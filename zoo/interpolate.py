"""Interpolates between latents, captions or labels. Writes a GIF, WebP, MP4 or sheet of frames.

    python -m zoo.interpolate --checkpoint=mnist_gan_digits --labels=3,8 --out=digits.gif
    python -m zoo.interpolate --checkpoint=hdgan_synthetic_birds_256 --caption="a small red bird"
    python -m zoo.interpolate --checkpoint=stylex_digits_8_9 --space=w --truncation=0.7
    python -m zoo.interpolate --checkpoint=coopnet_digits --by=descriptor --out=revised.png

Latents are interpolated on the sphere, styles w and caption embeddings along lines. MP4 needs the
program ffmpeg.
"""

import dataclasses

from zoo import cli, latent_options, lazy, memory, sample, settings as fields
from zoo.latent_options import LatentOptions
from zoo.settings import setting

images = lazy.module("kerasgan.images")
animation = lazy.module("kerasgan.latents.animation")
interpolation = lazy.module("kerasgan.latents.interpolation")

SUFFIXES = (".gif", ".webp", ".mp4", ".png")


@dataclasses.dataclass(frozen=True)
class Options(LatentOptions):
    """Flags of the tool."""

    out: str = setting(
        "interpolation.gif", "Output file: an animation (.gif, .webp, .mp4) or a sheet (.png)."
    )
    points: int | None = setting(
        None,
        "Number of points (random latents) to interpolate between. Default: the number of labels "
        "or captions if there are several, otherwise 4.",
        least=1,
        most=1000,
    )
    frames: int = setting(20, "Number of frames from one point to the next.", least=1, most=10_000)
    fps: float = setting(20.0, "Frames per second of an animation.", least=0.1, most=100.0)
    columns: int = setting(10, "Number of images per row of a sheet.", least=1)
    loop: bool = setting(True, "Return to the first point at the end.")
    space: str = setting(
        "z", "Space of the interpolation: latents z or styles w.", choices=("z", "w")
    )
    truncation: float | None = fields.truncation()
    by: str | None = fields.sampling_network()
    statistics: str | None = setting(
        None,
        "Statistics of a CoopNet's batch normalization: those of the batch, or running ones. "
        "Default: running, so that a frame does not depend on the other frames.",
        group="networks",
        choices=("batch", "running"),
    )


def command(options: Options) -> None:
    """Writes the animation."""
    out = latent_options.check_out(options.out, SUFFIXES)
    model = latent_options.load(options)
    given = latent_options.conditions(model, options)
    extra = sample.sample_options(model, options)
    if "statistics" in model.sample_options:
        extra = {"statistics": "running"} | extra
    several = max((len(values) for values in given.values()), default=1)
    points = options.points or (several if several > 1 else 4)
    keys = max(points, several)
    shape = model.data_spec().parts[0].shape
    size = 10 * keys * options.frames * shape[0] * shape[1] * shape[2]
    memory.check(size, f"--points={points}, --frames={options.frames}: the images")
    frames = interpolation.interpolate(
        model,
        points,
        options.frames,
        space=options.space,
        loop=options.loop,
        seed=options.seed,
        truncation=extra.pop("truncation", 1.0),
        **given,
        **extra,
    )
    shown = latent_options.enlarged(images.to_uint8(frames), 64 if out.suffix == ".png" else 256)
    if out.suffix.lower() == ".png":
        images.save_png(out, images.grid(shown, options.columns))
    else:
        animation.save_animation(out, shown, options.fps)
    print(f"{len(frames)} frames in {out}")


def main() -> None:
    cli.main("zoo.interpolate", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
