"""`python -m zoo`: the recipes, their presets, and what else can be run."""

import importlib
import pkgutil

import zoo


def main():
    print("Recipes, python -m zoo.<recipe> [--preset=…] [--help]:\n")
    tools = []
    for module in pkgutil.iter_modules(zoo.__path__):
        if module.name in ("__main__", "memory", "recipe", "text_gan"):
            continue
        found = importlib.import_module(f"zoo.{module.name}")
        if hasattr(found, "RECIPE"):
            print(f"  {module.name:14} {found.RECIPE.description}")
            print(f"  {'':14} presets: {', '.join(found.RECIPE.presets)}")
        else:
            tools.append((module.name, found.__doc__.strip().splitlines()[0]))
    print("\nTools, python -m zoo.<tool> --help:\n")
    for name, text in tools:
        print(f"  {name:14} {text}")


if __name__ == "__main__":
    main()
