"""Fixtures of the command line tests."""

import importlib
import sys

import pytest


@pytest.fixture
def tool(monkeypatch):
    """Function that runs `python -m zoo.<name>` in this process.

    Flags are keyword arguments. `None` leaves a flag out. Lists are comma-separated, or repeated
    for `caption` and `checkpoint`.
    """

    def run(name, /, *positional, **flags):
        words = [*positional]
        for flag, value in flags.items():
            if value is None:
                continue
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no{flag}")
            elif isinstance(value, (list, tuple)) and flag in ("caption", "checkpoint"):
                words += [f"--{flag}={part}" for part in value]
            elif isinstance(value, (list, tuple)):
                words.append(f"--{flag}={','.join(map(str, value))}")
            else:
                words.append(f"--{flag}={value}")
        monkeypatch.setattr(sys, "argv", [f"zoo.{name}", *words])
        importlib.import_module(f"zoo.{name}").main()

    return run
