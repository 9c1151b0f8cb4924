"""Scores by name: values, names for different features, and protocols."""

import json

import numpy as np
import pytest

from kerasgan.metrics import score_intervals
from kerasgan.metrics.authpct import authpct
from kerasgan.metrics.classification_accuracy import Classification
from kerasgan.metrics.clip_score import Captioned, clip_score
from kerasgan.metrics.cmmd import cmmd
from kerasgan.metrics.fd_infinity import fd_infinity
from kerasgan.metrics.features.extract import Features, extract
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance, polynomial_kernel
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.memorization import memorization
from kerasgan.metrics.r_precision import r_precision
from kerasgan.metrics.score_checks import check_counts, check_inference_mode
from kerasgan.metrics.scores import scores
from kerasgan.metrics.vendi import vendi_score

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
            "metrics must be of is, fid, kid, prdc, ms_ssim, .*, gan_test; received lpips",
        ),
        (OTHER, [], {}, "received none"),
        (None, ["is", "kid"], {}, "kid compares the samples with a reference; received none"),
        (
            OTHER,
            ["kid"],
            {"subset_size": 1000},
            "subset_size of kid must be between 2 and .* 30; received 1000",
        ),
        (features(1), ["kid"], {}, "kid .*2 and the smaller number of images, 1; received"),
        (OTHER, ["clip_score"], {}, "clip_score needs the captions of the samples .*; captioned"),
        (OTHER, ["gan_test"], {}, "gan_test needs labels, real images and a classifier"),
        (OTHER, ["sfid"], {}, "sfid needs features of SpatialFeatures; spatial is None"),
        (OTHER, ["fid"], {"resamples": 9}, "received 40 samples and 9 resamples"),
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
    check_counts(["kid"], None, 999)  # The default adapts.
    with pytest.raises(ValueError, match="received 1000"):
        check_counts(["kid"], None, 999, subset_size=1000)


def test_images_that_depend_on_their_batch_are_rejected():
    pictures = np.full((3, 2, 2, 3), 100, "uint8")
    check_inference_mode(pictures, pictures + 2)
    with pytest.raises(
        ValueError, match=r"inference mode \(training=False\).* differ by up to 90 of 255 levels"
    ):
        check_inference_mode(pictures, pictures - 90)


MANY, REAL = features(120), features(90, 0.4)


def test_newer_scores_equal_their_functions():
    names = ["fd_infinity", "cmmd", "vendi", "authpct", "memorization", "sfid"]
    spatial = features(120), features(90, 0.2)
    found = scores(MANY, REAL, names, spatial=spatial, seed=4)
    pair = REAL.features, MANY.features
    assert found["frechet_distance_infinity"] == fd_infinity(*pair, seed=4)
    assert found["gaussian_kernel_distance"] == cmmd(*pair[::-1]) and found["vendi"] == vendi_score(
        pair[1]
    )
    assert found["authpct"] == authpct(*pair)
    assert {"memorized", "nearest_ratio"} <= set(found)
    assert found["nearest_ratio"] == memorization(*pair)["nearest_ratio"]
    expected = frechet_distance(*(statistics(each.features) for each in spatial))
    assert found["spatial_frechet_distance"] == expected
    protocol = json.loads(json.dumps(found["protocol"]))
    assert protocol["cmmd"]["estimate"] == "biased" and protocol["fd_infinity"]["seed"] == 4
    assert "second nearest" in protocol["memorization"]["rule"] and protocol["vendi"]["order"] == 1
    kept = statistics(REAL.features, PROTOCOL)
    only = scores(MANY, kept, ["fd_infinity"], seed=4)
    assert only["frechet_distance_infinity"] == found["frechet_distance_infinity"]
    with pytest.raises(ValueError, match="cmmd needs the features of the reference images"):
        scores(MANY, kept, ["cmmd"])


def test_only_features_of_its_clip_give_cmmd():
    about = PROTOCOL | {"network": "CLIP ViT-L/14-336"}
    found = scores(features(40, protocol=about), features(30, protocol=about), ["cmmd"])
    assert list(found) == ["cmmd", "protocol"]


class Pair:
    """A fake CLIP: an image's embedding is its corner, a caption's the number that it contains."""

    protocol = {"network": "a pair of the tests"}

    def images(self, images):
        return images[:, 0, 0].astype("float32") + 1

    def texts(self, captions):
        assert isinstance(captions, list)
        return np.array([[float(n) for n in text.split()] for text in captions])


