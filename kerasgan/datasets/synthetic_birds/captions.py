"""Captions of synthetic birds: `generate_captions` writes them, `parse_caption` reads them."""

import re
from collections.abc import Sequence

import numpy as np

from kerasgan.datasets.synthetic_birds.attributes import (
    ATTRIBUTES,
    COLOURS,
    attribute_words,
    random_for,
)


def generate_captions(
    attributes: Sequence[int] | np.ndarray, seed: int | Sequence[int], count: int = 10
) -> list[str]:
    """Generates captions of a bird in the style of CUB.

    For example: "this small bird has a yellow belly, a red crown and black wings".

    Args:
        attributes: int `[7]`, indices into the values of `ATTRIBUTES`.
        seed: Integer or sequence of integers that selects the wording.
        count: Number of captions.

    Returns:
        A list of `count` distinct captions in lower-case ASCII. Each caption is true and names 2 to
        5 attributes. The first caption names at least the colors of crown, wings and belly. If
        `count` is at least 2, the captions together name all attributes.

    Raises:
        ValueError: The attributes have another shape or range, or `count` is less than 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; received {count}")
    words, random = attribute_words(attributes), random_for(seed, "captions")
    rest = random.permutation(["bill", "size", "pose", "background"]).tolist()
    found = random.integers(3)
    captions = [_caption(words, {"crown", "wing", "belly", *rest[:found]}, random)]
    missing = rest[found:]
    while len(captions) < count:
        names = random.permutation(list(ATTRIBUTES)).tolist()
        names = set(missing) | set(names[: max(2, random.integers(2, 6) - len(missing))])
        caption = _caption(words, names, random) if len(names) < 6 else None
        if caption and caption not in captions:
            captions.append(caption)
            missing = []
    return captions


PHRASES = {
    "size": {"small": ["small", "small", "little", "tiny"], "large": ["large", "large", "big"]},
    "crown": ["a {} crown", "a {} head", "a crown that is {}"],
    "wing": ["{} wings", "{} wings", "wings that are {}"],
    "belly": ["a {} belly", "a {} breast", "a belly that is {}"],
    "bill": ["a {} bill", "a {} beak"],
    "pose": {
        "perched": ["perched on a branch", "sitting on a branch"],
        "flying": ["flying", "in flight"],
        "swimming": ["swimming", "afloat"],
    },
    "background": {
        "sky": ["against the sky", "under the open sky"],
        "forest": ["in the forest", "in front of the trees"],
        "water": ["over the water", "with water all around"],
        "sunset": ["at sunset", "at dusk"],
    },
}


def _caption(words, names, random):
    """Returns one sentence that names the attributes `names` and no others."""

    def one_of(*choices):
        return choices[random.integers(len(choices))]

    def say(name):
        forms = PHRASES[name]
        return one_of(*(forms[words[name]] if isinstance(forms, dict) else forms)).format(
            words[name]
        )

    bird, parts = "bird", [name for name in ("crown", "wing", "belly", "bill") if name in names]
    # "a red bird" means that all parts are red, except those with a color of their own.
    if (
        {"crown", "wing", "belly"} <= names
        and words["crown"] == words["wing"]
        and random.random() < 0.7
    ):
        bird = f"{words['crown']} bird"
        parts = [name for name in parts if words[name] != words["crown"]]
    features = [say(name) for name in random.permutation(parts)]
    # Put relative clauses last, to avoid "a crown that is blue and yellow wings".
    features.sort(key=lambda feature: " that " in feature)
    listed = " and ".join(
        [", ".join(features[:-1]), features[-1]] if len(features) > 1 else features
    )
    scene = " ".join(say(name) for name in ("pose", "background") if name in names)
    if words["pose"] == "swimming":
        scene = scene.replace("over the water", "on open water")
    this, a = one_of("this", "the"), one_of("a", "this", "the")
    if not scene:
        forms = (
            [f"{this} {bird} has {listed}", f"{a} {bird} with {listed}"]
            if features
            else [f"{a} {bird}"]
        )
    elif not features:
        forms = [f"{this} {bird} is {scene}", f"{a} {bird} {scene}"]
    else:
        forms = [
            f"{this} {bird} {scene} has {listed}",
            f"{a} {bird} {scene}, with {listed}",
            f"{a} {bird} with {listed}{one_of(' ', ', ')}{scene}",
        ]
        if "pose" in names:
            forms.append(f"{this} {bird} has {listed} and is {scene}")
    sentence = one_of(*forms)
    if "size" in names and f"{bird} has" in sentence and random.random() < 0.4:
        sentence = sentence.replace(f"{bird} has", f"{bird} is {say('size')} and has")
    elif "size" in names:
        sentence = sentence.replace(bird, f"{say('size')} {bird}")
    return re.sub(r"\ba (?=[aeiou])", "an ", sentence)


# Vocabulary of `parse_caption`.
ADJECTIVES = {word: ("colour", word) for word in COLOURS} | {
    "crimson": ("colour", "red"),
    "scarlet": ("colour", "red"),
    "golden": ("colour", "yellow"),
    "short": ("bill", "short"),
    "long": ("bill", "long"),
    "hooked": ("bill", "hooked"),
    "curved": ("bill", "hooked"),
    "small": ("size", "small"),
    "tiny": ("size", "small"),
    "little": ("size", "small"),
    "large": ("size", "large"),
    "big": ("size", "large"),
    "huge": ("size", "large"),
}
NOUNS = {
    word: name
    for name, words in {
        "bird": "bird birds",
        "crown": "crown crowned head headed",
        "wing": "wing wings winged",
        "belly": "belly bellied breast breasted chest chested stomach abdomen",
        "bill": "bill billed beak beaked",
    }.items()
    for word in words.split()
}
SCENES = {
    word: (name, value)
    for name, value, words in (
        ("pose", "perched", "perched perching perches sitting sits branch twig"),
        ("pose", "flying", "flying flies flight soaring soars"),
        ("pose", "swimming", "swimming swims afloat floating floats"),
        ("background", "sky", "sky skies cloud clouds"),
        ("background", "forest", "forest trees wood woods leaves foliage"),
        ("background", "water", "water lake pond river sea ocean"),
        ("background", "sunset", "sunset dusk sundown"),
    )
    for word in words.split()
}
FILLERS = set(
    "very bright dark light pale deep mostly all its the that which "
    "color colored colour coloured".split()
)


def parse_caption(caption: str) -> np.ndarray:
    """Extracts attributes from a caption, generated or human, such as "a small red bird".

    A color of the whole bird applies to crown, wings and belly, except to parts for which the
    caption names another color. Unknown words are ignored. A part with two colors counts as not
    mentioned.

    Args:
        caption: The caption. Case and punctuation do not matter.

    Returns:
        int8 `[7]` in the order of `ATTRIBUTES`: the index of the value, or -1 if the caption does
        not mention the attribute.

    Raises:
        TypeError: `caption` is not a `str`.
    """
    if not isinstance(caption, str):
        raise TypeError(f"a caption must be a str; received {caption!r}")
    stated: dict[tuple[str, str], str | None] = {}
    scene: dict[str, str] = {}
    waiting: list[tuple[str, str]] = []  # Adjectives that precede the next noun.
    nouns: list[str] = []  # Nouns that a following "is" describes.
    last: list[tuple[str, str]] = []  # Adjectives of the last noun.
    joined, predicate, described, mark = False, False, False, 0

    def describe(noun, adjectives):
        for kind in {"bird": ("colour", "size"), "bill": ("bill",)}.get(noun, ("colour",)):
            values = {value for k, value in adjectives if k == kind}
            if values:
                stated[noun, kind] = values.pop() if len(values) == 1 else None

    for word in re.findall(r"[a-z]+|,", caption.lower()):
        if word in SCENES:
            scene.setdefault(*SCENES[word])
        if word in ADJECTIVES:
            waiting.append(ADJECTIVES[word])
            if predicate:
                for noun in nouns:
                    describe(noun, waiting)
        elif word in NOUNS:
            if predicate:  # In "a crown that is red and black wings", "black" describes the wings.
                if waiting[mark:]:
                    for noun in nouns:
                        describe(noun, waiting[:mark])
                waiting, nouns, last, predicate = waiting[mark:], [], [], False
            adjectives = waiting or (last if joined else [])
            nouns = [NOUNS[word]] if described or waiting else [*nouns, NOUNS[word]]
            describe(NOUNS[word], adjectives)
            described, last, waiting, joined, mark = bool(waiting), adjectives, [], False, 0
        elif word in ("is", "are"):
            predicate, waiting = bool(nouns), []
        elif word in ("and", ","):
            joined, mark = True, len(waiting)
        elif word in ("a", "an"):
            last = []
            if predicate:
                waiting, nouns, predicate = [], [], False
        elif word not in FILLERS:
            waiting, nouns, last, mark = [], [], [], 0
            joined = predicate = described = False
    whole = stated.get(("bird", "colour"))
    found = {"bill": stated.get(("bill", "bill")), "size": stated.get(("bird", "size")), **scene}
    found |= {name: stated.get((name, "colour"), whole) for name in ("crown", "wing", "belly")}
    places = [
        values.index(found[name]) if found.get(name) else -1 for name, values in ATTRIBUTES.items()
    ]
    return np.array(places, "int8")
