"""Conversion between float images in [-1, 1] and 8 bits, image grids, and PNG and GIF files."""

import base64
import io
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerasgan.io import files


def check_images(images, shape=None, name="images"):
    """Return `images` as a float32 array [N, H, W, C], or say in one line what is wrong with them.

    Args:
        images: float array [N, H, W, C], finite, in [-1, 1].
        shape: (H, W, C) that the images must have; None admits any.
        name: what the message calls them.

    Raises:
        ValueError: wrong rank, type, shape or range, or no image at all.
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
    if not (
        low >= -1.00001 and high <= 1.00001
    ):  # a float32 may miss 1 by its rounding; not-a-number fails too
        raise ValueError(
            f"{name} must be finite and in [-1, 1]; received values from {low:g} to {high:g}"
        )
    return images.astype("float32", copy=False)


def to_uint8(images):
    """Converts float images `[N, H, W, C]` in [-1, 1] to uint8, rounded to the nearest level."""
    return np.rint((check_images(images) + 1) * 127.5).astype("uint8")


def from_uint8(images):
    """Converts a uint8 array to float32 in [-1, 1]. `to_uint8` inverts it exactly."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"images must be uint8; received {images.dtype}")
    return images.astype("float32") / 127.5 - 1


def grid(images, columns):
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


def captioned_sheet(captions, pictures, columns=1, text_width=200):
    """A sheet of captions, each beside its pictures in ascending size -> uint8 [H, W, 3].

    Args:
        captions: N texts.
        pictures: size -> images [N, size, size, 3], float in [-1, 1] or uint8.
        columns: captions in a row.
        text_width: pixels of a caption's own column.
    """
    sizes = sorted(pictures)
    told = [textwrap.fill(caption, text_width // 8) for caption in captions]
    height = max(sizes[-1], 20 * max(lines.count("\n") + 1 for lines in told)) + 6
    width = text_width + sum(sizes) + 6 * len(sizes)
    sheet = Image.new("RGB", (columns * width, -(-len(told) // columns) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    pictures = {
        size: grid(images, 1).reshape(-1, size, size, 3) for size, images in pictures.items()
    }
    for index, lines in enumerate(told):
        left, top = index % columns * width, index // columns * height
        pen.multiline_text(
            (left + 8, top + height // 2), lines, "black", font, anchor="lm", spacing=5
        )
        left += text_width
        for size in sizes:
            sheet.paste(Image.fromarray(pictures[size][index]), (left, top + (height - size) // 2))
            left += size + 6
    return np.asarray(sheet)


def save_png(path, image):
    """Writes one uint8 image `[H, W, C]` with 1 or 3 channels as a PNG file."""
    files.write_atomically(path, _encoded(image))


def save_gif(path, frames, ms=200):
    """Writes uint8 images `[H, W, C]` of one shape as a looping GIF with `ms` milliseconds per
    frame.
    """
    if not len(frames):
        raise ValueError("frames must hold at least one image; received none")
    first, *rest = map(_picture, frames)
    made = io.BytesIO()
    first.save(made, "GIF", save_all=True, append_images=rest, duration=ms, loop=0)
    files.write_atomically(path, made.getbuffer())


def png_data_uri(image):
    """Encodes one uint8 image `[H, W, C]` as `data:image/png;base64,...` for an HTML page."""
    return "data:image/png;base64," + base64.b64encode(_encoded(image)).decode("ascii")


def _encoded(image):
    made = io.BytesIO()
    _picture(image).save(made, "PNG")
    return made.getvalue()


def _picture(image):
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(
            f"an image file holds uint8 [H, W, 1 or 3]; received {image.dtype} {list(image.shape)}"
        )
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
