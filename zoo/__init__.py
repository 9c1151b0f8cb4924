"""Recipes: `python -m zoo` lists them, `python -m zoo.<recipe>` runs one."""
