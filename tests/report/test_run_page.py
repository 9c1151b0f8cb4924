"""Pages are self-contained files, for complete and incomplete runs."""

import html
import html.parser
import json
import os
import re
import shlex
import subprocess

import numpy as np
import pytest

from kerasgan import images, report
from kerasgan.metrics.diagnostics import diagnose


class Balanced(html.parser.HTMLParser):
    """Checks that every element is closed, in order."""

    VOID = {"meta", "img", "br", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag


def parsed(path):
    parser = Balanced()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert not parser.open
    return parser.seen


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "toy <run>"
    (folder / "grids").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    frames = [np.full((8, 8, 1), 20 * i, "uint8") for i in range(12)]
    for epoch, frame in enumerate(frames):
        images.save_png(folder / "grids" / f"epoch_{epoch:04d}.png", frame)
    images.save_gif(folder / "history.gif", frames, 100)
    (folder / "shipped").mkdir()
    images.save_png(folder / "shipped" / "toys.png", frames[0])
    (folder / "checkpoints" / "toy_dots_8_G_epoch_2.h5").write_bytes(b"cut")
    (folder / "settings.json").write_text(
        json.dumps({"recipe": "zoo.toy", "note": "<script>alert(1)</script>"})
    )
    (folder / "versions.json").write_text(json.dumps({"keras": "3.15.1"}))
    (folder / "scores.json").write_text(
        json.dumps({"distance": 1.25, "protocol": {"samples": 100}})
    )
    rows = ["epoch,seconds,g_loss,d_loss,g_accuracy,distance"]
    rows += ["1,60,1.5,0.5,0.4,", "2,60,nan,0.4,0.6,3.5", "3,5,1,1,1,"]
    (folder / "log.csv").write_text("\n".join(rows))
    return folder


def test_everything_is_in_one_file(run):
    seen = parsed(report.run_page(run))
    assert not [tag for tag, _ in seen if tag in ("script", "link", "iframe")]
    sources = [attributes["src"] for tag, attributes in seen if tag == "img"]
    assert len(sources) == 1 + 1 + 8 + 1 and all(
        source.startswith("data:image/") for source in sources
    )
    text = (run / "index.html").read_text()
    assert not re.search(r"(src|href)=\"?https?:|url\(|@import", text)
    told = (
        "g loss",
        "Accuracies",
        "1.25",
        "3.15.1",
        "damaged",
        "2 min 05 s",
        "python -m zoo.toy",
        "zoo.sample",
    )
    for words in (*told, "The preset toys."):
        assert words in text
    assert "<script>alert" not in text and "toy &lt;run&gt;" in text


def test_curves_skip_what_was_not_measured(run):
    seen = parsed(report.run_page(run))
    lengths = sorted(
        len(attributes["points"].split()) for tag, attributes in seen if tag == "polyline"
    )
    assert lengths == [
        1,
        2,
        3,
        3,
        3,
    ]  # distance, g_loss without its NaN, d_loss, g_accuracy, seconds


def test_an_empty_folder_still_has_a_page(tmp_path):
    text = report.run_page(tmp_path).read_text()
    parsed(tmp_path / "index.html")
    assert tmp_path.name in text and "Curves" not in text and "Samples" not in text


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="a run must be an existing folder; received"):
        report.run_page(tmp_path / "absent")
    (tmp_path / "scores.json").write_text('{"a": ')
    assert "scores.json is left out because it is damaged" in report.run_page(tmp_path).read_text()


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1e-9, 1e9], [0.1, 0.2, 0.3], [-3.0, -1.0]])
def test_chart_stays_inside_its_frame(values):
    drawing = report.chart({"a": list(enumerate(values, 1))})
    points = re.search(r'points="([^"]*)"', drawing)[1].split()
    for x, y in (map(float, point.split(",")) for point in points):
        assert 56 <= x <= 508 and 10 <= y <= 214
    assert len(points) == len(values)


def test_a_long_run_is_thinned_but_keeps_its_end():
    drawing = report.chart({"a": [(i, i) for i in range(1, 5001)]})
    points = re.search(r'points="([^"]*)"', drawing)[1].split()
    assert len(points) <= 1001 and points[-1].startswith("508.0,")


