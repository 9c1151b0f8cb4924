"""Classifiers: shapes and parameter counts."""

import pytest

from kerasgan.models.classifier import build_classifier


@pytest.mark.parametrize("size, channels, classes", [(28, 1, 10), (32, 3, 4), (9, 1, 2)])
def test_shapes_follow_the_arguments(size, channels, classes):
    classifier = build_classifier(size, channels, classes, width=4, features=6)
    assert classifier.input_shape == (None, size, size, channels)
    assert classifier.output_shape == (None, classes)
    assert classifier.layers[-1].input.shape == (None, 6)


def test_parameters():  # 3 x 3 convolutions 1 -> 32 -> 64 -> 64, then 7 * 7 * 64 -> 128 -> 10
    convolutions = 9 * (1 * 32 + 32 * 64 + 64 * 64) + 32 + 64 + 64
    assert build_classifier().count_params() == convolutions + (7 * 7 * 64 + 1) * 128 + 129 * 10
