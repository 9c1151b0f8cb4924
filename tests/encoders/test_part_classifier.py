"""The part classifier: what its networks return, that it learns, and its value for a generator."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, PARTS, part_maps
from kerasgan.encoders.part_classifier import (
    CaptionMismatch,
    PartClassifier,
    build_caption_classifier,
    build_part_classifier,
)
from tests.marks import slow_on_jax
from zoo.training_data import PartClassifierBatches, reduced

SIZES = [len(values) for values in ATTRIBUTES.values()]
DIM = 6


def tiny(**arguments):
    keras.utils.set_random_seed(0)
    model = PartClassifier(
        SIZES,
        part_classifier=build_part_classifier(2, sum(SIZES), 32, 4),
        caption_classifier=build_caption_classifier(SIZES, DIM, 8),
        **arguments,
    )
    model.compile(classifier=keras.optimizers.Adam(1e-2), run_eagerly=True)
    return model


def batches(count=8):
    birds = part_maps("random", count, size=36)
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(count, 2, DIM)).astype("float32")
    named = np.where(random.random((count, 2, 7)) < 0.5, birds[2][:, None], -1)
    chosen = [PARTS.index(name) for name in ("head", "bill")]
    return PartClassifierBatches(birds, chosen, embeddings, named, count, 32)


def test_batches_have_the_parts_of_the_images():
    (images, embeddings), (masks, labels, named) = batches()[0]
    assert images.shape == (8, 32, 32, 3) and embeddings.shape == (8, DIM)
    assert masks.shape == (8, 64, 2) and 0 < masks.max() <= 1
    assert (masks[..., 0].sum(axis=1) > masks[..., 1].sum(axis=1)).mean() > 0.5  # head, bill
    np.testing.assert_array_equal(np.where(named < 0, labels, named), labels)
    for x in ((images, embeddings), (masks, labels, named)):
        assert all(array.dtype in ("float32", "int32") for array in x)


def test_reduced_images_lose_detail():
    images = np.zeros((1, 8, 8, 3), "uint8")
    images[:, ::2] = 255
    assert reduced(images, 8).std() == 1.0
    smooth = reduced(images, 4)
    assert smooth.shape == images.shape and smooth.std() < 0.3
    assert reduced(images, 4, 16).shape == (1, 16, 16, 3)


@slow_on_jax
@pytest.mark.backend
@pytest.mark.parametrize("radius", [0.0, 0.5])
def test_it_learns(radius):
    model, data = tiny(radius=radius, noise=0.1), batches()[0]
    logs = [model.train_on_batch(*data, return_dict=True) for _ in range(12)]
    for name in ("label_loss", "attention_loss", "caption_loss"):
        first, last = (float(logs[i][name]) for i in (0, -1))
        assert np.isfinite(last) and last < first, name
    values, features = model.mismatch(data[0], training=False)
    assert values.shape == (8,) and features.shape[0] == 8


def test_only_named_attributes_count():
    layer = CaptionMismatch((2, 3))
    images = np.array([[4.0, 0.0, 0.0, 4.0, 0.0]], "float32")

    def value(first, second):
        captions = np.full((1, 7), -50.0, "float32")
        captions[0, first], captions[0, 3 + second] = 0.0, 0.0
        return float(ops.convert_to_numpy(layer([images, captions]))[0])

    assert value(2, 3) == pytest.approx(0.0, abs=1e-5)  # Neither is named.
    right = value(0, 3), value(2, 1)
    assert value(0, 1) == pytest.approx(sum(right), rel=1e-4)
    assert value(1, 3) > 4.0 > 0.1 > right[0]


@slow_on_jax
@pytest.mark.backend
def test_the_value_has_a_gradient_with_respect_to_images():
    model, ((images, embeddings), _) = tiny(), batches()[0]
    gradient = model.input_gradient(
        lambda x: ops.sum(
            model.mismatch([x, ops.convert_to_tensor(embeddings)], training=False)[0]
        ),
        ops.convert_to_tensor(images),
    )
    assert np.abs(ops.convert_to_numpy(gradient)).max() > 0


def test_wrong_arguments():
    for name in ("radius", "noise", "attention_weight"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0; received -1"):
            PartClassifier((2, 3), **{name: -1.0})
    with pytest.raises(ValueError, match="label_weights must be 2"):
        PartClassifier((2, 3), (1.0,))
