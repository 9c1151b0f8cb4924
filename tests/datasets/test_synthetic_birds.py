import hashlib

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.synthetic_birds import (
    ATTRIBUTES,
    COLOURS,
    draw_bird,
    generate_captions,
    parse_caption,
    synthetic_birds,
)
from kerasgan.datasets.synthetic_birds.attributes import attribute_words, random_attributes
from kerasgan.datasets.synthetic_birds.captions import _caption

NAMES = list(ATTRIBUTES)


def places(**words):
    return [ATTRIBUTES[name].index(words[name]) if name in words else -1 for name in NAMES]


@pytest.fixture(scope="module")
def splits():
    return {
        split: synthetic_birds(split, count, size=16)
        for split, count in (("train", 150), ("test", 50))
    }


def test_a_bird_depends_on_seed_split_and_place_alone():
    few, more = (
        synthetic_birds("train", 2, seed=3, size=32),
        synthetic_birds("train", 5, seed=3, size=32),
    )
    np.testing.assert_array_equal(few.images, more.images[:2])
    assert few.captions == more.captions[:2] and few.names == more.names[:2]
    assert (more.images.shape, more.images.dtype, len(more)) == ((5, 32, 32, 3), "uint8", 5)
    for other in (
        synthetic_birds("train", 5, seed=4, size=32),
        synthetic_birds("test", 5, seed=3, size=32),
    ):
        assert all((a != b).any() for a, b in zip(more.images, other.images, strict=True))


def test_species_of_the_splits_do_not_meet_but_their_values_do(splits):
    train, test = (splits[split].attributes for split in ("train", "test"))
    assert not {tuple(row) for row in train[:, :3]} & {tuple(row) for row in test[:, :3]}
    for part, least in ((train, 0.7), (test, 0.5)):
        for column, values in zip(part.T, ATTRIBUTES.values(), strict=True):
            counts = np.bincount(column, minlength=len(values))
            assert len(counts) == len(values) and counts.min() > least * len(part) / len(values)


def test_species_are_classes(splits):
    for split, classes in (("train", range(150)), ("test", range(150, 200))):
        data = splits[split]
        assert sorted(set(data.classes.tolist())) == list(classes) and data.classes.dtype == "int32"
        species = {
            (c, *row[:5])
            for c, row in zip(data.classes.tolist(), data.attributes.tolist(), strict=True)
        }
        assert len(species) == len(classes) and len(set(data.names)) == len(data)
    assert splits["test"].names[0].startswith("151.")


def test_the_splits_never_change(splits):  # every score on drawn birds depends on them
    digests = [
        hashlib.sha256(splits[split].attributes[:, :5].tobytes()).hexdigest()[:16]
        for split in splits
    ]
    assert digests == ["257c21350d9da6b7", "a747557e6e118acf"]


@pytest.mark.parametrize("split", ["train", "test", "random", "flying", "pairs"])
def test_without_a_size_nothing_is_drawn(split):
    drawn, described = (synthetic_birds(split, 9, 2, size) for size in (16, None))
    assert described.images.shape == (9, 0, 0, 3) and len(described) == 9
    for name in ("classes", "attributes", "captions", "names"):
        np.testing.assert_array_equal(getattr(described, name), getattr(drawn, name))


@pytest.mark.parametrize("seed", [0, 5])
def test_random_birds_have_no_colours_of_test_species(splits, seed):
    unseen = {tuple(row) for row in splits["test"].attributes[:, :3].tolist()}
    for split in ("random", "pairs"):
        attributes = random_attributes(1200, seed, split == "pairs")
        assert not unseen & {tuple(row) for row in attributes[:, :3].tolist()}
        few, birds = (synthetic_birds(split, count, seed, size=16) for count in (7, 50))
        np.testing.assert_array_equal(few.images, birds.images[:7])
        np.testing.assert_array_equal(attributes[:50], birds.attributes)
        assert few.captions == birds.captions[:7]
        # No attribute tells another one: mutual information of 1,200 birds is small.
        for column in range(3, 7):
            for color in range(3):
                table = np.zeros((8, 8))
                np.add.at(table, tuple(attributes[:, [color, column]].T.astype(int)), 1)
                table /= table.sum()
                free = table.sum(0) * table.sum(1)[:, None]
                some = table > 0
                assert (table[some] * np.log(table[some] / free[some])).sum() < 0.03
        assert len(set(birds.names)) == 50
        assert {tuple(row[:5]) for row in birds.attributes.tolist()} == {
            tuple(birds.attributes[birds.classes == c][0, :5].tolist()) for c in set(birds.classes)
        }


