"""sFID: feature maps of Inception and of classifiers, and what they see."""

import keras
import numpy as np
import pytest

from kerasgan.metrics.features.extract import ClassifierFeatures, extract
from kerasgan.metrics.features.inception import Inception, random_weights
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.spatial import SpatialFeatures, spatial_frechet_distance
from kerasgan.models.classifier import build_classifier

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), "uint8")


@pytest.mark.backend
def test_maps_of_a_classifier():
    network = build_classifier(size=8, channels=3, width=4, features=4)
    spatial = SpatialFeatures(ClassifierFeatures(network))
    pools = [x for x in network.layers if isinstance(x, keras.layers.MaxPooling2D)]
    maps = keras.Model(network.inputs[0], pools[-1].output)
    expected = maps(IMAGES.astype("float32") / 127.5 - 1, training=False)
    expected = keras.ops.convert_to_numpy(expected)[..., :7].reshape(40, -1)
    found = keras.ops.convert_to_numpy(spatial(IMAGES))
    assert found.shape == (40, 2 * 2 * 7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert spatial.protocol["layer"] == "first 7 channels of the feature map of (2, 2) positions"


def test_maps_of_inception():
    weights = random_weights()
    spatial = SpatialFeatures(Inception(weights))
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 30, 3), "uint8")
    found = spatial(images)
    assert found.shape == (2, 17 * 17 * 7) and found.min() == 0 < found.max()  # After the ReLU.
    assert "Inception" in spatial.protocol["network"]
    assert "feature map of (17, 17) positions" in spatial.protocol["layer"]


def test_the_distance_sees_where_things_are():
    """Mirrored images have nearly the same pooled features, and others at each position."""
    left = IMAGES.copy()
    left[:, :, 4:] //= 8
    network = build_classifier(size=8, channels=3, width=4, features=4)
    spatial = SpatialFeatures(ClassifierFeatures(network))
    sides = [extract(x, spatial, progress=False).features for x in (left, left[:, :, ::-1])]
    with pytest.warns(UserWarning, match="biased upwards"):
        same = spatial_frechet_distance(sides[0][:20], sides[0][20:])
        mirrored = spatial_frechet_distance(*sides)
        assert mirrored == frechet_distance(*map(statistics, sides))
    assert mirrored > same


def test_an_extractor_without_maps():
    for extractor, name in ((lambda x: x, "function"), (ClassifierFeatures, "type")):
        with pytest.raises(ValueError, match=f"feature maps of a convolutional network; {name}"):
            SpatialFeatures(extractor)
    dense = keras.Sequential(
        [keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="feature maps of a convolutional network"):
        SpatialFeatures(ClassifierFeatures(dense))
