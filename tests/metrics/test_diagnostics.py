import functools
import json

import numpy as np
import pytest

from kerasgan.metrics import diagnostics, nearest as nearest_module
from kerasgan.metrics.diagnostics import diagnose, nearest

CLASSES = 4
CENTRES = np.random.default_rng(9).integers(60, 196, (CLASSES, 4, 4, 3))


def images_of(labels, seed, spread=12.0):
    """Noisy images around the center of their class."""
    noise = np.random.default_rng(seed).normal(0, spread, (len(labels), 4, 4, 3))
    return (CENTRES[labels] + noise).clip(0, 255).astype("uint8")


def extractor(images):
    """Features are most of the pixels; logits are similarities to the centers."""
    flat = images.reshape(len(images), -1).astype("float32")
    squares = ((flat[:, None] - CENTRES.reshape(CLASSES, -1)) ** 2).sum(axis=-1)
    return flat[:, :40], -squares


LABELS = np.arange(600) % CLASSES
TRAINING, HELD_OUT, FRESH = (images_of(LABELS, seed) for seed in (0, 1, 2))


def found(samples, **options):
    return diagnose(
        samples, TRAINING, extractor, **{"labels": LABELS, "heldout": HELD_OUT} | options
    )


@pytest.fixture(scope="module")
def real():
    return found(FRESH)


def test_nearest_equals_a_loop(monkeypatch):
    random = np.random.default_rng(0)
    queries, references = (
        random.normal(size=(33, 5)).astype("float32"),
        random.normal(size=(41, 5)).astype("float32"),
    )
    apart = np.linalg.norm(queries[:, None].astype("float64") - references, axis=-1)
    monkeypatch.setattr(nearest_module, "BLOCK", 5 * 16)  # Three blocks each.
    index, distance = nearest(queries, references)
    np.testing.assert_array_equal(index, apart.argmin(axis=1))
    np.testing.assert_allclose(distance, apart.min(axis=1), rtol=1e-12)
    own = random.permutation(41)[:20]
    apart = np.linalg.norm(references[own, None].astype("float64") - references, axis=-1)
    apart[np.arange(20), own] = np.inf
    index, distance = nearest(references[own], references, own)
    np.testing.assert_array_equal(index, apart.argmin(axis=1))
    np.testing.assert_allclose(distance, apart.min(axis=1), rtol=1e-12)


def test_nearest_finds_a_copy_at_zero_and_the_first_of_equals():
    far = np.full((3, 2), 1e4) + np.array([[0.1, 0], [0, 0.1], [0.1, 0]])
    index, distance = nearest(far, far)
    assert index.tolist() == [0, 1, 0] and distance.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"received \[1, 2\] and \[1, 3\]"):
        nearest(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="at least one reference"):
        nearest(np.zeros((1, 2)), np.zeros((1, 2)), own=np.zeros(1, int))


def test_real_images_have_neutral_measures(real):
    assert real["classes_missing"] == 0 and real["missing_classes"] == real["rare_classes"] == []
    assert real["class_share_distance"] == 0 < real["class_share_chance"] < 0.1
    for prefix in ("", "pixel_"):
        assert real[f"{prefix}intra_class_diversity"] == pytest.approx(1, abs=0.03)
        assert real[f"{prefix}nearest_training_ratio"] == pytest.approx(1, abs=0.03)
        assert real[f"{prefix}nearest_sample_ratio"] == pytest.approx(1, abs=0.03)
        for share in ("copies", "overgeneralised", "near_duplicates"):
            assert real[prefix + share] < 0.03
    assert [row["class"] for row in real["classes"]] == ["0", "1", "2", "3"]
    assert "correct for 100.0% of the training images" in real["protocol"]["classes"]


def test_a_missing_class_is_detected():
    missing = found(FRESH[LABELS != 2], names=["ash", "beech", "cedar", "date"])
    assert missing["missing_classes"] == ["cedar"] and missing["classes_missing"] == 1
    assert missing["class_share_distance"] == pytest.approx(0.25)
    assert missing["classes"][2]["share"] == 0 and missing["classes"][2]["diversity"] is None
    few = diagnose(
        FRESH[LABELS != 2][:100], TRAINING, extractor, np.where(LABELS == 2, 4, LABELS), HELD_OUT
    )
    assert few["classes_missing"] == 1 and few["missing_classes"] == ["4"]
    rare = diagnose(
        FRESH[:100], TRAINING, extractor, np.where(np.arange(600) < 20, 4, LABELS), HELD_OUT
    )
    assert "4" in rare["rare_classes"] and "4" not in rare["missing_classes"]


def test_a_collapsed_class_is_detected():
    alike = FRESH.copy()
    alike[LABELS == 1] = images_of(LABELS[LABELS == 1], 3, spread=3)
    result = found(alike)
    assert result["classes_missing"] == 0 and result["least_diverse_class"] == "1"
    assert result["least_intra_class_diversity"] == pytest.approx(0.25, abs=0.03)
    assert result["intra_class_diversity"] == pytest.approx(0.81, abs=0.03)
    ours, theirs = result["examples"]["features"]["least_diverse"]
    assert set(LABELS[ours]) == set(LABELS[theirs]) == {1}


def test_copies_are_detected_and_listed():
    copied = FRESH.copy()
    copied[5:65] = TRAINING[100:160]
    result = found(copied)
    for prefix, space in (("", "features"), ("pixel_", "pixels")):
        assert 0.1 <= result[f"{prefix}copies"] < 0.13
        assert result["examples"][space]["nearest"][0] == [5, 100, 0.0]
        assert all(distance == 0 for *_, distance in result["examples"][space]["nearest"])
    assert result["near_duplicates"] < 0.03


