"""Captioned images and the batches that a text-conditioned model trains on."""

import numpy as np
import pytest

from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages, caption_classes
from kerasgan.datasets.lazy_images import LazyImages

COUNT, CAPTIONS, DIM = 12, 5, 3


def data(size=10, classes=None, **changes):
    """Image i is filled with 10 i, its first pixel with 255; the embedding of its caption c is [i,
    c, 0].
    """
    images = (
        np.repeat(np.arange(COUNT, dtype="uint8") * 10, size * size * 3)
        .reshape(COUNT, size, size, 3)
        .copy()
    )
    embeddings = np.zeros((COUNT, CAPTIONS, DIM), "float32")
    embeddings[..., 0] = np.arange(COUNT)[:, None]
    embeddings[..., 1] = np.arange(CAPTIONS)
    values = {
        "images": images,
        "classes": np.array(
            [0, 0, 1, 1, 1, 2, 0, 2, 2, 1, 0, 0] if classes is None else classes, "int32"
        ),
        "captions": [[f"{i} {c}" for c in range(CAPTIONS)] for i in range(COUNT)],
        "names": [f"{i}" for i in range(COUNT)],
        "embeddings": embeddings,
    }
    return CaptionedImages(**(values | changes))


def shown(images):
    """Which image each is."""
    return np.rint((images[:, 1, 1, 0] + 1) * 127.5 / 10).astype(int)


def test_an_epoch_shows_each_image_once_beside_another_class():
    captioned = data()
    batches, seen = CaptionedBatches(captioned, 4, size=8), []
    wrongs = set()
    for epoch in range(30):
        batches.set_epoch(epoch)
        seen = []
        for index in range(len(batches)):
            real, wrong, embeddings = batches[index]
            assert real.shape == wrong.shape == (4, 8, 8, 3) and real.dtype == "float32"
            assert embeddings.shape == (4, DIM) and embeddings.dtype == "float32"
            assert (embeddings[:, 0] == shown(real)).all()
            assert (captioned.classes[shown(real)] != captioned.classes[shown(wrong)]).all()
            seen += shown(real).tolist()
            wrongs |= {(a, b) for a, b in zip(shown(real), shown(wrong), strict=True)}
        assert sorted(seen) == list(range(COUNT))
    pairs = {
        (a, b)
        for a in range(COUNT)
        for b in range(COUNT)
        if captioned.classes[a] != captioned.classes[b]
    }
    assert len(wrongs) > 0.9 * len(pairs)  # any image of any other class


def test_batches_are_a_function_of_seed_epoch_and_index():
    def batch(seed=0, epoch=0, index=1, **arguments):
        batches = CaptionedBatches(data(), 4, size=8, seed=seed, **arguments)
        batches.set_epoch(epoch)
        return batches[index]

    for one, other in zip(batch(), batch(), strict=True):
        np.testing.assert_array_equal(one, other)
    for changed in ({"seed": 1}, {"epoch": 1}, {"index": 2}):
        assert not np.array_equal(batch()[0], batch(**changed)[0])
    batches = CaptionedBatches(data(), 4, size=8)
    batches.on_epoch_end()  # Keras calls it once before the first epoch
    assert batches.epoch == 0
    batches.on_epoch_begin()
    batches.on_epoch_end()
    assert batches.epoch == 1


def test_captions_are_drawn_without_repeats_and_averaged():
    def means(captions):
        batches = CaptionedBatches(data(), 12, size=8, captions=captions)
        drawn = []
        for epoch in range(40):
            batches.set_epoch(epoch)
            drawn += batches[0][2][:, 1].tolist()
        return set(np.round(drawn, 4))

    assert means(1) == {0, 1, 2, 3, 4}
    assert means(4) == {1.5, 1.75, 2.0, 2.25, 2.5}  # (10 - the one left out) / 4
    assert means(5) == {2.0}


