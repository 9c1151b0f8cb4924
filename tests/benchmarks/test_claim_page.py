"""The page of the claims: a verdict, a sentence and a plot for each of the 65."""

import re

import pytest

from benchmarks import claim_page, tables
from benchmarks.reproduction import claims
from benchmarks.reproduction.claims import runner

STATES = runner.states()


def test_every_claim_has_a_verdict_and_a_sentence():
    page = claim_page.page()
    sentences = claim_page.advice(STATES)
    assert set(sentences) == set(claims.noted()) and len(sentences) == 65
    for name, state in STATES.items():
        heading = claims.noted()[name]["claim"].rstrip(".")
        start = page.index(f"### {heading}\n")
        section = page[start : page.find("\n### ", start + 1)]
        assert f"**{state.outcome.capitalize()}.** {sentences[name]}" in section, name
        assert (f"plots/{name}.svg" in section) == bool(state.result), name
        assert sentences[name].endswith(".") and len(sentences[name]) < 260, name


def test_an_undecided_claim_names_the_budget_that_would_decide_it():
    for name, state in STATES.items():
        if state.outcome == "not decided":
            assert re.search(r"(minutes|hours) on two CPU cores", state.finding()), name


def test_a_sentence_for_another_outcome_is_rejected(tmp_path, monkeypatch):
    text = claim_page.ADVICE.read_text().replace("rgb-order,holds,", "rgb-order,answered,")
    (tmp_path / "advice.csv").write_text(text)
    monkeypatch.setattr(claim_page, "ADVICE", tmp_path / "advice.csv")
    with pytest.raises(ValueError, match="a sentence for rgb-order with the outcome 'answered'"):
        claim_page.advice(STATES)


def test_plots_are_those_of_the_result_files():
    for path, svg in claim_page.plots().items():
        assert path.read_text() == svg, f"{path.name}: run python -m benchmarks.tables"
    assert {path.stem for path in claim_page.PLOTS.glob("*.svg")} == {
        name for name, state in STATES.items() if state.result
    }


@pytest.mark.parametrize("name", ["gan-leaky", "vae-elbo", "stylex-kl-scale"])
def test_a_plot_has_a_dot_per_seed_inside_its_frame(name):
    state = STATES[name]
    svg = claim_page.plot(state.result, state.claim)
    _, found = claim_page.values(state.result, state.claim)
    places = [float(x) for x in re.findall(r'circle cx="([\d.]+)"', svg)]
    assert len(places) == sum(map(len, found.values()))
    assert all(claim_page.LEFT <= x <= claim_page.WIDTH for x in places)


def test_the_page_is_among_the_generated_ones():
    assert claim_page.PLOTS.parent / "claims.md" in tables.PAGES
