"""Rules of the claims on constructed numbers, and a queue that survives interruptions."""

import dataclasses
import json
import math

import pytest

from benchmarks.reproduction import claims
from benchmarks.reproduction.claims import Claim, Experiment, Variant, rules, runner
from benchmarks.reproduction.claims.rules import (
    ANSWERED,
    FAILS,
    HOLDS,
    OPEN,
    Alike,
    All,
    Best,
    Better,
    Within,
)


def runs(**variants):
    """Runs with the final measure `x`, and a curve `y` with half of it after half of the epochs."""
    return {
        name: [
            {"measures": {"x": x}, "curve": [{"epoch": 5, "y": x / 2}, {"epoch": 10, "y": x}]}
            for x in values
        ]
        for name, values in variants.items()
    }


APART, NEAR, TWICE = (
    {"a": [1, 1.1, 0.9], "b": [2, 2.1, 1.9]},
    {"a": [1, 1.1, 0.9], "b": [1.05, 0.95, 1.1]},
    [1.0, 3.0],
)
STEPS = {"a": [1, 2, 3], "b": [1.1, 2.12, 3.09]}


@pytest.mark.parametrize(
    ("rule", "variants", "outcome"),
    [
        (Better("x", "a", ("b",)), APART, HOLDS),
        (Better("x", "b", ("a",)), APART, FAILS),
        (Better("x", "b", ("a",), higher=True), APART, HOLDS),
        (Better("x", "a", ("b",)), NEAR, OPEN),
        (Better("x", "a", ("b",)), {"a": [1], "b": [2]}, OPEN),  # A single seed has no spread.
        (
            Better("x", "a", ("b",)),
            {"a": [1, 1], "b": [1, 1]},
            OPEN,
        ),  # Equal values do not decide.
        (Better("x", "a", ("b", "c")), APART | {"c": TWICE}, OPEN),
        (Better("x", "a", ("b",), log=True, times=1.5), APART, HOLDS),
        (Better("x", "a", ("b",), log=True, times=3), APART, FAILS),
        (
            Better("x", "a", ("b",), log=True, times=0.8),
            {"a": [1.1, 1.11], "b": [1, 1.01]},
            HOLDS,
        ),  # Not much worse.
        (
            Better("x", "a", ("b",), log=True),
            {"a": [50, 52, 47], "b": [60, 5000, 55]},
            OPEN,
        ),  # One run collapsed.
        (
            Better("x", "a", ("b",), log=True),
            {"a": [1, 1.01, 0.99], "b": [1, 1.01, 0.99]},
            FAILS,
        ),  # No relevant advantage.
        (Better("y@50%", "a", ("b",)), APART, HOLDS),
        (Alike("x", ("a", "b"), share=0.5), NEAR, HOLDS),
        (Alike("x", ("a", "b"), share=0.25), APART, FAILS),
        (Alike("x", ("a", "b"), share=0.05), NEAR, OPEN),
        (Alike("x", ("a", "b"), log=True), {"a": [1, 1], "b": [1, 1]}, HOLDS),
        (Better("x", "a", ("b",)), STEPS, OPEN),  # The seeds differ more than the variants,
        (Better("x", "a", ("b",), paired=True), STEPS, HOLDS),  # but by equal amounts in both.
        (Better("x", "a", ("b",), paired=True), {"a": [1], "b": [2]}, OPEN),
        (Alike("x", ("a", "b"), share=0.2), STEPS, OPEN),
        (Alike("x", ("a", "b"), share=0.2, paired=True), STEPS, HOLDS),
        (Within("x", "a", 0.5, 1.5), APART, HOLDS),
        (Within("x", "a", low=1.5), APART, FAILS),
        (Within("x", "a", low=0.99), APART, OPEN),
        (Within("x", "a", high=0), {"a": [0, 0, 0]}, HOLDS),
        (Within("x", "a", high=0), {"a": [1, 1, 1]}, FAILS),
        (Best("x", ("a", "b")), APART, ANSWERED),
        (Best("x", ("a", "b")), {"a": [1], "b": [2]}, OPEN),
        (All(Better("x", "a", ("b",)), Within("x", "a", high=2)), APART, HOLDS),
        (All(Better("x", "a", ("b",)), Within("x", "a", low=2)), APART, FAILS),
        (All(Better("x", "a", ("b",)), Within("x", "a", low=0.99)), APART, OPEN),
    ],
)
def test_rules(rule, variants, outcome):
    found, finding = rule.evaluate(runs(**variants))
    assert found == outcome and finding
    assert rules.measures(rule) in (["x"], ["y"]) and "sequential" in rule.statement(
        {"a": "with a"}
    )


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        (
            Better("x", "a", ("b",)),
            "The x is lower with A (1 ± 0.1) than with b (2 ± 0.1); difference -1, 95 % interval "
            "-1.23 to -0.773.",
        ),
        (
            Better("x", "b", ("a",)),
            "The x is higher with b (2 ± 0.1) than with A (1 ± 0.1); difference 1, 95 % interval "
            "0.773 to 1.23.",
        ),
        (
            Better("x", "a", ("b",), log=True, times=3),
            "It is not the case that the x is lower by a factor of at least 3 with A (1 ± 0.1) "
            "than with b (2 ± 0.1); ratio 0.499, 95 % interval 0.405 to 0.614.",
        ),
        (
            Alike("x", ("a", "b"), log=True, share=1.0),
            "The seeds do not show whether the x with b (2 ± 0.1) differs by less than a factor of "
            "2 from that with A (1 ± 0.1).",
        ),
        (Within("x", "a", 0.5, 1.5), "The x with A is 1 ± 0.1 (expected: between 0.5 and 1.5)."),
        (
            Best("x", ("a", "b", "c")),
            "The x is lower with A (1 ± 0.1) than with b (2 ± 0.1); difference -1, 95 % interval "
            "-1.23 to -0.773. The x with A (1 ± 0.1) does not differ significantly from that with "
            "c (1.03 ± 0.076); difference -0.0333, 95 % interval -0.241 to 0.174.",
        ),
    ],
)
def test_findings_are_sentences(rule, finding):
    found = runs(**APART, c=[1.05, 1.1, 0.95])
    assert rule.evaluate(found, {"a": "with A"})[1] == finding


