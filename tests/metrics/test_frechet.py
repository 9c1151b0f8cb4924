import numpy as np
import pytest

from kerasgan.metrics.frechet import frechet_distance, statistics

RANDOM = np.random.default_rng(0)


def test_statistics_are_of_the_sample_in_float64():
    mean, cov = statistics(np.array([[1, 0], [3, 0], [5, 6]], "float32"))
    assert mean.dtype == cov.dtype == np.float64
    np.testing.assert_allclose(mean, [3, 2])
    np.testing.assert_allclose(cov, [[4, 6], [6, 12]])


def test_one_feature():  # (m1 - m2)^2 + (s1 - s2)^2
    one, other = (np.array([1.0]), np.array([[4.0]])), (np.array([4.0]), np.array([[25.0]]))
    assert frechet_distance(one, other) == pytest.approx(18)


def test_covariances_that_commute():
    basis = np.linalg.qr(RANDOM.normal(size=(5, 5)))[0]
    one, other = RANDOM.uniform(0, 9, (2, 5))
    mean = RANDOM.normal(size=5)
    distance = frechet_distance((mean, basis * one @ basis.T), (mean + 2, basis * other @ basis.T))
    assert distance == pytest.approx(20 + np.sum((np.sqrt(one) - np.sqrt(other)) ** 2), rel=1e-12)


def test_two_by_two_that_do_not_commute():
    one, other = np.array([[2.0, 1], [1, 3]]), np.array([[5.0, -2], [-2, 1]])
    # The trace of the root of a 2 x 2 matrix P: sqrt(tr P + 2 sqrt(det P)).
    root = np.sqrt(np.trace(one @ other) + 2 * np.sqrt(np.linalg.det(one) * np.linalg.det(other)))
    distance = frechet_distance((np.zeros(2), one), (np.zeros(2), other))
    assert distance == pytest.approx(5 + 6 - 2 * root, rel=1e-12)


def test_fewer_images_than_features():
    features = RANDOM.normal(size=(5, 40))
    singular = statistics(features)
    assert frechet_distance(singular, singular) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(singular, statistics(features + 1)) == pytest.approx(40, rel=1e-6)
    assert frechet_distance(singular, (singular[0], np.zeros((40, 40)))) == pytest.approx(np.trace(singular[1]))


def test_symmetric():
    one = statistics(RANDOM.normal(size=(30, 8)))
    other = statistics(RANDOM.normal(size=(9, 8)) @ RANDOM.normal(size=(8, 8)))
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-9)


def test_bad_input():
    with pytest.raises(ValueError, match=r"N at least 2; received \[1, 3\]"):
        statistics(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="as many features; received 3 and 4"):
        frechet_distance(statistics(np.zeros((2, 3))), statistics(np.zeros((2, 4))))
