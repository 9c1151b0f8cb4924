"""Integers on the command lines of the tools: 0, negative and huge ones are one clear line."""

import dataclasses
import importlib

import pytest

from zoo import cli, memory
from zoo.settings import kind_of

TOOLS = ("sample", "evaluate", "diagnose", "explain", "prepare", "preset")
OPTIONS = {name: importlib.import_module(f"zoo.{name}").Options for name in TOOLS}
INTEGERS = [
    (name, field.name)
    for name, options in OPTIONS.items()
    for field in dataclasses.fields(options)
    if kind_of(field)[0] is int
]


def parse(name, *arguments):
    values, _ = cli.parse(dataclasses.fields(OPTIONS[name]), list(arguments))
    return OPTIONS[name](**values)


@pytest.mark.parametrize(("name", "flag"), INTEGERS)
def test_integers_have_bounds(name, flag):
    for value in (-1, -(10**9), 2**31, 2**32, 10**23, 10**400):
        try:
            made = parse(name, f"--{flag}={value}")
        except ValueError as error:
            line = str(error)
            assert line.startswith(f"--{flag} must be at") and "\n" not in line and len(line) < 200
        else:  # Seeds are unsigned integers of 32 bits.
            assert "seed" in flag and 0 <= getattr(made, flag) < 2**32


@pytest.mark.parametrize("size", [10**13, 1e15, 10**40])
def test_memory_that_no_machine_has_is_refused(size):
    with pytest.raises(ValueError, match="^--n=7: images would take about .* GB of memory; this"):
        memory.check(size, "--n=7: images")
    memory.check(10**6, "--n=7: images")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sample", ["--n=1000000000"], "--n=1000000000: images of 28 x 28 pixels would take"),
        ("sample", ["--n=2000000000", "--out=x.h5"], "--n=2000000000: images of 28 x 28 pixels"),
        ("evaluate", ["--samples=0"], "--samples must be a number from 2 to 10000000"),
        ("evaluate", ["--samples=-5"], "--samples must be a number from 2 to 10000000"),
        ("evaluate", ["--samples=1000000000"], "--samples must be a number from 2 to 10000000"),
        ("diagnose", ["--samples=1000000000"], "--samples=1000000000: images of 28 x 28 pixels"),
    ],
)
def test_counts_of_samples_are_checked_before_memory_is_used(
    name, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = parse(name, "--checkpoint=mnist_gan_digits", *arguments)
    with pytest.raises(ValueError) as raised:
        importlib.import_module(f"zoo.{name}").command(options)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_a_grid_is_not_wider_than_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = parse("sample", "--checkpoint=mnist_gan_digits", "--n=2", "--columns=1000000000")
    importlib.import_module("zoo.sample").command(options)
    from kerasgan.datasets.image_files import stored_size

    assert stored_size(tmp_path / "samples.png") == (56, 28)
