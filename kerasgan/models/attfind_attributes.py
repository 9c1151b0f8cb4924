"""Attributes: the result of `kerasgan.models.attfind.attfind`, and its file."""

import dataclasses
import json
import os
from collections.abc import Callable

import numpy as np

from kerasgan.io import files
from kerasgan.io.arrays import load_npz
from kerasgan.io.reading import parse_json, reading


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Attributes that separate a target class from all others, in descending order of score.

    Attributes:
        coordinates: Index of each attribute in the concatenated style vectors, int `[A]`.
        directions: End of the range that favors the target, int `[A]`: 0 for the minimum, 1 for the
            maximum.
        scores: Scores that determine the order, float `[A]`.
        effects: Mean effects, float `[A, 2]`. Column 0: effect of this end on the target's logit,
            for images of other classes. Column 1: effect of the opposite end on the logit of the
            other classes, for images of the target class.
        bounds: Minimum and maximum of each style coordinate, float32 `[2, J]`.
        shift_size: Fraction of the distance to the end of the range.
        target: Index of the target class.
        layers: Names of the style layers.
        sizes: Number of style coordinates of each layer.
        protocol: Settings of the search, a dict that can be saved as JSON.
    """

    coordinates: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    effects: np.ndarray
    bounds: np.ndarray
    shift_size: float
    target: int
    layers: list[str]
    sizes: list[int]
    protocol: dict = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.coordinates)

    def locations(self) -> list[tuple[str, int]]:
        """Layer name and index in its style vector of each attribute, such as `("8x8_2", 13)`."""
        ends = np.cumsum(self.sizes)
        layer = np.searchsorted(ends, self.coordinates, side="right")
        starts = ends - self.sizes
        return [
            (self.layers[i], int(c - starts[i]))
            for i, c in zip(layer, self.coordinates, strict=True)
        ]

    def rows(self) -> list[dict]:
        """One dict for each attribute, which can be saved as JSON."""
        keys = ("coordinate", "direction", "score", "effect_towards_target", "effect_towards_rest")
        columns = (self.coordinates, self.directions, self.scores, *self.effects.T)
        rows = [
            dict(zip(keys, (x.item() for x in row), strict=True))
            for row in zip(*columns, strict=True)
        ]
        for row, (layer, index) in zip(rows, self.locations(), strict=True):
            row |= {
                "layer": layer,
                "index": index,
                "direction": ("minimum", "maximum")[row["direction"]],
            }
        return rows

    def save(self, path: str | os.PathLike) -> None:
        """Writes the attributes to a `.npz` file atomically."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        files.write_npz(
            path, held | {"protocol": np.array(json.dumps(self.protocol))}, compressed=True
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Attributes":
        """Reads a file written by `save`."""
        names = [field.name for field in dataclasses.fields(cls)]
        rule = "attributes must be a file written by Attributes.save"
        with reading(path, rule):
            held = load_npz(path, names, rule)
            held = {name: held[name] for name in names}
            plain = {name: held[name].item() for name in ("shift_size", "target")}
            plain |= {name: held[name].tolist() for name in ("layers", "sizes")}
            return cls(**held | plain | {"protocol": parse_json(held["protocol"].item())})


def call_name(function: Callable) -> str:
    """Name of a selector or strategy in results, with the arguments of a `functools.partial`."""
    arguments = getattr(function, "keywords", {})
    suffix = ", ".join(f"{name}={value:g}" for name, value in arguments.items())
    return getattr(function, "func", function).__name__ + (f"({suffix})" if suffix else "")
