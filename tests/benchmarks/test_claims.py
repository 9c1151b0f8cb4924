"""The frame of the claims: verdicts on constructed numbers, and a queue that survives what happens to it."""

import dataclasses
import importlib
import json
import math

import pytest

from benchmarks import claims
from benchmarks.claims import Arm, Claim, Experiment, runner, verdicts
from benchmarks.claims.verdicts import (
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


def runs(**arms):
    """Runs whose measure `x` is as told, and halfway there half of it."""
    return {
        name: [
            {"measures": {"x": x}, "curve": [{"epoch": 5, "y": x / 2}, {"epoch": 10, "y": x}]}
            for x in values
        ]
        for name, values in arms.items()
    }


APART, NEAR, TWICE = (
    {"a": [1, 1.1, 0.9], "b": [2, 2.1, 1.9]},
    {"a": [1, 1.1, 0.9], "b": [1.05, 0.95, 1.1]},
    [1.0, 3.0],
)
STEPS = {"a": [1, 2, 3], "b": [1.1, 2.12, 3.09]}


@pytest.mark.parametrize(
    ("rule", "arms", "verdict"),
    [
        (Better("x", "a", ("b",)), APART, HOLDS),
        (Better("x", "b", ("a",)), APART, FAILS),
        (Better("x", "b", ("a",), higher=True), APART, HOLDS),
        (Better("x", "a", ("b",)), NEAR, OPEN),
        (Better("x", "a", ("b",)), {"a": [1], "b": [2]}, OPEN),  # one seed has no spread
        (
            Better("x", "a", ("b",)),
            {"a": [1, 1], "b": [1, 1]},
            OPEN,
        ),  # both at a floor: nothing to be seen
        (Better("x", "a", ("b", "c")), APART | {"c": TWICE}, OPEN),
        (Better("x", "a", ("b",), log=True, times=1.5), APART, HOLDS),
        (Better("x", "a", ("b",), log=True, times=3), APART, FAILS),
        (
            Better("x", "a", ("b",), log=True, times=0.8),
            {"a": [1.1, 1.11], "b": [1, 1.01]},
            HOLDS,
        ),  # not much worse
        (
            Better("x", "a", ("b",), log=True),
            {"a": [50, 52, 47], "b": [60, 5000, 55]},
            OPEN,
        ),  # one run collapsed
        (Better("y@50%", "a", ("b",)), APART, HOLDS),
        (Alike("x", ("a", "b"), share=0.5), NEAR, HOLDS),
        (Alike("x", ("a", "b"), share=0.25), APART, FAILS),
        (Alike("x", ("a", "b"), share=0.05), NEAR, OPEN),
        (Alike("x", ("a", "b"), log=True), {"a": [1, 1], "b": [1, 1]}, HOLDS),
        (Better("x", "a", ("b",)), STEPS, OPEN),  # the seeds differ more than the arms ...
        (Better("x", "a", ("b",), paired=True), STEPS, HOLDS),  # ... but each by as much in both
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
def test_rules(rule, arms, verdict):
    found, finding = rule.discriminate(runs(**arms))
    assert found == verdict and finding
    assert verdicts.measures(rule) in (["x"], ["y"]) and "standard errors" in rule.sentence()


def test_a_finding_is_told_once():
    rule = All(Better("x", "a", ("b",)), Within("x", "a", high=2), Within("x", "b", low=1))
    assert rule.discriminate(runs(**APART))[1].count("x: ") == 1


def test_the_answer_of_an_open_question_names_whom_it_cannot_tell_apart():
    _, finding = Best("x", ("a", "b", "c")).discriminate(runs(**APART, c=[1.05, 1.1, 0.95]))
    assert finding.startswith("a is ahead of b; c cannot be told from it. x: a 1 ± 0.1")


def test_a_measure_that_nobody_took_is_named():
    with pytest.raises(ValueError, match="measure must be of the run's, x; received 'z'"):
        Better("z", "a", ("b",)).discriminate(runs(**APART))


# === The queue ===


@pytest.fixture
def suite(monkeypatch):
    """Two claims that share an arm, of an experiment that counts its runs and can be told to stop."""
    called, trouble = [], {}

    def run(settings, seed, folder):
        called.append((settings["rate"], seed))
        (folder / "samples.png").write_bytes(b"a picture")
        print("noise")
        if trouble.get(len(called)):
            raise trouble[len(called)]
        return {
            "measures": {"x": settings["rate"] + 0.01 * seed},
            "curve": [{"epoch": 1, "x": math.nan}],
        }

    cheap = Experiment("cheap", run, lambda settings: 0.1)
    arms = {
        name: Arm(cheap, {"rate": rate, "epochs": 3})
        for name, rate in (("low", 1.0), ("high", 2.0), ("top", 3.0))
    }
    first = Claim(
        "mnist-randn",
        {n: arms[n] for n in ("low", "high")},
        Better("x", "low", ("high",)),
        "x, no judge.",
    )
    other = Claim(
        "vae-elbo",
        {n: arms[n] for n in ("low", "top", "high")},
        Better("x", "top", ("low",)),
        "the same.",
    )
    monkeypatch.setattr(claims, "FAMILIES", ("metrics",))
    monkeypatch.setattr(claims, "_family", lambda name: [other, first])
    monkeypatch.setattr(runner.timing, "commit", lambda: "abc")
    return called, trouble, first


def test_the_cheapest_comes_first_and_no_run_twice(suite, tmp_path, capsys):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    assert runner.run(seeds=2, **folders) == {"mnist-randn": HOLDS, "vae-elbo": FAILS}
    assert called == [(1.0, 0), (2.0, 0), (1.0, 1), (2.0, 1), (3.0, 0), (3.0, 1)]
    out = capsys.readouterr().out
    assert "noise" not in out and "mnist-randn: holds: x: low 1 ± 0.0071, high 2" in out
    result = json.loads((tmp_path / "results/mnist-randn.json").read_text())
    assert result["arms"]["low"]["settings"] == {"rate": 1.0, "epochs": 3} and result["seeds"] == 2
    run = result["arms"]["high"]["runs"][1]
    assert (
        run["measures"] == {"x": 2.01}
        and run["curve"] == [{"epoch": 1, "x": None}]
        and run["seed"] == 1
    )
    assert {"commit", "machine", "versions", "seconds"} <= set(run)
    assert len([*(tmp_path / "results/pictures").glob("cheap-*.png")]) == 3

    runner.run(
        seeds=2, runs=tmp_path / "elsewhere", results=folders["results"]
    )  # the repository's files are enough
    assert len(called) == 6
    runner.run(
        ["mnist-randn"], seeds=2, budget=1, **folders
    )  # another budget is another run, and no result here
    assert len(called) == 10 and (tmp_path / "runs/budget_1/mnist-randn.json").exists()
    assert json.loads((tmp_path / "results/mnist-randn.json").read_text()) == result


def test_killed_it_goes_on_where_it_stopped(suite, tmp_path):
    called, trouble, _ = suite
    trouble[2] = KeyboardInterrupt()
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    with pytest.raises(KeyboardInterrupt):
        runner.run(["mnist-randn"], seeds=2, **folders)
    assert not folders["results"].exists()
    state = runner.states(folders["results"])["mnist-randn"]
    assert (
        state.told(folders["runs"], seeds=2)
        == "ready to run: about 1 min for 2 seeds, 1 of 4 runs done"
    )
    assert runner.run(["mnist-randn"], seeds=2, **folders) == {"mnist-randn": HOLDS}
    assert called == [(1.0, 0), (2.0, 0), (2.0, 0), (1.0, 1), (2.0, 1)]


def test_arms_that_a_rule_does_not_name_need_not_have_its_measure():
    beside = {"c": [{"measures": {"z": 1.0}}]}
    assert Better("x", "b", ("a",), higher=True).discriminate(runs(**APART) | beside)[0] == HOLDS


def test_what_fails_is_told_and_the_next_comes(suite, tmp_path, capsys):
    called, trouble, _ = suite
    trouble[1] = OSError("no digits here\nand more")
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    with pytest.raises(ValueError, match="every run must come to its end; stopped: mnist-randn$"):
        runner.run(seeds=2, **folders)
    assert [path.stem for path in (tmp_path / "results").glob("*.json")] == ["vae-elbo"]
    whole = tmp_path / "runs/stopped.txt"
    assert f"mnist-randn: stopped: no digits here (all of it: {whole})\n" in capsys.readouterr().out
    assert "Traceback" in whole.read_text() and "and more" in whole.read_text()


def test_a_result_of_more_seeds_is_left_alone(suite, tmp_path, capsys):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    runner.run(["mnist-randn"], seeds=2, **folders)
    before = (tmp_path / "results/mnist-randn.json").read_text()
    assert runner.run(["mnist-randn"], seeds=1, **folders) == {} and len(called) == 4
    assert (
        "mnist-randn: left alone: its result is of 2 seeds, more than 1\n"
        in capsys.readouterr().out
    )
    assert (tmp_path / "results/mnist-randn.json").read_text() == before


def test_a_setting_that_is_the_recipes_own_makes_no_run_of_its_own(suite):
    _, _, first = suite
    usual = dataclasses.replace(first.arms["low"].experiment, usual={"rate": 1.0, "epochs": 3})
    key = lambda **settings: Arm(usual, settings).key(0)  # noqa: E731
    assert key(epochs=3, rate=1.0) == key(epochs=3) != key(epochs=3, rate=2.0)
    assert key(epochs=3) != key(epochs=4)


def test_what_is_missing_is_told(suite, tmp_path, capsys, monkeypatch):
    _, _, first = suite
    lacking = dataclasses.replace(
        first.arms["low"].experiment, missing=lambda: "the data, at a place"
    )
    claim = dataclasses.replace(first, arms={"low": Arm(lacking, {"rate": 1.0})})
    monkeypatch.setattr(claims, "_family", lambda name: [claim])
    assert runner.run(runs=tmp_path, results=tmp_path) == {}
    assert "mnist-randn: cannot run here: the data, at a place" in capsys.readouterr().out
    assert runner.states(tmp_path)["mnist-randn"].told() == "cannot run here: the data, at a place"
    assert runner.states(tmp_path)["gan-growing"].told() == "no experiment yet"


@pytest.mark.parametrize(
    "broken",
    [
        '{"claim": "mnist-',
        '{"arms": {"low": {"runs": [{}]}}}',
        '{"verdict": "yes", "arms": {}}',
        "[]",
    ],
)
def test_a_broken_file_is_named_and_made_anew(suite, tmp_path, capsys, broken):
    called, _, _ = suite
    folders = {"runs": tmp_path / "runs", "results": tmp_path / "results"}
    runner.run(["mnist-randn"], seeds=2, **folders)
    path = folders["results"] / "mnist-randn.json"
    path.write_text(broken)
    assert f"{path} is broken" in runner.states(folders["results"])["mnist-randn"].told()
    record = next(folders["runs"].glob("cheap-*/record.json"))
    record.write_text(broken)
    assert runner.run(["mnist-randn"], seeds=2, **folders) == {"mnist-randn": HOLDS}
    out = capsys.readouterr().out
    assert f"{path} is broken" in out and f"{record} is broken" in out
    assert len(called) == 5  # one run again
    assert runner.states(folders["results"])["mnist-randn"].told().startswith("holds")


def test_bad_requests():
    with pytest.raises(
        ValueError, match="a claim must be one of noted_claims.csv; received 'mnist-rand'"
    ):
        runner.run(["mnist-rand"])
    with pytest.raises(ValueError, match="at least 1; received 0 and None"):
        runner.run(seeds=0)


# === The experiments ===


def test_every_noted_claim_is_an_experiment():
    found, noted = claims.claims(), claims.noted()
    assert len(noted) == 65 and [claim.id for claim in found] == list(noted)
    for claim in found:
        named = set(claim.arms)
        for rule in getattr(claim.rule, "rules", (claim.rule,)):
            used = {
                getattr(rule, "arm", None),
                *getattr(rule, "others", ()),
                *getattr(rule, "arms", ()),
            } - {None}
            assert used <= named, claim.id
        assert claim.says and 0 < claim.minutes(3) < 600
        json.dumps([arm.settings for arm in claim.arms.values()])
        assert len({arm.key(0) for arm in claim.arms.values()}) == len(claim.arms), claim.id


def test_the_arms_are_settings_of_their_recipes():
    from zoo import recipe

    for family in ("mnist", "gan", "coopnet", "hdgan", "vae", "flow", "stylex"):
        module = importlib.import_module(f"benchmarks.claims.{family}")
        kind = {"gan": "mnist"}.get(family, family)
        kind = getattr(importlib.import_module(f"benchmarks.claims.{kind}"), "RECIPE", None)
        kind = kind or (module.stylex if family == "stylex" else module.variants).RECIPE
        for claim in module.CLAIMS:
            for arm in claim.arms.values():
                if (
                    "epochs" in arm.settings
                    and "latents" not in arm.settings
                    and "blocks" not in arm.settings
                ):
                    recipe.settings_of(
                        kind, None, seed=1, **arm.settings
                    )  # raises for a setting that there is not


def test_a_claim_trains_a_recipe_and_goes_on(tmp_path, monkeypatch):
    import zoo.mnist_gan
    from benchmarks.claims import mnist
    from zoo import recipe

    digits = zoo.mnist_gan.load(recipe.settings_of(zoo.mnist_gan.RECIPE))
    monkeypatch.setattr(
        zoo.mnist_gan, "load", lambda settings: (digits[0][:96], digits[1][:96], 10)
    )
    monkeypatch.setattr(mnist, "SAMPLES", 1000)
    (claim,) = [claim for claim in mnist.CLAIMS if claim.id == "mnist-early-discriminator"]
    tiny = {"width": 2, "epochs": 2, "score_every": 2}
    claim = dataclasses.replace(claim, arms={"run": Arm(claim.arms["run"].experiment, tiny)})
    monkeypatch.setattr(claims, "_family", lambda name: [claim] if name == "mnist" else [])

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(recipe.callbacks.NonFiniteGuard, "on_epoch_begin", stop)
        runner.run(seeds=1, runs=tmp_path, results=tmp_path / "results")
    assert runner.run(seeds=1, runs=tmp_path, results=tmp_path / "results") == {
        claim.id: OPEN
    }  # one seed
    (folder,) = tmp_path.glob("mnist_gan-*")
    assert "after epoch 1 of 2" in (folder / "output.txt").read_text()
    (run,) = json.loads((tmp_path / "results" / f"{claim.id}.json").read_text())["arms"]["run"][
        "runs"
    ]
    assert [row["epoch"] for row in run["curve"]] == [1, 2] and run["measures"]["diverged"] == 0
    assert {"digit_frechet_distance", "stroke_width", "fine_power", "first_layer_slope"} <= set(
        run["measures"]
    )
    assert (tmp_path / "results/pictures" / f"{run['key']}.png").exists()


def test_a_diverged_run_is_scored_and_told(tmp_path):
    from benchmarks.claims import training
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


def test_pictures():
    import numpy as np

    from benchmarks.claims.pictures import fine_power, stroke_width

    image = -np.ones([1, 28, 28, 1], "float32")
    image[:, 2:26, 10:13] = 1.0
    assert stroke_width(image) == pytest.approx(2 * 72 / 54)  # 3 wide, 24 long: 8/3
    checks = np.where(np.indices((28, 28)).sum(axis=0) % 2, 1.0, -1.0)[None, :, :, None]
    assert fine_power(checks) == pytest.approx(1.0) and fine_power(image) < 0.3
    assert stroke_width(-np.ones([1, 28, 28, 1])) == 0