def test_a_sentence_of_two_rules_appears_once():
    rule = All(Better("x", "a", ("b",)), Best("x", ("a", "b")))
    assert rule.evaluate(runs(**APART))[1].count("The x is lower") == 1


def test_late_values_are_averaged_over_the_second_half():
    values = {1: 9.0, 2: 7.0, 3: 4.0, 4: 2.0}
    curve = [{"epoch": epoch, "distance": value} for epoch, value in values.items()]
    run = {"measures": {"distance": 100.0}, "curve": [*curve, {"epoch": 5}]}
    assert rules.number(run, "distance@late") == 3.0
    assert rules.phrase("distance@late") == "mean distance in the second half of the training"
    with pytest.raises(ValueError, match="no measure 'distance@late'"):
        rules.number({"measures": {"distance": 1.0}}, "distance@late")


def test_numbers_have_no_exponent_below_a_million():
    assert [rules.significant(x, 2) for x in (1731.0, 0.0123, 99.9)] == ["1700", "0.012", "100"]


def test_a_missing_measure_is_named():
    with pytest.raises(ValueError, match="The run has no measure 'z'; it has x."):
        Better("z", "a", ("b",)).evaluate(runs(**APART))


# === The queue ===


@pytest.fixture
def suite(monkeypatch):
    """Two claims that share a variant, of an experiment that counts its runs and can fail."""
    called, errors = [], {}

    def run(settings, seed, folder):
        called.append((settings["rate"], seed))
        (folder / "samples.png").write_bytes(b"a picture")
        print("noise")
        if errors.get(len(called)):
            raise errors[len(called)]
        return {
            "measures": {"x": settings["rate"] + 0.01 * seed},
            "curve": [{"epoch": 1, "x": math.nan}],
        }

    cheap = Experiment("cheap", run, lambda settings: 0.1)
    variants = {
        name: Variant(cheap, {"rate": rate, "epochs": 3})
        for name, rate in (("low", 1.0), ("high", 2.0), ("top", 3.0))
    }
    first = Claim(
        "mnist-randn",
        {n: variants[n] for n in ("low", "high")},
        Better("x", "low", ("high",)),
        "Nothing is measured.",
    )
    other = Claim(
        "vae-elbo",
        {n: variants[n] for n in ("low", "top", "high")},
        Better("x", "top", ("low",)),
        "Nothing is measured.",
    )
    monkeypatch.setattr(claims, "FAMILIES", ("metrics",))
    monkeypatch.setattr(claims, "_family", lambda name: [other, first])
    monkeypatch.setattr(runner, "provenance", lambda: {"commit": "abc", "machine": {}})
    return called, errors, first