@pytest.fixture(scope="module")
def diagnosed():
    """Findings of 120 dotted squares, one of them a copy, without those of class 2; and what they
    were made from.
    """
    random = np.random.default_rng(0)
    labels = np.arange(240) % 4
    samples, training, unseen = (
        (60 * labels[:, None, None, None] + random.integers(0, 40, (240, 6, 6, 1))).astype("uint8")
        for _ in range(3)
    )
    samples = samples[labels != 2][:120]
    samples[7] = training[33]

    def extractor(shown):
        return shown[..., 0].reshape(len(shown), -1).astype("float32")

    names = ["<b>ash</b>", "beech", "cedar", "date"]
    return (
        diagnose(samples, training, extractor, labels, unseen, names, examples=3),
        samples,
        training,
    )


def test_diagnostics_are_one_page_of_numbers_and_pictures(diagnosed, tmp_path):
    seen = parsed(
        report.diagnostics_page(
            tmp_path, *diagnosed, title="a & b", command="python -m zoo.diagnose"
        )
    )
    assert not [tag for tag, _ in seen if tag in ("script", "link", "iframe")]
    sources = [attributes["src"] for tag, attributes in seen if tag == "img"]
    assert len(sources) == 2 * (3 * 3) + 2 + 2 * 3 and all(
        source.startswith("data:image/png") for source in sources
    )
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    for words in (
        "a &amp; b",
        "Missing: cedar.",
        "0.00, a copy?",
        "python -m zoo.diagnose",
        "&lt;b&gt;ash",
        "240",
    ):
        assert words in text
    assert "<b>ash" not in text and not re.search(r"(src|href)=\"?https?:|url\(|@import", text)
    widths = [float(w) for w in re.findall(r'class="bar" style="width:([\d.]+)%', text)]
    assert widths == [pytest.approx(100, abs=5)] * 2 + [0] + [pytest.approx(100, abs=5)]
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_copy_is_shown_beside_what_it_copies(diagnosed, tmp_path):
    findings, samples, training = diagnosed
    text = report.diagnostics_page(tmp_path, *diagnosed).read_text(encoding="utf-8")
    gap = np.full((6, 1, 1), 255, "uint8")
    assert images.png_data_uri(np.concatenate([samples[7], gap, training[33]], axis=1)) in text


def test_many_classes_are_cut_to_those_that_differ_most(diagnosed, tmp_path):
    findings, *given = diagnosed
    row = findings["classes"][0]
    rows = [
        row | {"class": f"kind {i}", "share": 0.01 + 0.001 * (i == 70), "data_share": 0.01}
        for i in range(80)
    ]
    lacks = {"least_intra_class_diversity": None, "least_diverse_class": None}
    text = report.diagnostics_page(
        tmp_path, findings | {"classes": rows} | lacks, *given
    ).read_text(encoding="utf-8")
    assert (
        "kind 70<" in text
        and "kind 79<" not in text
        and "50 of 80 classes" in text
        and "Too few samples" in text
    )


def test_large_pictures_are_shrunk(diagnosed, tmp_path):
    findings, *given = diagnosed
    large = [x.repeat(50, axis=1).repeat(50, axis=2).repeat(3, axis=3) for x in given]
    seen = parsed(report.diagnostics_page(tmp_path, findings, *large))
    widths = {
        int(attributes["width"])
        for tag, attributes in seen
        if tag == "img" and "width" in attributes
    }
    assert widths == {128 + 9 + 128}


def test_diagnostics_need_a_folder(diagnosed, tmp_path):
    with pytest.raises(ValueError, match="a page must go into an existing folder; received"):
        report.diagnostics_page(tmp_path / "absent", *diagnosed)