def test_birds_of_a_pair_differ_in_one_attribute():
    birds = synthetic_birds("pairs", 400, seed=2, size=32)
    first, second = birds.attributes[::2], birds.attributes[1::2]
    assert ((first != second).sum(axis=1) == 1).all()
    changed = (first != second).mean(axis=0)
    assert (changed > 0.05).all()  # Every attribute changes in some pair.
    wanted = np.array([parse_caption(captions[0]) for captions in birds.captions])
    # The captions of a pair mention the same attributes, unless a color of the whole bird differs.
    same = ((wanted[::2] >= 0) == (wanted[1::2] >= 0)).all(axis=1)
    assert same.mean() > 0.9
    assert 0.3 < (wanted[::2] != wanted[1::2]).any(axis=1)[same].mean() < 0.7
    assert (birds.images[::2] != birds.images[1::2]).any(axis=(1, 2, 3)).all()


def test_captions_are_true_and_together_say_all(splits):
    for data in splits.values():
        for captions, attributes in zip(data.captions, data.attributes, strict=True):
            said = np.stack([parse_caption(caption) for caption in captions])  # [10, 7]
            assert ((said == -1) | (said == attributes)).all()
            assert (said.max(axis=0) == attributes).all() and (said[0, :3] >= 0).all()
            assert set((said >= 0).sum(axis=1).tolist()) <= {2, 3, 4, 5}
            assert len(set(captions)) == 10


def test_captions_are_plain(splits):
    captions = [caption for captions in splits["train"].captions for caption in captions]
    assert all(
        set(caption) <= set("abcdefghijklmnopqrstuvwxyz ,") and len(caption) <= 201
        for caption in captions
    )
    words = {word for caption in captions for word in caption.replace(",", "").split()}
    assert (
        not words & {"left", "right"}
        and {"an", "tiny", "breast", "beak", "afloat", "dusk"} <= words
    )
    assert not any(f" a {word}" in caption for caption in captions for word in ("orange",))


def test_asked_is_the_inverse_of_a_caption():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        attributes = rng.integers([len(values) for values in ATTRIBUTES.values()])
        attributes[1] = rng.choice([attributes[0], attributes[1]])  # "a red bird" often
        told = rng.permutation(7)[: rng.integers(2, 6)]
        caption = _caption(attribute_words(attributes), {NAMES[i] for i in told}, rng)
        said = np.full(7, -1)
        said[told] = attributes[told]
        assert parse_caption(caption).tolist() == said.tolist(), caption


def test_two_captions_tell_all():
    for seed in range(30):
        attributes = [seed % 8, seed % 8, 7, seed % 3, seed % 2, 1, 0]
        assert (
            np.max(
                [parse_caption(c) for c in generate_captions(attributes, seed, 2)], axis=0
            ).tolist()
            == attributes
        )


@pytest.mark.parametrize(
    "caption, said",
    [
        (
            "a small red bird with a yellow belly",
            dict(size="small", crown="red", wing="red", belly="yellow"),
        ),
        ("A red bird.", dict(crown="red", wing="red", belly="red")),
        ("this bird has black wings and a long orange beak", dict(wing="black", bill="long")),
        ("the wings are black and the breast is white", dict(wing="black", belly="white")),
        ("its head, wings and belly are blue", dict(crown="blue", wing="blue", belly="blue")),
        ("a bird with a crown that is red and black wings", dict(crown="red", wing="black")),
        (
            "a bird with a belly that is yellow, a red head and brown wings",
            dict(belly="yellow", crown="red", wing="brown"),
        ),
        ("a red head and wings", dict(crown="red", wing="red")),
        ("a red crown, wings that are black", dict(crown="red", wing="black")),
        (
            "a red-headed, white-bellied bird with a hooked bill",
            dict(crown="red", belly="white", bill="hooked"),
        ),
        (
            "this bird is large and green with black wings",
            dict(size="large", crown="green", wing="black", belly="green"),
        ),
        ("a red and black bird with a bill that is short", dict(bill="short")),
        ("a bird with red and white wings", {}),
        ("a bird with a long tail, a black eye and gray wings", {}),
        (
            "a big bird flying over the lake at sunset",
            dict(size="large", pose="flying", background="water"),
        ),
        ("bright yellow belly, very dark brown head", dict(belly="yellow", crown="brown")),
        (
            "a little bird sitting in the woods",
            dict(size="small", pose="perched", background="forest"),
        ),
        ("", {}),
        ("??? 1234 \u00e9\u00df", {}),
    ],
)
def test_asked_reads_a_persons_words(caption, said):
    assert (
        parse_caption(caption).tolist() == places(**said) and parse_caption(caption).dtype == "int8"
    )