def test_the_cheapest_claim_runs_first_and_no_run_twice(suite, tmp_path, capsys):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    assert runner.run(seeds=2, **folders) == {"mnist-randn": HOLDS, "vae-elbo": FAILS}
    assert called == [(1.0, 0), (2.0, 0), (1.0, 1), (2.0, 1), (3.0, 0), (3.0, 1)]
    out = capsys.readouterr().out
    assert (
        "noise" not in out
        and "mnist-randn: holds: The x is lower with low (1 ± 0.0071) than" in out
    )
    result = json.loads((tmp_path / "results/mnist-randn.json").read_text())
    assert (
        result["variants"]["low"]["settings"] == {"rate": 1.0, "epochs": 3} and result["seeds"] == 2
    )
    run = result["variants"]["high"]["runs"][1]
    assert (
        run["measures"] == {"x": 2.01}
        and run["curve"] == [{"epoch": 1, "x": None}]
        and run["seed"] == 1
    )
    assert {"commit", "machine", "versions", "seconds"} <= set(run)
    assert len([*(tmp_path / "results/pictures").glob("cheap-*.png")]) == 3

    # The runs in the result files are not repeated.
    runner.run(seeds=2, runs=tmp_path / "elsewhere", results=folders["results"])
    assert len(called) == 6
    # Another budget needs other runs, and does not change the result.
    runner.run(["mnist-randn"], seeds=2, budget=1, **folders)
    assert len(called) == 10 and (tmp_path / "runs/budget_1/mnist-randn.json").exists()
    assert json.loads((tmp_path / "results/mnist-randn.json").read_text()) == result


def test_an_interrupted_queue_continues(suite, tmp_path):
    called, errors, _ = suite
    errors[2] = KeyboardInterrupt()
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    with pytest.raises(KeyboardInterrupt):
        runner.run(["mnist-randn"], seeds=2, **folders)
    assert not folders["results"].exists()
    state = runner.states(folders["results"])["mnist-randn"]
    assert (
        state.describe(folders["runs"], seeds=2)
        == "ready to run: about 1 min for 2 seeds, 1 of 4 runs done"
    )
    assert runner.run(["mnist-randn"], seeds=2, **folders) == {"mnist-randn": HOLDS}
    assert called == [(1.0, 0), (2.0, 0), (2.0, 0), (1.0, 1), (2.0, 1)]


def test_variants_outside_the_rule_need_not_have_its_measure():
    others = {"c": [{"measures": {"z": 1.0}}]}
    assert Better("x", "b", ("a",), higher=True).evaluate(runs(**APART) | others)[0] == HOLDS


def test_a_failed_run_is_reported_and_the_next_claim_runs(suite, tmp_path, capsys):
    called, errors, _ = suite
    errors[1] = OSError("no digits here\nand more")
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    with pytest.raises(ValueError, match="Runs of these claims failed: mnist-randn$"):
        runner.run(seeds=2, **folders)
    assert [path.stem for path in (tmp_path / "results").glob("*.json")] == ["vae-elbo"]
    whole = tmp_path / "runs/failed.txt"
    assert f"mnist-randn: failed: no digits here (traceback: {whole})\n" in capsys.readouterr().out
    assert "Traceback" in whole.read_text() and "and more" in whole.read_text()


def test_a_result_with_more_seeds_is_kept(suite, tmp_path, capsys):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    runner.run(["mnist-randn"], seeds=2, **folders)
    before = (tmp_path / "results/mnist-randn.json").read_text()
    assert runner.run(["mnist-randn"], seeds=1, **folders) == {} and len(called) == 4
    assert "mnist-randn: skipped, its result has more seeds (2)\n" in capsys.readouterr().out
    assert (tmp_path / "results/mnist-randn.json").read_text() == before


