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


def unseen_colors() -> set[tuple[int, ...]]:
    """Returns the combinations of crown, wing and belly colors of the test species."""
    return {tuple(each) for each in species()[SPECIES["train"] :, :3].tolist()}


def random_attributes(count: int, seed: int = 0, pairs: bool = False) -> np.ndarray:
    """Returns random attributes, int8 `[count, 7]`, without the color combinations of test species.

    Args:
        count: Number of birds. Bird i depends on (seed, i) only.
        seed: Integer seed.
        pairs: If `True`, birds 2i and 2i + 1 differ in exactly one attribute.
    """
    unseen = unseen_colors()
    limits = np.array([len(values) for values in ATTRIBUTES.values()])

    def bird(index):
        random = random_for((seed, index), "attributes")
        other = pairs and index % 2
        while True:
            attributes = found[index - 1].copy() if other else random.integers(limits)
            if other:
                column = random.integers(len(limits))
                attributes[column] += random.integers(1, limits[column])
                attributes %= limits
            if tuple(attributes[:3].tolist()) not in unseen:
                return attributes

    found: list[np.ndarray] = []
    for index in range(count):
        found.append(bird(index))
    return np.array(found, "int8")


def species_name(index: int, attributes: np.ndarray) -> str:
    """Returns a name such as "017.red_black_white_long_large".

    Args:
        index: Number of the species, counted from 0.
        attributes: Its attributes; the first five are named.
    """
    words = [values[i] for values, i in zip(ATTRIBUTES.values(), attributes[:5], strict=False)]
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
