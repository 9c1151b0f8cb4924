"""Animations of images: GIF and animated WebP with Pillow, MP4 with ffmpeg."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kerasgan.images import save_gif, to_uint8
from kerasgan.io import files

SUFFIXES = (".gif", ".webp", ".mp4")


def save_animation(path: str | os.PathLike, frames: Sequence[Any], fps: float = 20.0) -> None:
    """Writes images as an animation whose format the suffix of the file names.

    Args:
        path: Path of the file: `.gif`, `.webp` (lossless and smaller than GIF) or `.mp4` (needs the
            program ffmpeg).
        frames: Images `[H, W, C]` of one shape with 1 or 3 channels, uint8 or float in [-1, 1].
        fps: Frames per second. GIF rounds the duration of a frame to 10 ms.

    Raises:
        ValueError: If there are no frames, the suffix is unknown, or ffmpeg is not installed or
            fails.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"an animation must end in {', '.join(SUFFIXES)}; received {path}")
    if not len(frames):
        raise ValueError("frames must hold at least one image; received none")
    if not 0.1 <= fps <= 100:
        raise ValueError(f"fps must be between 0.1 and 100; received {fps:g}")
    images = np.asarray(frames)
    images = images if images.dtype == np.uint8 else to_uint8(images)
    if suffix == ".gif":
        save_gif(path, list(images), ms=round(1000 / fps))
        return
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    encode = _webp if suffix == ".webp" else _mp4
    files.write_atomically(path, encode(images, fps))


def _webp(images, fps):
    first, *rest = map(Image.fromarray, images)
    made = io.BytesIO()
    first.save(
        made,
        "WEBP",
        save_all=True,
        append_images=rest,
        duration=round(1000 / fps),
        loop=0,
        lossless=True,
    )
    return made.getvalue()


def _mp4(images, fps):
    program = shutil.which("ffmpeg")
    if program is None:
        raise ValueError(
            "an .mp4 file needs the program ffmpeg, which is not installed; use .webp or .gif"
        )
    # H.264 in the pixel format that browsers play needs even sides.
    height, width = images.shape[1:3]
    images = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    height, width = images.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "animation.mp4"
        command = [program, "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24"]
        command += ["-video_size", f"{width}x{height}", "-framerate", f"{fps:g}", "-i", "-"]
        command += ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"]
        command += ["-movflags", "+faststart", str(made)]
        result = subprocess.run(command, input=images.tobytes(), capture_output=True)
        if result.returncode or not made.is_file():
            lines = result.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise ValueError(f"ffmpeg could not encode the animation: {lines[-1][:160]}")
        with open(made, "rb") as file:
            return file.read()