def test_a_default_setting_does_not_change_the_key(suite):
    _, _, first = suite
    usual = dataclasses.replace(first.variants["low"].experiment, usual={"rate": 1.0, "epochs": 3})
    key = lambda **settings: Variant(usual, settings).key(0)  # noqa: E731
    assert key(epochs=3, rate=1.0) == key(epochs=3) != key(epochs=3, rate=2.0)
    assert key(epochs=3) != key(epochs=4)


def test_what_is_missing_is_reported(suite, tmp_path, capsys, monkeypatch):
    _, _, first = suite
    lacking = dataclasses.replace(
        first.variants["low"].experiment, missing=lambda: "the data, at a path"
    )
    claim = dataclasses.replace(first, variants={"low": Variant(lacking, {"rate": 1.0})})
    monkeypatch.setattr(claims, "_family", lambda name: [claim])
    assert runner.run(runs=tmp_path, results=tmp_path) == {}
    assert "mnist-randn: cannot run here: the data, at a path" in capsys.readouterr().out
    assert (
        runner.states(tmp_path)["mnist-randn"].describe() == "cannot run here: the data, at a path"
    )
    assert runner.states(tmp_path)["gan-growing"].describe() == "no experiment yet"


@pytest.mark.parametrize(
    "broken",
    [
        '{"claim": "mnist-',
        '{"variants": {"low": {"runs": [{}]}}}',
        '{"outcome": "yes", "variants": {}}',
        "[]",
    ],
)
def test_a_broken_file_is_named_and_created_again(suite, tmp_path, capsys, broken):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    runner.run(["mnist-randn"], seeds=2, **folders)
    path = folders["results"] / "mnist-randn.json"
    path.write_text(broken)
    assert f"{path} is broken" in runner.states(folders["results"])["mnist-randn"].describe()
    record = next(folders["runs"].glob("cheap-*/record.json"))
    record.write_text(broken)
    assert runner.run(["mnist-randn"], seeds=2, **folders) == {"mnist-randn": HOLDS}
    out = capsys.readouterr().out
    assert f"{path} is broken" in out and f"{record} is broken" in out
    assert len(called) == 5  # One run is repeated.
    assert runner.states(folders["results"])["mnist-randn"].describe().startswith("holds")


def test_bad_arguments_are_rejected():
    with pytest.raises(ValueError, match="'mnist-rand' is not a claim of noted_claims.csv"):
        runner.run(["mnist-rand"])
    with pytest.raises(ValueError, match="at least 1; received 0 and None"):
        runner.run(seeds=0)


# === The experiments ===


def test_every_claim_is_an_experiment():
    found, noted = claims.claims(), claims.noted()
    assert len(noted) == 65 and [claim.id for claim in found] == list(noted)
    for claim in found:
        named = set(claim.variants)
        for rule in getattr(claim.rule, "rules", (claim.rule,)):
            used = {
                getattr(rule, "variant", None),
                *getattr(rule, "others", ()),
                *getattr(rule, "variants", ()),
            } - {None}
            assert used <= named, claim.id
            assert rule.measure.partition("@")[0] in rules.PHRASES, rule.measure
        assert set(claim.labels) <= named, claim.id
        assert claim.statement()
        assert claim.description and 0 < claim.minutes(3) < 600
        json.dumps([variant.settings for variant in claim.variants.values()])
        assert len({variant.key(0) for variant in claim.variants.values()}) == len(
            claim.variants
        ), claim.id


def test_recorded_runs_have_the_keys_of_the_variants():
    """A renamed setting must not make the runs of a result file obsolete."""
    for path in sorted(runner.RESULTS.glob("*.json")):
        result = runner.read(path)
        (claim,) = claims.claims([result["claim"]])
        for name, part in result["variants"].items():
            for run in part["runs"]:
                assert claim.variants[name].key(run["seed"]) == run["key"], (
                    f"{claim.id}, {name}: add renamed settings to "
                    "benchmarks/reproduction/recorded.py"
                )


def test_recorded_outcomes_follow_from_the_recorded_runs():
    for state in runner.states().values():
        if state.result:
            found = {name: part["runs"] for name, part in state.result["variants"].items()}
            assert state.claim.evaluate(found)[0] == state.result["outcome"], state.claim.id


