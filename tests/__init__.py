"""Tests. A package, because some packages install a top-level module `tests` of their own."""
