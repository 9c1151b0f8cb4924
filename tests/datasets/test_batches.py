import keras
import numpy as np
import pytest

from kerasgan.datasets.batches import Batches
from kerasgan.training import AdversarialModel

IMAGES = np.linspace(-1, 1, 10, dtype="float32")[:, None, None, None] * np.ones(
    (1, 2, 2, 1), "float32"
)
LABELS = np.arange(10) % 3


def labels_of(batches):
    return [batches[index][1].tolist() for index in range(len(batches))]


def test_an_epoch_shows_each_image_once_with_its_label():
    batches = Batches(IMAGES, LABELS, 4, drop_remainder=False)
    images, labels = (
        np.concatenate(parts) for parts in zip(*(batches[index] for index in range(3)), strict=True)
    )
    assert (len(batches), images.dtype, labels.dtype) == (3, "float32", "int32")
    order = np.argsort(images[:, 0, 0, 0])
    np.testing.assert_array_equal(images[order], IMAGES)
    np.testing.assert_array_equal(labels[order], LABELS)
    assert len(Batches(IMAGES, LABELS, 4)) == 2


def test_order_is_a_function_of_seed_and_epoch_alone():
    here, there, other = (Batches(IMAGES, np.arange(10), 5, seed=seed) for seed in (0, 0, 1))
    there[1], there[0]
    assert labels_of(here) == labels_of(there) != labels_of(other)
    here.set_epoch(3)
    assert labels_of(here) != labels_of(there)
    for _ in range(3):
        there.on_epoch_begin(), there.on_epoch_end()
    assert labels_of(here) == labels_of(there)
    assert labels_of(Batches(IMAGES, np.arange(10), 5, shuffle=False)) == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


class Recorder(Batches):
    served = ()

    def __getitem__(self, index):
        self.served += ((self.epoch, index),)
        return super().__getitem__(index)


def test_fit_counts_the_epochs_and_serves_each_order_once():
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(
        Recorder(IMAGES, LABELS, 2), epochs=1, shuffle=False, verbose=0
    )  # metrics get built here
    batches = Recorder(IMAGES, LABELS, 2)
    batches.epoch = 5
    model.fit(batches, epochs=3, shuffle=False, verbose=0)
    assert batches.epoch == 8
    expected = [(epoch, index) for epoch in (5, 6, 7) for index in range(5)]
    assert (
        list(batches.served[-15:]) == expected
    )  # TensorFlow peeks at two batches for their shapes


def test_fit_of_an_adversarial_model_sets_the_epoch():
    class Told(AdversarialModel):
        players = ()

        def train_step(self, data):
            return {"loss": keras.ops.sum(data[0])}

    batches = Recorder(IMAGES, LABELS, 5)
    model = Told()
    model.compile(run_eagerly=True)
    model.fit(batches, initial_epoch=4, epochs=6, verbose=0)
    assert list(batches.served[-4:]) == [(4, 0), (4, 1), (5, 0), (5, 1)]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"batch_size": 1},
            r"batch_size must be at least 2 \(batch norm has no statistics of one image\); received 1",  # noqa: E501
        ),
        ({"batch_size": 11}, "batch_size must be at most the 10 images; received 11"),
        (
            {"labels": LABELS[:9]},
            r"labels must be 10 integers, one per image; received int64 \[9\]",
        ),
        ({"labels": LABELS * 1.0}, "received float64"),
        ({"labels": LABELS - 1}, "labels must be in 0..2; received labels from -1 to 1"),
        ({"labels": LABELS + 1}, "labels must be in 0..2; received labels from 1 to 3"),
        ({"images": IMAGES * 2}, "received values from -2 to 2"),
        ({"images": IMAGES[:, 0]}, r"received float32 \[10, 2, 1\]"),
    ],
)
def test_bad_input_is_told_at_construction(change, message):
    with pytest.raises(ValueError, match=message):
        Batches(**{"images": IMAGES, "labels": LABELS, "batch_size": 4, "classes": 3} | change)