@pytest.mark.parametrize("pose", ATTRIBUTES["pose"])
@pytest.mark.parametrize("part", ["crown", "wing", "belly"])
def test_each_part_wears_the_colour_asked(part, pose):
    rng = np.random.default_rng(0)
    for colour, place in enumerate(COLOURS.values()):
        attributes = rng.integers([len(values) for values in ATTRIBUTES.values()])
        attributes[NAMES.index("pose")] = ATTRIBUTES["pose"].index(pose)
        attributes[NAMES.index(part)] = colour
        asked_for = draw_bird(attributes, colour, 64).astype(float)
        attributes[NAMES.index(part)] = (colour + 4) % 8
        changed = (
            np.abs(asked_for - draw_bird(attributes, colour, 64)).sum(axis=-1) > 60
        )  # the part, found by changing it
        assert changed.sum() >= 15
        median = np.median(asked_for[changed], axis=0)
        distances = np.linalg.norm(np.array(list(COLOURS.values())) - median, axis=1)
        assert distances.argmin() == colour, (place, median)


@pytest.mark.parametrize("name", ["bill", "size", "pose", "background"])
def test_each_other_value_is_seen_at_64_pixels(name):
    attributes = np.array([0, 4, 2, 0, 1, 0, 0])
    pictures = []
    for value in range(len(ATTRIBUTES[name])):
        attributes[NAMES.index(name)] = value
        pictures.append(draw_bird(attributes, 5, 64).astype(float))
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (np.abs(one - other).sum(axis=-1) > 60).sum() >= 15


def test_size_is_the_birds_and_leaves_room_for_a_crop():
    spans = {}
    for size in (0, 1):
        for seed in range(12):
            attributes = [0, 0, 0, seed % 3, size, seed % 3, seed % 4]
            bird = np.abs(
                draw_bird(attributes, seed, 152).astype(float)
                - draw_bird([4, 4, 4, *attributes[3:]], seed, 152)
            )
            rows, columns = np.nonzero(bird.sum(axis=-1) > 60)
            spans.setdefault(size, []).append(max(np.ptp(rows), np.ptp(columns)) / 152)
            assert min(rows.min(), columns.min()) >= 11 and max(rows.max(), columns.max()) <= 140
    assert max(spans[0]) < 0.55 and min(spans[1]) > 0.55


@pytest.mark.parametrize("seed", range(4))
def test_the_drawing_does_not_depend_on_the_resolution(seed):
    attributes = np.random.default_rng(seed).integers(
        [len(values) for values in ATTRIBUTES.values()]
    )
    large, small = draw_bird(attributes, seed, 256), draw_bird(attributes, seed, 128)
    shrunk = np.asarray(Image.fromarray(large).reduce(2)).astype(float)
    assert np.abs(shrunk - small).mean() < 2
    assert np.abs(shrunk - draw_bird(attributes, seed + 100, 128)).mean() > 6
    assert len(np.unique(large.reshape(-1, 3), axis=0)) > 1000  # antialiased and shaded


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: synthetic_birds("dev"),
            ValueError,
            "split must be one of train, test, random, flying, pairs; received 'dev'",
        ),
        (lambda: synthetic_birds(count=0), ValueError, "count must be at least 1; received 0"),
        (
            lambda: synthetic_birds(count=1, seed=-1),
            ValueError,
            "seed must be at least 0; received -1",
        ),
        (
            lambda: synthetic_birds(count=1, size=8),
            ValueError,
            "size must be at least 16; received 8",
        ),
        (lambda: draw_bird([0] * 7, 0, 8), ValueError, "size must be at least 16; received 8"),
        (
            lambda: draw_bird([0] * 6, 0),
            ValueError,
            "attributes must be 7 indices below .*; received",
        ),
        (
            lambda: draw_bird([8] + [0] * 6, 0),
            ValueError,
            "attributes must be 7 indices below .*; received",
        ),
        (
            lambda: generate_captions([0] * 6 + [-1], 0),
            ValueError,
            "attributes must be 7 indices below .*; received",
        ),
        (
            lambda: generate_captions([0] * 7, 0, 0),
            ValueError,
            "count must be at least 1; received 0",
        ),
        (lambda: parse_caption(7), TypeError, "a caption must be a str; received 7"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
