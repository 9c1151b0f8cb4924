"""Bad features give one clear line in every formula."""

import sys
import tracemalloc

import numpy as np
import pytest

from kerasgan.metrics import feature_arrays
from kerasgan.metrics.authpct import authpct
from kerasgan.metrics.clip_score import clip_score
from kerasgan.metrics.cmmd import cmmd
from kerasgan.metrics.fd_infinity import fd_infinity
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.memorization import memorization
from kerasgan.metrics.vendi import vendi_score

GOOD = np.random.default_rng(0).normal(size=(40, 3))
HALF = np.where(np.arange(40)[:, None] < 20, GOOD, np.nan)  # The features of half the images.


def kernel(one, other):
    return kernel_distance(one, other, 2, 10)


PAIRS = (authpct, clip_score, cmmd, fd_infinity, kernel, memorization)
PAIRS += (density_coverage, precision_recall)


@pytest.mark.parametrize("formula", PAIRS)
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (HALF, "finite; received others in 20 of 40 rows, the first is row 20"),
        (np.where(GOOD == GOOD[7, 1], np.inf, GOOD), "in 1 of 40 rows, the first is row 7"),
        (GOOD.astype(str), "Features must be real numbers; received <U"),
        (GOOD.astype(object), "Features must be real numbers; received object"),
        (GOOD + 1j, "Features must be real numbers; received complex128"),
        (np.ma.masked_invalid(HALF), "no missing values; received a masked array"),
        (GOOD[:, 0], r"Expected features \[N, F\]"),
        (GOOD[:, :2], r"received \[40, [23]\] and \[40, [23]\]"),
        (np.zeros((40, 0)), r"Expected features \[N, F\]"),
    ],
)
def test_bad_features(formula, features, message):
    for pair in ((features, GOOD), (GOOD, features)):
        with pytest.raises(ValueError, match=message) as error:
            formula(*pair)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("formula", [authpct, cmmd, fd_infinity, memorization])
def test_one_image(formula):
    with pytest.raises(ValueError, match="features of at least 2.* images; received 1"):
        formula(GOOD, GOOD[:1])


def test_one_set():
    with pytest.raises(ValueError, match=r"Expected features \[N, F\]; received \[40\]"):
        vendi_score(GOOD[:, 0])
    with pytest.raises(ValueError, match="finite; received others in 20 of 40 rows"):
        vendi_score(HALF)


@pytest.mark.parametrize(
    "formula",
    [authpct, cmmd, density_coverage, fd_infinity, kernel, memorization, precision_recall]
    + [lambda one, other: vendi_score(other), lambda one, other: clip_score(one, other)],
)
def test_memory_does_not_grow_with_the_features(formula, tmp_path, monkeypatch):
    """Arrays in memory grow by a few numbers per image, not by its features."""
    monkeypatch.setattr(sys.modules["kerasgan.metrics.nearest"], "BLOCK", 2**14)
    used = ("cmmd", "kernel", "manifold", "feature_arrays", "authpct", "clip_score", "frechet")
    for module in (*used, "fd_infinity"):
        monkeypatch.setattr(sys.modules[f"kerasgan.metrics.{module}"], "BLOCK", 256)
    peaks = []
    for count in (800, 2400):
        values = np.random.default_rng(0).normal(size=(count, 64)).astype("float32")
        np.save(tmp_path / "features.npy", values)
        one, other = (np.load(tmp_path / "features.npy", mmap_mode="r") for _ in range(2))
        tracemalloc.start()
        formula(one, other)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 8 floats per image are allowed, for indices, radii and norms; features have 64.
    assert peaks[1] - peaks[0] < 1600 * 8 * 8, peaks


def test_rows_are_counted_over_blocks(monkeypatch):
    monkeypatch.setattr(feature_arrays, "BLOCK", 7)
    with pytest.raises(ValueError, match="in 20 of 40 rows, the first is row 20"):
        feature_arrays.check_features(HALF)
    feature_arrays.check_features(GOOD, GOOD.astype("float16"), (10 * GOOD).astype("int8"))
