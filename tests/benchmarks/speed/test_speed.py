"""Timing of programs in separate processes, and the MNIST GAN baseline."""

import json
import pathlib
import subprocess
import sys

import pytest
import torch

from benchmarks import provenance
from benchmarks.speed import suite, timing
from benchmarks.speed.baselines import mnist_gan
from zoo import memory

SLEEPERS = "tests.benchmarks.speed.sleepers"


def test_compare_alternates_and_records_the_machine(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    record = timing.compare(SLEEPERS, "sleep", ["slow", "fast"], steps=10, block=4, warmup=1)
    slow, fast = record["contestants"]["slow"], record["contestants"]["fast"]
    assert slow["steps"] == fast["steps"] == 12  # Three whole blocks of four.
    assert 30 <= slow["min_ms"] <= slow["median_ms"] <= slow["max_ms"]
    assert 10 <= fast["min_ms"] < 30
    assert fast["peak_mib"] > 1
    assert len(record["ratios"]["slow / fast"]["blocks"]) == 3
    assert record["ratios"]["slow / fast"]["max"] > 1
    assert record["versions"]["torch"] == torch.__version__
    assert record["settings"]["threads"] == 2


def test_a_program_that_ends_early_is_named():
    with pytest.raises(RuntimeError, match="broken ended with exit code 3"):
        timing.compare(SLEEPERS, "broken", ["slow", "broken"])


def test_an_optional_program_may_fail(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    record = timing.compare(
        SLEEPERS, "broken", ["broken", "slow"], steps=10, block=5, warmup=1, optional=["broken"]
    )
    assert list(record["contestants"]) == ["slow"] and record["ratios"] == {}
    assert record["failed"] == {
        "broken": "broken ended with exit code 3 before it had timed its steps"
    }
    start = record["contestants"]["slow"]["start"]
    assert start["first_step_seconds"] >= 0.03 and start["build_seconds"] >= 0


def test_an_optional_program_may_take_too_long(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    record = timing.compare(
        SLEEPERS, "sleep", ["slow", "fast"], steps=4, warmup=1, optional=["slow"], limit=0.0
    )
    assert list(record["contestants"]) == ["fast"]
    assert record["failed"] == {"slow": "slow was stopped at its time limit"}


def test_a_recorded_failure_has_one_line_without_a_path(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    record = timing.compare(
        SLEEPERS, "raises", ["raises", "slow"], steps=10, block=5, warmup=1, optional=["raises"]
    )
    assert record["failed"] == {"raises": "raises failed with ValueError: no such size"}


def test_results_name_no_source_file_of_a_machine():
    files = list(suite.RESULTS.parent.rglob("*.json"))
    assert suite.RESULTS in files
    assert [path.name for path in files if 'File \\"/' in path.read_text()] == []


@pytest.mark.parametrize("module", ["suite", "devices", "gpu"])
def test_a_peer_does_not_load_keras(module):
    code = f"import sys, benchmarks.speed.{module}; print({{'keras', 'torch'}} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=provenance.ROOT, capture_output=True, text=True
    )
    assert found.stdout == "set()\n", found.stderr


def test_a_slower_step_is_found(monkeypatch, tmp_path, capsys):
    ratio = {"median": 2.0, "min": 1.8, "max": 2.2}
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"vae": {"case": "vae", "ratios": {"torch / kerasgan": ratio}}}))
    measured = {
        "case": "vae",
        "contestants": {
            name: {"median_ms": 1.0, "min_ms": 1.0, "peak_mib": 1.0}
            for name in ("torch", "kerasgan")
        },
    }
    for median, wrong in ((1.79, True), (1.81, False), (9.0, False)):
        pair = {"torch / kerasgan": ratio | {"median": median}}
        monkeypatch.setattr(suite, "measure", lambda *_, p=pair, **__: measured | {"ratios": p})
        if wrong:
            with pytest.raises(ValueError, match=r"slower than recorded: vae: .* is 1.79; .* 2.00"):
                suite.check(["vae"], results=path)
        else:
            suite.check(["vae"], results=path)
    with pytest.raises(ValueError, match="a case to check must be one of vae; received hdgan"):
        suite.check(["hdgan"], results=path)
    assert set(suite.FAST) <= set(suite.CASES) & set(suite.read())


