"""Renders synthetic birds as antialiased vector graphics; see `vector_graphics`."""

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np

from kerasgan.datasets.synthetic_birds.attributes import COLOURS, attribute_words, random_for
from kerasgan.datasets.synthetic_birds.vector_graphics import (
    Picture,
    curve,
    darker,
    disc,
    feather,
    mix,
    stroke,
)

PARTS = ("background", "branch", "leg", "water", "tail", "body", "head", "bill", "eye", "wing")


@overload
def draw_bird(
    attributes: Sequence[int] | np.ndarray,
    seed: int | Sequence[int],
    size: int = ...,
    *,
    mirrored: bool = ...,
    parts: Literal[False] = ...,
) -> np.ndarray: ...
@overload
def draw_bird(
    attributes: Sequence[int] | np.ndarray,
    seed: int | Sequence[int],
    size: int = ...,
    *,
    mirrored: bool = ...,
    parts: Literal[True],
) -> tuple[np.ndarray, np.ndarray]: ...
def draw_bird(
    attributes: Sequence[int] | np.ndarray,
    seed: int | Sequence[int],
    size: int = 304,
    *,
    mirrored: bool = True,
    parts: bool = False,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Renders one bird.

    Args:
        attributes: int `[7]`, indices into the values of `ATTRIBUTES`.
        seed: Integer or sequence of integers that selects everything that captions do not mention:
            position, direction, shades, proportions, leaves.
        size: Height and width of the image in pixels, at least 16. The bird is the same at any
            resolution.
        mirrored: If `True`, half of the birds face left, otherwise all face right.
        parts: If `True`, also returns a map of the bird's parts.

    Returns:
        uint8 `[size, size, 3]`. With `parts`, a tuple of it and of uint8 `[size, size]`: the index
        in `PARTS` of what is visible at each pixel.

    Raises:
        ValueError: The attributes have another shape or range, or the size is less than 16.
    """
    if size < 16:
        raise ValueError(f"size must be at least 16; received {size}")
    words, random = attribute_words(attributes), random_for(seed, "picture")
    picture = Picture(size, _background(words["background"], random), PARTS if parts else ())
    _Bird(words, random).paint(picture)
    layers = [np.asarray(layer) for layer in (picture.image, picture.parts) if layer]
    if random.random() < 0.5 and mirrored:
        layers = [layer[:, ::-1] for layer in layers]
    layers = [np.ascontiguousarray(layer) for layer in layers]
    return (layers[0], layers[1]) if parts else layers[0]


class _Bird:
    """Layers of a bird that faces right. In its own frame, the body is centered and 0.9 long."""

    def __init__(self, words, random):
        self.words, self.random, self.pose = words, random, words["pose"]
        self.crown, self.wing, self.belly = (
            np.clip(
                np.array(COLOURS[words[part]]) * random.uniform(0.93, 1.07)
                + random.normal(0, 4, 3),
                0,
                255,
            )
            for part in ("crown", "wing", "belly")
        )
        tilt = {"perched": -0.6, "flying": -0.15, "swimming": -0.06}[self.pose]
        self.turn = np.exp(1j * random.normal(tilt, 0.06))
        self.plump = random.normal(1, 0.05)
        self.layers = []  # (outlines, color, shade, opacity, part), back to front.
        self.part = "background"  # that the next layers show
        if self.pose == "flying":
            self.raised_wing(mix(self.wing, darker(self.wing), 0.8), turn=0.5, zoom=0.85)
        self.tail()
        self.body()
        self.head()
        if self.pose == "flying":
            self.raised_wing(self.wing)
        else:
            self.folded_wing()

    def add(self, outlines, colour, shade=0.0, opacity=1.0):
        outlines = outlines if isinstance(outlines, list) else [outlines]
        self.layers.append((outlines, colour, shade, opacity, self.part))

    def at(self, *points):
        """Converts points to the body frame: widens and rotates them with the body."""
        points = np.array(points)
        return (points.real + 1j * points.imag * self.plump) * self.turn

    def feathers(self, roots, tips, width, colour, bands):
        """Adds a row of feathers in two shades. Every second one lies under its neighbours."""
        outlines = [
            feather(root, tip, width)
            for root, tip in zip(self.at(*roots), self.at(*tips), strict=True)
        ]
        for start, band in zip((1, 0), bands, strict=True):
            self.add(outlines[start::2], darker(colour, band), 0.08)

    def tail(self):
        self.part = "tail"
        spread, lift = {"perched": (0.07, 0), "flying": (0.16, 0), "swimming": (0.08, 0.25)}[
            self.pose
        ]
        length = self.random.uniform(0.42, 0.54)
        fan = np.arange(-2, 3)
        tips = (
            -0.36
            + 0.02j
            - length * np.exp(1j * (lift - 0.1 + spread * fan)) * (1 - 0.04 * abs(fan))
        )
        self.feathers([-0.34 + 0.02j] * 5, tips, 0.06, self.wing, (0.34, 0.16))

    def body(self):
        self.part = "body"
        self.add(
            curve(
                self.at(
                    -0.46 + 0.0j,
                    -0.28 - 0.13j,
                    -0.02 - 0.2j,
                    0.22 - 0.19j,
                    0.38 - 0.1j,
                    0.44 + 0.05j,
                    0.36 + 0.2j,
                    0.12 + 0.28j,
                    -0.15 + 0.23j,
                    -0.36 + 0.1j,
                )
            ),
            self.belly,
            0.18,
        )
        down = [
            self.at(*(x + 1j * y + np.array([-0.028, 0.024j, 0.028, 0.01j])))
            for y, row in (
                (0.1, (0.06, 0.16, 0.26, 0.35)),
                (0.16, (-0.02, 0.1, 0.2, 0.3)),
                (0.21, (0.04, 0.15, 0.25)),
            )
            for x in row
        ]
        self.add(down, darker(self.belly), opacity=0.3)
        self.add(
            curve(
                self.at(
                    -0.48 + 0.01j,
                    -0.28 - 0.14j,
                    -0.02 - 0.21j,
                    0.22 - 0.2j,
                    0.38 - 0.12j,
                    0.2 - 0.1j,
                    -0.05 - 0.04j,
                    -0.3 + 0.03j,
                )
            ),
            self.wing,
            0.12,
        )

    def head(self):
        place = {"perched": 0.46 - 0.17j, "flying": 0.47 - 0.1j, "swimming": 0.44 - 0.32j}[
            self.pose
        ]
        centre, radius = self.at(place)[0], 0.18 * self.random.normal(1, 0.04)
        self.bill(centre + radius * (0.72 + 0.12j), radius)
        self.part = "head"
        if self.pose == "swimming":
            neck = [
                centre - 0.92 * radius,
                centre + 0.85 * radius,
                *self.at(0.44 - 0.05j, 0.3 + 0.03j, 0.12 - 0.17j),
            ]
            self.add(curve(neck), self.crown, 0.1)
        outline = np.array(
            [
                0.98 + 0.05j,
                0.72 - 0.62j,
                0.05 - 0.98j,
                -0.68 - 0.68j,
                -0.98 + 0.08j,
                -1.08 + 0.65j,
                -0.55 + 1.02j,
                0.2 + 1.04j,
                0.74 + 0.7j,
            ]
        )
        self.add(curve(centre + radius * outline), self.crown, 0.2)
        self.part, eye = "eye", centre + radius * (0.38 - 0.16j)
        ring = (238, 226, 200) if self.crown.sum() < 420 else darker(self.crown, 0.45)
        self.add(disc(eye, radius * 0.26), ring)
        self.add(disc(eye, radius * 0.205), (18, 15, 18))
        self.add(disc(eye + radius * (0.06 - 0.08j), radius * 0.075), (255, 255, 255))

    def bill(self, root, radius):
        self.part = "bill"
        long, deep = {"short": (0.62, 0.24), "long": (2.0, 0.2), "hooked": (0.95, 0.42)}[
            self.words["bill"]
        ]
        long *= self.random.normal(1, 0.04)
        if self.words["bill"] == "hooked":
            upper = [
                -0.42j,
                0.47 - 0.42j,
                0.88 - 0.1j,
                0.96 + 0.32j,
                0.85 + 0.58j,
                0.7 + 0.26j,
                0.4 + 0.12j,
                0.1j,
            ]
            lower = [0.05j, 0.5 + 0.12j, 0.55 + 0.26j, 0.3 + 0.36j, 0.3j]
        else:
            upper = [
                -1.2j * deep,
                0.45 * long - 0.75j * deep,
                long + 0.05j,
                long + 0.07j,
                0.5 * long + 0.04j,
                0.06j,
            ]
            lower = [
                0.04j,
                0.5 * long + 0.03j,
                0.93 * long + 0.07j,
                0.5 * long + 0.75j * deep,
                1.1j * deep,
            ]
        pale = self.words["crown"] in ("orange", "yellow", "white")
        horn = np.array((70, 66, 74) if pale else (240, 172, 52)) * self.random.normal(1, 0.05)
        self.add(curve(root + radius * np.array(lower)), mix(horn, (40, 25, 20), 0.28))
        self.add(curve(root + radius * np.array(upper)), horn, 0.2)

    def folded_wing(self):
        self.part = "wing"
        roots = np.linspace(0.0 - 0.05j, 0.14 + 0.03j, 5)
        tips = np.array([-0.68 + 0.1j, -0.6 + 0.12j, -0.48 + 0.13j, -0.34 + 0.14j, -0.2 + 0.14j])
        self.feathers(roots, tips, 0.055, self.wing, (0.36, 0.18))
        coverts = np.array(
            [
                0.28 - 0.06j,
                0.14 - 0.15j,
                -0.1 - 0.13j,
                -0.34 - 0.03j,
                -0.2 + 0.06j,
                0.02 + 0.12j,
                0.2 + 0.07j,
            ]
        )
        self.add(curve(self.at(*coverts)), darker(self.wing, 0.24), 0.12)
        self.add(curve(self.at(*(0.78 * (coverts - coverts[0]) + coverts[0]))), self.wing, 0.14)

    def raised_wing(self, colour, turn=0.0, zoom=1.0):
        self.part = "wing"
        shoulder, flap = 0.16 - 0.08j, zoom * np.exp(1j * self.random.normal(turn, 0.08))

        def moved(points):
            return shoulder + (np.array(points) - shoulder) * flap

        along = np.linspace(0, 4, 13)
        roots = np.interp(along, [0, 2, 4], np.array([-0.14 - 0.04j, 0.06 - 0.3j, 0.04 - 0.52j]))
        ends = np.array([-0.36 - 0.06j, -0.47 - 0.3j, -0.48 - 0.64j, -0.36 - 0.93j, -0.13 - 1.06j])
        self.feathers(
            moved(roots), moved(np.interp(along, range(5), ends)), 0.075, colour, (0.28, 0.1)
        )
        coverts = np.array(
            [
                0.22 - 0.06j,
                0.27 - 0.3j,
                0.16 - 0.56j,
                -0.03 - 0.84j,
                -0.14 - 0.64j,
                -0.22 - 0.4j,
                -0.24 - 0.18j,
                -0.14 - 0.04j,
                0.06 + 0.02j,
            ]
        )
        self.add(curve(self.at(*moved(coverts))), darker(colour, 0.18), 0.1)
        self.add(curve(self.at(*moved(0.8 * (coverts - coverts[0]) + coverts[0]))), colour, 0.12)

    def paint(self, picture):
        """Paints the bird near the center of the picture, on its branch or water."""
        points = np.concatenate([outline for outlines, *_ in self.layers for outline in outlines])
        corners = [complex(side(points.real), side(points.imag)) for side in (np.min, np.max)]
        extent, room = {"small": (0.5, 0.07), "large": (0.76, 0.02)}[self.words["size"]]
        span = corners[1] - corners[0]
        zoom = extent * self.random.uniform(0.96, 1.04) / max(span.real, span.imag)
        move = complex(*self.random.uniform(0.5 - room, 0.5 + room, 2)) - zoom * sum(corners) / 2

        def place(*points):
            return zoom * self.at(*points) + move

        if self.pose == "perched":
            hips = place(-0.02 + 0.22j, 0.09 + 0.24j)
            feet = hips + 0.15j * zoom
            _branch(picture, feet.mean() + 0.02j * zoom, self.random)
            for hip, foot in zip(hips, feet, strict=True):
                toes = foot + zoom * np.array([-0.05 + 0.06j, 0.02 + 0.07j, 0.08 + 0.05j])
                leg = [
                    stroke(hip, foot, 0.034 * zoom),
                    *(feather(foot, toe, 0.015 * zoom) for toe in toes),
                ]
                picture.fill(leg, (150, 98, 62), part="leg")
        elif self.pose == "swimming":
            left, right = place(-0.46 + 0.19j, 0.44 + 0.22j)
            _pond(picture, left.imag - 0.1, self.random)
        for outlines, *paint in self.layers:
            picture.fill([zoom * outline + move for outline in outlines], *paint)
        if self.pose == "swimming":
            _waterline(picture, left, right, zoom)


HORIZONS = {  # Colors at the top and at the bottom.
    "sky": ((106, 168, 226), (208, 230, 243)),
    "forest": ((62, 92, 58), (112, 138, 92)),
    "water": ((96, 160, 178), (44, 108, 136)),
    "sunset": ((122, 92, 150), (252, 190, 160)),
}
WATER, FOAM = (78, 140, 165), (205, 230, 238)


def _pond(picture, shore, random):
    x = np.linspace(-0.05, 1.05, 23)
    edge = x + 1j * (shore + 0.004 * np.sin(17 * x + random.uniform(0, 6)))
    picture.fill([np.concatenate([edge, [1.05 + 1.05j, -0.05 + 1.05j]])], WATER, 0.2, part="water")
    depth, half = random.random(14) ** 1.3, random.uniform(0.04, 0.12, 14)
    middle = random.random(14) + 1j * (shore + 0.03 + (1 - shore) * depth)
    waves = [
        feather(*each)
        for each in zip(middle - half, middle + half, 0.004 + 0.007 * depth, strict=True)
    ]
    picture.fill(waves[:9], FOAM, opacity=0.4)
    picture.fill(waves[9:], (50, 100, 130), opacity=0.45)


def _waterline(picture, left, right, zoom):
    """Paints the water in front of a swimming bird, with rings."""
    middle, half = (left + right) / 2, abs(right - left) / 2
    front = np.array(
        [-1.15, -0.5 + 0.02j, -0.01j, 0.5 + 0.02j, 1.15, 0.9 + 0.3j, 0.36j, -0.9 + 0.3j]
    )
    picture.fill([curve(middle + half * front)], WATER, part="water")
    for k, opacity in enumerate((0.75, 0.5, 0.35)):
        ring, wide = middle + half * (0.02 + 0.13j * k), half * (1.25 - 0.1 * k)
        picture.fill([feather(ring - wide, ring + wide, 0.02 * zoom)], FOAM, opacity=opacity)


def _branch(picture, under, random):
    x = np.linspace(-0.1, 1.1, 13)
    slope, bend = random.uniform(-0.12, 0.12), random.uniform(3, 6)
    middle = x + 1j * (
        under.imag + slope * (x - under.real) + 0.012 * np.sin(bend * (x - under.real))
    )
    half = 1j * np.linspace(0.02, 0.012, 13)
    bark, leaf = (
        np.array(colour) * random.normal(1, 0.07) for colour in ((104, 84, 70), (96, 140, 74))
    )
    twigs = middle[random.choice([1, 2, 3, 9, 10, 11], 3, replace=False)]
    ways = np.exp(1j * random.choice([-1, 1], 3) * random.uniform(0.5, 1, 3))
    tips = twigs + random.uniform(0.06, 0.1, 3) * ways
    strokes = [stroke(twig, tip, 0.008) for twig, tip in zip(twigs, tips, strict=True)]
    picture.fill(strokes, bark, part="branch")
    picture.fill(
        [np.concatenate([middle - half, (middle + half)[::-1]])], bark, 0.35, part="branch"
    )
    leaves = [
        feather(tip, tip + 0.08 * way * np.exp(1j * turn), 0.02)
        for tip, way in zip(tips, ways, strict=True)
        for turn in (-0.7, 0.2, 1.0)
    ]
    picture.fill(leaves[::2], leaf, 0.15, part="branch")
    picture.fill(leaves[1::2], mix(leaf, (50, 90, 50), 0.35), 0.1, part="branch")


def _background(kind, random):
    """Returns a blurred scene, float32 `[48, 48, 3]`, which is then enlarged."""
    places = (np.arange(48, dtype="float32") + 0.5) / 48
    x, y = places[None, :, None], places[:, None, None]
    top, bottom = np.array(HORIZONS[kind], "float32")
    scene = np.repeat(top + (bottom - top) * y, 48, axis=1)

    def blob(middle, radii, colour, opacity, edge):
        distance = np.sqrt(((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2)
        scene[:] += (
            opacity * ((1 - distance) / edge).clip(0, 1) * (np.array(colour, "float32") - scene)
        )

    if kind == "sky":
        # Each of three clouds consists of three blobs.
        for middle in np.repeat(random.uniform(0.05, 0.95, (3, 2)), 3, axis=0):
            puff = random.normal(middle, (0.1, 0.02)), random.uniform((0.1, 0.04), (0.2, 0.08))
            blob(*puff, (250, 251, 252), 0.5, 0.8)
    elif kind == "forest":
        for radius in random.uniform(0.05, 0.14, 14):
            leaf = [(150, 172, 104), (84, 118, 72), (44, 72, 50), (186, 196, 128)][
                random.integers(4)
            ]
            blob(random.random(2), (radius, radius), leaf, random.uniform(0.3, 0.6), 0.3)
    elif kind == "water":
        for middle in random.random((18, 2)):
            wave = [(170, 212, 216), (30, 86, 116)][random.integers(2)]
            blob(middle, (random.uniform(0.1, 0.25), 0.014 + 0.02 * middle[1]), wave, 0.45, 0.8)
    else:
        blob(random.uniform((0.1, 0.62), (0.9, 0.75)), (0.13, 0.13), (255, 236, 190), 0.9, 0.3)
        for middle in random.uniform((0, 0.15), (1, 0.85), (4, 2)):
            blob(middle, random.uniform((0.2, 0.02), (0.4, 0.04)), (214, 130, 150), 0.5, 0.8)
    return scene
