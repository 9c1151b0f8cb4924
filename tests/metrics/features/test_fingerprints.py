"""Names of networks by the SHA-256 of their weights."""

import re

import pytest

from kerasgan.metrics.features.fingerprints import (
    DINOV2,
    INCEPTION,
    KNOWN,
    OTHER,
    SCORES,
    network_name,
    score_names,
)
from kerasgan.metrics.features.inception import FILES, SHA256

PTH = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
LARGE = "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23"


def test_fingerprints_are_complete_and_fit_the_published_names():
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in KNOWN)
    assert PTH.startswith(SHA256) and KNOWN[PTH] == INCEPTION
    assert all(SHA256 in name for name in FILES if name.endswith(".pth"))
    assert set(SCORES) <= set(KNOWN.values())


@pytest.mark.parametrize(
    "kind, fingerprints, name",
    [
        ("Inception", ("0" * 64, PTH), INCEPTION),
        ("Inception", (PTH,), INCEPTION),
        ("DINOv2", (LARGE, None), DINOV2),
        ("Inception", ("abcdef0123", "0" * 64), "unknown weights abcdef01 of Inception"),
        ("Inception", (None, None), "unknown weights of Inception"),
        # A known file of another network.
        ("CLIP", ("9" * 64, LARGE), "unknown weights 99999999 of CLIP"),
    ],
)
def test_only_known_weights_have_the_published_name(kind, fingerprints, name):
    assert network_name(kind, *fingerprints) == name


def test_only_the_published_network_names_a_score():
    assert score_names({"network": INCEPTION})["fid"] == "frechet_inception_distance"
    assert score_names({"network": DINOV2})["fid"] == "fd_dinov2"
    for other in ("DINOv2 ViT-S/14", "CLIP ViT-L/14-336", "a classifier, x.keras", ""):
        assert score_names({"network": other}) == OTHER
    with pytest.warns(UserWarning, match="unknown weights 00 of DINOv2: .* named after DINOv2"):
        assert score_names({"network": "unknown weights 00 of DINOv2"}) == OTHER
