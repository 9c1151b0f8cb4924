"""The report, the list and the tables, from the result files and from synthetic ones."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

import benchmarks.__main__ as suite
from benchmarks import report, tables
from benchmarks.reproduction import claims
from benchmarks.reproduction.claims import runner

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A result file under recorded names.
RESULT = {
    "claim": "gan-leaky",
    "verdict": "does not hold",
    "finding": "x: a 1 ± 0.1, b|c 2 ± 0.1",
    "rule": "x of a is lower",
    "says": "what & how",
    "seeds": 2,
    "measures": ["x"],
    "command": "python -m benchmarks claims gan-leaky",
    "arms": {
        name: {
            "settings": {"arm": name, "epochs": 2},
            "runs": [
                {
                    "key": f"{name}-0",
                    "seed": seed,
                    "measures": {"x": value},
                    "seconds": 60.0,
                    "curve": [{"epoch": 1, "x": 3.0}, {"epoch": 2, "x": value}],
                    "machine": {"cores": 2, "cpu": "a CPU"},
                }
                for seed in (0, 1)
            ],
        }
        for name, value in (("a", 1.0), ("b|c", 2.0))
    },
}


@pytest.fixture
def results(tmp_path):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    (tmp_path / "gan-leaky.json").write_text(json.dumps(RESULT))
    (tmp_path / "gan-penalty.json").write_text("{")
    Image.new("L", (280, 112)).save(tmp_path / "pictures" / "a-0.png")
    return tmp_path


def test_the_tables_are_up_to_date():
    text = tables.SUITE.read_text()
    assert tables.filled(text, tables.PAGES[tables.SUITE]) == text, (
        "run python -m benchmarks.tables"
    )
    assert all(f"`{name}`" in text for name in claims.noted())


def test_tables_of_other_results(results, monkeypatch):
    states = runner.states(results)
    monkeypatch.setattr(runner, "states", lambda: states)
    table = tables.claims()
    assert r"| **does not hold** | x: a 1 ± 0.1, b\|c 2 ± 0.1 |" in table
    assert (
        '1 of 65 claims have been tested: 1 "does not hold". Of all claims, 1 are decided or '
        "answered and 64 are not decided; the experiments of 64 have not run. They took 2 runs "
        "and 0.0 hours on 2 cores of a CPU." in table
    )
    assert re.search(
        r"\| `gan-growing` \| .* \| \*\*not decided\*\* \| Not run yet.* on two CPU cores\. \|",
        table,
    )
    with pytest.raises(ValueError, match="no marker <!-- table: claims -->"):
        tables.filled("no marker", ["claims"])


def test_the_report_is_one_self_contained_page(results, tmp_path):
    page = report.write(tmp_path / "report.html", results).read_text()
    assert page.startswith("<!DOCTYPE html>") and "</html>" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page) and "<script" not in page
    card = page[page.index("<h2>gan-leaky</h2>") : page.index("Claims not tested yet")]
    assert '<span class="outcome does">does not hold</span>' in card and "what &amp; how" in card
    assert "<polyline" in card and card.count("data:image/png") == 1
    assert "<td>variant a</td><td class=n>1 ± 0</td><td class=n>1.0</td>" in card
    assert "gan-penalty.json is broken" in page
    assert "<code>birds-256-single</code>" in page and "<s>3.41 ± 0.04 (withdrawn)</s>" in page
    with pytest.raises(ValueError, match="The folder of --out does not exist"):
        report.write(tmp_path / "nowhere" / "report.html")


def test_the_list(results, monkeypatch, tmp_path):
    states = runner.states(results)
    monkeypatch.setattr(runner, "states", lambda: states)
    lines = suite.lines()
    assert "Claims: 1 of 65 tested" in lines
    assert "Scores: 0 of 36 reproduced with the full protocol" in lines
    text = "\n".join(lines)
    assert "gan-leaky                  does not hold: x: a 1 ± 0.1" in text
    assert "gan-penalty.json is broken" in text and "the command creates it again" in text
    missing = "missing: the birds data: python -m zoo.prepare birds"
    assert re.search(rf"birds-256-noimg-597 +4.27 ± 0.05; (.*; )?{missing}", text)
    (tmp_path / "speed.json").write_text("{")
    assert "is broken" in suite.speed(tmp_path / "speed.json")[0]


@pytest.mark.parametrize(
    ("name", "hint"), [("score", "did you mean scores?"), ("x", "the commands are scores, claims")]
)
def test_an_unknown_command_is_named(monkeypatch, capsys, name, hint):
    monkeypatch.setattr("sys.argv", ["benchmarks", name])
    with pytest.raises(SystemExit):
        suite.main()
    assert f"error: unknown command {name!r}; {hint}" in capsys.readouterr().err


@pytest.mark.parametrize("command", suite.COMMANDS)
def test_help_of_each_command_does_not_import_keras(command):
    code = (
        "import sys, benchmarks.__main__ as front\n"
        f"sys.argv = ['benchmarks', {command!r}, '--help']\n"
        "front.main()\n"
        "assert not {'keras', 'tensorflow', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Usage: python -m benchmarks {command} " in done.stdout and "\nRun:\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scores", "--sedes=2"], "unknown flag --sedes; did you mean --seeds?"),
        (["claims", "--budget=0"], "--budget must be at least 1; received 0"),
        (["speed", "--backend=x"], "--backend must be tensorflow, jax or torch; received 'x'"),
        (["tables", "all"], "flags are given as --name=value; received 'all'"),
        (["quality", "mnist_gan", "--seeds=a"], "--seeds must be whole numbers, such as 0,1,2"),
    ],
)
def test_mistakes_are_one_line(words, message):
    command = [sys.executable, "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: ") and message in line
