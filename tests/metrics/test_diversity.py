import itertools

import numpy as np
import pytest

from kerasgan.metrics.diversity import intra_class_diversity


def test_equals_a_loop():
    random = np.random.default_rng(0)
    images, labels = random.uniform(-1, 1, (12, 4, 4, 1)), np.array([0] * 3 + [2] * 7 + [5] * 2)
    means = []
    for label in (0, 2, 5):
        pairs = itertools.combinations(images[labels == label], 2)
        means.append(np.mean([np.linalg.norm(one - other) for one, other in pairs]))
    order = random.permutation(12)
    assert intra_class_diversity(images[order], labels[order]) == pytest.approx(
        np.mean(means), rel=1e-12
    )


def test_collapsed_classes_have_no_diversity():
    prototypes = np.random.default_rng(0).uniform(-1, 1, (3, 28, 28, 1)).astype("float32")
    assert intra_class_diversity(
        prototypes.repeat(50, axis=0), np.arange(3).repeat(50)
    ) == pytest.approx(0, abs=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match="at least 2 images; label 4 has 1"):
        intra_class_diversity(np.zeros((3, 2)), np.array([3, 3, 4]))
    with pytest.raises(ValueError, match=r"one label per image \(3\); received 2"):
        intra_class_diversity(np.zeros((3, 2)), np.array([3, 3]))
