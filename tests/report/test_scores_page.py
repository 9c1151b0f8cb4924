"""The page of scores: a table per protocol, the best marked, charts by epoch."""

import re

import pytest

from kerasgan.report import markup, scores_page


def entry(name, epoch=None, protocol=None, **scores):
    low, high = scores["cmmd"] - 1, scores["cmmd"] + 1
    return {
        "name": name,
        "epoch": epoch,
        "scores": scores,
        "intervals": {"cmmd": [low, high]},
        "protocol": protocol or {"features": {"network": "a <b>"}, "samples": {"count": 9}},
        "command": f"python -m zoo.evaluate --checkpoint={name}",
    }


EPOCHS = [
    entry("b.h5", 10, cmmd=3.0, recall=0.5),
    entry("a.h5", 2, cmmd=2.0, recall=0.25),
    entry("c.h5", 20, cmmd=5.0, recall=0.75),
]


def rows(text):
    return re.findall(r"<tr><th>([abc]\.h5)</th>(.*?)</tr>", text)


def test_the_table_is_sorted_and_marks_the_best(tmp_path):
    text = scores_page(tmp_path / "page.html", EPOCHS, "Epochs").read_text()
    assert [name for name, _ in rows(text)] == ["a.h5", "b.h5", "c.h5"]
    assert "<b>2</b> <span class=note>[1, 3]</span>" in rows(text)[0][1]
    assert "<b>0.75</b>" in rows(text)[2][1] and text.count("<b>0.") == 1
    assert "cmmd ↓" in text and "recall ↑" in text
    assert "a &lt;b&gt;" in text and "a <b>" not in text and "http" not in text
    text = scores_page(tmp_path / "page.html", EPOCHS, sort="recall").read_text()
    assert [name for name, _ in rows(text)] == ["c.h5", "b.h5", "a.h5"]


def test_charts_are_by_epoch_with_their_intervals(tmp_path):
    text = scores_page(tmp_path / "page.html", EPOCHS).read_text()
    assert text.count("<svg") == 2 and "cmmd, lower end, upper end by epoch" in text
    assert "epoch 2: 2" in text and "cmmd ↓, best: a.h5" in text
    mixed = [EPOCHS[0], *(e | {"epoch": None} for e in EPOCHS[1:])]
    text = scores_page(tmp_path / "page.html", mixed).read_text()  # Not epochs of one run: bars.
    assert "polyline" not in text and text.count("<rect") == 6 and text.count('interval"') == 3
    assert "<title>a.h5: 2</title>" in text
    text = scores_page(tmp_path / "page.html", [EPOCHS[0], EPOCHS[0]]).read_text()
    assert "b.h5 (1)" in text and "b.h5 (2)" in text
    assert "<svg" not in scores_page(tmp_path / "page.html", EPOCHS[:1]).read_text()


@pytest.mark.parametrize("values", [[0.0], [-2.0, 5.0], [-3.0, -1.0], [1e9, 1e-9]])
def test_bars_stay_inside_their_frame(values):
    names = {f"name {i}": value for i, value in enumerate(values)}
    ends = {name: (value - 1, value + 1) for name, value in names.items()}
    drawing = markup.bars(names, ends)
    for start, length in re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', drawing):
        assert 4 <= float(start) and float(start) + float(length) <= 451
    for first, last in re.findall(r'x1="([\d.]+)" x2="([\d.]+)"', drawing):
        assert 4 <= float(first) <= float(last) <= 451
    assert drawing.count("<rect") == len(values)


def test_results_of_other_protocols_have_a_table_of_their_own(tmp_path):
    others = [entry("d.h5", cmmd=1.0, recall=1.0, protocol={"features": {"network": "another"}})]
    text = scores_page(tmp_path / "page.html", EPOCHS + others).read_text()
    assert "4 results, 2 measurement protocols." in text
    assert "Table of protocol 1" in text and "Table of protocol 2" in text


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="at least one result; received none"):
        scores_page(tmp_path / "page.html", [])
    with pytest.raises(ValueError, match="sorted by cmmd, recall; received speed"):
        scores_page(tmp_path / "page.html", EPOCHS, sort="speed")
    with pytest.raises(ValueError, match="a page must go into an existing folder"):
        scores_page(tmp_path / "no" / "page.html", EPOCHS)
