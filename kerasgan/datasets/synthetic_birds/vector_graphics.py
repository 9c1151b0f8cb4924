"""Antialiased vector graphics: outlines, shades of colors, and the picture that they are filled on.

Outlines are complex numbers x + y i with y pointing down, so that a product rotates and scales them
and a sum moves them.
"""

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 4
Colour: TypeAlias = Sequence[float] | np.ndarray  # RGB in [0, 255]


def _uint8(colour):
    return np.rint(np.clip(colour, 0, 255)).astype("uint8")


class Picture:
    """A square image on which antialiased outlines in the unit square are filled.

    Args:
        size: Height and width in pixels.
        background: Image `[h, w, 3]` of values in [0, 255], which is scaled to this size.
        part_names: Names of the parts, whose indices `parts` contains. Without names, `parts` is
            `None`.
    """

    def __init__(self, size: int, background: np.ndarray, part_names: Sequence[str] = ()):
        self.size, self.part_names = size, part_names
        self.parts = Image.new("L", (size, size)) if part_names else None
        self.image = Image.fromarray(_uint8(background)).resize(
            (size, size), Image.Resampling.BICUBIC
        )

    def fill(
        self,
        outlines: Sequence[np.ndarray],
        colour: Colour,
        shade: float = 0.0,
        opacity: float = 1.0,
        part: str = "background",
    ) -> None:
        """Fills complex `outlines`. `shade` lightens the upper and darkens the lower part."""
        if self.parts and opacity == 1:
            drawing = ImageDraw.Draw(self.parts)
            for outline in outlines:
                corners = (outline * self.size).astype("complex128").view("float64").tolist()
                drawing.polygon(corners, fill=self.part_names.index(part))
        points = np.concatenate(outlines) * self.size
        top, bottom = points.imag.min(), points.imag.max()
        box = (
            np.floor([points.real.min(), top, points.real.max() + 1, bottom + 1])
            .astype(int)
            .clip(0, self.size)
        )
        width, height = box[2:] - box[:2]
        if not width or not height:
            return
        mask = Image.new("L", (width * OVERSAMPLING, height * OVERSAMPLING))
        drawing = ImageDraw.Draw(mask)
        for outline in outlines:
            corners = (outline * self.size - complex(*box[:2])) * OVERSAMPLING
            drawing.polygon(
                corners.astype("complex128").view("float64").tolist(), fill=round(255 * opacity)
            )
        rows = np.arange(box[1], box[3])[:, None, None] + 0.5
        light = shade * (1 - 2 * (rows - top) / (bottom - top))  # [H, 1, 1], from shade to -shade
        colours = colour + np.where(
            light > 0, 0.7 * light * (255 - np.array(colour)), light * np.array(colour)
        )
        paint = Image.fromarray(_uint8(colours)).resize((width, height), Image.Resampling.NEAREST)
        self.image.paste(paint, tuple(box[:2].tolist()), mask.reduce(OVERSAMPLING))


def curve(points: Sequence[complex] | np.ndarray, samples: int = 6) -> np.ndarray:
    """Returns the closed Catmull-Rom spline through complex points, `samples` points per arc."""
    places = np.arange(len(points))
    near = np.asarray(points)[(places + np.arange(-1, 3)[:, None]) % len(points)]  # [4, n]
    return (_weights(samples) @ near).T.ravel()


@functools.cache
def _weights(samples):
    t = np.linspace(0, 1, samples, endpoint=False)[:, None] ** np.arange(4)  # [samples, 4]
    return t @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2


_ALONG = np.linspace(0, 1, 9)
_FEATHER = np.concatenate(
    [_ALONG + 1j * (_ALONG**0.6 - _ALONG**4), (_ALONG - 1j * (_ALONG**0.6 - _ALONG**4))[-2:0:-1]]
)


def feather(root: complex, tip: complex, width: float) -> np.ndarray:
    """Returns the outline of a feather from `root` to `tip`."""
    length = abs(tip - root)
    return root + (tip - root) / length * (_FEATHER.real * length + 1j * _FEATHER.imag * width)


def disc(centre: complex, radius: float) -> np.ndarray:
    """Returns the outline of a disc."""
    return centre + radius * np.exp(2j * np.pi * np.arange(24) / 24)


def stroke(start: complex, end: complex, width: float) -> np.ndarray:
    """Returns the outline of a straight line."""
    side = 1j * (end - start) / abs(end - start) * width / 2
    return np.array([start + side, end + side, end - side, start - side])


def mix(colour: Colour, other: Colour, share: float) -> np.ndarray:
    """Returns a color with this share of another one."""
    return np.asarray(colour, "float32") * (1 - share) + np.asarray(other, "float32") * share


def darker(colour: Colour, share: float = 0.3) -> np.ndarray:
    """Returns a darker and purer shade, or a lighter one if the color is nearly black."""
    light = np.asarray(colour) / 255
    if light.sum() < 0.6:
        return mix(colour, (150, 155, 175), 0.8 * share)
    return 255 * light ** (1 + share) * (1 - 0.6 * share)
