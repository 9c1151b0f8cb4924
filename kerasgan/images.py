"""Conversion between float images in [-1, 1] and 8 bits, image grids, and PNG and GIF files."""

import base64
import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerasgan.io import files


def check_images(
    images: Any, shape: Sequence[int] | None = None, name: str = "images"
) -> np.ndarray:
    """Returns `images` as a float32 array `[N, H, W, C]`.

    Args:
        images: Float array `[N, H, W, C]`, finite, in [-1, 1], with N of at least 1.
        shape: Required (H, W, C). `None` accepts any.
        name: Name of the images in messages.

    Raises:
        ValueError: The images have another shape, type or range.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"{name} must be a float array [N, H, W, C]; received {images.dtype} "
            f"{list(images.shape)}"
        )
    if shape is not None and images.shape[1:] != tuple(shape):
        raise ValueError(
            f"{name} must be [N, {', '.join(map(str, shape))}]; received {list(images.shape)}"
        )
    low, high = images.min(), images.max()
    # Rounding may exceed 1 slightly. The comparison is also false for NaN.
    if not (low >= -1.00001 and high <= 1.00001):
        raise ValueError(
            f"{name} must be finite and in [-1, 1]; received values from {low:g} to {high:g}"
        )
    return images.astype("float32", copy=False)


def to_uint8(images: Any) -> np.ndarray:
    """Converts float images `[N, H, W, C]` in [-1, 1] to uint8, rounded to the nearest level."""
    return np.rint((check_images(images) + 1) * 127.5).astype("uint8")


def from_uint8(images: Any) -> np.ndarray:
    """Converts a uint8 array to float32 in [-1, 1]. `to_uint8` inverts it exactly."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"images must be uint8; received {images.dtype}")
    return images.astype("float32") / 127.5 - 1


def grid(images: Any, columns: int) -> np.ndarray:
    """Arranges images `[N, H, W, C]` in rows, uint8 `[rows * H, columns * W, C]`.

    Images are float in [-1, 1] or uint8. Empty places of the last row are white.
    """
    images = np.asarray(images)
    images = images if images.dtype == np.uint8 else to_uint8(images)
    count, height, width, channels = images.shape
    if columns < 1:
        raise ValueError(f"columns must be at least 1; received {columns}")
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, channels), 255, "uint8")
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)  # [rows * H, columns * W, C]


def captioned_sheet(
    captions: Sequence[str], pictures: Mapping[int, Any], columns: int = 1, text_width: int = 200
) -> np.ndarray:
    """Arranges captions with their images in ascending size, uint8 `[H, W, 3]`.

    Args:
        captions: N captions.
        pictures: Dict from a size to images `[N, size, size, 3]`, float in [-1, 1] or uint8.
        columns: Number of captions per row.
        text_width: Width of the text of a caption in pixels.
    """
    sizes = sorted(pictures)
    texts = [textwrap.fill(caption, text_width // 8) for caption in captions]
    height = max(sizes[-1], 20 * max(lines.count("\n") + 1 for lines in texts)) + 6
    width = text_width + sum(sizes) + 6 * len(sizes)
    sheet = Image.new("RGB", (columns * width, -(-len(texts) // columns) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    pictures = {
        size: grid(images, 1).reshape(-1, size, size, 3) for size, images in pictures.items()
    }
    for index, lines in enumerate(texts):
        left, top = index % columns * width, index // columns * height
        pen.multiline_text(
            (left + 8, top + height // 2), lines, "black", font, anchor="lm", spacing=5
        )
        left += text_width
        for size in sizes:
            sheet.paste(Image.fromarray(pictures[size][index]), (left, top + (height - size) // 2))
            left += size + 6
    return np.asarray(sheet)


def save_png(path: str | os.PathLike, image: Any) -> None:
    """Writes one image `[H, W, 1 or 3]`, uint8 or float in [-1, 1], as a PNG file."""
    files.write_atomically(path, _encoded(image))


def save_gif(path: str | os.PathLike, frames: Sequence[Any], ms: int = 200) -> None:
    """Writes images `[H, W, C]` of one shape, uint8 or float in [-1, 1], as a looping GIF.

    Args:
        path: Path of the file.
        frames: Images, at least one.
        ms: Duration of a frame in milliseconds.
    """
    if not len(frames):
        raise ValueError("frames must hold at least one image; received none")
    first, *rest = map(picture, frames)
    made = io.BytesIO()
    first.save(made, "GIF", save_all=True, append_images=rest, duration=ms, loop=0)
    files.write_atomically(path, made.getbuffer())


def png_data_uri(image: Any) -> str:
    """Encodes one image, as `save_png` accepts it, as `data:image/png;base64,...` for HTML."""
    return "data:image/png;base64," + base64.b64encode(_encoded(image)).decode("ascii")


def _encoded(image):
    made = io.BytesIO()
    picture(image).save(made, "PNG")
    return made.getvalue()


def picture(image: Any) -> Image.Image:
    """Converts one image `[H, W, 1 or 3]`, uint8 or float in [-1, 1], to a Pillow image."""
    image = np.asarray(image)
    if image.ndim == 3 and np.issubdtype(image.dtype, np.floating):
        (image,) = to_uint8(image[None])
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(
            "an image file must contain one image [H, W, 1 or 3], uint8 or float in [-1, 1]; "
            f"received {image.dtype} {list(image.shape)}"
        )
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
