"""The command line without Keras: the list, `--help`, unknown flags, and the console script."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import warnings

import pytest

import zoo.__main__ as front
from zoo import birds_256, cli, quiet, recipe, sample
from zoo.settings import Checked, setting

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIGHT = """
import sys
sys.argv = {argv!r}
code = 0
try:
    import zoo.__main__
    zoo.__main__.main()
except SystemExit as stopped:
    code = stopped.code
heavy = [n for n in ("keras", "numpy", "kerasgan", "tensorflow", "h5py", "PIL") if n in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


def light(*words):
    """Runs `kerasgan <words>` in a new process, which must not import Keras."""
    code = LIGHT.format(argv=["kerasgan", *words])
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True
    )


def test_the_list():
    done = light()
    assert done.returncode == 0, done.stderr
    for name in (*front.recipe_names(), *front.TOOLS):
        assert f"  {name} " in done.stdout
    assert light("--help").stdout == done.stdout


def test_every_module_is_listed_or_imported_by_others():
    listed = {*front.recipe_names(), *front.TOOLS}
    parts = {"recipe", "settings", "scale", "signals", "memory", "command", "lazy", "cli", "quiet"}
    parts |= {"text_gan", "network_training", "training_data", "evaluation_images"}
    parts |= {"stages", "own_captions", "launch", "comparison", "dry_run", "evaluation_inputs"}
    parts |= {"feature_scores", "latent_options", "compilation_cache"}
    modules = {path.stem for path in (ROOT / "zoo").glob("*.py")}
    others = modules - listed - parts - {"__init__", "__main__"}
    assert not others, "list new recipes and tools in zoo/__main__.py"


@pytest.mark.parametrize("name", [*front.recipe_names(), *front.TOOLS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(name, flag, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kerasgan", name, flag])
    front.main()
    text = capsys.readouterr().out
    assert "Usage: python -m zoo." in text and "\nRun:\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_help_is_light_and_groups_flags():
    done = light("birds_256", "--help")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    places = [text.index(f"\n{group.capitalize()}:\n") for group in cli.GROUPS]
    assert places == sorted(places)
    assert "default: 600; preset quick: 4" in text.replace("\n", " ")
    assert "choices: batch, layer, none" in " ".join(text.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["birds_256", "--epchs=3"], "unknown flag --epchs; did you mean --epochs?"),
        (["birds_256", "--drawn=3"], "unknown flag --drawn; it is now called --num_images"),
        (["birds_256", "--epochs=x"], "--epochs must be a whole number; received 'x'"),
        (["birds_256", "--epochs=0"], "--epochs must be at least 1; received 0"),
        (["birds_256", "--skip=maybe"], "--skip must be true or false; received 'maybe'"),
        (["birds_256", "--epochs"], "Missing value for flag --epochs"),
        (["birds_256", "quick"], "settings are given as --name=value; received 'quick'"),
        (["birds_256", "--preset=qick"], "preset must be one of quick, "),
        (["birds_265"], "unknown recipe or tool 'birds_265'; did you mean birds_256?"),
        (["sample", "--n=0"], "--n must be at least 1; received 0"),
        (["evaluate", "--k=nan"], "--k must be a whole number; received 'nan'"),
        (["explain", "--shift_size=inf"], "--shift_size must be finite; received inf"),
    ],
)
def test_mistakes_are_one_line_without_keras(words, message):
    done = light(*words)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line


@dataclasses.dataclass(frozen=True)
class Toy(Checked):
    text: str | None = setting(None, "A text.")
    switch: bool = setting(True, "A switch.")
    parts: tuple[str, ...] = setting((), "A list.")
    many: tuple[str, ...] = setting((), "A repeated flag.", repeated=True)
    count: int | None = setting(None, "A number.", least=1)


def test_parse():
    words = ["-text=a", "--noswitch", "--parts", "a, b", "--many=x,y", "--many=z", "--count=3", "q"]
    values, positional = cli.parse(dataclasses.fields(Toy), words)
    assert values == {
        "text": "a",
        "switch": False,
        "parts": ("a", "b"),
        "many": ("x,y", "z"),
        "count": 3,
    }
    assert positional == ["q"] and Toy(**values).count == 3
    assert cli.parse(dataclasses.fields(Toy), []) == ({}, [])


def test_wants_help():
    assert cli.wants_help(["--x=1", "-h"]) and not cli.wants_help(["--", "--help"])


def test_log_lines_of_frameworks_are_dropped():
    code = (
        "import os, sys; from zoo import quiet; quiet.hide_framework_logs();"
        "os.write(2, b'I0000 00:00:1795722117.002564 17096 port.cc:153] oneDNN\\n"
        "2026-01-01 00:00:00.000001: I tensorflow/x.cc:1] y\\n"
        "WARNING: All log messages before absl::InitializeLog() is called\\nreal\\n');"
        "print('python', file=sys.stderr)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert sorted(done.stderr.splitlines()) == ["python", "real"] and done.returncode == 0


def test_a_warning_for_users_is_one_line_of_text():
    place, formats = ("kerasgan/x.py", 7), {}

    def command():
        for category in (UserWarning, DeprecationWarning):
            formats[category] = warnings.formatwarning("two\nlines", category, *place)

    before = warnings.formatwarning
    cli.guarded(command)
    assert formats[UserWarning] == "warning: two lines\n"
    assert "kerasgan/x.py:7" in formats[DeprecationWarning]
    assert warnings.formatwarning is before


def test_a_dry_run_without_data_prints_what_is_missing(capsys, tmp_path):
    settings = recipe.settings_of(birds_256.RECIPE, "paper", data_dir=str(tmp_path), width=4)
    recipe.dry_run(birds_256.RECIPE, settings)
    text = capsys.readouterr().out
    assert "generator " in text and "trainable parameters" in text
    assert "missing: the data set birds: python -m zoo.prepare birds --source=FOLDER" in text


def test_console_script():
    assert "kerasgan = zoo.__main__:main" in (ROOT / "setup.cfg").read_text()


def test_quiet_leaves_captured_streams_alone():
    before = sys.stderr
    quiet.hide_framework_logs()
    assert sys.stderr is before and sample.Options().seed == 0