def test_the_variants_are_settings_of_their_recipes():
    from benchmarks.reproduction.claims import coopnet, flow, hdgan, mnist, vae
    from zoo import recipe

    kinds = {
        "mnist_gan": mnist.RECIPE,
        "mnist_look": mnist.RECIPE,
        "coopnet": coopnet.RECIPE,
        "hdgan": hdgan.RECIPE,
        "conditional_vae": vae.conditional_vae_variants.RECIPE,
        "flow": flow.flow_variants.RECIPE,
    }
    tried = 0
    for claim in claims.claims():
        for variant in claim.variants.values():
            if variant.experiment.name in kinds:
                kind = kinds[variant.experiment.name]
                recipe.settings_of(kind, None, seed=1, **variant.settings)  # Raises if unknown.
                tried += 1
    assert tried > 40


@pytest.mark.nightly
def test_a_claim_trains_a_recipe_and_continues(tmp_path, monkeypatch):
    import zoo.mnist_gan
    from benchmarks.reproduction.claims import mnist
    from zoo import recipe

    digits = zoo.mnist_gan.load(recipe.settings_of(zoo.mnist_gan.RECIPE))
    monkeypatch.setattr(
        zoo.mnist_gan, "load", lambda settings: (digits[0][:96], digits[1][:96], 10)
    )
    monkeypatch.setattr(mnist, "SAMPLES", 1000)
    (claim,) = [claim for claim in mnist.CLAIMS if claim.id == "mnist-early-discriminator"]
    tiny = {"width": 2, "epochs": 2, "score_every": 2}
    claim = dataclasses.replace(
        claim, variants={"run": Variant(claim.variants["run"].experiment, tiny)}
    )
    monkeypatch.setattr(claims, "_family", lambda name: [claim] if name == "mnist" else [])

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(recipe.callbacks.NonFiniteGuard, "on_epoch_begin", stop)
        runner.run(seeds=1, runs=tmp_path, results=tmp_path / "results")
    assert runner.run(seeds=1, runs=tmp_path, results=tmp_path / "results") == {
        claim.id: OPEN
    }  # A single seed does not decide.
    (folder,) = tmp_path.glob("mnist_gan-*")
    assert "after epoch 1 of 2" in (folder / "output.txt").read_text()
    (run,) = json.loads((tmp_path / "results" / f"{claim.id}.json").read_text())["variants"]["run"][
        "runs"
    ]
    assert [row["epoch"] for row in run["curve"]] == [1, 2] and run["measures"]["diverged"] == 0
    assert {
        "digit_frechet_distance",
        "stroke_width",
        "fine_power",
        "first_layer_gradient_norm",
    } <= set(run["measures"])
    assert (tmp_path / "results/pictures" / f"{run['key']}.png").exists()


def test_a_diverged_run_is_scored(tmp_path):
    from benchmarks.reproduction.claims import training
    from kerasgan.callbacks import NonFiniteLossError
    from zoo import mnist_gan, recipe

    def build(settings):
        model = mnist_gan.build(settings)
        model.fit = lambda *arguments, **options: (_ for _ in ()).throw(
            NonFiniteLossError("the loss is nan")
        )
        return model

    kind = dataclasses.replace(
        mnist_gan.RECIPE, build=build, score=lambda settings: lambda model, n: {"x": 1.0}
    )
    experiment = training.training(kind, "corrected", lambda settings: 1.0, name="diverging")
    found = experiment.run({"epochs": 2, "width": 2}, 0, tmp_path / "run")
    assert found["measures"] == {"x": 1.0, "diverged": 1} and found["curve"] == []
    assert recipe.settings_of(kind, "corrected", width=2).width == 2


def test_image_measures():
    import numpy as np

    from benchmarks.reproduction.claims.image_measures import fine_power, stroke_width

    image = -np.ones([1, 28, 28, 1], "float32")
    image[:, 2:26, 10:13] = 1.0
    assert stroke_width(image) == pytest.approx(2 * 72 / 54)  # A bar of 3 x 24 pixels.
    checks = np.where(np.indices((28, 28)).sum(axis=0) % 2, 1.0, -1.0)[None, :, :, None]
    assert fine_power(checks) == pytest.approx(1.0) and fine_power(image) < 0.3
    assert stroke_width(-np.ones([1, 28, 28, 1])) == 0
