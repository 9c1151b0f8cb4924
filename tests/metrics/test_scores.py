"""Scores by name: values, names for different features, and protocols."""

import json

import numpy as np
import pytest

from kerasgan.metrics.features.extract import Features, extract
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.score_checks import check_counts, check_inference_mode
from kerasgan.metrics.scores import scores

RANDOM = np.random.default_rng(0)
PROTOCOL = {"network": "a network of the tests", "sha256": "0"}


def features(count, shift=0.0, protocol=PROTOCOL, logits=True):
    values = RANDOM.normal(shift, 1, (count, 4)).astype("float32")
    about = {"source": "tests", "count": count, "sizes": {"2 x 2": count}}
    return Features(values, 3 * values if logits else None, protocol, about)


ONE, OTHER = features(40), features(30, 0.5)
SMALL = {"splits": 4, "subset_size": 20, "subsets": 5}


def test_each_score_equals_its_function():
    found = scores(ONE, OTHER, **SMALL)
    assert (found["classifier_score_mean"], found["classifier_score_std"]) == inception_score(
        ONE.logits, 4
    )
    assert found["frechet_distance"] == frechet_distance(
        statistics(ONE.features), statistics(OTHER.features)
    )
    spread = kernel_distance(ONE.features, OTHER.features, 5, 20)
    assert (found["kernel_distance_mean"], found["kernel_distance_std"]) == spread
    near = precision_recall(OTHER.features, ONE.features) | density_coverage(
        OTHER.features, ONE.features
    )
    assert {name: found[name] for name in near} == near
    assert 0 < near["precision"] != near["recall"]
    assert found["f_score"] == pytest.approx(2 / (1 / near["precision"] + 1 / near["recall"]))
    assert not [name for name in found if "inception" in name]


def test_only_scores_of_inception_are_named_after_it():
    theirs = PROTOCOL | {"network": "Inception-2015-12-05"}
    one, other = features(40, protocol=theirs), features(30, protocol=theirs)
    found = scores(one, other, **SMALL)
    assert list(found) == [
        "inception_score_mean",
        "inception_score_std",
        "frechet_inception_distance",
        "kernel_inception_distance_mean",
        "kernel_inception_distance_std",
        "precision",
        "recall",
        "f_score",
        "density",
        "coverage",
        "protocol",
    ]


def test_scores_of_dinov2_have_their_own_names():
    theirs = PROTOCOL | {"network": "DINOv2 ViT-L/14"}
    one, other = features(40, protocol=theirs), features(30, protocol=theirs)
    found = scores(one, other, ("fid", "kid"), subsets=3, subset_size=10)
    assert list(found) == ["fd_dinov2", "kd_dinov2_mean", "kd_dinov2_std", "protocol"]


@pytest.mark.parametrize("kind", ["Inception", "DINOv2", "CLIP"])
def test_unknown_weights_name_no_published_score(kind):
    theirs = PROTOCOL | {"network": f"unknown weights 12345678 of {kind}"}
    one, other = features(40, protocol=theirs), features(30, protocol=theirs)
    with pytest.warns(UserWarning, match=f"unknown weights 12345678 of {kind}: .* named after"):
        found = scores(one, other, **SMALL)
    assert "frechet_distance" in found and "classifier_score_mean" in found
    assert not [name for name in found if "inception" in name or "dinov2" in name]


def test_options_are_passed_on_and_recorded():
    options = dict(
        splits=2, shuffle_seed=5, batch=16, subsets=3, subset_size=10, seed=1, k=2, density_k=4
    )
    found = scores(ONE, OTHER, **options)
    spread = inception_score(ONE.logits, splits=2, shuffle_seed=5, batch=16)
    assert (found["classifier_score_mean"], found["classifier_score_std"]) == spread
    assert (
        found["kernel_distance_mean"] == kernel_distance(ONE.features, OTHER.features, 3, 10, 1)[0]
    )
    assert found["recall"] == precision_recall(OTHER.features, ONE.features, 2)["recall"]
    assert found["density"] == density_coverage(OTHER.features, ONE.features, 4)["density"]
    protocol = json.loads(json.dumps(found["protocol"]))
    assert protocol["features"] == PROTOCOL and protocol["images"] == "uint8, RGB"
    assert protocol["samples"]["count"] == 40 and protocol["reference"]["count"] == 30
    assert protocol["is"] == {
        "count": 32,
        "splits": 2,
        "shuffle_seed": 5,
        "remainder_dropped_of": 16,
        "classes": 4,
    }
    assert protocol["kid"] == {"subsets": 3, "subset_size": 10, "seed": 1}
    assert protocol["prdc"] == {"precision_recall_k": 2, "density_coverage_k": 4}


