"""Damaged files of every kind are read correctly, or rejected in one line that names the file."""

import keras
import pytest

pytest.importorskip("tensorflow_datasets")
pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="files are read alike on every backend"
    ),
    pytest.mark.filterwarnings("ignore"),
]


def check(cases, seed):
    from tests.fuzz.harness import run, table

    found, bad = run(cases, seed)
    assert not bad, "\n".join(
        [table(found), *(f"{command}\n    {message}" for command, message in bad[:10])]
    )
    assert sum(sum(counts.values()) for counts in found.values()) >= cases
    assert all(counts["one line"] for counts in found.values())  # Some damage must cause errors.


def test_damaged_files():
    check(800, seed=1)


@pytest.mark.nightly
def test_many_damaged_files():
    check(40_000, seed=2)