def test_crops_and_flips():
    places = np.arange(100, dtype="uint8").reshape(10, 10)[..., None].repeat(3, -1)
    captioned = data(images=[places] * COUNT)  # a sequence that is no array will do
    corners, flipped = set(), 0
    for epoch in range(40):
        batches = CaptionedBatches(captioned, 12, size=8)
        batches.set_epoch(epoch)
        real = np.rint((batches[0][0][..., 0] + 1) * 127.5).astype(int)
        step = real[:, 0, 1] - real[:, 0, 0]
        assert set(step) <= {1, -1}
        flipped += (step < 0).sum()
        left = np.where(step > 0, real[:, 0, 0], real[:, 0, -1])
        corners |= set(left.tolist())
    assert corners == {10 * y + x for y in range(3) for x in range(3)}
    assert 0.4 < flipped / (40 * 12) < 0.6
    plain = CaptionedBatches(captioned, 12, size=8, shuffle=False)[0]
    assert (
        np.rint((plain[0][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist() == [11] * 12
    )  # the middle, as it is
    assert shown(CaptionedBatches(data(), 12, size=8, shuffle=False)[0][0]).tolist() == list(
        range(COUNT)
    )


def test_a_larger_image_is_fed_whole_and_smaller_each_pixel_the_mean_of_its_part():
    ramp = np.arange(100, dtype="uint8").reshape(10, 10)[..., None].repeat(3, -1)
    real = CaptionedBatches(data(images=[ramp] * COUNT), 12, size=4, shuffle=False)[0][
        0
    ]  # the middle 8 of 10, by 2
    means = ramp[1:9, 1:9, 0].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose((real[0, ..., 0] + 1) * 127.5, means, atol=1e-3)


def test_embed_asks_for_each_different_caption_once():
    asked = []

    def encoder(texts):
        asked.extend(texts)
        return np.array([[float(text.split()[0]), len(text)] for text in texts], "float32")

    captions = [["1 a", "2 b", "3 c"], ["1 a", "4 dd"]] * 6
    embedded = data(captions=captions, embeddings=None).embed(encoder, batch_size=2)
    assert embedded.embeddings.shape == (COUNT, 2, 2)  # as many as every image has
    assert embedded.embeddings[1].tolist() == [[1, 3], [4, 4]]
    assert sorted(asked) == ["1 a", "2 b", "4 dd"]
    with pytest.raises(ValueError, match="every image needs a caption; received none for 3"):
        data(captions=[["a"]] * 3 + [[]] + [["b"]] * 8).embed(encoder)


def test_bad_input():
    for build, message in [
        (
            lambda: data(names=["a"]),
            "must have equal lengths; received 12 images, 12 classes, 12 captions, 1 names",
        ),
        (
            lambda: CaptionedBatches(data(), 1, size=8),
            "batch_size must be at least 2 .*; received 1",
        ),
        (
            lambda: CaptionedBatches(data(), 13, size=8),
            "batch_size must be at most the 12 images; received 13",
        ),
        (
            lambda: CaptionedBatches(data(embeddings=None), 4, size=8),
            "training needs caption embeddings",
        ),
        (
            lambda: CaptionedBatches(data(), 4, size=8, captions=6),
            "captions must be between 1 and the 5",
        ),
        (
            lambda: CaptionedBatches(data(), 4, size=11),
            "images must be at least 11 pixels .*; received 10 x 10",
        ),
        (
            lambda: CaptionedBatches(data(classes=[0] * 12), 4, size=8),
            "two classes are needed; received one",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            build()


def test_batches_without_mismatched_images_are_the_same_reals():
    one_class = data(classes=[0] * COUNT)
    batches = CaptionedBatches(one_class, 4, size=8, mismatched=False)
    real, embeddings = batches[0]
    assert real.shape == (4, 8, 8, 3) and len(batches[1]) == 2
    assert shown(real).tolist() == embeddings[:, 0].tolist()
    with pytest.raises(ValueError, match="two classes are needed"):
        CaptionedBatches(one_class, 4, size=8)


def test_a_subset_keeps_what_belongs_to_an_image():
    lazy = data(
        images=LazyImages(
            [f"{i}" for i in range(COUNT)], lambda i: np.full((2, 2, 3), int(i), "uint8")
        )
    )
    for whole in (data(), lazy):
        part = whole.subset(np.array([5, 2]))
        assert part.names == ["5", "2"] and part.captions[1][0] == "2 0"
        assert part.classes.tolist() == [2, 1] and part.embeddings[:, 0, 0].tolist() == [5, 2]
        assert (part.images[1] == whole.images[2]).all() and part.attributes is None
        assert part.in_memory().images.shape == (2, *whole.images[0].shape)


@pytest.mark.parametrize(
    ("captions", "classes"),
    [
        ([["a red circle"], ["a blue one"], ["A  red circle"]], [0, 1, 0]),
        ([["x", "y"], ["y", "z"], ["z"], ["w"]], [0, 0, 0, 1]),
        ([["a photo", "a dog"], ["a photo", "a cat"], ["a dog", "a photo"]], [0, 1, 0]),
        ([["a"], ["b"]], [0, 1]),
    ],
)
def test_images_that_share_a_caption_are_of_one_class(captions, classes):
    assert caption_classes(captions).tolist() == classes