def test_more_samples_of_a_narrow_class_are_not_copies():
    spread = np.where(LABELS == 0, 2.0, 12.0)[:, None, None, None]
    training, unseen, fresh = (images_of(LABELS, seed, spread) for seed in (0, 1, 2))
    result = diagnose(fresh[LABELS == 0], training, extractor, LABELS, unseen)
    assert result["missing_classes"] == ["1", "2", "3"]
    for prefix in ("", "pixel_"):
        assert result[f"{prefix}nearest_training_ratio"] == pytest.approx(1, abs=0.05)
        assert result[f"{prefix}copies"] < 0.04
        narrow, wide = (result["classes"][place][f"{prefix}usual_distance"] for place in (0, 1))
        assert narrow == pytest.approx(wide / 6, rel=0.1)
    # Two images with deviation 2 differ by 2 * sqrt(2) gray levels, the nearest of 150 by less.
    assert 2 < result["classes"][0]["pixel_usual_distance"] < 2 * 2**0.5


def test_outliers_are_detected():
    strange = FRESH.copy()
    strange[:30] = 255 - TRAINING[:30]
    result = found(strange)
    for prefix, space in (("", "features"), ("pixel_", "pixels")):
        assert 0.05 <= result[f"{prefix}overgeneralised"] < 0.08
        assert all(sample < 30 for sample, *_ in result["examples"][space]["farthest"])


def test_duplicates_are_listed_as_pairs():
    twice = FRESH.copy()
    twice[300:360] = twice[:60]
    result = found(twice)
    assert result["near_duplicates"] == pytest.approx(0.2, abs=0.02)
    assert result["pixel_near_duplicates"] == pytest.approx(0.2, abs=0.02)
    assert all(
        b == a + 300 and apart == 0 for a, b, apart in result["examples"]["features"]["pairs"]
    )
    assert len({a for a, *_ in result["examples"]["features"]["pairs"]}) == 8
    assert result["copies"] < 0.03


def test_training_images_replace_missing_held_out_images(real, monkeypatch):
    alone = found(FRESH, heldout=None)
    assert alone["nearest_training_ratio"] == pytest.approx(
        real["nearest_training_ratio"], abs=0.03
    )
    assert alone["copies"] < 0.03 and "600 training images" in alone["protocol"]["heldout_images"]
    monkeypatch.setattr(diagnostics, "HELD_OUT", 200)
    assert found(FRESH, heldout=None)["nearest_training_ratio"] == pytest.approx(1, abs=0.05)


def test_classes_without_logits_or_without_labels(real):
    plain = diagnose(FRESH, TRAINING, lambda images: extractor(images)[0], LABELS, HELD_OUT)
    assert (
        plain["classes"] == real["classes"]
        and "nearest training image" in plain["protocol"]["classes"]
    )
    unlabelled = found(FRESH, labels=None)
    assert unlabelled["classes"] == real["classes"]
    one = diagnose(FRESH, TRAINING, lambda images: extractor(images)[0], heldout=HELD_OUT)
    assert [row["class"] for row in one["classes"]] == ["all"] and one["classes"][0]["share"] == 1
    assert one["intra_class_diversity"] == pytest.approx(1, abs=0.03)


def test_the_result_is_json_and_reproducible(real):
    toy = functools.partial(extractor)
    toy.protocol = {"network": "toy"}
    again = diagnose(FRESH, TRAINING, toy, LABELS, HELD_OUT)
    assert again["protocol"]["extractor"] == {"network": "toy"}
    assert json.loads(json.dumps(again)) == again
    assert {k: v for k, v in again.items() if k != "protocol"} == {
        k: v for k, v in real.items() if k != "protocol"
    }


def test_large_images_are_downsampled():
    large = TRAINING.repeat(40, axis=1).repeat(40, axis=2)  # 160 x 160
    small = diagnostics._pixels(large)
    assert small.shape == (600, 54 * 54 * 3) and small.dtype == np.uint8
    np.testing.assert_array_equal(diagnostics._pixels(TRAINING), TRAINING.reshape(600, -1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"samples": FRESH / 255},
            r"Expected samples as uint8 \[N, H, W, 1 or 3\] with N at least 100; received float64",
        ),
        ({"samples": FRESH[:99]}, r"N at least 100; received uint8 \[99, 4, 4, 3\]"),
        (
            {"samples": FRESH[..., :1]},
            r"Expected samples of shape \[4, 4, 3\], .*; received \[4, 4, 1\]",
        ),
        ({"heldout": HELD_OUT[:9]}, "Expected heldout as uint8"),
        (
            {"labels": LABELS[:5]},
            r"Expected 600 integer labels from 0, one per training image; received int64 \[5\]",
        ),
        ({"labels": LABELS - 1}, "Expected 600 integer labels from 0"),
        ({"names": ["one", "two"]}, "Expected at least 4 different names; received one, two"),
        (
            {"extractor": lambda x: np.full((len(x), 2), np.nan)},
            "The features of image 0 of .* are not finite",
        ),
        (
            {"extractor": lambda x: x},
            r"The extractor must return features .*; received \[32, 4, 4, 3\]",
        ),
        (
            {"extractor": lambda x: np.zeros((len(x), 2))},
            "The features do not distinguish the real images",
        ),
    ],
)
def test_bad_input_is_one_line(change, message):
    given = {
        "samples": FRESH,
        "training": TRAINING,
        "extractor": extractor,
        "labels": LABELS,
        "heldout": HELD_OUT,
    }
    with pytest.raises(ValueError, match=message) as raised:
        diagnose(**given | change)
    assert "\n" not in str(raised.value)
