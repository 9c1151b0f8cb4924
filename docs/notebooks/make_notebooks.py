"""Makes the notebooks of this folder from the guides, which are the only home of their text.

python docs/notebooks/make_notebooks.py

A notebook has one Markdown cell for each stretch of text and one code cell for each Python block.
Its first code cell installs the package. Blocks that the guide marks as not run stay text.
"""

import json
import os
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parents[1]
# Notebook -> guide.
NOTEBOOKS = {"quickstart": DOCS / "quickstart.md", "new_gan": DOCS / "guides" / "new_gan.md"}
REPOSITORY = "https://github.com/kerasgan/kerasgan"
INSTALL = f'%pip install --quiet "kerasgan[digits] @ git+{REPOSITORY}"'
INTRODUCTION = (
    "*This notebook is made from [a page of the documentation]({page}). The first cell installs "
    "kerasgan and takes a few minutes. To run a shell command in a notebook, write `!` before it.*"
)
PYTHON = r"(?<!-->\n)```python\n(.*?)```\n?"
# Text that only the page needs: its link to this notebook.
PAGE_ONLY = r"<!-- page only -->\n.*?<!-- end -->\n+"


def notebook(guide: pathlib.Path) -> dict:
    """Return the notebook of a guide, in nbformat 4.5."""
    page = f"{REPOSITORY}/blob/main/{guide.relative_to(DOCS.parent).as_posix()}"
    text = re.sub(PAGE_ONLY, "", guide.read_text(), flags=re.DOTALL)
    title, _, text = text.partition("\n")
    cells = [
        _cell("markdown", f"{title}\n\n{INTRODUCTION.format(page=page)}"),
        _cell("code", INSTALL, tags=["install"]),
    ]
    # `re.split` with one group gives text and code in turns.
    for place, part in enumerate(re.split(PYTHON, text, flags=re.DOTALL)):
        kind = "code" if place % 2 else "markdown"
        if source := (part if kind == "code" else _with_full_links(part, guide)).strip():
            cells.append(_cell(kind, source))
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind, source, tags=()):
    cell = {"cell_type": kind, "metadata": {"tags": list(tags)} if tags else {}}
    cell["source"] = source.splitlines(keepends=True)
    return cell if kind == "markdown" else cell | {"execution_count": None, "outputs": []}


def _with_full_links(text, guide):
    """Replaces links between pages with links to the repository."""

    def full(match):
        target = os.path.normpath(guide.parent / match[1])
        return f"]({REPOSITORY}/blob/main/{pathlib.Path(target).relative_to(DOCS.parent)})"

    return re.sub(r"\]\((?!http|#)([^)]+)\)", full, text)


def text_of(name: str) -> str:
    """Return the text of a notebook's file."""
    return json.dumps(notebook(NOTEBOOKS[name]), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name in NOTEBOOKS:
        (pathlib.Path(__file__).parent / f"{name}.ipynb").write_text(text_of(name))


if __name__ == "__main__":
    main()