def test_statistics_are_enough_for_fid_only():
    kept = statistics(OTHER.features, PROTOCOL)
    found = scores(ONE, kept, ["fid"])
    assert found["frechet_distance"] == scores(ONE, OTHER, ["fid"])["frechet_distance"]
    assert found["protocol"]["reference"] == {"statistics": True, "count": 30}
    with pytest.raises(
        ValueError, match="prdc needs the features of the reference images; received statistics"
    ):
        scores(ONE, kept, ["fid", "prdc"])
    with pytest.raises(ValueError, match="features of one protocol; received sha256 '0' and '1'"):
        scores(ONE, statistics(OTHER.features, PROTOCOL | {"sha256": "1"}), ["fid"])


def test_ms_ssim_uses_pairs_of_samples():
    one = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3), "uint8")
    same, others = (
        np.repeat(one, 7, axis=0),
        np.random.default_rng(1).integers(0, 256, (7, 12, 12, 3), "uint8"),
    )
    found = [
        scores(
            extract(x, lambda x: x.mean((1, 2)), progress=False),
            metrics=["ms_ssim"],
            images=x,
            scales=1,
            pairs=2,
        )
        for x in (same, others)
    ]
    assert found[0]["ms_ssim"] == pytest.approx(1) and found[1]["ms_ssim"] < 0.5
    assert found[1]["protocol"]["ms_ssim"] == {
        "pairs": 2,
        "of": "any class",
        "seed": 2020,
        "scales": 1,
    }


@pytest.mark.parametrize(
    ("reference", "metrics", "options", "message"),
    [
        (
            OTHER,
            ["fid", "lpips"],
            {},
            "metrics must be of is, fid, kid, prdc, ms_ssim; received lpips",
        ),
        (OTHER, [], {}, "received none"),
        (None, ["is", "kid"], {}, "kid compares the samples with a reference; received none"),
        (OTHER, ["kid"], {}, "subset_size of kid must be between 2 and .* 30; received 1000"),
        (
            OTHER,
            ["is"],
            {"splits": 41},
            "splits must be between 1 and the number of samples, 40; received 41",
        ),
        (
            OTHER,
            ["prdc"],
            {"density_k": 30},
            "prdc needs more than k = 30 samples and reference images; received 30",
        ),
        (OTHER, ["ms_ssim"], {}, "images is None"),
        (
            features(9, protocol={"network": "another"}),
            ["fid"],
            {},
            "received network 'a network.* and 'another'",
        ),
    ],
)
def test_bad_input(reference, metrics, options, message):
    with pytest.raises(ValueError, match=message):
        scores(ONE, reference, metrics, **options)


def test_inception_score_needs_logits():
    with pytest.raises(
        ValueError, match="is needs logits; a network of the tests returns features only"
    ):
        scores(features(20, logits=False), metrics=["is"])


def test_unknown_counts_are_not_checked():
    check_counts(["is", "fid", "kid", "prdc"], None, None)
    with pytest.raises(ValueError, match="received 1000"):
        check_counts(["kid"], None, 999)


def test_images_that_depend_on_their_batch_are_rejected():
    pictures = np.full((3, 2, 2, 3), 100, "uint8")
    check_inference_mode(pictures, pictures + 2)
    with pytest.raises(
        ValueError, match=r"inference mode \(training=False\).* differ by up to 90 of 255 levels"
    ):
        check_inference_mode(pictures, pictures - 90)