@pytest.fixture
def explained():
    """Two attributes of three images in four steps, and what they do."""
    random = np.random.default_rng(0)
    attributes = [
        {
            "layer": "8x8_2",
            "index": 13,
            "direction": direction,
            "effect_towards_target": 1.25,
            "effect_towards_rest": -0.5,
            "pictures": random.integers(0, 256, (3, 4, 8, 8, 1)).astype("uint8"),
            "probabilities": random.random((3, 4)),
        }
        for direction in ("minimum", "maximum")
    ]
    together = {
        "pictures": attributes[0]["pictures"][:, :3],
        "probabilities": random.random((3, 3)),
    }
    classes = [{"class": c, "images": 20, "flipped": [0.25 + c / 2, 0.5 + c / 2]} for c in (0, 1)]
    sufficiency = [
        {"all": [0.5, 0.75], "classes": classes, "images": 40, "strategy": "shared", "target": 0}
    ]
    sufficiency.append(sufficiency[0] | {"all": [0.6, 0.95], "strategy": "subset"})
    return {
        "target": "<i>eight</i>",
        "rest": "nine",
        "classes": ["<i>eight</i>", "nine"],
        "attributes": attributes,
        "together": together,
        "sufficiency": sufficiency,
        "unit": "logit",
        "protocol": {"images": 250, "selector": "s"},
    }


def test_attributes_are_rows_of_pictures_with_a_slider_each(explained, tmp_path):
    seen = parsed(report.attributes_page(tmp_path, explained, "a & b", "python -m zoo.explain"))
    tags = [tag for tag, _ in seen]
    assert tags.count("script") == 1 and not {"link", "iframe"} & set(tags)
    sources = [
        attributes["src"] for tag, attributes in seen if tag == "img" and "src" in attributes
    ]
    assert len(sources) == 3 * 3 + 2 * 3 * 4 and all(
        source.startswith("data:image/png") for source in sources
    )
    assert sources[9] == images.png_data_uri(explained["attributes"][0]["pictures"][0, 0])
    sliders = [attributes for tag, attributes in seen if tag == "input"]
    assert [(each["type"], each["min"], each["max"]) for each in sliders] == [
        ("range", "0", m) for m in "233"
    ]
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"?https?:|url\(|@import", text)
    chance = (
        f"&lt;i&gt;eight&lt;/i&gt;: {100 * explained['attributes'][0]['probabilities'][0, 0]:.0f} %"
    )
    for words in (
        "a &amp; b",
        chance,
        "1. 8x8_2, coordinate 13",
        "the image</span><span>1 applied",
        "by +1.25",
        "by -0.50",
        "75.0 %",
        "50.0 %",
        "nine (20)",
        "all, subset",
        "95.0",
        "nine, high</span><span>&lt;i&gt;eight&lt;/i&gt;, low",
        "python -m zoo.explain",
        "250",
    ):
        assert words in text, words
    assert "<i>eight" not in text and [path.name for path in tmp_path.iterdir()] == ["index.html"]
    lengths = sorted(
        len(attributes["points"].split()) for tag, attributes in seen if tag == "polyline"
    )
    assert lengths == [2, 2, 2, 2]
    assert "by attributes" in text and "epoch" not in text


def test_attributes_of_large_colour_pictures_are_shrunk(explained, tmp_path):
    row = explained["attributes"][0]
    row["pictures"] = row["pictures"].repeat(32, axis=2).repeat(32, axis=3).repeat(3, axis=4)
    text = report.attributes_page(tmp_path, explained | {"attributes": [row]}).read_text(
        encoding="utf-8"
    )
    uri = images.png_data_uri(report.markup.shrunk(row["pictures"][0, 0], 128))
    assert uri in text and len(explained["attributes"]) == 2 and "<h2>Command" not in text
    with pytest.raises(ValueError, match="a page must go into an existing folder; received"):
        report.attributes_page(tmp_path / "absent", explained)


@pytest.mark.parametrize("name", [b"\xff", b"o_\xe9 b'x\\", b"plain"])
def test_commands_of_a_folder_that_is_not_utf_8_name_it(name, tmp_path):
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    given = shlex.join(["python", "-m", "zoo.mnist_gan", f"--folder={folder}"])
    (folder / "settings.json").write_text(json.dumps({"recipe": "zoo.toy", "command": given}))
    text = report.run_page(folder).read_text(encoding="utf-8")
    line = html.unescape(re.search("<pre>(python -m zoo.mnist_gan.*)</pre>", text)[1])
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    ).stdout.split(b"\0")
    assert words[3:-1] == [b"--folder=" + os.fsencode(folder)] * len(words[3:-1]) and words[3:-1]
