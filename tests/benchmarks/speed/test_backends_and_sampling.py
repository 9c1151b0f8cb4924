import dataclasses
import json

import pytest

from benchmarks.speed import backends, sampling, step_memory, tables


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "RESULTS", tmp_path / "backends.json")
    monkeypatch.setattr(sampling, "RESULTS", tmp_path / "sampling.json")
    monkeypatch.setattr(step_memory, "RESULTS", tmp_path / "step_memory.json")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "recipes", "message"),
    [
        ({}, ["mnist"], "a recipe must be one of mnist_gan, .*received 'mnist'"),
        ({"backends": "jax,theano"}, [], "a backend must be one of .*received 'theano'"),
        ({"policies": "float16"}, [], "a policy must be one of .*received 'float16'"),
    ],
)
def test_unknown_names_are_refused(results, options, recipes, message):
    with pytest.raises(ValueError, match=message):
        backends.command(dataclasses.replace(backends.Options(), **options), recipes)
    assert not list(results.iterdir())


@pytest.mark.nightly
def test_a_combination_that_fails_or_takes_too_long_is_recorded_with_its_reason(results):
    slow = backends.Options(backends="tensorflow", limit=1)
    backends.command(slow, ["conditional_vae"])
    wrong = dataclasses.replace(slow, preset="nothing", limit=100)
    backends.command(wrong, ["flow"])
    found = json.loads(backends.RESULTS.read_text())
    assert found["conditional_vae"]["float32"]["tensorflow"]["failed"] == "stopped after 1 s"
    assert "preset must be one of quick" in found["flow"]["float32"]["tensorflow"]["failed"]


@pytest.mark.nightly
@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_step_is_measured_on_each_backend(results, backend):
    options = backends.Options(backends=backend, steps=2, policies="float32,mixed_bfloat16")
    backends.command(options, ["conditional_vae"])
    for policy in backends.POLICIES:
        record = json.loads(backends.RESULTS.read_text())["conditional_vae"][policy][backend]
        assert record["step_ms"] > 0 and record["compile_seconds"] >= 0 and record["finite"]
        assert record["peak_mib"] > 100 and record["images"] > 0


def test_the_reason_of_a_failure_is_the_line_of_its_exception():
    jax = "Traceback\nAssertionError: (x, y)\n----\nFor simplicity, JAX has removed frames.\n"
    assert backends._reason(jax) == "AssertionError: (x, y)"
    assert backends._reason("a.b.XlaError: no memory\nlast line") == "a.b.XlaError: no memory"
    assert backends._reason("killed\n") == "killed" and backends._reason("") == "no message"


def test_presets_that_do_not_sample_are_refused(results):
    with pytest.raises(ValueError, match="a preset must be one of .*received 'digit_classifier'"):
        sampling.command(sampling.Options(), ["digit_classifier"])


@pytest.mark.nightly
def test_the_time_to_the_first_sample_is_measured(results):
    sampling.command(sampling.Options(rounds=1, images=10), ["mnist_gan_digits"])
    record = json.loads(sampling.RESULTS.read_text())["mnist_gan_digits"]["tensorflow"]
    assert record["first_sample"] > record["import_keras"] > 0
    assert record["images_per_second"] > 0 and record["images_per_second_to_file"] > 0


def test_a_case_without_both_programs_has_no_memory_of_steps(results):
    for case in ("vea", "hdgan_batches"):
        with pytest.raises(ValueError, match=f"a case must be one of .*received '{case}'"):
            step_memory.command(step_memory.Options(), [case])
    assert tables.step_memory() == tables.NOT_RUN


@pytest.mark.nightly
def test_the_memory_of_steps_is_measured_and_shown(results):
    step_memory.command(step_memory.Options(steps=2, threads=1), ["vae"])
    record = json.loads(step_memory.RESULTS.read_text())["vae"]
    for peaks in record["peak_mib"].values():
        assert 0 < peaks["import"] <= peaks["building"] <= peaks["first step"] <= peaks["last step"]
    lines = tables.step_memory().splitlines()
    assert lines[0] == "| peak after | `vae`, PyTorch | `vae`, kerasgan |"
    assert lines[-1].startswith("MiB. Number of steps: `vae` 2. ")
