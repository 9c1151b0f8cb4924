"""Each of several processes reads its rows of the batches of a single one, and no other images."""

import numpy as np
import pytest

from kerasgan.datasets import captioned
from kerasgan.datasets.batches import Batches
from kerasgan.datasets.epochs import Rows, rows_of
from kerasgan.datasets.lazy_images import LazyImages

KINDS = [Rows(), *(Rows(i, 3, 3, consecutive) for i in range(3) for consecutive in (True, False))]
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (14, 20, 24, 3)).astype("uint8")


def captions(images, **options):
    data = captioned.CaptionedImages(
        images=images,
        classes=np.arange(14) % 4,
        captions=[["a"], ["b"]] * 7,
        names=list(map(str, range(14))),
        embeddings=np.arange(14 * 3 * 2, dtype="float32").reshape(14, 3, 2),
    )
    return captioned.CaptionedBatches(data, 6, size=8, captions=2, seed=5, **options)


DATA = {
    "images": lambda images: Batches(images / 127.5 - 1, np.arange(14) % 3, 6, seed=2),
    "captions": captions,
    "pairs": lambda images: captions(images, mismatched=False),
    "in order": lambda images: captions(images, shuffle=False, flip=False),
}


@pytest.mark.parametrize("own", KINDS, ids=str)
@pytest.mark.parametrize("name", list(DATA))
def test_rows_are_those_of_the_whole_batch(name, own):
    batches = DATA[name](IMAGES.astype("float32") if name == "images" else IMAGES)
    for epoch, index in ((0, 0), (2, 1)):
        batches.set_epoch(epoch)
        for found, whole in zip(rows_of(batches, index, own), batches[index], strict=True):
            np.testing.assert_array_equal(found, own(whole))


def test_a_process_decodes_only_its_images():
    decoded = []

    def read(index):
        decoded.append(index)
        return IMAGES[index]

    batches = captions(LazyImages(range(14), read))
    whole = batches[1]
    decoded.clear()
    found = batches.rows(1, Rows(1, 3, 3))
    assert len(decoded) == 2 + 2  # of 6 images and 6 mismatched ones
    np.testing.assert_array_equal(found[1], whole[1][1::3])


def test_a_subclass_that_changes_the_batch_is_divided_after_that():
    class Reversed(Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            return images[::-1], labels[::-1]

    batches = Reversed(IMAGES / np.float32(127.5) - 1, np.arange(14) % 3, 6)
    own = Rows(0, 2, 2)
    for found, whole in zip(rows_of(batches, 0, own), batches[0], strict=True):
        np.testing.assert_array_equal(found, whole[::2])


def test_batches_must_be_divisible():
    batches = DATA["captions"](IMAGES)
    with pytest.raises(ValueError, match="multiple of the 4 devices; received 6"):
        batches.rows(0, Rows(0, 2, 4))