def test_scores_of_captions_and_of_classifiers():
    images = np.random.default_rng(0).integers(0, 256, (120, 4, 4, 3), "uint8")
    texts = images[:, 0, 0] + 1.0 + np.random.default_rng(1).normal(0, 20, (120, 3))
    captions = [" ".join(map(str, row)) for row in texts]
    labels = np.arange(120) % 2
    train = images + 0, labels

    def fit(images, labels):
        assert images.dtype == np.uint8 and len(images) == len(labels)
        return lambda x: np.zeros(len(x), int)

    found = scores(
        MANY,
        None,
        ["clip_score", "r_precision", "gan_train", "gan_test"],
        images=images,
        captioned=Captioned(Pair(), captions),
        classification=Classification(fit, labels, train, train),
        candidates=20,
    )
    ours = images[:, 0, 0].astype("float32") + 1
    expected = clip_score(ours, texts)
    assert (found["clip_score_mean"], found["clip_score_std"]) == pytest.approx(expected)
    expected = r_precision(ours, texts, candidates=20, seed=2020)
    assert (found["r_precision_mean"], found["r_precision_std"]) == pytest.approx(expected)
    assert found["gan_train"] == found["gan_test"] == 0.5
    assert found["protocol"]["clip_score"]["encoders"] == Pair.protocol
    with pytest.raises(ValueError, match=r"one caption per image \(120\); received 7"):
        captioned = Captioned(Pair(), captions[:7])
        scores(MANY, metrics=["clip_score"], images=images, captioned=captioned)


def test_small_sets_adapt_with_a_note_and_explicit_options_do_not():
    few, real = features(5), features(6)
    found = scores(few, real, ["is", "kid", "prdc"])
    assert found["protocol"]["kid"]["subset_size"] == 5 and found["protocol"]["is"]["splits"] == 5
    assert found["protocol"]["prdc"] == {"precision_recall_k": 3, "density_coverage_k": 4}
    notes = found["protocol"]["notes"]
    assert len(notes) == 3 and "5 images per subset of kid instead of 1,000" in notes[1]
    assert "notes" not in scores(few, real, ["fid"])["protocol"]
    for options in ({"splits": 10}, {"subset_size": 6}, {"k": 5}):
        with pytest.raises(ValueError):
            scores(few, real, ["is", "kid", "prdc"], **options)


def test_ms_ssim_adapts_its_scales():
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 30, 3), "uint8")
    found = scores(features(5), metrics=["ms_ssim"], images=images, pairs=3)
    assert found["protocol"]["ms_ssim"]["scales"] == 2
    assert "2 scales of ms_ssim instead of 5" in found["protocol"]["notes"][0]
    with pytest.raises(ValueError, match="at least 44 pixels for 3 scales; received 28 x 30"):
        scores(features(5), metrics=["ms_ssim"], images=images, pairs=3, scales=3)
    with pytest.raises(ValueError, match="at least 11 pixels for 1 scales; received 8 x 9"):
        scores(features(5), metrics=["ms_ssim"], images=images[:, :8, :9], pairs=3)


def test_intervals_contain_the_scores_and_shrink_with_more_samples():
    names = ["is", "fid", "kid", "prdc", "cmmd", "vendi", "authpct", "memorization"]
    found = scores(MANY, REAL, names, resamples=30)
    intervals = found["intervals"]
    expected = {"classifier_score_mean", "frechet_distance", "kernel_distance_mean", "precision"}
    expected |= {
        "recall",
        "density",
        "coverage",
        "vendi",
        "gaussian_kernel_distance",
        "authpct",
        "memorized",
    }
    assert set(intervals) == expected | {"nearest_ratio"}
    for name, (low, high) in intervals.items():
        assert low <= found[name] <= high, name
    assert found["protocol"]["intervals"]["resamples"] == 30
    assert "the reference is fixed" in found["protocol"]["intervals"]["resampled"]
    more = scores(features(1200), REAL, ["fid", "cmmd"], resamples=30)["intervals"]
    for name in ("frechet_distance", "gaussian_kernel_distance"):
        assert np.diff(more[name]) < 0.7 * np.diff(intervals[name])
    again = scores(MANY, REAL, names, resamples=30)
    assert again["intervals"] == intervals


def test_intervals_of_kernel_distances_equal_resampled_distances():
    """The weights of a resample give the distance of its images without pairs of equal images."""
    counts = score_intervals._draws(30, 3, 0)
    one, other = MANY.features[:30].astype("float64"), REAL.features[:20].astype("float64")
    found = score_intervals._weighted_mmd(polynomial_kernel, one, other, counts)
    for weights, value in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(30), weights.astype(int))
        differ = rows[:, None] != rows
        within = (polynomial_kernel(one[rows], one[rows]) * differ).sum() / differ.sum()
        k = polynomial_kernel(other, other)
        real = (k.sum() - np.trace(k)) / (20 * 19)
        between = polynomial_kernel(one[rows], other).mean()
        assert value == pytest.approx(within + real - 2 * between, rel=1e-9, abs=1e-9)


def test_intervals_stay_in_the_range_of_the_score():
    far = features(40)
    far.features[:] += 100.0
    far.features[0] = REAL.features[0]
    found = scores(far, REAL, ["prdc", "memorization", "authpct"], resamples=10)["intervals"]
    ends = np.array([found[name] for name in ("precision", "recall", "coverage", "memorized")])
    assert ends.min() >= 0 and ends.max() <= 1
    assert 0 <= found["density"][0] and found["authpct"][1] <= 100
