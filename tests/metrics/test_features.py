import numpy as np

from kerasgan.metrics.features import features_and_logits
from kerasgan.models.classifier import build_classifier


def test_features_are_what_the_last_layer_sees_in_inference_mode():
    classifier = build_classifier(size=8, width=4, features=6)
    images = np.random.default_rng(0).uniform(-1, 1, (7, 8, 8, 1)).astype("float32")
    features, logits = features_and_logits(classifier, images, batch_size=3)
    assert (type(features), features.shape, logits.shape) == (np.ndarray, (7, 6), (7, 10))
    kernel, bias = classifier.layers[-1].get_weights()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-5)
    np.testing.assert_allclose(features_and_logits(classifier, images)[0], features, atol=1e-5)  # no dropout at work
