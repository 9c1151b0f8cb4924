"""The exact checks tell the two sides of a claim apart, and read recorded trainings."""

import pytest

from benchmarks.reproduction.claims import exact


@pytest.mark.parametrize("seed", [0, 5])
def test_the_evidence_bound_is_tight_at_the_posterior_only(seed):
    found = exact.evidence_bound({}, seed, None)["measures"]
    assert abs(found["gap_at_posterior"]) < 1e-5 > found["excess_over_evidence"]
    assert found["best_variance"] == pytest.approx(0.5, abs=0.006)
    assert found["best_variance_with_sigma"] == pytest.approx(0.25, abs=0.006)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_only_the_extra_convolution_lets_captions_meet_images(norm):
    with_, without = (
        exact.pair_interaction({"extra_conv": extra, "norm": norm}, 1, None)["measures"]
        for extra in (True, False)
    )
    assert without["interaction"] < 1e-4 < 1e-2 < with_["interaction"]


@pytest.mark.parametrize("loss", ["noted", "off"])
def test_only_the_smoothing_of_the_paper_limits_confidence(loss):
    found = exact.smoothing({"loss": loss}, 2, None)["measures"]
    assert (
        found["push_back"]
        < 0
        < exact.smoothing({"loss": "paper"}, 2, None)["measures"]["push_back"]
    )


def test_the_notes_smoothing_is_a_weight_of_the_fakes():
    assert exact.smoothing({"loss": "noted"}, 0, None)["measures"]["scaling_error"] < 1e-5
    assert exact.smoothing({"loss": "paper"}, 0, None)["measures"]["scaling_error"] > 0.05


@pytest.mark.parametrize(("batch", "signs"), [(2, True), (8, False)])
def test_two_samples_keep_only_the_signs_of_their_features(batch, signs):
    found = exact.normalized_pairs({"batch": batch}, 3, None)["measures"]
    assert (found["explained_by_signs"] > 0.999) == signs == (found["feature_correlation"] < -0.99)


def test_recorded_trainings_are_read_by_seed():
    runs = [
        exact.recorded({"file": "explosions.json", "where": {"cause": "sigma / 8"}}, seed, None)
        for seed in (0, 1)
    ]
    assert [run["measures"]["exploded"] for run in runs] == [1, 1] and runs[0]["source"]["command"]
    with pytest.raises(ValueError):
        exact.recorded({"file": "explosions.json", "where": {"cause": "none"}}, 0, None)
