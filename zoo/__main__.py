"""`python -m zoo` and `kerasgan`: lists the recipes and tools, or runs one.

python -m zoo                              lists recipes and tools
kerasgan birds_256 --preset=quick          runs python -m zoo.birds_256 --preset=quick
"""

import ast
import importlib
import pathlib
import sys

from zoo import cli

FOLDER = pathlib.Path(__file__).parent
TOOLS = (
    "sample",
    "evaluate",
    "diagnose",
    "explain",
    "play",
    "interpolate",
    "invert",
    "directions",
    "export",
    "preset",
    "upload",
    "prepare",
    "classifier",
    "digit_classifier",
    "bird_attribute_classifier",
    "text_encoder",
    "robust_image_encoder",
    "latent_prior",
    "part_classifier",
    "part_encoder",
    "inception",
)


def recipe_names() -> list[str]:
    """Returns the names of the modules with a `RECIPE`."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))}
    return [name for name, text in texts.items() if "\nRECIPE = " in text]


def summary(name: str) -> str:
    """Returns the first line of a module's docstring, without importing the module."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def listing() -> str:
    """Returns the list of recipes with their presets, and of tools."""
    lines = ["Recipes: kerasgan <recipe> [--preset=...] [--help], or python -m zoo.<recipe>", ""]
    for name in recipe_names():
        found = importlib.import_module(f"zoo.{name}").RECIPE
        lines += [
            f"  {name:26} {found.description}",
            f"  {'':26} presets: {', '.join(found.preset_names)}",
        ]
    lines += ["", "Tools: kerasgan <tool> --help, or python -m zoo.<tool> --help", ""]
    return "\n".join([*lines, *(f"  {name:26} {summary(name)}" for name in TOOLS)])


def main() -> None:
    """Runs the recipe or tool that the first argument names, or prints the list."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "-help"):
        cli.show(listing())
        return
    name, known = arguments[0].removeprefix("zoo."), [*recipe_names(), *TOOLS]
    if name not in known:
        found = cli.with_nearest(name, known, "kerasgan --help lists them")
        cli.fail(f"unknown recipe or tool {found}")
    sys.argv = [f"{sys.argv[0]} {name}", *arguments[1:]]
    importlib.import_module(f"zoo.{name}").main()


if __name__ == "__main__":
    main()
