"""Commit, machine and package versions, stored with every benchmark result."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "torch-fidelity")


def provenance() -> dict:
    """Return the commit, the machine and the package versions of this process."""
    return {
        "commit": commit(),
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }


def commit() -> str | None:
    """Return the hash of the checked-out commit, or `None` outside a git repository.

    The hash ends in "+changes" if the working tree differs from the commit. Changes of result
    files are ignored.
    """

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    try:
        head = git("rev-parse", "HEAD")
    except FileNotFoundError:
        return None
    if head.returncode:
        return None
    changes = git("status", "--porcelain", "--", ".", ":!benchmarks/results").stdout.strip()
    return head.stdout.strip() + ("+changes" if changes else "")


def cpu_model() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def version(package: str) -> str | None:
    """Return the version of an installed package, or `None` if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
