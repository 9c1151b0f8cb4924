"""Locks: one process writes to a folder, messages name it, and stale locks are ignored."""

import json
import os
import subprocess
import sys

import pytest

from kerasgan.io import locks

HOLD = """
import sys
from kerasgan.io import locks
if sys.argv[2] == "record":
    locks._flock = lambda descriptor: None
locks.acquire(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["flock", "record"])
def way(request, monkeypatch):
    """With the file system's locks, and without."""
    if request.param == "record":
        monkeypatch.setattr(locks, "_flock", lambda descriptor: None)
    return request.param


def test_another_process(tmp_path, way):
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run"), way],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with held:
        assert held.stdout.readline() == b"held\n"
        with pytest.raises(locks.LockedError) as caught:
            locks.acquire(tmp_path / "run")
        assert f"process {held.pid} on {os.uname().nodename}" in str(caught.value)
        assert str(tmp_path / "run") in str(caught.value) and "\n" not in str(caught.value)
        held.kill()
    assert os.listdir(tmp_path / "run") == [locks.NAME]
    with locks.locked(tmp_path / "run"), locks.locked(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / locks.NAME).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path / "run") == []


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"pid": 2**22 + 1}, True),
        ({"started": "1"}, True),
        ({"boot": "another"}, True),
        ({"pid": 10**30}, True),
        ({}, False),
        ({"host": "elsewhere"}, False),
    ],
)
def test_records(tmp_path, monkeypatch, change, stale):
    monkeypatch.setattr(locks, "_flock", lambda descriptor: None)
    owner = locks._owner() | {"pid": os.getppid(), "started": locks._started(os.getppid())} | change
    (tmp_path / locks.NAME).write_text(json.dumps(owner))
    if stale:
        with locks.locked(tmp_path):
            assert locks._recorded(tmp_path / locks.NAME)["pid"] == os.getpid()
    else:
        with pytest.raises(locks.LockedError, match=f"process {os.getppid()} on {owner['host']}"):
            locks.acquire(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', "\0\xff"])
def test_a_damaged_record(tmp_path, text, way):
    (tmp_path / locks.NAME).write_text(text, encoding="latin-1")
    if way == "flock":  # nobody holds it
        with locks.locked(tmp_path):
            pass
    else:
        with pytest.raises(locks.LockedError, match="by another process.*delete"):
            locks.acquire(tmp_path)
