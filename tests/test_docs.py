"""Documentation: all pages are listed, links resolve, and code blocks of the guides run."""

import ast
import importlib
import os
import pathlib
import re
import shlex
import sys

import pytest
import yaml

import kerasgan
from docs.notebooks import make_notebooks
from kerasgan.io import presets as preset_files
from zoo import stages

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [DOCS / "quickstart.md", *sorted((DOCS / "guides").glob("*.md"))]
RESULTS = ROOT / "benchmarks" / "results"


def code_blocks(path):
    """The Python blocks of a page, without those under `<!-- not run: reason -->`."""
    pattern = r"(<!-- not run: .+? -->\n)?```python\n(.*?)```"
    return [
        code for skipped, code in re.findall(pattern, path.read_text(), re.DOTALL) if not skipped
    ]


def links(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    return [
        t.partition("#")[0]
        for t in re.findall(r"\]\(([^)]+)\)", text)
        if not t.startswith(("http", "#"))
    ]


def commands(path):
    """Module and arguments of each command `python -m zoo.NAME ...` of a page or a module."""
    text = path.read_text()
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    for line in re.findall(r"python -m zoo\.\w[^`\n#]+", text):
        command, *_ = re.split(r"  +", line)  # Two spaces separate a command and its comment.
        _, _, module, *arguments = shlex.split(command)
        yield module, arguments


def nav_files(entries):
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [value] if isinstance(value, str) else nav_files(value)


def test_every_page_is_in_the_navigation():
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(nav_files(configuration["nav"])) == [
        p.relative_to(DOCS).as_posix() for p in PAGES
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_and_modules_exist(page):
    for target in links(page):
        path = (page.parent / target).resolve()
        assert path.is_file() and DOCS in path.parents, target
    text = page.read_text()
    for module in re.findall(r"^::: ([\w.]+)", text, re.M):
        assert importlib.util.find_spec(module), module
    for module in set(re.findall(r"python -m ((?:zoo|benchmarks)(?:\.\w+)?)", text)):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *PAGES, *sorted((ROOT / "zoo").glob("*.py"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_commands_have_these_flags_and_presets(page, monkeypatch, capsys):
    for module, arguments in commands(page):
        recipe_or_tool = importlib.import_module(module)
        monkeypatch.setattr(sys, "argv", [module, "--help"])
        recipe_or_tool.main()
        known = set(re.findall(r"^  --(?:\[no\])?(\w+)", capsys.readouterr().out, re.M))
        assert "-m" not in arguments, f"two commands in one line: {module} {arguments}"
        for argument in arguments:
            flag, _, value = argument.removeprefix("--").partition("=")
            if argument.startswith("--"):
                assert {flag, flag.removeprefix("no")} & known, f"{module} {argument}"
            if flag == "preset":
                names = {*recipe_or_tool.RECIPE.presets, *stages.SCHEDULES}
                assert value == "..." or value in names, f"{module} {argument}"
            if flag == "checkpoint" and re.fullmatch(r"[a-z0-9_]+", value):
                assert (ROOT / "kerasgan" / "presets" / value).is_dir(), f"{module} {argument}"


def test_pictures_are_those_of_the_results():
    """Copies, because the site and GitHub show only files inside `docs`."""
    pictures = sorted((DOCS / "images").iterdir())
    assert pictures
    for path in pictures:
        assert path.read_bytes() == (RESULTS / path.name).read_bytes(), path.name


def test_the_presets_page_names_every_preset():
    page = (DOCS / "guides" / "presets.md").read_text()
    folders = [path.name for path in (ROOT / "kerasgan" / "presets").iterdir() if path.is_dir()]
    assert folders and all(f"| `{name}` |" in page for name in folders)


def test_tables_name_the_class_that_a_preset_loads():
    """README, the page of models and the page of presets agree with `presets` of each class."""
    rows = re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text(), re.M)
    rows += re.findall(r"^\|.*\|$", (DOCS / "models" / "index.md").read_text(), re.M)
    classes = {name: getattr(kerasgan.models, name) for name in kerasgan.models.__all__}
    classes = {name: cls for name, cls in classes.items() if hasattr(cls, "presets")}
    found: dict[str, list] = {name: [] for name in classes}
    for row in rows:
        name = re.match(r"\| \[`?(\w+)`?\]", row)
        if name and name[1] in found:
            found[name[1]].append(set(re.findall(r"`(\w+_(?:digits|birds)_?\w*)`", row)))
    page = (DOCS / "guides" / "presets.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.M))
    assert listed == {(preset, name) for name, cls in classes.items() for preset in cls.presets}
    for name, tables in found.items():
        presets = set(classes[name].presets)
        assert tables == [presets, presets], name
    for preset, name in listed:
        assert type(kerasgan.AdversarialModel.from_preset(preset)).__name__ == name
        assert f"- Model: `{name}`, " in preset_files.card(preset)


def test_the_api_reference_lists_every_module():
    """Modules of these folders; files that only the package itself uses are in `io` and
    `report`.
    """
    text = "".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    listed = set(re.findall(r"^::: ([\w.]+)", text, re.M))
    folders = ("encoders", "datasets", "metrics", "layers", "losses", "ops")
    files = [path for folder in folders for path in (ROOT / "kerasgan" / folder).rglob("*.py")]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files
        if path.name != "__init__.py"
    }
    assert modules <= listed, sorted(modules - listed)


@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if guide not in make_notebooks.NOTEBOOKS.values()],
    ids=lambda path: path.stem,
)
def test_code_of_guides_runs(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in code_blocks(guide):
        exec(compile(code, str(guide), "exec"), names)


@pytest.mark.parametrize("name", make_notebooks.NOTEBOOKS)
def test_notebooks_are_those_of_the_guides(name):
    file = DOCS / "notebooks" / f"{name}.ipynb"
    assert file.read_text() == make_notebooks.text_of(name), (
        "run python docs/notebooks/make_notebooks.py"
    )
    guide = make_notebooks.NOTEBOOKS[name]
    colab = f"https://colab.research.google.com/github/kerasgan/kerasgan/blob/main/docs/notebooks/{name}.ipynb"
    assert colab in guide.read_text() and file in [
        (guide.parent / target).resolve() for target in links(guide)
    ]


@pytest.mark.parametrize("name", make_notebooks.NOTEBOOKS)
def test_notebooks_run(name, tmp_path, monkeypatch):
    """All code cells but the one that installs the package, in a kernel of their own."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    found = nbformat.read(DOCS / "notebooks" / f"{name}.ipynb", as_version=4)
    nbformat.validate(found)
    code = [cell.source for cell in found.cells if cell.cell_type == "code"]
    assert code[0] == make_notebooks.INSTALL
    assert code[1:] == [block.strip() for block in code_blocks(make_notebooks.NOTEBOOKS[name])]
    found.cells = [cell for cell in found.cells if "install" not in cell.metadata.get("tags", [])]
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    nbclient.NotebookClient(found, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in found.cells if cell.cell_type == "code")