def test_the_fastest_peer_is_the_baseline():
    times = {"torch": 9.0, "torch_compiled": 8.0, "kerasgan": 1.0}
    record = {"contestants": {name: {"median_ms": value} for name, value in times.items()}}
    assert suite.best_peer(record) == "torch_compiled"
    # Every training step with a PyTorch program also runs compiled; kerasgan comes last.
    for case in ("mnist_gan_noted", "stylegan2_path", "vae", "coopnet_lean"):
        assert list(suite.CASES[case]) == ["torch", "torch_compiled", "kerasgan"]
    assert list(suite.CASES["hdgan"]) == ["torch", "torch_compiled", "jax", "kerasgan"]
    assert "torch_compiled" not in suite.CASES["attfind"]


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(),
    reason="needs Linux' memory counters per process",
)
def test_peak_memory_excludes_the_parent_process():
    code = "from zoo import memory; print(memory.peak_mib())"
    allocated = bytearray(b"1") * (200 << 20)
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=provenance.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 1 < float(child.stdout) < len(allocated) / 2**20 < memory.peak_mib()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"steps": 3}, "steps must be at least 4.*received 3"),
        ({"block": 99}, "block must be between 1 and the number of steps .*99"),
    ],
)
def test_compare_rejects_bad_settings(settings, rule):
    with pytest.raises(ValueError, match=rule):
        timing.compare(SLEEPERS, "sleep", ["slow", "fast"], **settings)


def test_exponent_of_time_against_size():
    assert suite.exponent([16, 32, 64], [3 * 16**1.5, 3 * 32**1.5, 3 * 64**1.5]) == pytest.approx(
        1.5
    )
    assert all(
        set(suite.CASES[case]) == {str(size) for size in sizes}
        for case, (_, sizes, _) in suite.SCALES.items()
    )


def test_arithmetic_share_is_relative_to_the_machine_rate(monkeypatch):
    a, b = torch.randn(2, 100, 100)
    monkeypatch.setitem(suite.CASES, "product", {"torch": lambda: lambda: a @ b})
    found = suite.arithmetic("product", {"torch": 2.0, "kerasgan": 1.0})
    assert found["gflop"] == pytest.approx(2 * 100**3 / 1e9)
    assert found["share"]["kerasgan"] == pytest.approx(
        found["gflop"] / 0.001 / found["products_gflops"]
    )
    assert found["share"]["kerasgan"] == pytest.approx(2 * found["share"]["torch"])


def test_a_broken_result_file_is_named(tmp_path):
    (tmp_path / "speed.json").write_text("{")
    with pytest.raises(ValueError, match="speed.json is broken"):
        suite.read(tmp_path / "speed.json")


def test_an_unknown_case_is_named():
    with pytest.raises(ValueError, match="Unknown case minst"):
        suite.main(["minst"])
    with pytest.raises(ValueError, match="a program of vae must be one of torch, .*received jax"):
        suite.main(["vae"], programs="torch,jax")


@pytest.mark.parametrize(
    ("noted", "parameters"), [(True, 140_851), (False, 392 * 400 + 492 * 11 + 11 + 422)]
)
def test_baseline_has_the_network_of_the_training_notes(noted, parameters):
    def count(network):
        return sum(parameter.numel() for parameter in network.parameters())

    generator, discriminator = mnist_gan.Generator(), mnist_gan.Discriminator(noted)
    assert (count(generator), count(discriminator)) == (1_327_105, parameters)
    images = generator(torch.randn(20, mnist_gan.LATENT), torch.arange(20) % 10)
    assert images.shape == (20, 1, 28, 28)
    logits, features = discriminator(images)
    assert (logits.shape, features.shape) == ((20, 11), (20, 338 if noted else 392))


def test_baseline_compares_within_chunks_as_noted_or_the_whole_batch():
    rows = torch.randn(32, 3, 4)
    noted, corrected = mnist_gan.Discriminator(True), mnist_gan.Discriminator(False)
    expected = torch.stack([torch.exp(-(rows - row).abs().sum(2)) for row in rows])  # [32, 32, 3]
    assert torch.allclose(noted.closeness(rows)[20], expected[20, 16:].sum(0))
    assert torch.allclose(corrected.closeness(rows)[20], expected[20].sum(0) - 1)


@pytest.mark.parametrize("build", [mnist_gan.noted_step, mnist_gan.corrected_step])
def test_baseline_step_updates_both_networks(build, monkeypatch):
    networks, adam = [], mnist_gan.adam
    monkeypatch.setattr(
        mnist_gan, "adam", lambda network: networks.append(network) or adam(network)
    )
    step = build(16)
    before = [
        parameter.clone()
        for network in networks
        for parameter in network.parameters()
        if parameter.ndim > 1
    ]
    assert all(loss > 0 for loss in step())
    after = [
        parameter
        for network in networks
        for parameter in network.parameters()
        if parameter.ndim > 1
    ]
    unchanged = [a.shape for a, b in zip(after, before, strict=True) if torch.equal(a, b)]
    assert len(networks) == 2
    assert unchanged == []
