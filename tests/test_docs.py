"""Documentation: all pages are listed, links resolve, and code blocks of the guides run."""

import importlib
import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [DOCS / "quickstart.md", *sorted((DOCS / "guides").glob("*.md"))]
# `make docs` copies these pictures to docs/images.
PICTURES = [ROOT / "benchmarks" / "results", DOCS / "pictures"]


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
        if path.parent == DOCS / "images":
            assert any((folder / path.name).is_file() for folder in PICTURES), target
        else:
            assert path.is_file() and DOCS in path.parents, target
    text = page.read_text()
    for module in re.findall(r"^::: ([\w.]+)", text, re.M):
        assert importlib.util.find_spec(module), module
    for module in set(re.findall(r"python -m ((?:zoo|benchmarks)(?:\.\w+)?)", text)):
        assert importlib.util.find_spec(module), module


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


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_code_of_guides_runs(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in code_blocks(guide):
        exec(compile(code, str(guide), "exec"), names)
