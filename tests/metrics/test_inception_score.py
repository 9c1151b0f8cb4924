import importlib

import numpy as np
import pytest
from expected.make_formulas import FILE, inputs

from kerasgan.metrics.inception_score import inception_score

module = importlib.import_module("kerasgan.metrics.inception_score")
LOGITS = inputs().logits


@pytest.mark.parametrize(
    ("name", "seed"), [("inception_score", None), ("inception_score_shuffled", 2020)]
)
def test_equals_torch_fidelity(name, seed):
    np.testing.assert_allclose(
        inception_score(LOGITS, shuffle_seed=seed), np.load(FILE)[name], rtol=1e-12
    )


def test_equals_the_definition():
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    scores = []
    for part in np.split(shares[:236], 4):
        divergences = (part * np.log(part / part.mean(axis=0))).sum(axis=1)
        scores.append(np.exp(divergences.mean()))
    assert inception_score(LOGITS, splits=4, batch=4) == pytest.approx(
        (np.mean(scores), np.std(scores)), rel=1e-12
    )


def test_confident_uniform_predictions_give_the_number_of_classes():
    sure = 1e4 * np.eye(8, dtype="float32").repeat(
        5, axis=0
    )  # Probabilities underflow even in float64.
    assert inception_score(sure, splits=1) == (pytest.approx(8, rel=1e-12), 0)
    assert inception_score(sure, splits=5)[0] == pytest.approx(1.6 * 2 ** (2 * 3 / 8), rel=0.2)
    assert inception_score(np.zeros([20, 8]), splits=1)[0] == pytest.approx(
        1, abs=1e-12
    )  # Uniform probabilities.
    assert inception_score(sure[:5], splits=1)[0] == pytest.approx(1, abs=1e-12)  # A single class.


def test_the_remainder_is_dropped_after_the_shuffle():
    order = np.random.RandomState(7).permutation(237)
    expected = inception_score(LOGITS[order[:192]])
    assert (
        inception_score(LOGITS, shuffle_seed=7, batch=64)
        == expected
        != inception_score(LOGITS, shuffle_seed=7)
    )


def test_blocks_and_memmaps_give_the_same_score(monkeypatch, tmp_path):
    whole = inception_score(LOGITS, shuffle_seed=1)
    monkeypatch.setattr(module, "BLOCK", 5)
    np.save(tmp_path / "logits.npy", LOGITS)
    mapped = np.load(tmp_path / "logits.npy", mmap_mode="r")
    assert inception_score(mapped, shuffle_seed=1) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("logits", "settings", "message"),
    [
        (np.zeros(9), {}, r"Expected logits \[N, K\]; received \[9\]"),
        (
            np.zeros((9, 3)),
            {},
            r"splits must be between 1 and the number of images \(9\); received 10",
        ),
        (np.zeros((9, 3)), {"batch": 10, "splits": 1}, r"the number of images \(0\); received 1"),
        (np.zeros((9, 3)), {"batch": 0}, "batch must be at least 1; received 0"),
        (np.full((9, 3), np.nan), {"splits": 1}, "Logits must be finite"),
        (np.full((9, 3), np.inf), {"splits": 1}, "Logits must be finite"),
    ],
)
def test_bad_input(logits, settings, message):
    with pytest.raises(ValueError, match=message):
        inception_score(logits, **settings)
