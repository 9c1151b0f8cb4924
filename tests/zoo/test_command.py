"""Commands on pages, in files and in output: a shell runs them as intended, and nothing else."""

import html
import json
import re
import shlex
import subprocess
import sys

import pytest

from kerasgan import report
from zoo.command import shell_command

NASTY = [
    "$(touch x)",
    "`touch x`",
    "a b",
    "it's",
    'say "x"',
    "a\nb",
    "a;touch x",
    "&& touch x",
    "*",
    "~",
    "é",
    "",
]


@pytest.mark.parametrize("value", NASTY)
def test_a_shell_returns_the_original_words(monkeypatch, tmp_path, value):
    monkeypatch.setattr(sys, "argv", ["x", f"--data={value}", "--note", value])
    line = shell_command("zoo.x")
    assert shlex.split(line) == ["python", "-m", "zoo.x", f"--data={value}", "--note", value]
    script = f"python() {{ printf '%s\\0' \"$@\"; }}; {line}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\0")[:-1] == shlex.split(line)[1:] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--folder=a", "--x=1"], ["--x=1"]),
        (["--folder", "a", "--x=1"], ["--x=1"]),
        (["-folder", "a b"], []),
        (["-folder=a"], []),
        (["--folders=a"], ["--folders=a"]),
        (["--x=--folder", "--folder", "--x"], ["--x=--folder"]),
        (["--", "--folder=a"], ["--", "--folder=a"]),
        (["a", "-"], ["a", "-"]),
    ],
)
def test_flags_left_out_in_any_form(monkeypatch, words, kept):
    monkeypatch.setattr(sys, "argv", ["x", *words])
    assert shlex.split(shell_command("m", without=("folder",)))[3:] == kept


@pytest.mark.parametrize("value", [v for v in NASTY if v])
def test_a_page_quotes_folder_and_command(tmp_path, value):
    folder = tmp_path / value.replace("/", "_")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "a_b_28_G_epoch_1.h5").write_text("")
    (folder / "settings.json").write_text(
        json.dumps({"command": f"python -m zoo.x --data={value}; touch x"})
    )
    text = report.run_page(folder).read_text()
    lines = [html.unescape(line) for line in re.findall(r"<pre>(.*?)</pre>", text, re.S)]
    assert lines
    for line in lines:
        script = f"cd {shlex.quote(str(tmp_path))}; python() {{ :; }}; {line}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        assert done.returncode == 0 and not (tmp_path / "x").exists(), line
        assert shlex.split(line)[-1].endswith((str(folder), "a_b_28_G_epoch_1.h5"))


def test_a_command_of_a_module_stays_a_word_of_its_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--tiny", "a b"])
    assert shell_command("benchmarks gpu") == "python -m benchmarks gpu --tiny 'a b'"
