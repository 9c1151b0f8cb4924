"""Training steps on one GPU, at toy sizes on the CPU, and without TensorFlow."""

import json
import os
import subprocess
import sys

import pytest
import torch

from benchmarks import provenance
from benchmarks.speed import gpu, tables, timing

SLEEPERS = "tests.benchmarks.speed.sleepers"
# Hides TensorFlow from all imports, as if it were not installed.
WITHOUT_TENSORFLOW = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("tensorflow"):
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run(*flags, site=None, **variables):
    path = os.pathsep.join(map(str, filter(None, [site, provenance.ROOT])))
    command = [sys.executable, "-m", "benchmarks", "gpu", *map(str, flags)]
    return subprocess.run(
        command,
        cwd=provenance.ROOT,
        env=os.environ | {"PYTHONPATH": path} | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.nightly
def test_toy_steps_run_without_tensorflow(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    results = tmp_path / "gpu.json"
    programs = "--programs=torch,kerasgan_torch"
    done = run(
        "--tiny", "--rounds=1", programs, f"--results={results}", "hdgan_bfloat16", site=tmp_path
    )
    assert done.returncode == 0, done.stderr
    ((device, cases),) = json.loads(results.read_text()).items()
    record = cases["hdgan_bfloat16"]
    assert device == "cpu" or torch.cuda.is_available()
    assert record["failed"] == {} and record["settings"]["precision"] == "bfloat16"
    for found in record["programs"].values():
        assert found["seconds_per_kimg"] == 1000 * found["seconds_per_step"] / 2 > 0
        assert found["first_step_seconds"] > 0 and found["peak_host_mib"] > 1
    assert "kerasgan_torch" in done.stdout and "s/kimg" in done.stdout


@pytest.mark.nightly
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_full_sizes_need_a_gpu():
    done = run()
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "the benchmark needs a GPU that PyTorch finds; --tiny needs none"
    )


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (["stylegan2_512_float32"], "a case must be one of .*; received stylegan2_512_float32"),
        (["--programs=jax"], "a program must be one of .*; received jax"),
    ],
)
def test_unknown_names(flags, rule, monkeypatch):
    options = {"programs": flags[0].partition("=")[2]} if "=" in flags[0] else {}
    with pytest.raises(ValueError, match=rule):
        gpu.command(gpu.Options(**options), [] if options else flags)


def test_a_failed_program_and_a_hanging_one_do_not_stop_the_others(monkeypatch):
    monkeypatch.setattr(gpu, "PROGRAMS", dict.fromkeys(("fast", "hangs", "raises"), "torch"))
    start = timing.Contestant
    monkeypatch.setattr(timing, "Contestant", lambda _, *arguments: start(SLEEPERS, *arguments))
    found = gpu.compare("limits", ["fast", "hangs", "raises"], 12.0, rounds=2)
    assert list(found["programs"]) == ["fast"]
    assert len(found["programs"]["fast"]["blocks_seconds"]) == 2
    assert found["failed"] == {
        "hangs": "hangs was stopped at its time limit",
        "raises": "raises failed with ValueError: no such size",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-40GB", "a100"),
        ("Tesla V100-PCIE-16GB", "v100"),
        ("NVIDIA GeForce RTX 4090", "nvidia_geforce_rtx_4090"),
        ("cpu", "cpu"),
    ],
)
def test_label_of_a_device(name, expected):
    assert gpu.label(name) == expected


@pytest.mark.parametrize(
    ("size", "channels"), [(128, [128, 256, 512, 512]), (256, [64, 128, 256, 512])]
)
def test_networks_have_the_published_channels(size, channels):
    """Both networks have min(16384 / side, 512) channels at each image side."""
    sizes = gpu.stylegan2_sizes(size)
    ours = [min(2 * sizes["capacity"] * 2**i, sizes["max_channels"]) for i in range(4)]
    theirs = [
        min(4 * sizes["discriminator_capacity"] * 2**i, sizes["max_channels"]) for i in range(4)
    ]
    assert ours == theirs == channels


def test_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.gpu() == tables.NOT_RUN
    program = {"seconds_per_kimg": 5.5, "peak_device_mib": 2048.0, "first_step_seconds": 31.2}
    record = {
        "programs": {"kerasgan_jax": program, "torch": program | {"peak_device_mib": None}},
        "failed": {"torch_compiled": "no"},
        "settings": {"size": 256},
        "command": "python -m benchmarks gpu",
    }
    (tmp_path / "gpu.json").write_text(json.dumps({"h100": {"stylegan2_256_bfloat16": record}}))
    row = tables.gpu().splitlines()[2]
    assert row == (
        "| `h100` | `stylegan2_256_bfloat16` | 5.50 (31 s) | fails | 5.50 (2.0 GiB, 31 s) "
        "| not measured | 12.53 |"
    )
