"""Attributes of synthetic birds, and the species that they define."""

import functools
from collections.abc import Sequence

import numpy as np

COLOURS = {
    "red": (207, 30, 38),
    "orange": (244, 124, 22),
    "yellow": (250, 214, 42),
    "green": (48, 152, 60),
    "blue": (36, 84, 200),
    "brown": (116, 70, 38),
    "black": (36, 36, 43),
    "white": (243, 242, 239),
}
ATTRIBUTES = {
    "crown": tuple(COLOURS),
    "wing": tuple(COLOURS),
    "belly": tuple(COLOURS),
    "bill": ("short", "long", "hooked"),
    "size": ("small", "large"),
    "pose": ("perched", "flying", "swimming"),
    "background": ("sky", "forest", "water", "sunset"),
}
SPECIES = {"train": 150, "test": 50}  # Numbers of species, as in CUB.


@functools.cache
def species() -> np.ndarray:
    """Returns the attributes that define each species: int8 `[200, 5]`.

    No two species share all three colors. The last 50 species belong to the test split.
    """
    # Among 20,000 seeds, this one distributes colors most evenly over the parts in both splits.
    random = np.random.default_rng(12675)
    colours = np.stack(np.unravel_index(random.permutation(8**3)[:200], (8, 8, 8)), axis=1)
    others = [
        np.concatenate(
            [
                random.permutation(np.arange(count) % len(ATTRIBUTES[name]))
                for count in SPECIES.values()
            ]
        )
        for name in ("bill", "size")
    ]
    return np.concatenate([colours, np.stack(others, axis=1)], axis=1).astype("int8")


def species_name(index: int) -> str:
    """Returns a name such as "017.red_black_white_long_large"."""
    words = [values[i] for values, i in zip(ATTRIBUTES.values(), species()[index], strict=False)]
    return f"{index + 1:03d}.{'_'.join(words)}"


def random_for(seed: int | Sequence[int], use: str) -> np.random.Generator:
    """Returns an independent random generator for each use of a seed.

    The captions and the image of one seed are thus uncorrelated.
    """
    return np.random.default_rng([*np.atleast_1d(seed).tolist(), *use.encode()])


def attribute_words(attributes: Sequence[int] | np.ndarray) -> dict[str, str]:
    """Converts attributes, int `[7]`, to words such as `{"crown": "red", ...}`.

    Raises:
        ValueError: The attributes have another shape or range.
    """
    attributes = np.asarray(attributes)
    limits = [len(values) for values in ATTRIBUTES.values()]
    if attributes.shape != (len(limits),) or not all(
        0 <= a < n for a, n in zip(attributes, limits, strict=True)
    ):
        raise ValueError(
            f"attributes must be 7 indices below {limits}; received {attributes.tolist()}"
        )
    return {
        name: values[int(i)]
        for (name, values), i in zip(ATTRIBUTES.items(), attributes, strict=True)
    }
