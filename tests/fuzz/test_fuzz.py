"""Damaged files of every kind: read as if nothing were wrong, or refused in one line that names the
file.
"""

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
        [table(found), *(f"{command}\n    {told}" for command, told in bad[:10])]
    )
    assert sum(sum(counts.values()) for counts in found.values()) >= cases
    assert all(counts["one line"] for counts in found.values())  # the damage does damage


def test_damaged_files():
    check(2000, seed=1)


@pytest.mark.nightly
def test_many_damaged_files():
    check(40_000, seed=2)
