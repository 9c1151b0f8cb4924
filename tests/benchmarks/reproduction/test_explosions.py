"""Records of provoked explosions: rejected settings, warnings, rollbacks and scores."""

import pytest

from benchmarks.reproduction import explosions, quality_tables
from kerasgan import callbacks
from zoo import coopnet

TINY = {"width": 1, "epochs": 1, "noise_until": 1, "steps": 1}


@pytest.fixture
def few(monkeypatch):
    """128 digits and a constant score."""
    images, labels = coopnet.load("digits", 28, 1, 0)
    monkeypatch.setattr(coopnet, "load", lambda *given: (images[:128], labels[:128]))
    scored = coopnet.RECIPE.__class__(
        **vars(coopnet.RECIPE) | {"score": lambda settings: lambda model, n: {"a": 1.0}}
    )
    monkeypatch.setattr(coopnet, "RECIPE", scored)


@pytest.mark.nightly
def test_a_cause_is_recorded_once(few, tmp_path, monkeypatch):
    results = tmp_path / "explosions.json"
    for _ in range(2):
        explosions.run(("sigma / 8", "defaults"), (0,), tmp_path / "runs", results, TINY)
    warned, plain = explosions.read(results)
    assert warned["named"] == "sigma 0.002" and warned["expected"] == "sigma"
    assert "explosion is likely" in warned["warned"][0]
    assert warned["command"] == 'python -m benchmarks explosions "sigma / 8" --seeds=0'
    assert plain["warned"] == [] and plain["rollbacks"] == 0 and plain["scores"] == {"a": 1.0}
    assert plain["refused"] is None and plain["stopped"] is None and len(plain["curve"]) == 1
    monkeypatch.setattr(quality_tables.explosion_records, "read", lambda: [warned, plain])
    assert quality_tables.explosions().splitlines()[2:] == [
        "| defaults | 0 | no | no | 0 | no | none |  |",
        "| sigma / 8 | 0 | no | yes | 0 | no | sigma 0.002 (correct) |  |",
    ]


def test_rejected_settings_and_stopped_trainings(few, tmp_path, monkeypatch):
    refused = explosions.record("step size x 8", 0, tmp_path, TINY | {"step_size": 0.03})
    assert "must be below 1" in refused["refused"] and refused["scores"] == {}

    def explode(*given):
        raise callbacks.ExplosionError("training stops", 3)

    monkeypatch.setattr(explosions.recipe, "run", explode)
    stopped = explosions.record("defaults", 0, tmp_path, TINY)
    assert stopped["stopped"] == "training stops" and stopped["rollbacks"] == 3
    assert stopped["scores"] == {}  # No complete epoch.


def test_an_unknown_cause():
    with pytest.raises(ValueError, match="Unknown cause rain. Expected one of defaults, "):
        explosions.command(explosions.Options(), ["rain"])
